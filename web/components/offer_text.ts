/** An offer in plain words: where it stands, and what happens next. The one source of the panel, the rows and its page. */
import type { OfferView } from "../../contract/processor_api.ts";
import { plural } from "../core/format.ts";
import type { OfferRow } from "../core/trace.ts";

export type OfferText = {
  readonly tone: "ok" | "warn" | "bad" | "quiet";
  readonly state: string;
  /** What {@link state} counts down to, ISO 8601. */
  readonly until?: string;
  /** When it came to that, ISO 8601. */
  readonly since?: string;
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
        ...(offer.sentAt === null ? {} : { since: offer.sentAt }),
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
  const hasFailed = (offer.failedTries ?? 0) > 0;
  const words = hasFailed && offer.lastWords ? `The last attempt: ${ended(offer.lastWords)} ` : "";
  if (offer.dueAt === null || Date.parse(offer.dueAt) <= now) {
    const next = `${words}Conditions are checked once more, then it is sent.`;
    return { tone: hasFailed ? "warn" : "quiet", state: "The mail is due", next };
  }
  return hasFailed
    ? {
      tone: "warn",
      state: "Not sent yet, tried again in",
      until: offer.dueAt,
      next: `${words}Then conditions are checked once more.`,
    }
    : {
      tone: "ok",
      state: "Offer earned, mail due in",
      until: offer.dueAt,
      next: "Then conditions are checked once more and it is sent.",
    };
}

/** Whether there is an address for it, in one word or few. */
export function addressText({ addressKnown, state, reason }: OfferView): string {
  if (addressKnown) return "known";
  return state === "waiting" && reason?.startsWith("the address came")
    ? "known, but not for this offer"
    : "not known";
}

/**
 * The same for a row of the list: what `offer`, the processor's answer of its person, says where that is about this very
 * offer. Else only what has happened, and stays true whatever comes.
 */
export function offerRowText(row: OfferRow, offer: OfferView | null, now: number): OfferText {
  const current = offer?.offer ?? null;
  if (offer !== null && current === row.offer) return offerText(offer, now);
  if (current !== null) {
    return {
      tone: "quiet",
      state: "Another offer of this person counts",
      next: "Two ids turned out to be one person, who gets one offer: the one that came further.",
    };
  }
  return { tone: "quiet", ...happened(row), next: "" };
}

function happened({ last, earnedAt }: OfferRow): { state: string; since?: string } {
  if (last === null) return { state: "Earned", ...(earnedAt === null ? {} : { since: earnedAt }) };
  return { state: HAPPENED[last.outcome](last.words), since: last.at };
}

const HAPPENED: Readonly<Record<NonNullable<OfferRow["last"]>["outcome"], (words: string) => string>> = {
  accepted: () => "A mail was sent",
  deferred: (words) => `An attempt to send the mail failed (${words})`,
  refused: (words) => `The mail was refused (${words})`,
  unknown: (words) => `It could not be known whether the mail arrived (${words})`,
  closed: (words) => `Closed without a mail (${words.replaceAll("_", " ")})`,
};

function sentence(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

/** As a sentence of its own, whoever wrote it. */
function ended(text: string): string {
  return `${text.trim().replace(/\.$/, "")}.`;
}

function reasonText(reason: string | null): string {
  switch (reason) {
    case null:
      return "";
    case "opted_out":
      return "This person wants no mail.";
    case "suppressed":
      return "This address wants no mail.";
    case "mailbox_rewarded":
      return "This mailbox has had its offer already.";
    case "state_lost":
      return "Its memory was lost, so nobody is mailed twice.";
    default:
      return ended(reason);
  }
}
