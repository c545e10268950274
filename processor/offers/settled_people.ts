import type { ProductEvent } from "./core/product_event.ts";

/**
 * People of whom an ordinary event brings nothing new: passed over before anything is hashed or looked up. Most events
 * of a busy product are theirs.
 *
 * An entry is true as of the view that it was made from. Whoever keeps this cache drops, before each chunk, every
 * subject whose person a fact has touched since.
 */
export type SettledPeople = {
  /** True where this event can bring no fact and earn no offer. */
  has(event: ProductEvent): boolean;
  /** Remembers that `event` brought nothing; `passesUses`: neither would a use with a new uuid. */
  add(event: ProductEvent, about: { readonly subject: string; readonly passesUses: boolean }): void;
  drop(subjects: readonly string[]): void;
};

type Entry = {
  readonly subject: string;
  readonly personId: string | null;
  readonly email: string | null;
  readonly passesUses: boolean;
};

/** About 60 MB; the oldest go first. */
const PEOPLE_MAX = 200_000;

/** An empty memory of at most `peopleMax` people (default `PEOPLE_MAX`) whose next record brings nothing new. */
export function createSettledPeople(peopleMax = PEOPLE_MAX): SettledPeople {
  const entries = new Map<string, Entry>();
  const distinctIds = new Map<string, string>();
  const remove = (distinctId: string, subject: string) => {
    entries.delete(distinctId);
    distinctIds.delete(subject);
  };
  return {
    has(event) {
      const entry = entries.get(event.distinctId);
      return entry !== undefined && !event.isOptOut && event.aliases.length === 0 &&
        (entry.passesUses || !event.isUse) &&
        (event.personId === null || event.personId === entry.personId) &&
        (event.email === null || event.email === entry.email);
    },
    add(event, { subject, passesUses }) {
      if (entries.size >= peopleMax) {
        const [oldest, entry] = entries.entries().next().value!;
        remove(oldest, entry.subject);
      }
      entries.set(event.distinctId, { subject, personId: event.personId, email: event.email, passesUses });
      distinctIds.set(subject, event.distinctId);
    },
    drop(subjects) {
      for (const subject of subjects) {
        const distinctId = distinctIds.get(subject);
        if (distinctId !== undefined) remove(distinctId, subject);
      }
    },
  };
}
