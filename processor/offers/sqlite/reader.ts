import type { DatabaseSync } from "node:sqlite";
import type { Offer, OfferNow } from "../core/offer.ts";
import type { OfferStoreReader } from "../store.ts";
import { PLACES } from "./places.ts";
import { createOfferRows, type Destination } from "./rows.ts";
import type { UnprovenKind } from "../../facts/facts.ts";
import { isJudged, type JoinRow } from "../core/merge.ts";
import { viewEndOf } from "./writer.ts";

const NOTHING = {
  uuids: new Set<string>(),
  address: null,
  personMailbox: null,
  joined: new Map<string, never>(),
  isOptedOut: false,
  suppressed: new Set<string>(),
  unproven: new Set<UnprovenKind>(),
  person: { id: null, uses: 0, hasOffer: false },
  mergeAskedSince: null,
};

/** Of the subject's newest address, null where it has none, and of its person. */
type KnownRow =
  & Record<"at" | "partition" | "offset" | "proven" | "isOptedOut" | "isSuppressed" | "hasUnproven", number>
  & Record<"mailbox" | "personMailbox", string | null>
  & Record<"offer" | "mergeAskedSince", number | null>
  & { readonly person: number; readonly uses: number; readonly uuids: string };

/** The reading side of the view, for the loops that decide and send. */
export function createOfferStoreReader(db: DatabaseSync): OfferStoreReader {
  const rows = createOfferRows(db);
  const sql = statements(db);
  /** Known within a snapshot only: most pipelines have erased nobody, and every record asks. */
  let nobodyIsErased = false;
  const text = (row: unknown, name: string) => (row as Record<string, string>)[name]!;
  const offers = (found: readonly unknown[]): readonly Offer[] =>
    found.map((row) => JSON.parse(text(row, "body")));

  return {
    end: viewEndOf(db),
    snapshot(read) {
      db.exec("begin");
      try {
        nobodyIsErased = sql.anyErased.get() === undefined;
        return read();
      } finally {
        nobodyIsErased = false;
        db.exec("commit");
      }
    },
    knownOf(subject) {
      const row = sql.known.get(subject) as KnownRow | undefined;
      if (row === undefined) return { ...NOTHING, subject, erasedAt: erasedAt(subject) };
      const { at, partition, offset, mailbox, proven } = row;
      return {
        ...NOTHING,
        subject,
        uuids: row.uuids === NO_UUIDS ? NOTHING.uuids : new Set(JSON.parse(row.uuids)),
        address: mailbox === null
          ? null
          : { at, position: { partition, offset }, mailbox, ...(proven === 1 ? { proven: true } : {}) },
        personMailbox: mailbox === null ? null : row.personMailbox,
        isOptedOut: row.isOptedOut === 1,
        suppressed: new Set(mailbox !== null && row.isSuppressed === 1 ? [mailbox] : []),
        unproven: row.hasUnproven === 1
          ? new Set(sql.unproven.all(subject).map((row) => text(row, "what") as UnprovenKind))
          : NOTHING.unproven,
        person: { id: row.person, uses: row.uses, hasOffer: row.offer !== null },
        mergeAskedSince: row.mergeAskedSince,
        erasedAt: erasedAt(subject),
      };
    },
    joinOf(subject, other) {
      const row = sql.joined.get(subject, other) as
        | { proven: number; how: JoinRow["how"]; time: number }
        | undefined;
      if (row === undefined) return null;
      return { isProven: row.proven === 1, isSure: !isJudged(row), time: row.time };
    },
    isSuppressed,
    personOf(subject) {
      const row = sql.person.get(subject) as { id: number; uses: number; offer: number | null } | undefined;
      return { id: row?.id ?? null, uses: row?.uses ?? 0, hasOffer: row !== undefined && row.offer !== null };
    },
    erasedAt,
    usesBefore(subject, { partition, offset }) {
      const row = sql.usesBefore.get(subject, partition, offset) as { n: number } | undefined;
      return row?.n ?? 0;
    },
    touchedSince: (fact) => ({
      persons: WHEREVER.flatMap(({ state, reason }) =>
        sql.touched.all(state, reason, fact).map((row) => (row as { id: number }).id)
      ),
      subjects: sql.moved.all(fact).map((row) => text(row, "subject")),
    }),
    due(partitions, { now, limit, provenOnly }) {
      const look = provenOnly ? sql.dueProven : sql.due;
      const found = partitions.flatMap((partition) => look.all(partition, now, limit));
      const due = found as { offer: number; due: number }[];
      return due.sort((a, b) => a.due - b.due || a.offer - b.offer).slice(0, limit).map(({ offer }) => offer);
    },
    nextDue(partitions, { provenOnly }) {
      const look = provenOnly ? sql.nextDueProven : sql.nextDue;
      let next: number | null = null;
      for (const partition of partitions) {
        const { due } = look.get(partition) as { due: number | null };
        if (due !== null && (next === null || due < next)) next = due;
      }
      return next;
    },
    sending: () => offers(sql.inState.all("sending")),
    unknowns: () => offers(sql.inState.all("unknown")).filter(({ unknowns }) => unknowns === 1),
    offerNow,
    offerOf(subject) {
      const row = sql.person.get(subject) as { offer: number | null } | undefined;
      return row === undefined || row.offer === null ? null : offerNow(row.offer);
    },
    heldSince: (at) => (sql.held.get(at) as { n: number }).n,
    lostWaiting: () => (sql.lostWaiting.get() as { n: number }).n,
    notCaughtUp: () =>
      new Map(
        sql.lost.all().map((row) => {
          const { partition, before } = row as { partition: number; before: number };
          return [partition, before];
        }),
      ),
    topicId: () => (sql.topicId.get() as { id: string | null }).id,
    furthestUses: () => sql.furthestUses.all() as unknown as ReturnType<OfferStoreReader["furthestUses"]>,
    close: () => db.close(),
  };

  function offerNow(id: number): OfferNow | null {
    const offer = rows.offer(id);
    const person = offer === null ? null : rows.personOf(offer.subject);
    if (offer === null || person === null) return null;
    const recipient = (found: Destination | null) =>
      found && {
        mailbox: found.mailbox,
        position: found.position,
        mailboxState: rows.mailboxStateOf(found.mailbox, person),
      };
    const { optedOut } = rows.summaryOf(person);
    return {
      offer,
      isCurrent: rows.currentOf(person)?.id === id,
      optedOut,
      isLost: rows.isLost(offer),
      address: recipient(rows.destinationOf(id, { proven: false })),
      provenAddress: recipient(rows.destinationOf(id, { proven: true })),
    };
  }

  function isSuppressed(mailbox: string): boolean {
    return sql.suppressed.get(mailbox) !== undefined;
  }

  function erasedAt(subject: string): number | null {
    if (nobodyIsErased) return null;
    return (sql.erasedAt.get(subject) as { at: number | null }).at;
  }
}

