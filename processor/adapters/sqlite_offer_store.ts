import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import { type Fact, type FactOf, isNewer, type OfferFact, type PlacedFact } from "../core/facts.ts";
import { begin, fold, isGone, type Offer, type PersonThen } from "../core/offer.ts";
import type { FactToApply, OfferStoreWriter, ViewEnd } from "../offer_store.ts";
import { createOfferRows, type OfferRows, readAddressRow } from "./offer_rows.ts";

/** The fold of one offer, and the code that its mail carries. */
export type OfferStoreOptions = {
  readonly codeOf: (offer: Offer) => string;
  /** Default: the fold of `core/offer.ts`; a test may leave a rule out to see what it is for. */
  readonly foldOffer?: typeof fold;
};

/**
 * The writing side of the view: turns each fact, in order, into rows. Several facts share one transaction with the next
 * offset, so that a crash leaves the view at some fact and never inside one.
 */
export function createOfferStoreWriter(db: DatabaseSync, options: OfferStoreOptions): OfferStoreWriter {
  const sql = statements(db);
  let holdsErased = true;
  const apply = createApply(db, { ...options, foldOffer: options.foldOffer ?? fold });
  return {
    end: () => readViewEnd(sql.end.get()),
    apply(facts, { nextFact, last }) {
      db.exec("begin immediate");
      try {
        for (const fact of facts) apply(fact);
        if (last !== null) sql.setLast.run(last.offset, last.hash);
        sql.setNext.run(nextFact);
        db.exec("commit");
      } catch (error) {
        db.exec("rollback");
        throw error;
      }
      holdsErased ||= facts.some(({ fact }) => fact.fact === "erased");
    },
    tidy() {
      if (!holdsErased) return true;
      const { busy } = sql.truncate.get() as { busy: number };
      holdsErased = busy !== 0;
      return !holdsErased;
    },
    erasedMails: () => sql.erasedMails.all().map((row) => (row as { message_id: string }).message_id),
    forgetErasedMails(messageIds) {
      for (const messageId of messageIds) sql.forgetMail.run(messageId);
    },
    close: () => db.close(),
  };
}

export function readViewEnd(row: unknown): ViewEnd {
  const { next_fact, last_offset, last_hash } = row as {
    next_fact: number;
    last_offset: number | null;
    last_hash: string | null;
  };
  return {
    nextFact: next_fact,
    last: last_offset === null || last_hash === null ? null : { offset: last_offset, hash: last_hash },
  };
}

function statements(db: DatabaseSync) {
  return {
    end: db.prepare("select next_fact, last_offset, last_hash from view"),
    setNext: db.prepare("update view set next_fact = ?"),
    setLast: db.prepare("update view set last_offset = ?, last_hash = ?"),
    truncate: db.prepare("pragma wal_checkpoint(truncate)"),
    erasedMails: db.prepare("select message_id from erased_mail"),
    forgetMail: db.prepare("delete from erased_mail where message_id = ?"),
  };
}

