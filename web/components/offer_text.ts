/** An offer in plain words: where it stands, and what happens next. */
import type { OfferView } from "../../contract/processor_api.ts";
import { plural } from "../core/format.ts";

export type OfferText = {
  readonly tone: "ok" | "warn" | "bad" | "quiet";
  readonly state: string;
  readonly next: string;
};

/** `now`: milliseconds since 1970. */
export function offerText(offer: OfferView, now: number): OfferText {
  const left = Math.max(0, offer.threshold - offer.uses);
  switch (offer.state) {
    case "counting":
      return {
        tone: "quiet",
        state: `${offer.uses} of ${offer.threshold} uses`,
        next: left > 0
          ? `${left} more ${plural(left, "earns", "earn")} a discount offer.`
          : "The offer is being earned.",
      };
    case "waiting":
      return waiting(offer, now);
    case "sending":
      return {
        tone: "quiet",
        state: "The mail is being sent",
        next: "The mail server has not answered yet.",
      };
    case "offered":
      return {
        tone: "ok",
        state: "The mail was sent",
        next: "One offer per person: no second mail will follow.",
      };
    case "failed":
      return {
        tone: "bad",
        state: offer.reason === "delivery_unknown"
          ? "Nobody can know whether the mail was sent"
          : "The mail was not sent",
        next: offer.reason === "delivery_unknown"
          ? "It cannot be known whether the server took it, so it is not sent again by itself: see offers resend."
          : `${reasonText(offer.reason)} It is not tried again by itself: see offers resend.`,
      };
    case "closed":
      return { tone: "quiet", state: "The offer is closed", next: reasonText(offer.reason) };
  }
}

function waiting(offer: OfferView, now: number): OfferText {
  if (!offer.addressKnown) {
    return {
      tone: "warn",
      state: offer.reason === null ? "No address known: waits for one" : sentence(offer.reason),
      next: "It goes to an address that was known when it was earned, or that the application has proven.",
    };
  }
  const due = offer.dueAt !== null && Date.parse(offer.dueAt) <= now;
  return due
    ? { tone: "quiet", state: "The mail is due", next: "Conditions are checked once more, then it is sent." }
    : {
      tone: "ok",
      state: "Offer earned, mail due in",
      next: "Then conditions are checked once more and it is sent.",
    };
}

function sentence(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

function reasonText(reason: string | null): string {
  switch (reason) {
    case null:
      return "";
    case "opted_out":
      return "This person wants no mail.";
    case "suppressed":
      return "This address wants no mail.";
    case "state_lost":
      return "Its memory was lost, so nobody is mailed twice.";
    default:
      return `${reason.replaceAll("_", " ")}.`;
  }
}
