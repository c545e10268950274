import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import { isNewer } from "../../facts/encode.ts";
import type { Position } from "../../facts/facts.ts";
import { currentOf, type Offer } from "../core/offer.ts";
import type { OfferRows } from "./rows.ts";
import { prepareWrite } from "./statements.ts";

/** What is derived of a person, kept up to date fact by fact. */
export type Person = {
  readonly id: number;
  /** How many subjects it has. */
  size: number;
  /** Distinct ones of all its subjects. */
  uses: number;
  optedOut: boolean;
  /** The newest address of its subjects. */
  newest: { readonly at: number; readonly position: Position; readonly mailbox: string } | null;
  /** The current offer. */
  offer: number | null;
};

/**
 * Persons: connected sets of subjects, kept as a number per subject. Of two that become one the smaller moves, so that a
 * row moves log2(ids of its person) times at most, and no fact looks at all ids of a person. Where a join turns out to be
 * none, the part that is sooner seen whole moves out.
 */
export function createPersons(db: DatabaseSync, rows: OfferRows) {
  const sql = {
    putSubject: prepareWrite(db, "insert into subject values (?, ?, ?, ?)"),
    lastSubject: db.prepare("select max(id) as id from subject"),
    moveSubject: prepareWrite(db, "update subject set person = ?, since = ? where id = ?"),
    putPerson: db.prepare("insert into person (touched, size, uses, opted_out) values (?, 0, 0, 0)"),
    person: db.prepare("select * from person where id = ?"),
    newUses: db.prepare(
      `select count(distinct g.uuid) as n from use g where g.person = ?
       and not exists (select 1 from use k where k.person = ? and k.uuid = g.uuid)`,
    ),
    move: [
      prepareWrite(db, "update use set person = ? where person = ?"),
      prepareWrite(db, "update offer set person = ? where person = ?"),
    ],
    moveSubjects: prepareWrite(db, "update subject set person = ?, since = ? where person = ?"),
    moveRows: [
      prepareWrite(db, "update use set person = ? where subject = ?"),
      prepareWrite(db, "update offer set person = ? where subject = ?"),
    ],
    removePerson: prepareWrite(db, "delete from person where id = ?"),
    neighbours: db.prepare(
      `select b as subject from joined where a = ? and holds = 1
       union select a from joined where b = ? and holds = 1`,
    ),
    someNeighbours: db.prepare(
      `select * from (select b as subject from joined where a = ?1 and b > ?2 and holds = 1 order by b limit ?3)
       union select * from (select a from joined where b = ?1 and a > ?2 and holds = 1 order by a limit ?3)
       order by 1 limit ?3`,
    ),
    anyOptedOut: db.prepare(
      "select 1 from subject s join opted_out o on o.subject = s.subject where s.person = ? limit 1",
    ),
    newest: db.prepare(
      `select a.at, a.partition, a.offset, a.mailbox from subject s join address a on a.subject = s.id
       where s.person = ? order by a.at desc, a.partition desc, a.offset desc limit 1`,
    ),
    uses: db.prepare("select count(distinct uuid) as n from use where person = ?"),
    isOptedOut: db.prepare("select 1 from opted_out where subject = ?"),
    refresh: prepareWrite(
      db,
      `update person set touched = ?, size = ?, uses = ?, opted_out = ?, newest_at = ?, newest_partition = ?,
       newest_offset = ?, newest_mailbox = ?, offer = ?, state = ?, reason = ?, partition = ?, due = ?, due_proven = ? where id = ?`,
    ),
  };
  /** Persons as the facts have made them; nobody else writes their rows. */
  const known = new Map<number, Person>();
  /** A subject's number, and whose it was when it was last asked; it is still who is known by that number. */
  const bySubject = new Map<string, { readonly id: number; readonly person: Person }>();
  /** No row of the table is ever removed. Null: to be asked. */
  let nextSubject: number | null = null;
  /** The last fact of this transaction that touched a person. */
  const touched = new Map<number, number>();

  const make = (fact: number): Person => {
    const id = Number(sql.putPerson.run(fact).lastInsertRowid);
    const person: Person = { id, size: 0, uses: 0, optedOut: false, newest: null, offer: null };
    known.set(id, person);
    return person;
  };

  const get = (id: number): Person => {
    let person = known.get(id);
    if (person === undefined) known.set(id, person = readPerson(sql.person.get(id)));
    return person;
  };

  const find = (subject: string): Person | null => {
    const found = bySubject.get(subject);
    if (found !== undefined && known.get(found.person.id) === found.person) return found.person;
    const row = rows.subject(subject);
    if (row === null) return null;
    const person = get(row.person);
    bySubject.set(subject, { id: row.id, person });
    return person;
  };

  const idOf = (subject: string): number => (bySubject.get(subject) ?? rows.subject(subject)!).id;

  /** A subject that no row speaks of. */
  const take = (person: Person, subject: string, fact: number): Person => {
    person.size++;
    const id = nextSubject ?? ((sql.lastSubject.get() as { id: number | null }).id ?? 0) + 1;
    nextSubject = id + 1;
    sql.putSubject.run(id, subject, person.id, fact);
    bySubject.set(subject, { id, person });
    return person;
  };

  const forget = (id: number) => {
    sql.removePerson.run(id);
    known.delete(id);
    touched.delete(id);
  };

  const connected = (subject: string): readonly string[] => {
    const found = new Set([subject]);
    for (const at of found) {
      for (const row of sql.neighbours.all(at, at)) found.add((row as { subject: string }).subject);
    }
    return [...found];
  };

  const addressed = (person: Person, address: NonNullable<Person["newest"]>) => {
    if (person.newest === null || isNewer(address, person.newest)) person.newest = address;
  };

  /** Grows a set by all that are joined to it, page by page; some come more than once. */
  function* reach(found: Set<string>): Generator<string> {
    for (const at of found) {
      for (let last = "";;) {
        const page = sql.someNeighbours.all(at, last, NEIGHBOURS_PER_LOOK).map((row) =>
          (row as { subject: string }).subject
        );
        for (const subject of page) {
          found.add(subject);
          yield subject;
        }
        if (page.length < NEIGHBOURS_PER_LOOK) break;
        last = page.at(-1)!;
      }
    }
  }

  /** The side of a join that holds no more which is seen whole first, looked at in turn; null where they are joined still. */
  const cutOff = (a: string, b: string): ReadonlySet<string> | null => {
    const sides = [new Set([b]), new Set([a])] as const;
    const looks = sides.map(reach);
    for (let side = 0;; side = 1 - side) {
      const { done, value } = looks[side]!.next();
      if (done) return sides[side]!;
      if (sides[1 - side]!.has(value)) return null;
    }
  };

  /** Subjects move into a person of their own. */
  const settleIn = (person: Person, subjects: Iterable<string>, fact: number) => {
    for (const subject of subjects) {
      const id = idOf(subject);
      person.size++;
      sql.moveSubject.run(person.id, fact, id);
      bySubject.set(subject, { id, person });
      for (const move of sql.moveRows) move.run(person.id, id);
      person.optedOut ||= sql.isOptedOut.get(subject) !== undefined;
      const newest = rows.addressOf(id);
      if (newest !== null) addressed(person, newest);
    }
  };

  const count = (person: Person) => {
    person.uses = (sql.uses.get(person.id) as { n: number }).n;
    person.offer = rows.currentOf(person.id)?.id ?? null;
  };

  const ofSubject = (subject: string, fact: number): Person =>
    find(subject) ?? take(make(fact), subject, fact);

  /** Answers the person that both are from now on. */
  const merge = (a: Person, b: Person, fact: number): Person => {
    if (a.id === b.id) return a;
    const [kept, gone] = a.size >= b.size ? [a, b] : [b, a];
    kept.uses += (sql.newUses.get(gone.id, kept.id) as { n: number }).n;
    for (const move of sql.move) move.run(kept.id, gone.id);
    sql.moveSubjects.run(kept.id, fact, gone.id);
    kept.size += gone.size;
    kept.optedOut ||= gone.optedOut;
    if (gone.newest !== null) addressed(kept, gone.newest);
    const offers = [kept.offer, gone.offer].flatMap((id) => id === null ? [] : [rows.offer(id)!]);
    kept.offer = currentOf(offers)?.id ?? null;
    forget(gone.id);
    return kept;
  };

  return {
    get,
    ofSubject,
    /** The number of a subject that a row speaks of. */
    idOf,
    /** Two subjects are one person: answers it. One that was not known has nothing to move. */
    join({ a, b }: { readonly a: string; readonly b: string }, fact: number): Person {
      const one = find(a) ?? find(b) ?? take(make(fact), a, fact);
      const [first, second] = [find(a) ?? take(one, a, fact), find(b) ?? take(one, b, fact)];
      return merge(first, second, fact);
    },
    /** Of two subjects whose join holds no more: the persons that they are now, one where something else joins them. */
    part({ a, b }: { readonly a: string; readonly b: string }, fact: number): readonly Person[] {
      const person = get(rows.personOf(a)!);
      const subjects = cutOff(a, b);
      if (subjects === null) return [person];
      const parted = make(fact);
      settleIn(parted, subjects, fact);
      count(parted);
      person.size -= parted.size;
      person.uses -= (sql.newUses.get(parted.id, person.id) as { n: number }).n;
      if (parted.optedOut) person.optedOut = sql.anyOptedOut.get(person.id) !== undefined;
      if (parted.newest !== null && isSameRecord(person.newest, parted.newest)) {
        person.newest = readNewest(sql.newest.get(person.id));
      }
      person.offer = rows.currentOf(person.id)?.id ?? null;
      return [person, parted];
    },
    addressed,
    /** An offer of this person was made, changed or removed. */
    offerChanged(person: Person): void {
      person.offer = rows.currentOf(person.id)?.id ?? null;
    },
    /** After rows were removed: what these subjects are now. */
    deriveAgain(
      members: readonly string[],
      { affected, fact }: { affected: ReadonlySet<number>; fact: number },
    ): readonly Person[] {
      for (const id of affected) forget(id);
      const left = new Set(members);
      const made: Person[] = [];
      for (const member of members) {
        if (!left.has(member)) continue;
        const person = make(fact);
        made.push(person);
        const subjects = connected(member);
        for (const subject of subjects) left.delete(subject);
        settleIn(person, subjects, fact);
      }
      // Only now: a number that was given again stood in rows of others until they had moved too.
      for (const person of made) count(person);
      return made;
    },
    /** What a fact brought changes the row of this person, which {@link refresh} writes. */
    touch: (person: Person, fact: number): unknown => touched.set(person.id, fact),
    /** Writes the rows, once for all facts of a transaction. */
    refresh(): void {
      for (const [id, fact] of touched) sql.refresh.run(fact, ...columnsOf(get(id)), id);
      touched.clear();
      if (known.size + bySubject.size > REMEMBERED_MAX) this.forgetAll();
    },
    /** After a transaction that was rolled back: the rows say what holds. */
    forgetAll(): void {
      known.clear();
      bySubject.clear();
      touched.clear();
      nextSubject = null;
    },
  };

  function columnsOf({ size, uses, optedOut, newest, offer }: Person): SQLInputValue[] {
    const current = offer === null ? null : rows.offer(offer);
    const state = current?.state.is ?? (optedOut ? "closed" : uses > 0 ? "counting" : null);
    const reason = current === null
      ? (optedOut ? "opted_out" : null)
      : "reason" in current.state
      ? current.state.reason
      : null;
    return [
      ...[size, uses, optedOut ? 1 : 0],
      ...[newest?.at ?? null, newest?.position.partition ?? null, newest?.position.offset ?? null],
      ...[newest?.mailbox ?? null, offer, state, reason, current?.position.partition ?? null],
      dueOf(current, { optedOut, proven: false }),
      dueOf(current, { optedOut, proven: true }),
    ];
  }

  /** Stands only where a sender could act; `proven`: one that mails to proven addresses only. */
  function dueOf(
    current: Offer | null,
    { optedOut, proven }: { readonly optedOut: boolean; readonly proven: boolean },
  ): number | null {
    if (current === null || current.state.is !== "waiting") return null;
    if (optedOut) return 0;
    const canAct = rows.isLost(current) || rows.destinationOf(current.id, { proven }) !== null;
    return canAct ? current.state.dueAt : null;
  }
}

