import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { OfferView } from "../../contract/processor_api.ts";
import { getJson } from "../browser/feed.ts";
import { startClock } from "../browser/now.ts";
import { onStep } from "../browser/changes.ts";
import { OfferState } from "../components/OfferState.tsx";
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
  const { code, reason, timeline, addressKnown } = offer.value;
  return (
    <>
      <OfferState offer={offer.value} />
      <dl class="facts">
        <dt>Address</dt>
        <dd>{addressKnown ? "known" : "not known"}</dd>
        {code && (
          <>
            <dt>Code</dt>
            <dd class="mono">{code}</dd>
          </>
        )}
        {reason && (
          <>
            <dt>Reason</dt>
            <dd>{reason}</dd>
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
              <span>{entry.what}</span>
            </li>
          ))}
        </ol>
      )}
    </>
  );
}
