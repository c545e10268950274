import type { FAILED_REASONS } from "../../../contract/processor_api.ts";
import type { Claimer, ClosedReason, FactOf, OfferFact, PlacedFact, Position } from "../../facts/facts.ts";

/**
 * An offer is what an `earned` fact begins. `fold` says what a fact makes of it; it takes no policy and no clock, for
 * whoever published the fact has decided already. `nextStep` says what a sender does next. That is all the logic there is.
 */
export type Offer = {
  /** Offset of its `earned` in the facts. */
  readonly id: number;
  readonly subject: string;
  /** The record that earned it. */
  readonly position: Position;
  /** How many uses it needs; it goes with them while it waits. */
  readonly uses: number;
  readonly earnedAt: number;
  readonly attempt: number;
  /** Attempts since it was earned or last reopened: what the retry delays count. */
  readonly tries: number;
  /** Grows where a new Message-ID is wanted: reopened after anything but `delivery_unknown`. */
  readonly edition: number;
  /** Claims that held, in order; the last one is the one that answers speak of. */
  readonly claims: readonly Claimer[];
  /** Of the claims of this edition; null while none held. */
  readonly messageId: string | null;
  /** Of earlier editions. */
  readonly pastMessageIds: readonly string[];
  readonly unknowns: number;
  readonly state: OfferState;
};

/** Where an offer stands between being earned and its end; times in milliseconds since 1970. */
export type OfferState =
  | { readonly is: "waiting"; readonly dueAt: number }
  | { readonly is: "sending"; readonly by: Claimer }
  | { readonly is: "offered"; readonly sentAt: number }
  | { readonly is: "failed"; readonly reason: FailedReason; readonly words: string }
  | { readonly is: "closed"; readonly reason: ClosedReason };

/** Why an offer has failed; after `delivery_unknown` the mail may have arrived. */
export type FailedReason = typeof FAILED_REASONS[number];

/** Whose a mailbox is, as the offer at hand sees it. */
export type MailboxState = "free" | "rewarded" | "suppressed";

/** What the fold must know about the offer's person at the fact's place in the order. */
export type PersonThen = {
  /** Distinct uses of all joined subjects. */
  readonly uses: number;
  readonly optedOut: boolean;
  /** The person's current offer; null where there is none. */
  readonly current: number | null;
  /** `free` also where an offer of this very person has claimed it. */
  mailboxStateOf(mailbox: string): MailboxState;
};

/** The offer that `earned` begins, or null where the person has one already or lacks the uses. */
export function begin({ fact, offset }: PlacedFact<FactOf<"earned">>, person: PersonThen): Offer | null {
  if (person.current !== null || person.uses < fact.uses) return null;
  return {
    id: offset,
    subject: fact.subject,
    position: fact.position,
    uses: fact.uses,
    earnedAt: fact.at,
    attempt: 1,
    tries: 1,
    edition: 0,
    claims: [],
    messageId: null,
    pastMessageIds: [],
    unknowns: 0,
    state: { is: "waiting", dueAt: fact.dueAt },
  };
}

/** True where an erasure took the uses that a waiting offer was earned with: it is gone. */
export function isGone(offer: Offer, person: Pick<PersonThen, "uses">): boolean {
  return offer.state.is === "waiting" && person.uses < offer.uses;
}

/** What a fact makes of the offer it names; the same object where it changes nothing. */
export function fold(offer: Offer, fact: OfferFact, person: PersonThen): Offer {
  switch (fact.fact) {
    case "claimed":
      return claimHolds(offer, fact, person)
        ? {
          ...offer,
          state: { is: "sending", by: fact.by },
          claims: [...offer.claims, fact.by],
          messageId: fact.messageId,
        }
        : offer;
    case "accepted":
      // Also late, whatever became of the offer meanwhile: that the server took it stays true.
      return offer.claims.some((claim) => isSame(claim, fact.by)) && offer.state.is !== "offered"
        ? { ...offer, state: { is: "offered", sentAt: fact.at } }
        : offer;
    case "deferred":
      if (!speaksOf(offer, fact) && !isLateNews(offer, fact)) return offer;
      if (fact.nextAttemptAt === null) return failed(offer, "attempts_exhausted", fact.words);
      return again({ ...offer, tries: offer.tries + 1 }, fact.nextAttemptAt, person);
    case "refused":
      return speaksOf(offer, fact) ? failed(offer, "refused", fact.words) : offer;
    case "unknown":
      return speaksOf(offer, fact)
        ? { ...failed(offer, "delivery_unknown", fact.words), unknowns: offer.unknowns + 1 }
        : offer;
    case "closed":
      return offer.state.is === "waiting" && offer.attempt === fact.attempt
        ? { ...offer, state: { is: "closed", reason: fact.reason } }
        : offer;
    case "reopened":
      return reopen(offer, fact, person);
  }
}