/** One fact's effect on the rows; the longest function here because it is the list of what facts do to rows. */
function createApply(
  db: DatabaseSync,
  options: Required<OfferStoreOptions>,
): (toApply: FactToApply) => void {
  const rows = createOfferRows(db);
  const sql = applyStatements(db);
  const persons = createPersons(db, rows);
  /** Of the fact at hand. */
  let text = "";

  const isVoid = (
    fact: { subject: string; position: { partition: number; offset: number } },
    other?: string,
  ) =>
    [fact.subject, other].some((subject) => {
      if (subject === undefined) return false;
      const row = sql.erasedBelow.get(subject, fact.position.partition) as { offset: number } | undefined;
      return row !== undefined && fact.position.offset < row.offset;
    });

  const personThen = (person: number): PersonThen => ({
    uses: rows.usesOf(person),
    optedOut: rows.isOptedOut(person),
    current: rows.currentOf(person)?.id ?? null,
    standingOf: (mailbox) => rows.standingOf(mailbox, person),
  });

  const save = (offer: Offer) =>
    sql.putOffer.run(
      offer.id,
      offer.subject,
      offer.state.is === "failed" && offer.state.reason === "delivery_unknown" ? "unknown" : offer.state.is,
      rows.isLost(offer) && offer.state.is === "waiting" ? 1 : 0,
      JSON.stringify(offer),
    );

  const note = ({ fact, offset }: PlacedFact, about: { subject: string; offer?: number }) => {
    const position = "position" in fact ? fact.position : null;
    sql.note.run(
      offset,
      about.subject,
      about.offer ?? null,
      position?.partition ?? null,
      position?.offset ?? null,
      text,
    );
  };

  const applyEarned = (placed: PlacedFact<FactOf<"earned">>) => {
    if (isVoid(placed.fact)) return;
    const person = persons.ofSubject(placed.fact.subject, placed.offset);
    const offer = begin(placed, personThen(person));
    if (offer === null) return;
    save(offer);
    note(placed, { subject: offer.subject, offer: offer.id });
    persons.refresh(person, placed.offset);
  };

  const applyToOffer = (placed: PlacedFact<OfferFact>) => {
    const { fact, offset } = placed;
    const before = rows.offer(fact.offer);
    if (before === null) return;
    const person = persons.ofSubject(before.subject, offset);
    const wasLost = rows.isLost(before);
    const after = options.foldOffer(before, fact, personThen(person));
    if (after === before) return;
    save(after);
    if (fact.fact === "claimed") {
      sql.claim.run(fact.mailbox, after.id);
      sql.putCode.run(options.codeOf(after));
      sql.putHeld.run(offset, fact.at);
    }
    if (fact.fact === "closed" && fact.reason === "state_lost" && wasLost) {
      claimLost(person, { offer: after.id, fact });
    }
    if (COUNTED_OUTCOMES.has(fact.fact)) sql.countOutcome.run(fact.fact);
    note(placed, { subject: after.subject, offer: after.id });
    persons.refresh(person, offset);
  };

  /** Which address the mail of the lost state went to is not known: every one of that time counts as rewarded. */
  const claimLost = (person: number, { offer, fact }: { offer: number; fact: FactOf<"closed"> | null }) => {
    if (fact?.mailbox) sql.claimIfFree.run(fact.mailbox, offer);
    sql.claimPast.run(offer, person);
  };

  const applyErased = ({ fact, offset }: PlacedFact<FactOf<"erased">>) => {
    const { partition, offset: before } = fact.position;
    const affected = new Set<number>();
    for (const subject of fact.subjects) {
      affected.add(persons.ofSubject(subject, offset));
      sql.putErasure.run(offset, subject);
    }
    const members = [...affected].flatMap((person) => rows.subjectsOf(person));
    for (const person of affected) {
      if (rows.offersOf(person).some(rows.isLost)) claimLost(person, { offer: -1, fact: null });
    }
    for (const subject of fact.subjects) {
      sql.putErased.run(subject, partition, before, fact.at);
      for (const row of sql.offersFromBelow.all(subject)) {
        const offer: Offer = JSON.parse((row as { body: string }).body);
        if (offer.position.partition === partition && offer.position.offset < before) removeErased(offer);
      }
      for (const remove of sql.removeBelow) remove.run(subject, partition, before);
    }
    for (const person of persons.deriveAgain(members, { affected, fact: offset })) {
      const then = personThen(person);
      for (const offer of rows.offersOf(person)) if (isGone(offer, then)) removeOffer(offer.id);
      persons.refresh(person, offset);
    }
  };

  const removeOffer = (id: number) => {
    sql.removeOffer.run(id);
    sql.removeOfferNotes.run(id);
  };

  const removeErased = (offer: Offer) => {
    for (const messageId of [...offer.pastMessageIds, offer.messageId]) {
      if (messageId !== null) sql.putErasedMail.run(messageId);
    }
    removeOffer(offer.id);
  };

  return (placed) => {
    text = placed.text;
    const { fact, offset } = placed;
    switch (fact.fact) {
      case "secret":
        return applySecret(fact, sql);
      case "dataset":
        return;
      case "counted": {
        if (isVoid(fact)) return;
        const { partition, offset: at } = fact.position;
        if (sql.putUse.run(fact.subject, fact.uuid, partition, at).changes === 0) return;
        note(placed, fact);
        return persons.refresh(persons.ofSubject(fact.subject, offset), offset);
      }
      case "addressed": {
        if (isVoid(fact)) return;
        const { partition, offset: at } = fact.position;
        sql.putPastAddress.run(fact.subject, fact.mailbox, partition, at, partition, at);
        const row = sql.address.get(fact.subject);
        if (row !== undefined && !isNewer(fact, readAddressRow(row as never))) return;
        sql.putAddress.run(fact.subject, fact.at, partition, at, fact.mailbox);
        note(placed, fact);
        return persons.refresh(persons.ofSubject(fact.subject, offset), offset);
      }
      case "joined": {
        if (isVoid(fact, fact.other)) return;
        const { partition, offset: at } = fact.position;
        if (sql.putJoined.run(fact.subject, fact.other, partition, at).changes === 0) return;
        note(placed, fact);
        const [a, b] = [fact.subject, fact.other].map((subject) => persons.ofSubject(subject, offset));
        return persons.refresh(persons.merge(a!, b!), offset);
      }
      case "opted_out": {
        const person = persons.ofSubject(fact.subject, offset);
        sql.putOptedOut.run(fact.subject);
        if (fact.mailbox !== null) sql.suppress.run(fact.mailbox);
        sql.suppressPerson.run(person);
        note(placed, fact);
        return persons.refresh(person, offset);
      }
      case "suppressed":
        sql.suppress.run(fact.mailbox);
        return;
      case "erased":
        return applyErased({ fact, offset });
      case "earned":
        return applyEarned({ fact, offset });
      case "claimed":
      case "accepted":
      case "deferred":
      case "refused":
      case "unknown":
      case "closed":
      case "reopened":
        return applyToOffer({ fact, offset });
    }
  };
}

