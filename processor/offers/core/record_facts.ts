import { isNewer } from "../../facts/encode.ts";
import type { Fact, FactOf, MergeHow, Position, UnprovenKind } from "../../facts/facts.ts";
import { askedAt, decidesMerges, heldBy, type HeldJoin } from "./merge.ts";
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
  /** Joins that the chunk has brought; those that the view holds stand in {@link HashedEvent}. */
  readonly joined: ReadonlyMap<string, HeldJoin>;
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
  /** PostHog's person.id of its own id, after whatever the event asked for; null where it may join nobody. */
  readonly person: PersonShown | null;
  /** The merge that it asks for. */
  readonly merge: MergeAsked | null;
  /** The mailbox that an opt-out names, and whether that gets no mail already; null: no opt-out. */
  readonly optOut: { readonly mailbox: string | null; readonly isSuppressed: boolean } | null;
  readonly unproven: readonly UnprovenKind[];
};

/** `erasedAt`: time of its latest erasure; `held`: what the view holds of just this join. */
type OtherSubject = {
  readonly subject: string;
  readonly erasedAt: number | null;
  readonly held: HeldJoin | null;
};

/** `askedSince`: a merge that its id was named in had arrived by then, and what the id shows later decides it; null: none. */
export type PersonShown = OtherSubject & { readonly askedSince: number | null };

export type MergeAsked = OtherSubject & { readonly how: MergeHow };

type RowFact = FactOf<"counted" | "joined" | "merge_asked" | "addressed" | "unproven" | "opted_out">;

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
  const { event, mailbox, optOut } = hashed;
  const { subject } = known;
  const from = { subject, at: event.receivedAt, position: event.position };
  const proven = hashed.isProven ? { proven: true as const } : {};
  const isPast = isOfErasedPast(event, known.erasedAt);
  const facts: RowFact[] = [];
  if (!isPast) {
    facts.push(...joinsOf(hashed, known));
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

function* joinsOf(
  { event, person, merge, isProven }: HashedEvent,
  known: SubjectKnown,
): Generator<FactOf<"joined" | "merge_asked">> {
  const { eventAt, receivedAt: at, position } = event;
  const from = { subject: known.subject, at, position };
  const heldOf = ({ subject, held }: OtherSubject) => known.joined.get(subject) ?? held;
  const isPast = ({ erasedAt }: OtherSubject) => isOfErasedPast(event, erasedAt);
  const time = askedAt(event);
  if (merge !== null && !isPast(merge) && isMergeNews(merge, { held: heldOf(merge), time, isProven })) {
    yield {
      fact: "merge_asked",
      ...from,
      other: merge.subject,
      how: merge.how,
      askedAt: time,
      ...(person === null ? {} : { person: person.subject }),
      ...(isProven ? { proven: true } : {}),
    };
  }
  if (person === null || isPast(person)) return;
  const held = heldOf(person);
  if (held !== null && !decidesMerges({ eventAt, at }, { askedSince: person.askedSince, held })) return;
  yield { fact: "joined", ...from, other: person.subject, eventAt };
}

/** The earliest of an id's requests decides, also about others that name it, and one that PostHog never refuses. */
function isMergeNews(
  { how }: MergeAsked,
  { held, time, isProven }: { held: HeldJoin | null; time: number; isProven: boolean },
): boolean {
  if (held === null || isProven && !held.isProven) return true;
  return time < held.time || (how === "dangerous" && !held.isSure);
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
export function learn<Known extends SubjectKnown>(known: Known, facts: readonly Fact[]): Known {
  let next = known;
  for (const fact of facts) {
    if (fact.fact === "counted") next = { ...next, uuids: new Set(next.uuids).add(fact.uuid) };
    if (fact.fact === "joined" || fact.fact === "merge_asked") {
      next = { ...next, joined: new Map(next.joined).set(fact.other, heldBy(fact)) };
    }
    if (fact.fact === "addressed") next = { ...next, address: fact, personMailbox: fact.mailbox };
    if (fact.fact === "unproven") next = { ...next, unproven: new Set(next.unproven).add(fact.what) };
    if (fact.fact === "opted_out") {
      const boxes = [fact.mailbox, next.address?.mailbox].filter((box) => typeof box === "string");
      next = { ...next, isOptedOut: true, suppressed: new Set([...next.suppressed, ...boxes]) };
    }
  }
  return next;
}
