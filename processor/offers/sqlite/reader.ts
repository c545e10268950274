import type { DatabaseSync } from "node:sqlite";
import type { Offer, OfferNow } from "../core/offer.ts";
import type { OfferStoreReader } from "../store.ts";
import { createOfferRows, readAddressRow } from "./rows.ts";
import { viewEndOf } from "./writer.ts";

const NOTHING = { uuids: new Set<string>(), address: null, personMailbox: null, joined: new Set<string>() };

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
      const person = rows.personOf(subject);
      if (person === null) return { ...NOTHING, subject, erasedAt: erasedAt(subject) };
      const own = sql.address.get(subject);
      return {
        subject,
        uuids: new Set(sql.uuids.all(subject).map((row) => text(row, "uuid"))),
        address: own === undefined ? null : readAddressRow(own as never),
        personMailbox: own === undefined ? null : rows.addressOf(person)?.mailbox ?? null,
        joined: new Set(sql.joined.all(subject).map((row) => text(row, "b"))),
        erasedAt: erasedAt(subject),
      };
    },
    personOf(subject) {
      const row = sql.person.get(subject) as { uses: number; offer: number | null } | undefined;
      return { uses: row?.uses ?? 0, hasOffer: row !== undefined && row.offer !== null };
    },
    erasedAt,
    usesBefore(subject, { partition, offset }) {
      return (sql.usesBefore.get(subject, partition, offset) as { n: number }).n;
    },
    touchedSince: (fact) => sql.touched.all(fact).map((row) => text(row, "subject")),
    due(partitions, { now, limit }) {
      const found = partitions.flatMap((partition) => sql.due.all(partition, now, limit));
      const due = found as { offer: number; due: number }[];
      return due.sort((a, b) => a.due - b.due || a.offer - b.offer).slice(0, limit).map(({ offer }) => offer);
    },
    nextDue(partitions) {
      let next: number | null = null;
      for (const partition of partitions) {
        const { due } = sql.nextDue.get(partition) as { due: number | null };
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
    close: () => db.close(),
  };

  function offerNow(id: number): OfferNow | null {
    const offer = rows.offer(id);
    const person = offer === null ? null : rows.personOf(offer.subject);
    if (offer === null || person === null) return null;
    const address = rows.addressOf(person);
    return {
      offer,
      isCurrent: rows.currentOf(person)?.id === id,
      optedOut: rows.summaryOf(person).optedOut,
      isLost: rows.isLost(offer),
      address: address && {
        mailbox: address.mailbox,
        position: address.position,
        mailboxState: rows.mailboxStateOf(address.mailbox, person),
      },
    };
  }

  function erasedAt(subject: string): number | null {
    if (nobodyIsErased) return null;
    return (sql.erasedAt.get(subject) as { at: number | null }).at;
  }
}

function statements(db: DatabaseSync) {
  return {
    uuids: db.prepare("select uuid from use where subject = ?"),
    address: db.prepare("select * from address where subject = ?"),
    joined: db.prepare("select b from joined where a = ?"),
    person: db.prepare(
      "select uses, offer from subject s join person p on p.id = s.person where s.subject = ?",
    ),
    anyErased: db.prepare("select 1 from erased limit 1"),
    erasedAt: db.prepare("select max(at) as at from erased where subject = ?"),
    usesBefore: db.prepare(
      `select count(distinct uuid) as n from subject own join subject s on s.person = own.person
       join use u on u.subject = s.subject
       where own.subject = ? and not (u.partition = ? and u.offset >= ?)`,
    ),
    touched: db.prepare(
      "select subject from person p join subject s on s.person = p.id where p.touched >= ?",
    ),
    due: db.prepare(
      "select offer, due from person where partition = ? and due is not null and due <= ? order by due limit ?",
    ),
    nextDue: db.prepare("select min(due) as due from person where partition = ? and due is not null"),
    inState: db.prepare(
      "select body from offer where state = ? and state in ('sending', 'unknown') order by id",
    ),
    held: db.prepare("select count(*) as n from held where at >= ?"),
    lostWaiting: db.prepare("select count(*) as n from offer where lost = 1"),
    lost: db.prepare("select partition, before from lost where caught_up = 0"),
  };
}
