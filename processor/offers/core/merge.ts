import type { FactOf, MergeHow, Position } from "../../facts/facts.ts";

/**
 * When two ids that an event wants merged are one person: when PostHog merges them. It merges the other id into the event's
 * own person, but refuses where the other's person is identified already; any event that asks for a merge and names an id
 * makes its person identified, also one that was refused. `$merge_dangerously` is never refused. (PostHog, person-state.ts.)
 *
 * PostHog decides in its own order and tells nobody. Two things are seen of it here, and the first is the stronger:
 * 1. person.ids. Each event shows its person's after the decision: where the other id shows one later, it is the same where
 *    they were merged and another where not. Only what happened after the request had arrived here is surely later.
 * 2. Times. Where an earlier request names the other id, its person was identified. Events tell their own time, which anybody
 *    may have set back: it is believed as far as deliveries can overtake one another, no further.
 *
 * Requests lie in several partitions, and what decides one may come as a fact before it or behind it.
 */

/** What the view holds of two subjects, by a record of the first. */
export type JoinRow = {
  readonly a: string;
  readonly b: string;
  /** `person`: b is a person.id that a showed. `told`: two ids, by a fact of before requests were judged; it holds for good. */
  readonly how: MergeHow | "person" | "told";
  /** When the earliest request was made, see {@link askedAt}; or up to when the person.id was shown, see {@link shownAt}. */
  readonly time: number;
  readonly at: number;
  readonly position: Position;
  /** A request's: what the other id did later than this came after PostHog's decision. */
  readonly arrived: number;
  /** a's person.id after the decision; null where none was shown. */
  readonly person: string | null;
  readonly isProven: boolean;
};

/** What of a join matters to whether another record brings news of it. */
export type HeldJoin = Pick<JoinRow, "isProven" | "time"> & { readonly isSure: boolean };

/** Two subjects, and whether they are one person by it; `open`: they are as far as is known, and it may be refused yet. */
export type Verdict = "sure" | "open" | "refused";

/** What is known of the other id of a request. */
export type OtherId = {
  /** An earlier request than this one names it. */
  readonly isNamedBefore: boolean;
  /** person.ids that it showed later than the request had arrived. */
  readonly personsSince: readonly string[];
};

/** Whether the ids of a join are one person; `other` is asked for requests that PostHog may refuse only. */
export function judge(row: Pick<JoinRow, "how" | "person">, other: () => OtherId): Verdict {
  if (!isJudged(row)) return "sure";
  const { isNamedBefore, personsSince } = other();
  if (row.person !== null && personsSince.length > 0) {
    return personsSince.includes(row.person) ? "sure" : "refused";
  }
  return isNamedBefore ? "refused" : "open";
}

/** True for a request that PostHog may refuse. */
export function isJudged({ how }: Pick<JoinRow, "how">): boolean {
  return how === "identify" || how === "alias";
}

/** How long after an event its webhook may come, in ms: PostHog tries three times, within about 15 s. */
const DELIVERY_MS_MAX = 60_000;

/** When PostHog was asked, as far as is known; a backfilled event comes any time later, by an operator's hand. */
export function askedAt(
  { eventAt, receivedAt, isBackfill }: {
    readonly eventAt: number;
    readonly receivedAt: number;
    readonly isBackfill: boolean;
  },
): number {
  const earliest = isBackfill ? eventAt : Math.max(eventAt, receivedAt - DELIVERY_MS_MAX);
  return Math.min(earliest, receivedAt);
}

/** Up to when what an event shows was surely so: its own time, which a wrong clock may have put ahead. */
export function shownAt({ eventAt, at }: { readonly eventAt: number; readonly at: number }): number {
  return Math.min(eventAt, at);
}

/** True where a person.id that this event shows decides a merge, and none that is held has. */
export function decidesMerges(
  event: { readonly eventAt: number; readonly at: number },
  { askedSince, held }: { readonly askedSince: number | null; readonly held: Pick<HeldJoin, "time"> },
): boolean {
  return askedSince !== null && held.time <= askedSince && shownAt(event) > askedSince;
}

/** The row that a fact brings where none is held. */
export function rowOf(fact: FactOf<"joined" | "merge_asked">): JoinRow {
  const { subject: a, other: b, at, position } = fact;
  const row = { a, b, at, position, person: null, isProven: fact.proven === true };
  if (fact.fact === "merge_asked") {
    const { how, askedAt: time, person = null } = fact;
    return { ...row, how, time, person, arrived: at };
  }
  if (!b.startsWith("p-")) return { ...row, how: "told", time: at, arrived: at };
  // Facts of before do not say when the person.id was shown: no merge is decided by them.
  const time = fact.eventAt === undefined ? NEVER : shownAt({ eventAt: fact.eventAt, at });
  return { ...row, how: "person", time, arrived: NEVER };
}

const NEVER = -8.64e15;

/** What a fact makes of the row that is held of its two subjects; the same object where it changes nothing. */
export function update(held: JoinRow, { isHolding, row }: { isHolding: boolean; row: JoinRow }): JoinRow {
  const isProven = held.isProven || row.isProven;
  if (held.how === "person") return row.time > held.time ? { ...held, time: row.time } : held;
  const isForced = row.how === "dangerous" && isJudged(held);
  // Also of one that holds for good: since when it names its two decides others.
  const isEarlier = isBefore(row, held);
  if (!isForced && !isEarlier) return isProven === held.isProven ? held : { ...held, isProven };
  const first = isEarlier ? row : held;
  return {
    ...first,
    how: isForced ? "dangerous" : held.how,
    // Since when they are one person.
    at: isHolding ? Math.min(held.at, row.at) : row.at,
    isProven,
  };
}

/** The order of requests. Equal ones as they were received, so that everybody has the same order. */
function isBefore(a: JoinRow, b: JoinRow): boolean {
  const [left, right] = [a, b].map((
    { time, at, position },
  ) => [time, at, position.partition, position.offset]);
  const differs = left!.findIndex((value, i) => value !== right![i]);
  return differs >= 0 && left![differs]! < right![differs]!;
}

/** What is held after this fact, as far as the next record of a chunk needs it. */
export function heldBy(fact: FactOf<"joined" | "merge_asked">): HeldJoin {
  const row = rowOf(fact);
  return { isProven: row.isProven, isSure: !isJudged(row), time: row.time };
}