const COUNTED_OUTCOMES: ReadonlySet<Fact["fact"]> = new Set(["accepted", "deferred", "refused", "unknown"]);

function applySecret(fact: FactOf<"secret">, sql: ReturnType<typeof applyStatements>): void {
  const { fingerprint } = sql.fingerprint.get() as { fingerprint: string | null };
  if (fingerprint === null) {
    sql.setFingerprint.run(fact.fingerprint);
    for (const [partition, before] of Object.entries(fact.lostBefore ?? {})) {
      if (before > 0) sql.putLost.run(Number(partition), before);
    }
  }
  if ((fingerprint ?? fact.fingerprint) !== fact.fingerprint) return;
  for (const [partition, before] of Object.entries(fact.caughtUp ?? {})) {
    sql.setCaughtUp.run(Number(partition), before);
  }
}

function applyStatements(db: DatabaseSync) {
  const below = "partition = ? and offset < ?";
  return {
    fingerprint: db.prepare("select fingerprint from view"),
    setFingerprint: db.prepare("update view set fingerprint = ?"),
    putLost: db.prepare("insert or ignore into lost values (?, ?, 0)"),
    setCaughtUp: db.prepare("update lost set caught_up = 1 where partition = ? and before <= ?"),
    erasedBelow: db.prepare("select offset from erased where subject = ? and partition = ?"),
    putUse: db.prepare("insert or ignore into use values (?, ?, ?, ?)"),
    address: db.prepare("select * from address where subject = ?"),
    putAddress: db.prepare("insert or replace into address values (?, ?, ?, ?, ?)"),
    // Only while state is lost: which mailboxes were someone's in the time that may have been mailed already.
    putPastAddress: db.prepare(
      `insert or ignore into past_address select ?, ?, ?, ?
       where exists (select 1 from lost where partition = ? and before > ?)`,
    ),
    // The other way round is a row of its own: it came from another record, and an erasure may take only one of them.
    putJoined: db.prepare("insert or ignore into joined values (?, ?, ?, ?)"),
    putOptedOut: db.prepare("insert or ignore into opted_out values (?)"),
    suppress: db.prepare("insert or ignore into suppressed values (?)"),
    suppressPerson: db.prepare(
      `insert or ignore into suppressed select mailbox from subject s join address a on a.subject = s.subject
       where s.person = ?`,
    ),
    putOffer: db.prepare("insert or replace into offer values (?, ?, ?, ?, ?)"),
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
    offersFromBelow: db.prepare("select body from offer where subject = ?"),
    /** Each takes subject, partition, offset. */
    removeBelow: [
      `delete from use where subject = ? and ${below}`,
      `delete from address where subject = ? and ${below}`,
      `delete from past_address where subject = ? and ${below}`,
      `delete from joined where a = ? and ${below}`,
      `delete from joined where b = ? and ${below}`,
      `delete from timeline where subject = ? and ${below}`,
    ].map((text) => db.prepare(text)),
  };
}

