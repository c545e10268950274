import type { DatabaseSync, SQLInputValue } from "node:sqlite";

/** A statement that answers nothing. */
export type Write = { run(...values: SQLInputValue[]): void };

/**
 * Prepares one whose answer nobody reads: `run` of node:sqlite makes an object of two numbers each time, which takes longer
 * than many a statement itself; `get` runs it to its end as well, as it gives no row.
 */
export function prepareWrite(db: DatabaseSync, sql: string): Write {
  const statement = db.prepare(sql);
  return { run: (...values) => void statement.get(...values) };
}

/** What the view's writer does to rows, prepared once per connection. */
export type OfferStatements = ReturnType<typeof prepareOfferStatements>;

/** Prepares all of them on an open connection; they end with it. */
export function prepareOfferStatements(db: DatabaseSync) {
  const below = "partition = ? and offset < ?";
  return {
    fingerprint: db.prepare("select fingerprint from view"),
    setFingerprint: prepareWrite(db, "update view set fingerprint = ?"),
    setTopicId: prepareWrite(db, "update view set topic_id = ?"),
    putLost: prepareWrite(db, "insert or ignore into lost values (?, ?, 0)"),
    setCaughtUp: prepareWrite(db, "update lost set caught_up = 1 where partition = ? and before <= ?"),
    anyErased: db.prepare("select 1 from erased limit 1"),
    erasedBelow: db.prepare("select offset from erased where subject = ? and partition = ?"),
    isUseOf: db.prepare("select 1 from use where person = ? and uuid = ?"),
    putUse: db.prepare("insert or ignore into use values (?, ?, ?, ?, ?)"),
    address: db.prepare("select * from address where subject = ? and mailbox = ?"),
    putAddress: prepareWrite(db, "insert or replace into address values (?, ?, ?, ?, ?, ?, ?)"),
    putUnproven: db.prepare("insert or ignore into unproven values (?, ?, ?, ?)"),
    // Only while state is lost: which mailboxes were someone's in the time that may have been mailed already.
    putPastAddress: prepareWrite(
      db,
      `insert or ignore into past_address select ?, ?, ?, ?
       where exists (select 1 from lost where partition = ? and before > ?)`,
    ),
    putOptedOut: prepareWrite(db, "insert or ignore into opted_out values (?)"),
    suppress: prepareWrite(db, "insert or ignore into suppressed values (?)"),
    suppressSubject: prepareWrite(
      db,
      "insert or ignore into suppressed select mailbox from address where subject = ?",
    ),
    suppressPerson: prepareWrite(
      db,
      `insert or ignore into suppressed select mailbox from subject s join address a on a.subject = s.id
       where s.person = ?`,
    ),
    putOffer: prepareWrite(db, "insert or replace into offer values (?, ?, ?, ?, ?, ?)"),
    removeOffer: prepareWrite(db, "delete from offer where id = ?"),
    claim: prepareWrite(db, "insert or replace into claimed values (?, ?)"),
    claimIfFree: prepareWrite(db, "insert or ignore into claimed values (?, ?)"),
    claimPast: prepareWrite(
      db,
      `insert or ignore into claimed select mailbox, ? from subject s join past_address a on a.subject = s.subject
       where s.person = ?`,
    ),
    putCode: prepareWrite(db, "insert or ignore into code values (?)"),
    putHeld: prepareWrite(db, "insert into held values (?, ?)"),
    countOutcome: prepareWrite(
      db,
      "insert into outcome values (?, 1) on conflict (kind) do update set count = count + 1",
    ),
    putErasure: prepareWrite(db, "insert or ignore into erasure values (?, ?)"),
    putErased: prepareWrite(
      db,
      `insert into erased values (?, ?, ?, ?) on conflict (subject, partition)
       do update set offset = max(offset, excluded.offset), at = max(at, excluded.at)`,
    ),
    putErasedMail: prepareWrite(db, "insert or ignore into erased_mail values (?)"),
    // What is left of an address came after the erasure, though its first record may have come before.
    forgetFirst: prepareWrite(db, "update address set first_at = at where subject = ? and first_at <= ?"),
    offersFromBelow: db.prepare("select body from offer where subject = ?"),
    /** Each takes the number of a subject, partition, offset. */
    removeBelow: ["use", "address"].map((table) =>
      prepareWrite(db, `delete from ${table} where subject = ? and ${below}`)
    ),
    /** Each takes a subject, partition, offset. */
    removeBelowOf: ["past_address", "unproven"].map((table) =>
      prepareWrite(db, `delete from ${table} where subject = ? and ${below}`)
    ),
  };
}