/** A claim holds for the person's current offer, at just this attempt, to a mailbox that nothing forbids. */
function claimHolds(offer: Offer, fact: FactOf<"claimed">, person: PersonThen): boolean {
  return offer.state.is === "waiting" && offer.attempt === fact.attempt && person.current === offer.id &&
    !person.optedOut && person.mailboxStateOf(fact.mailbox) === "free";
}

/**
 * A fact of an attempt counts only while the offer is at just that: a paused processor that wakes up must not settle
 * another's claim.
 */
function speaksOf(offer: Offer, fact: { attempt: number; by: Claimer | null }): boolean {
  if (offer.attempt !== fact.attempt) return false;
  if (offer.state.is === "waiting") return fact.by === null;
  return offer.state.is === "sending" && fact.by !== null && isSame(offer.state.by, fact.by);
}

/** The claimer of an attempt that others gave up wakes up and says that nothing was sent. */
function isLateNews(offer: Offer, fact: FactOf<"deferred">): boolean {
  const last = offer.claims.at(-1);
  return offer.state.is === "failed" && offer.state.reason === "delivery_unknown" &&
    offer.attempt === fact.attempt && fact.by !== null && last !== undefined && isSame(last, fact.by);
}

function reopen(offer: Offer, fact: FactOf<"reopened">, person: PersonThen): Offer {
  const { is } = offer.state;
  if ((is !== "offered" && is !== "failed" && is !== "closed") || offer.attempt !== fact.after) return offer;
  const isUnknown = is === "failed" && offer.state.reason === "delivery_unknown";
  return again({ ...(isUnknown ? offer : nextEdition(offer)), tries: 1 }, fact.at, person);
}

/** A message of its own: only after `delivery_unknown` it must be the same one, so that a mailbox can fold the two. */
function nextEdition(offer: Offer): Offer {
  const past = offer.messageId === null ? offer.pastMessageIds : [...offer.pastMessageIds, offer.messageId];
  return { ...offer, edition: offer.edition + 1, messageId: null, pastMessageIds: past };
}

function again(offer: Offer, dueAt: number, person: PersonThen): Offer {
  if (person.optedOut) return { ...offer, state: { is: "closed", reason: "opted_out" } };
  return { ...offer, attempt: offer.attempt + 1, state: { is: "waiting", dueAt } };
}

function failed(offer: Offer, reason: FailedReason, message: string): Offer {
  return { ...offer, state: { is: "failed", reason, words: message } };
}

/** True where both are the same claim of the same run on the same DATA_DIR. */
export function isSame(a: Claimer, b: Claimer): boolean {
  return a.dataDir === b.dataDir && a.start === b.start && a.claim === b.claim;
}

/** How far an offer came. */
function rank(offer: Offer): number {
  switch (offer.state.is) {
    case "offered":
      return 6;
    case "failed":
      return offer.claims.length > 0 ? 5 : 1;
    case "sending":
      return 4;
    case "waiting":
      return offer.unknowns > 0 ? 3 : 2;
    case "closed":
      return 0;
  }
}

/** A person's current offer: the furthest; of two equal ones the one that earned first. Null where there is none. */
export function currentOf(offers: readonly Offer[]): Offer | null {
  let current: Offer | null = null;
  for (const offer of offers) {
    const ahead = current === null ? 1 : rank(offer) - rank(current) || current.id - offer.id;
    if (ahead > 0) current = offer;
  }
  return current;
}

/** What a sender knows about one offer and its person. */
export type OfferNow = {
  readonly offer: Offer;
  readonly isCurrent: boolean;
  readonly optedOut: boolean;
  /** Earned from records before a loss of the facts: it may have been mailed in the state that is gone. */
  readonly isLost: boolean;
  /** The newest address that this offer may go to, see `processor/offers/sqlite/destinations.ts`; null where none is known. */
  readonly address: Recipient | null;
  /** The newest of the proven ones among them. */
  readonly provenAddress: Recipient | null;
};

