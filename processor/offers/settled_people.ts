import type { ProductEvent, Said } from "./core/product_event.ts";

/**
 * People of whom an ordinary event brings nothing new: passed over before anything is hashed or looked up. Most events
 * of a busy product are theirs.
 *
 * An entry is true as of the view that it was made from. Whoever keeps this cache drops, before each chunk, every
 * subject whose person a fact has touched since.
 */
export type SettledPeople = {
  /** True where a live event with this glance can bring no fact and earn no offer: one with the same glance brought none. */
  passes(glance: string | null): boolean;
  /** True where this event can bring no fact and earn no offer. `glance`: remembered for the next one. */
  has(event: ProductEvent, glance?: string | null): boolean;
  /**
   * Remembers that `event` brought nothing. `person`: whose the subject is, null where no row speaks of it; `passesUses`:
   * neither would a use with a new uuid.
   */
  add(
    event: ProductEvent,
    about: {
      readonly subject: string;
      readonly person: number | null;
      readonly passesUses: boolean;
      readonly glance?: string | null | undefined;
    },
  ): void;
  drop(touched: Touched): void;
};

/** Persons about whom something was applied, and subjects that another person is of now. */
export type Touched = { readonly persons: readonly number[]; readonly subjects: readonly string[] };

type Entry = {
  readonly subject: string;
  readonly person: number | null;
  readonly personId: string | null;
  readonly said: readonly Said[];
  readonly passesUses: boolean;
  readonly glances: string[];
};

/** About 100 MB; the oldest go first. */
const PEOPLE_MAX = 200_000;
/** Ways in which the events of one person may say the same, each remembered; others are read whole. */
const GLANCES_PER_PERSON_MAX = 4;

/** An empty memory of at most `peopleMax` people (default `PEOPLE_MAX`) whose next record brings nothing new. */
export function createSettledPeople(peopleMax = PEOPLE_MAX): SettledPeople {
  const entries = new Map<string, Entry>();
  const bySubject = new Map<string, string>();
  const byPerson = new Map<number, Set<string>>();
  const glances = new Set<string>();
  const remember = (entry: Entry, glance: string | null | undefined) => {
    if (typeof glance !== "string" || entry.glances.length >= GLANCES_PER_PERSON_MAX) return;
    entry.glances.push(glance);
    glances.add(glance);
  };
  const remove = (distinctId: string | undefined) => {
    const entry = distinctId === undefined ? undefined : entries.get(distinctId);
    if (distinctId === undefined || entry === undefined) return;
    entries.delete(distinctId);
    bySubject.delete(entry.subject);
    for (const glance of entry.glances) glances.delete(glance);
    if (entry.person === null) return;
    const theirs = byPerson.get(entry.person);
    theirs?.delete(distinctId);
    if (theirs?.size === 0) byPerson.delete(entry.person);
  };
  return {
    passes: (glance) => glance !== null && glances.has(glance),
    has(event, glance) {
      const entry = entries.get(event.distinctId);
      const isSettled = entry !== undefined && !event.isOptOut && event.merge === null &&
        (entry.passesUses || !event.isUse) &&
        (event.personId === null || event.personId === entry.personId) &&
        saysNothingElse(event.said, entry.said);
      if (isSettled) remember(entry, glance);
      return isSettled;
    },
    add(event, { subject, person, passesUses, glance }) {
      const { distinctId, personId, said } = event;
      remove(distinctId);
      if (entries.size >= peopleMax) remove(entries.keys().next().value);
      const entry: Entry = { subject, person, personId, said, passesUses, glances: [] };
      entries.set(distinctId, entry);
      remember(entry, glance);
      bySubject.set(subject, distinctId);
      if (person === null) return;
      const theirs = byPerson.get(person);
      if (theirs === undefined) byPerson.set(person, new Set([distinctId]));
      else theirs.add(distinctId);
    },
    drop({ persons, subjects }) {
      for (const subject of subjects) remove(bySubject.get(subject));
      for (const person of persons) for (const distinctId of byPerson.get(person) ?? []) remove(distinctId);
    },
  };
}

function saysNothingElse(said: readonly Said[], known: readonly Said[]): boolean {
  return said.length === 0 ||
    said.length === known.length && said.every(({ email, optsOut, proof }, i) => {
        const other = known[i]!;
        return email === other.email && optsOut === other.optsOut && proof === other.proof;
      });
}
