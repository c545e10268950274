import { type Clock, within } from "../../runtime/clock.ts";
import type { KeyedHashes } from "../../contract/keyed_hash.ts";
import { FACTS_TOPIC } from "../../contract/names.ts";
import type { ListedPerson, OfferListing, OfferQuery } from "../../contract/processor_api.ts";
import type { TopicLog } from "../../topic/topic.ts";
import { type KnownId, knownId, type WhoseRecord } from "../record/known_id.ts";

/** A page of the view, which has keyed hashes only; null where the view is not made yet. */
export type ViewPage = (query: OfferQuery) =>
  | (Omit<OfferListing, "offers" | "facts"> & {
    readonly offers: readonly Unnamed[];
    readonly nextFact: number;
  })
  | null;

type Unnamed = Omit<ListedPerson, "distinctIdWithheld"> & {
  readonly subject: string;
  readonly position: WhoseRecord["position"] | null;
};

export type OfferListPorts = {
  readonly page: ViewPage;
  readonly log: TopicLog;
  readonly hashes: Pick<KeyedHashes, "subject">;
  readonly lineId: (distinctId: string) => string | Promise<string>;
  readonly clock: Clock;
};

/** So long a page waits for the log, in ms: a broker that is away hides ids and not offers, and a page asks for 2 s. */
const LOOKING_MS_MAX = 1_000;
const READS_AT_ONCE = 8;
/** Records whose distinct_id is remembered. */
const REMEMBERED_MAX = 5_000;

/**
 * The offers as `GET /api/offers` lists them: a page of this processor's view, with the distinct_ids read from the raw topic as
 * far as it answers in time, and how far the view is behind the facts.
 */
export function createOfferList({ page, log, hashes, lineId, clock }: OfferListPorts) {
  const known = new Map<string, KnownId>();
  const keyOf = ({ subject, position }: WhoseRecord) => `${position.partition}:${position.offset} ${subject}`;

  const look = async (wanted: readonly WhoseRecord[]): Promise<void> => {
    const left = wanted.filter((one) => !known.has(keyOf(one)));
    if (known.size + left.length > REMEMBERED_MAX) known.clear();
    const late = new AbortController();
    const reads = Array.from({ length: READS_AT_ONCE }, async () => {
      for (let one = left.shift(); one !== undefined && !late.signal.aborted; one = left.shift()) {
        const found = await knownId(log, { ...one, hashes, lineId, signal: late.signal });
        if (!late.signal.aborted) known.set(keyOf(one), found);
      }
    });
    await within(Promise.allSettled(reads), { ms: LOOKING_MS_MAX, clock });
    late.abort();
  };

  const endOfFacts = async (): Promise<number | null> => {
    const bounds = log.bounds(FACTS_TOPIC).then(([facts]) => facts!.endOffset, () => null);
    const end = await within(bounds, { ms: LOOKING_MS_MAX, clock });
    return end === "late" ? null : end;
  };

  const named = ({ subject, position, ...person }: Unnamed): ListedPerson => {
    const found = position === null ? NO_RECORD : known.get(keyOf({ subject, position })) ?? LOG_AWAY;
    return "id" in found
      ? { ...person, distinctId: found.id }
      : { ...person, distinctId: null, distinctIdWithheld: found.why };
  };

  return {
    async list(query: OfferQuery): Promise<OfferListing | null> {
      // The end first: facts that come meanwhile are no arrears.
      const end = await endOfFacts();
      const found = page(query);
      if (found === null) return null;
      const { offers, nextFact, ...rest } = found;
      const wanted = offers.flatMap(({ subject, position }) =>
        position === null ? [] : { subject, position }
      );
      // Where the log did not say its end it says nothing else either.
      if (end !== null) await look(wanted);
      const facts = { applied: nextFact, end: end === null ? null : Math.max(end, nextFact) };
      return { ...rest, offers: offers.map(named), facts };
    },
    /** Somebody was erased: what was read before may speak of them. */
    forget: () => known.clear(),
  };
}

const NO_RECORD = { why: "record_gone" } as const;
const LOG_AWAY = { why: "log_away" } as const;
