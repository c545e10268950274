import type { DatabaseSync } from "node:sqlite";
import type { Position } from "../../facts/facts.ts";
import { currentOf, type MailboxState, type Offer } from "../core/offer.ts";

/** What is derived from the view's rows, the same for its writer and its readers: persons and their offers. */
export type OfferRows = {
  /** Null for a subject that no row speaks of. */
  personOf(subject: string): number | null;
  subjectsOf(person: number): readonly string[];
  offersOf(person: number): readonly Offer[];
  currentOf(person: number): Offer | null;
  /** What every fact asks of its person, in one look. */
  summaryOf(
    person: number,
  ): { readonly uses: number; readonly optedOut: boolean; readonly hasOffer: boolean };
  /** The newest of the person. */
  addressOf(person: number): AddressRow | null;
  mailboxStateOf(mailbox: string, person: number): MailboxState;
  offer(id: number): Offer | null;
  /** True where the offer was earned from records before a loss of the facts and nothing has become of it yet. */
  isLost(offer: Offer): boolean;
};

export type AddressRow = {
  readonly subject: string;
  readonly at: number;
  readonly position: Position;
  readonly mailbox: string;
};

type RawAddress = { subject: string; at: number; partition: number; offset: number; mailbox: string };

/** Statements are prepared once per connection: most of a look-up's cost would be parsing SQL. */
export function createOfferRows(db: DatabaseSync): OfferRows {
  const sql = {
    person: db.prepare("select person from subject where subject = ?"),
    subjects: db.prepare("select subject from subject where person = ?"),
    offers: db.prepare(
      "select body from subject s join offer o on o.subject = s.subject where s.person = ? order by o.id",
    ),
    summary: db.prepare(
      `select
         (select count(distinct uuid) from subject s join use u on u.subject = s.subject where s.person = ?1) as uses,
         exists (select 1 from subject s join opted_out o on o.subject = s.subject where s.person = ?1) as optedOut,
         exists (select 1 from subject s join offer o on o.subject = s.subject where s.person = ?1) as hasOffer`,
    ),
    address: db.prepare(
      `select a.* from subject s join address a on a.subject = s.subject where s.person = ?
       order by a.at desc, a.partition desc, a.offset desc limit 1`,
    ),
    suppressed: db.prepare("select 1 from suppressed where mailbox = ?"),
    claimed: db.prepare("select offer from claimed where mailbox = ?"),
    offer: db.prepare("select body from offer where id = ?"),
    ownerOf: db.prepare(
      "select s.person from offer o join subject s on s.subject = o.subject where o.id = ?",
    ),
    lost: db.prepare("select before from lost where partition = ?"),
  };
  const readOffer = (row: unknown): Offer => JSON.parse((row as { body: string }).body);
  const rows: OfferRows = {
    personOf: (subject) => (sql.person.get(subject) as { person: number } | undefined)?.person ?? null,
    subjectsOf: (person) => sql.subjects.all(person).map((row) => (row as { subject: string }).subject),
    offersOf: (person) => sql.offers.all(person).map(readOffer),
    currentOf: (person) => currentOf(rows.offersOf(person)),
    summaryOf(person) {
      const { uses, optedOut, hasOffer } = sql.summary.get(person) as Record<string, number>;
      return { uses: uses!, optedOut: optedOut === 1, hasOffer: hasOffer === 1 };
    },
    addressOf(person) {
      const row = sql.address.get(person) as RawAddress | undefined;
      return row === undefined ? null : readAddressRow(row);
    },
    mailboxStateOf(mailbox, person) {
      if (sql.suppressed.get(mailbox) !== undefined) return "suppressed";
      const claim = sql.claimed.get(mailbox) as { offer: number } | undefined;
      if (claim === undefined) return "free";
      // A claim of an offer that is gone is nobody's: it stands for ever.
      const owner = sql.ownerOf.get(claim.offer) as { person: number } | undefined;
      return owner?.person === person ? "free" : "rewarded";
    },
    offer(id) {
      const row = sql.offer.get(id);
      return row === undefined ? null : readOffer(row);
    },
    isLost({ position, attempt, claims }) {
      if (attempt > 1 || claims.length > 0) return false;
      const row = sql.lost.get(position.partition) as { before: number } | undefined;
      return row !== undefined && position.offset < row.before;
    },
  };
  return rows;
}

/** A row of the table `address` with its columns put into a position. */
export function readAddressRow({ subject, at, partition, offset, mailbox }: RawAddress): AddressRow {
  return { subject, at, position: { partition, offset }, mailbox };
}
