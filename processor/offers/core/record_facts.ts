import { type Fact, type FactOf, isNewer, type Position, type UnprovenKind } from "../../facts/facts.ts";
import type { ProductEvent } from "./product_event.ts";

/** Which facts one record brings: those that are true whatever else happens and that the view does not hold yet. */

/** What a processor knows of a subject: the view's rows, and what it has decided since in the chunk at hand. */
export type SubjectKnown = {
  readonly subject: string;
  /** Its counted uuids; at most `threshold` of them are kept. */
  readonly uuids: ReadonlySet<string>;
  readonly address:
    | {
      readonly at: number;
      readonly position: Position;
      readonly mailbox: string;
      readonly proven?: true | undefined;
    }
    | null;
  /** Mailbox of the newest address of the whole person; not looked up where this subject has no address itself. */
  readonly personMailbox: string | null;
  /** Subjects that the chunk has joined it to; whom the view knows it to be joined to stands in {@link HashedEvent}. */
  readonly joined: ReadonlySet<string>;
  readonly isOptedOut: boolean;
  /** Of its own mailbox, and of those that the chunk names. */
  readonly suppressed: ReadonlySet<string>;
  /** What has come without its proof. */
  readonly unproven: ReadonlySet<UnprovenKind>;
  /** Time of its latest erasure; null where there was none. */
  readonly erasedAt: number | null;
};

/** What counts of an event, with everything hashed that facts may not hold plainly. */
export type HashedEvent = {
  readonly event: ProductEvent;
  /** Hash of the event's address; null where it gives none that a mail could be sent to. */
  readonly mailbox: string | null;
  /** Its address and its joins came with their proofs. */
  readonly isProven: boolean;
  /** Other subjects that it says are the same person. */
  readonly others: readonly OtherSubject[];
  /** The mailbox that an opt-out names, and whether that gets no mail already; null: no opt-out. */
  readonly optOut: { readonly mailbox: string | null; readonly isSuppressed: boolean } | null;
  readonly unproven: readonly UnprovenKind[];
};

/** `erasedAt`: time of its latest erasure; `isJoined`: the view holds just this join, as well proven. */
export type OtherSubject = {
  readonly subject: string;
  readonly erasedAt: number | null;
  readonly isJoined: boolean;
};

type RowFact = FactOf<"counted" | "joined" | "addressed" | "unproven" | "opted_out">;

/** Nothing but an opt-out follows from what an erased person did before: it is kept for their sake. */
export function isOfErasedPast(event: ProductEvent, erasedAt: number | null): boolean {
  return erasedAt !== null && event.eventAt <= erasedAt;
}

/**
 * The facts of one event. The cap on uuids is the subject's, not the person's, so that it needs nobody else's view. An
 * address is told where the person's newest is another one, also if this subject had it before.
 */
export function factsOf(
  hashed: HashedEvent,
  known: SubjectKnown,
  { threshold }: { readonly threshold: number },
): readonly RowFact[] {
  const { event, mailbox, others, optOut } = hashed;
  const { subject } = known;
  const from = { subject, at: event.receivedAt, position: event.position };
  const proven = hashed.isProven ? { proven: true as const } : {};
  const isPast = isOfErasedPast(event, known.erasedAt);
  const facts: RowFact[] = [];
  if (!isPast) {
    for (const other of others) {
      if (other.isJoined || known.joined.has(other.subject) || isOfErasedPast(event, other.erasedAt)) {
        continue;
      }
      facts.push({ fact: "joined", ...from, other: other.subject, ...proven });
    }
    const joins = facts.length > 0;
    if (event.isUse && !known.uuids.has(event.id) && known.uuids.size < threshold) {
      facts.push({ fact: "counted", ...from, uuid: event.id });
    }
    if (mailbox !== null && isAddressNews(from, { mailbox, known, joins, isProven: hashed.isProven })) {
      facts.push({ fact: "addressed", ...from, mailbox, ...proven });
    }
    for (const what of hashed.unproven) {
      // Once: a stranger can send any number of them.
      if (!known.unproven.has(what)) facts.push({ fact: "unproven", ...from, what });
    }
  }
  if (optOut !== null) {
    const out = isPast ? { mailbox: null, isSuppressed: false } : optOut;
    if (isOptOutNews(out, known)) facts.push({ fact: "opted_out", ...from, mailbox: out.mailbox });
  }
  return facts;
}

/** With a join the address goes along: whom the subject is joined to may have another one, not yet seen here. */
function isAddressNews(
  from: { readonly at: number; readonly position: Position },
  { mailbox, known, joins, isProven }: {
    mailbox: string;
    known: SubjectKnown;
    joins: boolean;
    isProven: boolean;
  },
): boolean {
  if (known.address === null) return true;
  if (!isNewer(from, known.address)) return false;
  return joins || known.address.mailbox !== mailbox || known.personMailbox !== mailbox ||
    (isProven && !known.address.proven);
}

/** A person's properties say an opt-out with every event: it is told again only where a mailbox is new to it. */
function isOptOutNews(
  { mailbox, isSuppressed }: NonNullable<HashedEvent["optOut"]>,
  { isOptedOut, suppressed, address }: SubjectKnown,
): boolean {
  if (!isOptedOut) return true;
  if (mailbox !== null && !isSuppressed && !suppressed.has(mailbox)) return true;
  return address !== null && !suppressed.has(address.mailbox);
}

/** What is known after these facts. */
export function learn(known: SubjectKnown, facts: readonly Fact[]): SubjectKnown {
  let next = known;
  for (const fact of facts) {
    if (fact.fact === "counted") next = { ...next, uuids: new Set(next.uuids).add(fact.uuid) };
    if (fact.fact === "joined") next = { ...next, joined: new Set(next.joined).add(fact.other) };
    if (fact.fact === "addressed") next = { ...next, address: fact, personMailbox: fact.mailbox };
    if (fact.fact === "unproven") next = { ...next, unproven: new Set(next.unproven).add(fact.what) };
    if (fact.fact === "opted_out") {
      const boxes = [fact.mailbox, next.address?.mailbox].filter((box) => typeof box === "string");
      next = { ...next, isOptedOut: true, suppressed: new Set([...next.suppressed, ...boxes]) };
    }
  }
  return next;
}
