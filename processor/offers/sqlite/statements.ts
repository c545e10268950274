import type { DatabaseSync } from "node:sqlite";

/** What the view's writer does to rows, prepared once per connection. */
export type OfferStatements = ReturnType<typeof prepareOfferStatements>;

/** Prepares all of them on an open connection; they end with it. */
export function prepareOfferStatements(db: DatabaseSync) {
  const below = "partition = ? and offset < ?";
  return {
    fingerprint: db.prepare("select fingerprint from view"),
    setFingerprint: db.prepare("update view set fingerprint = ?"),
    setTopicId: db.prepare("update view set topic_id = ?"),
    putLost: db.prepare("insert or ignore into lost values (?, ?, 0)"),
    setCaughtUp: db.prepare("update lost set caught_up = 1 where partition = ? and before <= ?"),
    anyErased: db.prepare("select 1 from erased limit 1"),
    erasedBelow: db.prepare("select offset from erased where subject = ? and partition = ?"),
    isUse: db.prepare("select 1 from use where subject = ? and uuid = ?"),
    isUseOf: db.prepare("select 1 from use where person = ? and uuid = ?"),
    putUse: db.prepare("insert into use values (?, ?, ?, ?, ?)"),
    address: db.prepare("select * from address where subject = ? and mailbox = ?"),
    putAddress: db.prepare("insert or replace into address values (?, ?, ?, ?, ?, ?, ?)"),
    putUnproven: db.prepare("insert or ignore into unproven values (?, ?, ?, ?)"),
    // Only while state is lost: which mailboxes were someone's in the time that may have been mailed already.
    putPastAddress: db.prepare(
      `insert or ignore into past_address select ?, ?, ?, ?
       where exists (select 1 from lost where partition = ? and before > ?)`,
    ),
    putOptedOut: db.prepare("insert or ignore into opted_out values (?)"),
    suppress: db.prepare("insert or ignore into suppressed values (?)"),
    suppressSubject: db.prepare(
      "insert or ignore into suppressed select mailbox from address where subject = ?",
    ),
    suppressPerson: db.prepare(
      `insert or ignore into suppressed select mailbox from subject s join address a on a.subject = s.subject
       where s.person = ?`,
    ),
    putOffer: db.prepare("insert or replace into offer values (?, ?, ?, ?, ?, ?)"),
    removeOffer: db.prepare("delete from offer where id = ?"),
    removeOfferNotes: db.prepare("delete from timeline where offer = ?"),
    claim: db.prepare("insert or replace into claimed values (?, ?)"),
    claimIfFree: db.prepare("insert or ignore into claimed values (?, ?)"),
    claimPast: db.prepare(
      `insert or ignore into claimed select mailbox, ? from subject s join past_address a on a.subject = s.subject
       where s.person = ?`,
    ),
    putCode: db.prepare("insert or ignore into code values (?)"),
    putHeld: db.prepare("insert into held values (?, ?)"),
    countOutcome: db.prepare(
      "insert into outcome values (?, 1) on conflict (kind) do update set count = count + 1",
    ),
    note: db.prepare("insert into timeline values (?, ?, ?, ?, ?, ?)"),
    putErasure: db.prepare("insert or ignore into erasure values (?, ?)"),
    putErased: db.prepare(
      `insert into erased values (?, ?, ?, ?) on conflict (subject, partition)
       do update set offset = max(offset, excluded.offset), at = max(at, excluded.at)`,
    ),
    putErasedMail: db.prepare("insert or ignore into erased_mail values (?)"),
    // What is left of an address came after the erasure, though its first record may have come before.
    forgetFirst: db.prepare("update address set first_at = at where subject = ? and first_at <= ?"),
    offersFromBelow: db.prepare("select body from offer where subject = ?"),
    /** Each takes subject, partition, offset. */
    removeBelow: [
      `delete from use where subject = ? and ${below}`,
      `delete from address where subject = ? and ${below}`,
      `delete from past_address where subject = ? and ${below}`,
      `delete from unproven where subject = ? and ${below}`,
      `delete from timeline where subject = ? and ${below}`,
    ].map((text) => db.prepare(text)),
  };
}
