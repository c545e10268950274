import type { OfferView } from "../../contract/processor_api.ts";
import Ago from "../islands/Ago.tsx";
import { knownAt, oldSince } from "../browser/feed.ts";
import { zone } from "../browser/now.ts";
import { countdown, exactTime } from "../core/format.ts";
import type { OfferRow } from "../core/trace.ts";
import { offerRowText, type OfferText, offerText } from "./offer_text.ts";

/**
 * Where an offer stands: the uses as dots, the state in words, the time left, and the mail once there is one. `row`: of the
 * same person, null where there is none; it may have been told of an offer before the processor has answered of it.
 */
export function OfferState({ offer, row }: { offer: OfferView; row: OfferRow | null }) {
  const isAhead = row !== null && (offer.offer ?? null) === null;
  return (
    <div class="offer-box" data-since={oldWords()}>
      <Dots uses={isAhead ? offer.threshold : offer.uses} threshold={offer.threshold} />
      <OfferWords text={isAhead ? offerRowText(row, offer, knownAt()) : offerText(offer, knownAt())} />
      {offer.state === "offered" && offer.messageId && (
        <a class="button" href={`/mail/${encodeURIComponent(offer.messageId)}`}>Open the mail</a>
      )}
    </div>
  );
}

/**
 * The words of panel, row and page, with the countdown or the time that they speak of. While nobody can know how it is now,
 * they say of when they are, and stand still.
 */
export function OfferWords({ text }: { text: OfferText }) {
  const since = oldSince();
  return (
    <div class={`offer tone-${text.tone}`} data-since={oldWords()}>
      {since !== undefined && (
        <p class="note warn">As it was {since === null ? "before" : <Ago at={since} />}:</p>
      )}
      <p class="offer-state" dir="auto">
        <strong>{text.state}</strong>
        {text.until && (
          <time class="countdown" dateTime={text.until} title={`due ${exactTime(text.until, zone.value)}`}>
            {countdown(text.until, knownAt())}
          </time>
        )}
        {text.since && <Ago at={text.since} />}
      </p>
      {text.next !== "" && <p class="quiet" dir="auto">{text.next}</p>}
    </div>
  );
}

const oldWords = () => oldSince() === undefined ? undefined : oldSince() ?? "ever";

function Dots({ uses, threshold }: { uses: number; threshold: number }) {
  return (
    <p class="dots" role="img" aria-label={`${uses} of ${threshold} uses`}>
      {Array.from({ length: threshold }, (_, i) => <span key={i} class={i < uses ? "dot full" : "dot"} />)}
    </p>
  );
}