/** Persons: connected sets of subjects, kept as a number per subject. */
function createPersons(db: DatabaseSync, rows: OfferRows) {
  const sql = {
    putSubject: db.prepare("insert or replace into subject values (?, ?)"),
    putPerson: db.prepare("insert into person (touched, uses) values (?, 0)"),
    move: db.prepare("update subject set person = ? where person = ?"),
    removePerson: db.prepare("delete from person where id = ?"),
    neighbours: db.prepare(
      "select b as subject from joined where a = ? union select a from joined where b = ?",
    ),
    refresh: db.prepare(
      "update person set touched = ?, state = ?, uses = ?, offer = ?, partition = ?, due = ? where id = ?",
    ),
  };
  const make = (fact: number) => Number(sql.putPerson.run(fact).lastInsertRowid);

  const ofSubject = (subject: string, fact: number): number => {
    const known = rows.personOf(subject);
    if (known !== null) return known;
    const person = make(fact);
    sql.putSubject.run(subject, person);
    return person;
  };

  const connected = (subject: string): readonly string[] => {
    const found = new Set([subject]);
    for (const at of found) {
      for (const row of sql.neighbours.all(at, at)) found.add((row as { subject: string }).subject);
    }
    return [...found];
  };

  return {
    ofSubject,
    /** Answers the person that both are from now on. */
    merge(a: number, b: number): number {
      if (a === b) return a;
      const [kept, gone] = rows.subjectsOf(a).length >= rows.subjectsOf(b).length ? [a, b] : [b, a];
      sql.move.run(kept, gone);
      sql.removePerson.run(gone);
      return kept;
    },
    /** After joins were removed: what these subjects are now. */
    deriveAgain(
      members: readonly string[],
      { affected, fact }: { affected: ReadonlySet<number>; fact: number },
    ): readonly number[] {
      for (const person of affected) sql.removePerson.run(person);
      const left = new Set(members);
      const made: number[] = [];
      for (const member of members) {
        if (!left.has(member)) continue;
        const person = make(fact);
        made.push(person);
        for (const subject of connected(member)) {
          left.delete(subject);
          sql.putSubject.run(subject, person);
        }
      }
      return made;
    },
    /** Brings the derived row of a person up to date. `due` stands only where a sender could act. */
    refresh(person: number, fact: number): void {
      const current = rows.currentOf(person);
      const optedOut = rows.isOptedOut(person);
      const uses = rows.usesOf(person);
      const state = current?.state.is ?? (optedOut ? "closed" : uses > 0 ? "counting" : null);
      const due = current === null ? null : dueOf(current, { person, optedOut });
      const row: SQLInputValue[] = [
        fact,
        state,
        uses,
        current?.id ?? null,
        current?.position.partition ?? null,
        due,
      ];
      sql.refresh.run(...row, person);
    },
  };

  function dueOf(current: Offer, { person, optedOut }: { person: number; optedOut: boolean }): number | null {
    if (current.state.is !== "waiting") return null;
    if (optedOut) return 0;
    const canAct = rows.isLost(current) || rows.addressOf(person) !== null;
    return canAct ? current.state.dueAt : null;
  }
}
