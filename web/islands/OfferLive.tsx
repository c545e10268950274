import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { OfferView } from "../../contract/processor_api.ts";
import { getJson } from "../browser/feed.ts";
import { startClock } from "../browser/now.ts";
import { onStep } from "../browser/changes.ts";
import { addressText } from "../components/offer_text.ts";
import { OfferState } from "../components/OfferState.tsx";
import { Words } from "../components/Words.tsx";
import Ago from "./Ago.tsx";

/** One person's offer and all that was noted about it; looked up again when something happened. */
export default function OfferLive({ id, initial }: { id: string; initial: OfferView }) {
  const offer = useSignal(initial);
  useEffect(() => {
    startClock();
    return onStep(async () => {
      offer.value = await getJson<OfferView>(`/api/offers/${encodeURIComponent(id)}`) ?? offer.value;
    });
  }, []);
  const { code, timeline } = offer.value;
  return (
    <>
      <OfferState offer={offer.value} row={null} />
      <dl class="facts">
        <dt>Address</dt>
        <dd>{addressText(offer.value)}</dd>
        {code && (
          <>
            <dt>Code</dt>
            <dd class="mono">{code}</dd>
          </>
        )}
      </dl>
      <h2>Timeline</h2>
      {timeline.length === 0 ? <p class="quiet">Nothing noted yet.</p> : (
        <ol class="timeline">
          {timeline.map((entry, i) => (
            <li key={i}>
              <span class="when">
                <Ago at={entry.at} />
              </span>
              <Words text={entry.what} />
            </li>
          ))}
        </ol>
      )}
    </>
  );
}