/** An address by the record that gave it, and how its mailbox stands for the offer at hand. */
export type Recipient = {
  readonly mailbox: string;
  readonly position: Position;
  readonly mailboxState: MailboxState;
};

/** Who holds the claim of an offer in `sending`, as this processor sees it, and for how long it has seen it (ms). */
export type ClaimSeen = { readonly of: "this_run" | "earlier_run" | "another"; readonly forMs: number };

export type SenderPolicy = {
  /** `MAIL_ON_UNKNOWN`: whether a mail whose delivery cannot be known stays as it is or is sent once more. */
  readonly onUnknown: "hold" | "resend-once";
  /** `IDENTITY_SECRET` is set: only proven addresses get mail. */
  readonly provenOnly: boolean;
};

/** After this long without an answer another processor's claim is unknown, in ms; the mailer itself gives up after 45 s. */
export const CLAIM_SILENCE_MS = 60_000;

/** What a sender does next about an offer; `wait` until the facts or the clock say otherwise. */
export type SenderStep =
  | { readonly is: "wait" }
  /** An earlier run on this DATA_DIR claimed it and is gone: ask the mailer, then say what became of it. */
  | { readonly is: "settle"; readonly by: Claimer }
  | { readonly is: "unknown"; readonly by: Claimer }
  | { readonly is: "reopen" }
  /** `mailbox`: the one that counts as rewarded from now on, with `state_lost` only. */
  | { readonly is: "close"; readonly reason: ClosedReason; readonly mailbox: string | null }
  | { readonly is: "send"; readonly mailbox: string; readonly position: Position };

/**
 * What a sender does about this offer now: the one place where due time, opt-out, address, mailbox, lost state and
 * claims are weighed. Pure: the caller publishes the step's fact, and only the fold decides whether it counts.
 *
 * @param now Milliseconds since 1970, UTC.
 * @param options.claim Who holds the claim of an offer in `sending`; null where nothing is known of it: it waits.
 */
export function nextStep(
  person: OfferNow,
  now: number,
  { policy, claim }: { readonly policy: SenderPolicy; readonly claim: ClaimSeen | null },
): SenderStep {
  const { offer } = person;
  switch (offer.state.is) {
    case "waiting":
      return person.isCurrent
        ? stepOfWaiting(person, { dueAt: offer.state.dueAt, now, address: recipientOf(person, policy) })
        : WAIT;
    case "sending":
      if (claim?.of === "earlier_run") return { is: "settle", by: offer.state.by };
      return claim?.of === "another" && claim.forMs > CLAIM_SILENCE_MS
        ? { is: "unknown", by: offer.state.by }
        : WAIT;
    case "failed":
      return offer.state.reason === "delivery_unknown" && offer.unknowns === 1 && person.isCurrent &&
          !person.optedOut && policy.onUnknown === "resend-once"
        ? { is: "reopen" }
        : WAIT;
    case "offered":
    case "closed":
      return WAIT;
  }
}

const WAIT: SenderStep = { is: "wait" };

/** Where the offer's mail may go. */
export function recipientOf(
  { address, provenAddress }: Pick<OfferNow, "address" | "provenAddress">,
  { provenOnly }: Pick<SenderPolicy, "provenOnly">,
): Recipient | null {
  return provenOnly ? provenAddress : address;
}

function stepOfWaiting(
  person: OfferNow,
  { dueAt, now, address }: { dueAt: number; now: number; address: Recipient | null },
): SenderStep {
  if (person.optedOut) return { is: "close", reason: "opted_out", mailbox: null };
  if (now < dueAt) return WAIT;
  if (person.isLost) return { is: "close", reason: "state_lost", mailbox: address?.mailbox ?? null };
  if (address === null) return WAIT;
  switch (address.mailboxState) {
    case "suppressed":
      return { is: "close", reason: "opted_out", mailbox: null };
    case "rewarded":
      return { is: "close", reason: "mailbox_rewarded", mailbox: null };
    case "free":
      return { is: "send", mailbox: address.mailbox, position: address.position };
  }
}