/** Also who has neither used anything nor opted out. */
const WHEREVER = [...PLACES, { state: null, reason: null }];
const NO_UUIDS = "[]";

function statements(db: DatabaseSync) {
  return {
    // One look for all of it, as every record asks.
    known: db.prepare(
      `select a.at, a.partition, a.offset, a.mailbox, a.proven, p.newest_mailbox as personMailbox,
         p.id as person, p.uses, p.offer,
         (select json_group_array(uuid) from use u where u.subject = s.id) as uuids,
         (select min(arrived) from joined j where j.b = s.subject and j.open = 1 and j.person is not null)
           as mergeAskedSince,
         exists (select 1 from opted_out o where o.subject = s.subject) as isOptedOut,
         exists (select 1 from suppressed x where x.mailbox = a.mailbox) as isSuppressed,
         exists (select 1 from unproven n where n.subject = s.subject) as hasUnproven
       from subject s join person p on p.id = s.person
       left join address a on a.subject = s.id and a.mailbox = (
         select mailbox from address where subject = s.id order by at desc, partition desc, offset desc limit 1)
       where s.subject = ?`,
    ),
    suppressed: db.prepare("select 1 from suppressed where mailbox = ?"),
    unproven: db.prepare("select what from unproven where subject = ?"),
    joined: db.prepare("select proven, how, time from joined where a = ? and b = ?"),
    person: db.prepare(
      "select p.id, uses, offer from subject s join person p on p.id = s.person where s.subject = ?",
    ),
    anyErased: db.prepare("select 1 from erased limit 1"),
    erasedAt: db.prepare("select max(at) as at from erased where subject = ?"),
    // All but those which only the records at or above this position brought: these are few, a person's may be many.
    usesBefore: db.prepare(
      `select p.uses - (
         select count(distinct u.uuid) from use u where u.person = p.id and u.partition = ?2 and u.offset >= ?3
         and not exists (select 1 from use o where o.person = p.id and o.uuid = u.uuid
           and not (o.partition = ?2 and o.offset >= ?3))
       ) as n from subject s join person p on p.id = s.person where s.subject = ?1`,
    ),
    touched: db.prepare("select id from person where state is ? and reason is ? and touched >= ?"),
    moved: db.prepare("select subject from subject where since >= ?"),
    due: db.prepare(
      "select offer, due from person where partition = ? and due is not null and due <= ? order by due limit ?",
    ),
    dueProven: db.prepare(
      `select offer, due_proven as due from person where partition = ? and due_proven is not null
       and due_proven <= ? order by due_proven limit ?`,
    ),
    nextDue: db.prepare("select min(due) as due from person where partition = ? and due is not null"),
    nextDueProven: db.prepare(
      "select min(due_proven) as due from person where partition = ? and due_proven is not null",
    ),
    inState: db.prepare(
      "select body from offer where state = ? and state in ('sending', 'unknown') order by id",
    ),
    held: db.prepare("select count(*) as n from held where at >= ?"),
    lostWaiting: db.prepare("select count(*) as n from offer where lost = 1"),
    lost: db.prepare("select partition, before from lost where caught_up = 0"),
    topicId: db.prepare("select topic_id as id from view"),
    furthestUses: db.prepare("select partition, max(offset) as offset, uuid from use group by partition"),
  };
}
