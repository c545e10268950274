import type { Fact, MergeHow, Position, UnprovenKind } from "../../facts/facts.ts";
import type { Offer } from "./offer.ts";

/**
 * The facts of a person in words, for its timeline.
 *
 * @param then.isRefused PostHog has not merged the ids that a `merge_asked` names, see `processor/offers/core/merge.ts`.
 */
export function timelineText(
  fact: Fact,
  { uses, isRefused }: { readonly uses: number; readonly isRefused: boolean },
): string {
  switch (fact.fact) {
    case "counted":
      return `use ${uses} counted (${at(fact.position)})`;
    case "joined":
      return `two ids are one person${provenText(fact)} (${at(fact.position)})`;
    case "merge_asked":
      return isRefused
        ? `PostHog keeps them two: ${MERGE[fact.how]} named an id that is identified as another person (${
          at(fact.position)
        })`
        : `two ids are one person, by ${MERGE[fact.how]}${provenText(fact)} (${at(fact.position)})`;
    case "addressed":
      return `address known${provenText(fact)} (${at(fact.position)})`;
    case "unproven":
      return `${UNPROVEN[fact.what]} came without its proof and counts for nothing (${at(fact.position)})`;
    case "opted_out":
      return `opted out of mail (${at(fact.position)})`;
    case "earned":
      return `earned the offer, due ${iso(fact.dueAt)} (${at(fact.position)})`;
    case "claimed":
      return `attempt ${fact.attempt} claimed, about to be sent`;
    case "accepted":
      return `mail accepted: ${fact.words}`;
    case "deferred":
      return fact.nextAttemptAt === null
        ? `attempt ${fact.attempt} failed, none is left: ${fact.words}`
        : `attempt ${fact.attempt} failed, next ${iso(fact.nextAttemptAt)}: ${fact.words}`;
    case "refused":
      return `mail refused: ${fact.words}`;
    case "unknown":
      return `nobody can know whether attempt ${fact.attempt} was delivered: ${fact.words}`;
    case "closed":
      return `closed without a mail: ${CLOSED[fact.reason]}`;
    case "reopened":
      return `once more: ${fact.reason}`;
    case "suppressed":
      return "address suppressed";
    case "erased":
      return "erased";
    case "secret":
    case "dataset":
      return fact.fact;
  }
}

const MERGE: Readonly<Record<MergeHow, string>> = {
  identify: "$identify",
  alias: "$create_alias",
  dangerous: "$merge_dangerously",
};

const UNPROVEN: Readonly<Record<UnprovenKind, string>> = {
  address: "an address",
  join: "a join with another id",
  opt_out: "an opt-out",
};

function provenText({ proven }: { readonly proven?: true | undefined }): string {
  return proven ? ", proven" : "";
}

const CLOSED: Readonly<Record<string, string>> = {
  opted_out: "opted out",
  mailbox_rewarded: "this mailbox has had its offer already",
  state_lost: "the memory of mails sent before was lost, so it may have been sent already",
};

/** Why an offer stands where it stands; null where its state says all. */
export function reasonOf({ state }: Offer): string | null {
  switch (state.is) {
    case "closed":
      return state.reason;
    case "failed":
      return state.reason === "delivery_unknown" ? state.reason : state.words;
    case "waiting":
    case "sending":
    case "offered":
      return null;
  }
}

function at({ partition, offset }: Position): string {
  return `record ${partition}:${offset}`;
}

function iso(time: number): string {
  return new Date(time).toISOString();
}
