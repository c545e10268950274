import type { OfferView } from "../../contract/processor_api.ts";
import Ago from "../islands/Ago.tsx";
import { now } from "../browser/now.ts";
import { offersAreOld } from "../browser/offers.ts";
import { countdown } from "../core/format.ts";
import type { OfferRow } from "../core/trace.ts";
import { offerRowText, type OfferText, offerText } from "./offer_text.ts";

/**
 * Where an offer stands: the uses as dots, the state in words, the time left, and the mail once there is one. `row`: of the
 * same person, null where there is none; it may have been told of an offer before the processor has answered of it.
 */
export function OfferState({ offer, row }: { offer: OfferView; row: OfferRow | null }) {
  const isAhead = row !== null && (offer.offer ?? null) === null;
  return (
    <div class="offer-box">
      <Dots uses={isAhead ? offer.threshold : offer.uses} threshold={offer.threshold} />
      <OfferWords text={isAhead ? offerRowText(row, offer, now()) : offerText(offer, now())} />
      {offer.state === "offered" && offer.messageId && (
        <a class="button" href={`/mail/${encodeURIComponent(offer.messageId)}`}>Open the mail</a>
      )}
    </div>
  );
}

/** The words of panel, row and page, with the countdown or the time that they speak of. */
export function OfferWords({ text }: { text: OfferText }) {
  return (
    <div class={`offer tone-${text.tone}`}>
      {offersAreOld.value && <p class="note warn">As it was before the processor went away:</p>}
      <p class="offer-state" dir="auto">
        <strong>{text.state}</strong>
        {text.until && (
          <time class="countdown" dateTime={text.until} title={`due ${text.until}`}>
            {countdown(text.until, now())}
          </time>
        )}
        {text.since && <Ago at={text.since} />}
      </p>
      {text.next !== "" && <p class="quiet" dir="auto">{text.next}</p>}
    </div>
  );
}

function Dots({ uses, threshold }: { uses: number; threshold: number }) {
  return (
    <p class="dots" role="img" aria-label={`${uses} of ${threshold} uses`}>
      {Array.from({ length: threshold }, (_, i) => <span key={i} class={i < uses ? "dot full" : "dot"} />)}
    </p>
  );
}
