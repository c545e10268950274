import type { OfferView } from "../../contract/processor_api.ts";
import Ago from "../islands/Ago.tsx";
import { now } from "../browser/now.ts";
import { countdown } from "../core/format.ts";
import { offerText } from "./offer_text.ts";

/** Where an offer stands: the uses as dots, the state in words, the time left, and the mail once there is one. */
export function OfferState({ offer }: { offer: OfferView }) {
  const text = offerText(offer, now());
  return (
    <div class={`offer tone-${text.tone}`}>
      <Dots uses={offer.uses} threshold={offer.threshold} />
      <p class="offer-state">
        <strong>{text.state}</strong>
        {offer.state === "waiting" && offer.dueAt && (
          <time class="countdown" dateTime={offer.dueAt} title={`due ${offer.dueAt}`}>
            {countdown(offer.dueAt, now())}
          </time>
        )}
        {offer.state === "offered" && offer.sentAt && <Ago at={offer.sentAt} />}
      </p>
      <p class="quiet">{text.next}</p>
      {offer.state === "offered" && offer.messageId && (
        <a class="button" href={`/mail/${encodeURIComponent(offer.messageId)}`}>Open the mail</a>
      )}
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
