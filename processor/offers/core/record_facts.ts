import { type Fact, type FactOf, isNewer, type Position } from "../../facts/facts.ts";
import type { ProductEvent } from "./product_event.ts";

/** Which facts one record brings: those that are true whatever else happens and that the view does not hold yet. */

/** What a processor knows of a subject: the view's rows, and what it has decided since in the chunk at hand. */
export type SubjectKnown = {
  readonly subject: string;
  /** Its counted uuids; at most `threshold` of them are kept. */
  readonly uuids: ReadonlySet<string>;
  readonly address: { readonly at: number; readonly position: Position; readonly mailbox: string } | null;
  /** Mailbox of the newest address of the whole person; not looked up where this subject has no address itself. */
  readonly personMailbox: string | null;
  /** Subjects that it has been joined to directly. */
  readonly joined: ReadonlySet<string>;
  /** Time of its latest erasure; null where there was none. */
  readonly erasedAt: number | null;
};

/** An event with everything hashed that facts may not hold plainly. */
export type HashedEvent = {
  readonly event: ProductEvent;
  /** Hash of the event's address; null where it gives none that a mail could be sent to. */
  readonly mailbox: string | null;
  /** Other subjects that it says are the same person, with the time of their latest erasure. */
  readonly others: readonly { readonly subject: string; readonly erasedAt: number | null }[];
};

type RowFact = FactOf<"counted" | "joined" | "addressed" | "opted_out">;

/** Nothing but an opt-out follows from what an erased person did before: it is kept for their sake. */
export function isOfErasedPast(event: ProductEvent, erasedAt: number | null): boolean {
  return erasedAt !== null && event.eventAt <= erasedAt;
}

/**
 * The facts of one event. The cap on uuids is the subject's, not the person's, so that it needs nobody else's view. An
 * address is told where the person's newest is another one, also if this subject had it before.
 */
export function factsOf(
  { event, mailbox, others }: HashedEvent,
  known: SubjectKnown,
  { threshold }: { readonly threshold: number },
): readonly RowFact[] {
  const { subject } = known;
  const from = { subject, at: event.receivedAt, position: event.position };
  const isPast = isOfErasedPast(event, known.erasedAt);
  const facts: RowFact[] = [];
  if (!isPast) {
    for (const other of others) {
      if (known.joined.has(other.subject) || isOfErasedPast(event, other.erasedAt)) continue;
      facts.push({ fact: "joined", ...from, other: other.subject });
    }
    const joins = facts.length > 0;
    if (event.isUse && !known.uuids.has(event.id) && known.uuids.size < threshold) {
      facts.push({ fact: "counted", ...from, uuid: event.id });
    }
    if (mailbox !== null && isAddressNews(from, { mailbox, known, joins })) {
      facts.push({ fact: "addressed", ...from, mailbox });
    }
  }
  if (event.isOptOut) facts.push({ fact: "opted_out", ...from, mailbox: isPast ? null : mailbox });
  return facts;
}

/** With a join the address goes along: whom the subject is joined to may have another one, not yet seen here. */
function isAddressNews(
  from: { readonly at: number; readonly position: Position },
  { mailbox, known, joins }: { mailbox: string; known: SubjectKnown; joins: boolean },
): boolean {
  if (known.address === null) return true;
  if (!isNewer(from, known.address)) return false;
  return joins || known.address.mailbox !== mailbox || known.personMailbox !== mailbox;
}

/** What is known after these facts. */
export function learn(known: SubjectKnown, facts: readonly Fact[]): SubjectKnown {
  let next = known;
  for (const fact of facts) {
    if (fact.fact === "counted") next = { ...next, uuids: new Set(next.uuids).add(fact.uuid) };
    if (fact.fact === "joined") next = { ...next, joined: new Set(next.joined).add(fact.other) };
    if (fact.fact === "addressed") next = { ...next, address: fact, personMailbox: fact.mailbox };
  }
  return next;
}