/** Persons and subjects that are kept in memory from one transaction to the next: about 10 MB. */
const REMEMBERED_MAX = 50_000;

/** Neighbours of a subject that are read at once. */
const NEIGHBOURS_PER_LOOK = 32;

function isSameRecord(a: Person["newest"], b: NonNullable<Person["newest"]>): boolean {
  return a !== null && a.at === b.at && a.position.partition === b.position.partition &&
    a.position.offset === b.position.offset;
}

function readNewest(row: unknown): Person["newest"] {
  if (row === undefined) return null;
  const { at, partition, offset, mailbox } = row as Record<"at" | "partition" | "offset", number> & {
    mailbox: string;
  };
  return { at, position: { partition, offset }, mailbox };
}

function readPerson(row: unknown): Person {
  const { id, size, uses, opted_out, newest_at, newest_partition, newest_offset, newest_mailbox, offer } =
    row as
      & Record<"id" | "size" | "uses" | "opted_out" | "newest_partition" | "newest_offset", number>
      & { newest_at: number | null; newest_mailbox: string; offer: number | null };
  const position = { partition: newest_partition, offset: newest_offset };
  const newest = newest_at === null ? null : { at: newest_at, position, mailbox: newest_mailbox };
  return { id, size, uses, optedOut: opted_out === 1, newest, offer };
}
