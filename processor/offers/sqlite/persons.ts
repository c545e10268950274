import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import type { Offer } from "../core/offer.ts";
import type { OfferRows } from "./rows.ts";

/** Persons: connected sets of subjects, kept as a number per subject. */
export function createPersons(db: DatabaseSync, rows: OfferRows) {
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
  /** Persons whose derived row is to be brought up to date, with the last fact that touched them. */
  const touched = new Map<number, number>();
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
      touched.delete(gone);
      return kept;
    },
    /** After joins were removed: what these subjects are now. */
    deriveAgain(
      members: readonly string[],
      { affected, fact }: { affected: ReadonlySet<number>; fact: number },
    ): readonly number[] {
      for (const person of affected) {
        sql.removePerson.run(person);
        touched.delete(person);
      }
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
    /** What a fact brought changes the derived row of this person, which {@link refresh} writes. */
    touch: (person: number, fact: number): unknown => touched.set(person, fact),
    /**
     * Brings the derived rows up to date, once for all facts of a transaction: nothing inside it reads them. What a
     * transaction that was rolled back touched is brought up to date with the next: to what the rows say, as ever.
     */
    refresh(): void {
      for (const [person, fact] of touched) sql.refresh.run(fact, ...derived(person), person);
      touched.clear();
    },
  };

  /** `due` stands only where a sender could act. */
  function derived(person: number): SQLInputValue[] {
    const { uses, optedOut, hasOffer } = rows.summaryOf(person);
    const current = hasOffer ? rows.currentOf(person) : null;
    const state = current?.state.is ?? (optedOut ? "closed" : uses > 0 ? "counting" : null);
    const due = current === null ? null : dueOf(current, { person, optedOut });
    return [state, uses, current?.id ?? null, current?.position.partition ?? null, due];
  }

  function dueOf(current: Offer, { person, optedOut }: { person: number; optedOut: boolean }): number | null {
    if (current.state.is !== "waiting") return null;
    if (optedOut) return 0;
    const canAct = rows.isLost(current) || rows.addressOf(person) !== null;
    return canAct ? current.state.dueAt : null;
  }
}
