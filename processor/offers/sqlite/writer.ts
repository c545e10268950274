import type { DatabaseSync } from "node:sqlite";
import { isNewer } from "../../facts/encode.ts";
import type { Fact, FactOf, OfferFact, PlacedFact, Position } from "../../facts/facts.ts";
import { begin, fold, isGone, type Offer, type PersonThen } from "../core/offer.ts";
import type { FactToApply, OfferStoreWriter, ViewEnd } from "../store.ts";
import { createDestinations } from "./destinations.ts";
import { createJoins } from "./joins.ts";
import { createPersons, type Person } from "./persons.ts";
import { createOfferRows, readAddressRow } from "./rows.ts";
import { type OfferStatements, prepareOfferStatements } from "./statements.ts";
import { createTimeline } from "./timeline.ts";

/** The fold of one offer, and the code that its mail carries. */
export type OfferStoreOptions = {
  readonly codeOf: (offer: Offer) => string;
  /** Default: the fold of `processor/offers/core/offer.ts`; a test may leave a rule out to see what it is for. */
  readonly foldOffer?: typeof fold;
};

/**
 * The writing side of the view: turns each fact, in order, into rows. Several facts share one transaction with the next
 * offset, so that a crash leaves the view at some fact and never inside one.
 */
export function createOfferStoreWriter(db: DatabaseSync, options: OfferStoreOptions): OfferStoreWriter {
  const sql = statements(db);
  let holdsErased = true;
  const view = createView(db, { ...options, foldOffer: options.foldOffer ?? fold });
  return {
    end: viewEndOf(db),
    apply(facts, { nextFact, last }) {
      db.exec("begin immediate");
      try {
        for (const fact of facts) view.apply(fact);
        view.refresh();
        if (last !== null) sql.setLast.run(last.offset, last.hash);
        sql.setNext.run(nextFact);
        db.exec("commit");
      } catch (error) {
        db.exec("rollback");
        view.forget();
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

/** Says where the view ends, from its only row; `last` is null while no fact was applied. */
export function viewEndOf(db: DatabaseSync): () => ViewEnd {
  const row = db.prepare("select next_fact as nextFact, last_offset as offset, last_hash as hash from view");
  return () => {
    const { nextFact, offset, hash } = row.get() as {
      nextFact: number;
      offset: number | null;
      hash: string | null;
    };
    return { nextFact, last: offset === null || hash === null ? null : { offset, hash } };
  };
}

function statements(db: DatabaseSync) {
  return {
    setNext: db.prepare("update view set next_fact = ?"),
    setLast: db.prepare("update view set last_offset = ?, last_hash = ?"),
    truncate: db.prepare("pragma wal_checkpoint(truncate)"),
    erasedMails: db.prepare("select message_id from erased_mail"),
    forgetMail: db.prepare("delete from erased_mail where message_id = ?"),
  };
}

/** One fact's effect on the rows; the longest function here because it is the list of what facts do to rows. */
function createView(
  db: DatabaseSync,
  options: Required<OfferStoreOptions>,
): { apply(toApply: FactToApply): void; refresh(): void; forget(): void } {
  const rows = createOfferRows(db);
  const sql = prepareOfferStatements(db);
  const persons = createPersons(db, rows);
  const destinations = createDestinations(db, { rows, idOf: persons.idOf });
  const joins = createJoins(db);
  const timeline = createTimeline(db);
  /** Of the fact at hand. */
  let text = "";
  /** Most pipelines have erased nobody, and every fact asks. */
  let someoneIsErased = sql.anyErased.get() !== undefined;

  const isVoid = (fact: { subject: string; position: Position }, other?: string) =>
    someoneIsErased && [fact.subject, other].some((subject) => {
      if (subject === undefined) return false;
      const row = sql.erasedBelow.get(subject, fact.position.partition) as { offset: number } | undefined;
      return row !== undefined && fact.position.offset < row.offset;
    });

  const personThen = ({ id, uses, optedOut, offer }: Person): PersonThen => ({
    uses,
    optedOut,
    current: offer,
    mailboxStateOf: (mailbox) => rows.mailboxStateOf(mailbox, id),
  });

  const save = (offer: Offer, person: Person) => {
    sql.putOffer.run(
      offer.id,
      persons.idOf(offer.subject),
      person.id,
      offer.state.is === "failed" && offer.state.reason === "delivery_unknown" ? "unknown" : offer.state.is,
      rows.isLost(offer) && offer.state.is === "waiting" ? 1 : 0,
      JSON.stringify(offer),
    );
    persons.offerChanged(person);
  };

  const note = ({ fact, offset }: PlacedFact, about: { subject: string; offer?: number }) => {
    const position = "position" in fact ? fact.position : null;
    const [partition, at] = [position?.partition ?? null, position?.offset ?? null];
    timeline.note(offset, persons.idOf(about.subject), about.offer ?? null, partition, at, text);
  };

  const applyEarned = (placed: PlacedFact<FactOf<"earned">>) => {
    if (isVoid(placed.fact)) return;
    const person = persons.ofSubject(placed.fact.subject, placed.offset);
    const offer = begin(placed, personThen(person));
    if (offer === null) return;
    save(offer, person);
    destinations.earned(offer, person.id);
    note(placed, { subject: offer.subject, offer: offer.id });
    persons.touch(person, placed.offset);
  };

  const applyToOffer = (placed: PlacedFact<OfferFact>) => {
    const { fact, offset } = placed;
    const before = rows.offer(fact.offer);
    if (before === null) return;
    const person = persons.ofSubject(before.subject, offset);
    const wasLost = rows.isLost(before);
    const after = options.foldOffer(before, fact, personThen(person));
    if (after === before) return;
    save(after, person);
    if (fact.fact === "claimed") {
      sql.claim.run(fact.mailbox, after.id);
      sql.putCode.run(options.codeOf(after));
      sql.putHeld.run(offset, fact.at);
    }
    if (fact.fact === "closed" && fact.reason === "state_lost" && wasLost) {
      claimLost(person.id, { offer: after.id, fact });
    }
    if (COUNTED_OUTCOMES.has(fact.fact)) sql.countOutcome.run(fact.fact);
    note(placed, { subject: after.subject, offer: after.id });
    persons.touch(person, offset);
  };

  /** Which address the mail of the lost state went to is not known: every one of that time counts as rewarded. */
  const claimLost = (person: number, { offer, fact }: { offer: number; fact: FactOf<"closed"> | null }) => {
    if (fact?.mailbox) sql.claimIfFree.run(fact.mailbox, offer);
    sql.claimPast.run(offer, person);
  };

  const applyErased = ({ fact, offset }: PlacedFact<FactOf<"erased">>) => {
    const { partition, offset: before } = fact.position;
    const affected = new Set<number>();
    const ends = new Set<string>();
    someoneIsErased = true;
    for (const subject of fact.subjects) {
      affected.add(persons.ofSubject(subject, offset).id);
      sql.putErasure.run(offset, subject);
    }
    for (const person of affected) {
      if (rows.offersOf(person).some(rows.isLost)) claimLost(person, { offer: -1, fact: null });
    }
    for (const subject of fact.subjects) {
      sql.putErased.run(subject, partition, before, fact.at);
      const id = persons.idOf(subject);
      for (const row of sql.offersFromBelow.all(id)) {
        const offer: Offer = JSON.parse((row as { body: string }).body);
        if (offer.position.partition === partition && offer.position.offset < before) removeErased(offer);
      }
      for (const end of joins.removeBelow(subject, fact.position)) ends.add(end);
      for (const remove of sql.removeBelow) remove.run(id, partition, before);
      timeline.removeBelow(id, fact.position);
      for (const remove of sql.removeBelowOf) remove.run(subject, partition, before);
      sql.forgetFirst.run(id, fact.at);
    }
    // What an erased request had refused may be a join of others now.
    for (const end of ends) {
      for (const { a, b } of joins.judgeAgain(end)) {
        for (const one of [a, b]) affected.add(rows.personOf(one)!);
      }
    }
    const members = [...affected].flatMap((person) => rows.subjectsOf(person));
    for (const person of persons.deriveAgain(members, { affected, fact: offset })) {
      for (const offer of rows.offersOf(person.id)) {
        if (isGone(offer, person)) removeOffer(offer.id);
        else destinations.deriveAgain(offer, person.id);
      }
      persons.offerChanged(person);
      persons.touch(person, offset);
    }
  };

  const removeOffer = (id: number) => {
    sql.removeOffer.run(id);
    timeline.removeOffer(id);
    destinations.remove(id);
  };

  const removeErased = (offer: Offer) => {
    for (const messageId of [...offer.pastMessageIds, offer.messageId]) {
      if (messageId !== null) sql.putErasedMail.run(messageId);
    }
    removeOffer(offer.id);
  };

  const applyCounted = (placed: FactToApply, fact: FactOf<"counted">) => {
    const { subject, uuid, position: { partition, offset } } = fact;
    const person = persons.ofSubject(subject, placed.offset);
    const isNew = person.size === 1 || sql.isUseOf.get(person.id, uuid) === undefined;
    if (sql.putUse.run(persons.idOf(subject), uuid, person.id, partition, offset).changes === 0) return;
    if (isNew) person.uses++;
    note(placed, fact);
    persons.touch(person, placed.offset);
  };

  const applyAddressed = (placed: FactToApply, fact: FactOf<"addressed">) => {
    const { subject, mailbox, at, position: { partition, offset } } = fact;
    sql.putPastAddress.run(subject, mailbox, partition, offset, partition, offset);
    const person = persons.ofSubject(subject, placed.offset);
    const id = persons.idOf(subject);
    const known = sql.address.get(id, mailbox);
    const before = known === undefined ? null : readAddressRow(known);
    const newest = before === null || isNewer(fact, before) ? fact : before;
    const firstAt = Math.min(at, before?.firstAt ?? at);
    const proven = fact.proven ?? before?.proven;
    if (newest === before && firstAt === before.firstAt && proven === before.proven) return;
    const { position } = newest;
    sql.putAddress.run(
      ...[id, mailbox, newest.at, position.partition, position.offset, firstAt, proven ? 1 : 0],
    );
    persons.addressed(person, newest);
    const row = { subject: id, mailbox, at: newest.at, position, firstAt, ...(proven ? { proven } : {}) };
    destinations.addressed(row);
    note(placed, fact);
    persons.touch(person, placed.offset);
  };

  const applyJoined = (placed: FactToApply, fact: FactOf<"joined" | "merge_asked">) => {
    const { offset } = placed;
    const put = joins.put(fact);
    if (put === null) return;
    const { a, b, at, isProven: proven } = put.row;
    if (put.holds) persons.touch(persons.join({ a, b }, offset), offset);
    else for (const subject of [a, b]) persons.touch(persons.ofSubject(subject, offset), offset);
    if (put.isToTell) note(placed, fact);
    for (const join of put.refused) part(join, offset);
    if (put.holds) destinations.joined({ a, b, at, proven });
  };

  /** A join turned out to be none: offers that were earned together and still wait go with the uses. */
  const part = (join: { readonly a: string; readonly b: string }, fact: number) => {
    for (const person of persons.part(join, fact)) {
      for (const offer of rows.offersOf(person.id)) {
        if (isGone(offer, person)) removeOffer(offer.id);
        else if (destinations.hasBoth(offer.id, join)) destinations.deriveAgain(offer, person.id);
      }
      persons.offerChanged(person);
      persons.touch(person, fact);
    }
  };

  const apply = (placed: FactToApply) => {
    text = placed.text;
    const { fact, offset } = placed;
    switch (fact.fact) {
      case "secret":
        return applySecret(fact, sql);
      case "dataset":
        return;
      case "counted":
        return isVoid(fact) ? undefined : applyCounted(placed, fact);
      case "addressed":
        return isVoid(fact) ? undefined : applyAddressed(placed, fact);
      case "joined":
      case "merge_asked":
        return isVoid(fact, fact.other) ? undefined : applyJoined(placed, fact);
      case "unproven": {
        if (isVoid(fact)) return;
        const { partition, offset: at } = fact.position;
        if (sql.putUnproven.run(fact.subject, fact.what, partition, at).changes === 0) return;
        persons.touch(persons.ofSubject(fact.subject, offset), offset);
        return note(placed, fact);
      }
      case "opted_out": {
        const person = persons.ofSubject(fact.subject, offset);
        sql.putOptedOut.run(fact.subject);
        if (fact.mailbox !== null) sql.suppress.run(fact.mailbox);
        // Once for all ids of a person: there may be many, and as many opt-outs.
        if (person.optedOut) sql.suppressSubject.run(persons.idOf(fact.subject));
        else sql.suppressPerson.run(person.id);
        person.optedOut = true;
        note(placed, fact);
        return persons.touch(person, offset);
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
  return {
    apply,
    refresh() {
      timeline.write();
      persons.refresh();
    },
    forget() {
      timeline.forget();
      persons.forgetAll();
    },
  };
}

const COUNTED_OUTCOMES: ReadonlySet<Fact["fact"]> = new Set(["accepted", "deferred", "refused", "unknown"]);

function applySecret(fact: FactOf<"secret">, sql: OfferStatements): void {
  const { fingerprint } = sql.fingerprint.get() as { fingerprint: string | null };
  if (fingerprint === null) {
    sql.setFingerprint.run(fact.fingerprint);
    for (const [partition, before] of Object.entries(fact.lostBefore ?? {})) {
      if (before > 0) sql.putLost.run(Number(partition), before);
    }
  }
  if ((fingerprint ?? fact.fingerprint) !== fact.fingerprint) return;
  if (fact.topicId !== undefined) sql.setTopicId.run(fact.topicId);
  for (const [partition, before] of Object.entries(fact.caughtUp ?? {})) {
    sql.setCaughtUp.run(Number(partition), before);
  }
}
