import type { DatabaseSync } from "node:sqlite";
import type { KeyedHashes } from "../../../contract/keyed_hash.ts";
import {
  type ListedPerson,
  type OfferFilter,
  type OfferListing,
  type OfferQuery,
  type OfferView,
} from "../../../contract/processor_api.ts";
import { decodeFact, type Position } from "../../facts/facts.ts";
import { PERSON_PREFIX } from "../../record/erasure.ts";
import type { Offer } from "../core/offer.ts";
import { type Place, PLACES } from "./places.ts";
import type { OfferRows } from "./rows.ts";

/** A page of people as the view knows them: whose a record is only the raw topic can say. */
export type OfferPage = Omit<OfferListing, "offers" | "facts"> & {
  readonly offers: readonly UnnamedPerson[];
  /** Every fact below it is applied. */
  readonly nextFact: number;
};

/** `position`: of a record of this subject; null where none is known. */
export type UnnamedPerson = Omit<ListedPerson, "distinctIdWithheld"> & {
  readonly subject: string;
  readonly position: Position | null;
};

type Row = { readonly id: number; readonly touched: number; readonly offer: number | null };
/** Where a list goes on: the fact that last touched its last person, and that person's number, the same in every view. */
const CURSOR = /^(\d{1,15})-(\d{1,15})$/;

/**
 * Reads pages of people in an open view; what one costs grows with its length and not with how many people there are, but
 * for the counts, which are read off an index.
 *
 * @param options.personOf The person of a distinct_id, or of `person-` and a subject; null where there is none.
 */
export function createOfferPages(
  db: DatabaseSync,
  { rows, threshold, shown, personOf, nextFact }: {
    readonly rows: OfferRows;
    readonly threshold: number;
    /** A person and its current offer as one alone is shown. */
    readonly shown: (
      person: number,
      about: { distinctId: null; offer: Offer | null; hashes: KeyedHashes },
    ) => Omit<OfferView, "timeline">;
    readonly personOf: (id: string, hashes: KeyedHashes) => number | null;
    readonly nextFact: () => number;
  },
): (query: OfferQuery, hashes: KeyedHashes) => OfferPage {
  const sql = statements(db);

  const counted = () => {
    const counts = { counting: 0, waiting: 0, sending: 0, offered: 0, failed: 0, closed: 0 };
    const failed = { refused: 0, attempts_exhausted: 0, delivery_unknown: 0 };
    const closed = { opted_out: 0, mailbox_rewarded: 0, state_lost: 0 };
    for (const row of sql.counts.all()) {
      const { state, reason, people } = row as Place & { people: number };
      counts[state] += people;
      if (state === "failed") failed[reason as keyof typeof failed] += people;
      if (state === "closed") closed[reason as keyof typeof closed] += people;
    }
    const counting = Array.from({ length: threshold }, (_, i) => ({ uses: i + 1, people: 0 }));
    for (const row of sql.counting.all()) {
      const { uses, people } = row as { uses: number; people: number };
      counting[Math.min(uses, threshold) - 1]!.people += people;
    }
    return { counts, counting, failed, closed, threshold };
  };

  /** Those of each place are in order; the newest of all are among the newest of each. */
  const newest = ({ state, before, limit }: OfferQuery): readonly Row[] => {
    const [touched, id] = CURSOR.exec(before ?? "")?.slice(1).map(Number) ?? [Number.MAX_SAFE_INTEGER, 0];
    return PLACES.filter((place) => isAt(place, state))
      .flatMap((place) => sql.page.all(place.state, place.reason, touched!, id!, limit) as unknown as Row[])
      .sort((a, b) => b.touched - a.touched || b.id - a.id)
      .slice(0, limit);
  };

  const searched = (search: string, { state }: OfferQuery, hashes: KeyedHashes): readonly Row[] => {
    const person = personOf(search, hashes);
    const row = person === null ? undefined : sql.person.get(person) as Row & Place | undefined;
    return row !== undefined && isAt(row, state) ? [row] : [];
  };

  /** Of a person without an offer. */
  const recordOf = (person: number): Pick<UnnamedPerson, "subject" | "position"> => {
    const use = sql.lastUse.get(person) as { subject: string } | undefined;
    const { subject } = use ?? sql.subject.get(person) as { subject: string };
    const record = (use ?? sql.lastRecord.get(subject)) as Position | undefined;
    return {
      subject,
      position: record === undefined ? null : { partition: record.partition, offset: record.offset },
    };
  };

  const listed = ({ id, touched, offer: offerId }: Row, hashes: KeyedHashes): UnnamedPerson => {
    const offer = offerId === null ? null : rows.offer(offerId);
    const { subject, position } = offer ?? recordOf(id);
    return {
      person: `${PERSON_PREFIX}${subject}`,
      subject,
      position,
      ...shown(id, { distinctId: null, offer, hashes }),
      changedAt: changedAt(sql.fact.get(touched)),
    };
  };

  return (query, hashes) => {
    db.exec("begin");
    try {
      const { search, state, limit } = query;
      const counts = counted();
      const found = search === null
        ? newest({ ...query, limit: limit + 1 })
        : searched(search, query, hashes);
      const some = found.slice(0, limit);
      return {
        ...counts,
        total: search === null ? sizeOf(counts, state) : found.length,
        offers: some.map((row) => listed(row, hashes)),
        older: found.length > limit ? cursorOf(some.at(-1)!) : null,
        nextFact: nextFact(),
      };
    } finally {
      db.exec("commit");
    }
  };
}

function cursorOf({ touched, id }: Row): string {
  return `${touched}-${id}`;
}

function isAt({ state, reason }: Place, filter: OfferFilter | null): boolean {
  return filter === null || (filter === "opted_out" ? reason === "opted_out" : state === filter);
}

function sizeOf({ counts, closed }: Pick<OfferPage, "counts" | "closed">, state: OfferFilter | null): number {
  if (state === null) return Object.values(counts).reduce((sum, people) => sum + people, 0);
  return state === "opted_out" ? closed.opted_out : counts[state];
}

/** Not every fact stands in a timeline: what suppresses a mailbox is nobody's. */
function changedAt(row: unknown): string | null {
  if (row === undefined) return null;
  const outcome = decodeFact((row as { body: string }).body);
  return outcome.ok ? new Date(outcome.fact.at).toISOString() : null;
}

function statements(db: DatabaseSync) {
  return {
    counts: db.prepare(
      "select state, reason, count(*) as people from person where state is not null group by state, reason",
    ),
    counting: db.prepare(
      "select uses, count(*) as people from person indexed by person_counting where state = 'counting' group by uses",
    ),
    page: db.prepare(
      `select id, touched, offer from person where state = ? and reason is ? and (touched, id) < (?, ?)
       order by touched desc, id desc limit ?`,
    ),
    person: db.prepare(
      "select id, touched, offer, state, reason from person where id = ? and state is not null",
    ),
    lastUse: db.prepare(
      `select (select subject from subject where id = use.subject) as subject, partition, offset from use where person = ?
       order by partition desc, offset desc limit 1`,
    ),
    // A subject of a person.id begins with "p-", and comes behind those of distinct_ids.
    subject: db.prepare("select subject from subject where person = ? order by subject limit 1"),
    lastRecord: db.prepare(
      `select partition, offset from timeline where subject = (select id from subject where subject = ?)
       and partition is not null order by fact desc limit 1`,
    ),
    fact: db.prepare("select body from timeline where fact = ?"),
  };
}
