import type { DatabaseSync } from "node:sqlite";
import type { Position } from "../../facts/facts.ts";
import { currentOf, type MailboxState, type Offer } from "../core/offer.ts";

/** What is derived from the view's rows, the same for its writer and its readers: persons and their offers. */
export type OfferRows = {
  /** The number of a subject, and its person; null where no row speaks of it. */
  subject(subject: string): { readonly id: number; readonly person: number } | null;
  /** Null for a subject that no row speaks of. */
  personOf(subject: string): number | null;
  subjectsOf(person: number): readonly string[];
  offersOf(person: number): readonly Offer[];
  currentOf(person: number): Offer | null;
  /** As of the last transaction. */
  summaryOf(person: number): PersonSummary;
  /** The newest of the subject's own. */
  addressOf(subject: number): AddressRow | null;
  /** Where an offer's mail may go: the newest address, or the newest proven one. */
  destinationOf(offer: number, by: { readonly proven: boolean }): Destination | null;
  mailboxStateOf(mailbox: string, person: number): MailboxState;
  offer(id: number): Offer | null;
  /** True where the offer was earned from records before a loss of the facts and nothing has become of it yet. */
  isLost(offer: Offer): boolean;
};

export type PersonSummary = {
  readonly uses: number;
  readonly optedOut: boolean;
  readonly hasOffer: boolean;
  /** Mailbox of the newest address of all its subjects. */
  readonly mailbox: string | null;
};

export type AddressRow = {
  readonly subject: number;
  readonly at: number;
  readonly position: Position;
  readonly mailbox: string;
  readonly firstAt: number;
  readonly proven?: true;
};

export type Destination = { readonly at: number; readonly position: Position; readonly mailbox: string };

type RawAddress = {
  subject: number;
  at: number;
  partition: number;
  offset: number;
  mailbox: string;
  first_at: number;
  proven: number;
};

/** Statements are prepared once per connection: most of a look-up's cost would be parsing SQL. */
export function createOfferRows(db: DatabaseSync): OfferRows {
  const sql = {
    subject: db.prepare("select id, person from subject where subject = ?"),
    subjects: db.prepare("select subject from subject where person = ? order by subject"),
    offers: db.prepare("select body from offer where person = ? order by id"),
    summary: db.prepare(
      "select uses, opted_out as optedOut, offer, newest_mailbox as mailbox from person where id = ?",
    ),
    address: db.prepare(
      "select * from address where subject = ? order by at desc, partition desc, offset desc limit 1",
    ),
    destination: db.prepare("select * from destination where offer = ? and proven = ?"),
    suppressed: db.prepare("select 1 from suppressed where mailbox = ?"),
    claimed: db.prepare("select offer from claimed where mailbox = ?"),
    offer: db.prepare("select body from offer where id = ?"),
    ownerOf: db.prepare("select person from offer where id = ?"),
    lost: db.prepare("select before from lost where partition = ?"),
  };
  const readOffer = (row: unknown): Offer => JSON.parse((row as { body: string }).body);
  const rows: OfferRows = {
    subject: (subject) => (sql.subject.get(subject) as { id: number; person: number } | undefined) ?? null,
    personOf: (subject) => rows.subject(subject)?.person ?? null,
    subjectsOf: (person) => sql.subjects.all(person).map((row) => (row as { subject: string }).subject),
    offersOf: (person) => sql.offers.all(person).map(readOffer),
    currentOf: (person) => currentOf(rows.offersOf(person)),
    summaryOf(person) {
      const row = sql.summary.get(person) as
        | { uses: number; optedOut: number; offer: number | null; mailbox: string | null }
        | undefined;
      return {
        uses: row?.uses ?? 0,
        optedOut: row?.optedOut === 1,
        hasOffer: row !== undefined && row.offer !== null,
        mailbox: row?.mailbox ?? null,
      };
    },
    addressOf(subject) {
      const row = sql.address.get(subject);
      return row === undefined ? null : readAddressRow(row);
    },
    destinationOf(offer, { proven }) {
      const row = sql.destination.get(offer, proven ? 1 : 0) as RawAddress | undefined;
      if (row === undefined) return null;
      return { at: row.at, position: { partition: row.partition, offset: row.offset }, mailbox: row.mailbox };
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
export function readAddressRow(row: unknown): AddressRow {
  const { subject, at, partition, offset, mailbox, first_at: firstAt, proven } = row as RawAddress;
  const position = { partition, offset };
  return { subject, at, position, mailbox, firstAt, ...(proven === 1 ? { proven: true } : {}) };
}
