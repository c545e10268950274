import type { DatabaseSync } from "node:sqlite";
import { isObject } from "../../contract/envelope.ts";
import { isNobody } from "../../contract/nobody.ts";
import type { CapturedEvent } from "./capture_body.ts";
import { uuidV5 } from "./uuid_v5.ts";

/**
 * PostHog's persons: which distinct ids are one person, and what is known of it.
 *
 * Kept in the stand-in's SQLite file, so that a person has the same id after a restart. Not imitated: groups, geo-IP,
 * person versions, the moves of a merge under concurrency (there is one writer).
 */

/** A person as a webhook shows it: taken when its event was processed, never fetched later. */
export type PersonSnapshot = {
  readonly id: string;
  readonly properties: Readonly<Record<string, unknown>>;
  readonly name: string;
  readonly url: string;
};

export type Persons = {
  /**
   * Applies what an event says of its person and answers the person as it is then; null for an event that PostHog
   * throws away (a join or an identification that forbids itself a person profile).
   */
  apply(event: CapturedEvent): PersonSnapshot | null;
};

type Properties = Readonly<Record<string, unknown>>;
type Person = { readonly id: string; readonly properties: Properties; readonly isIdentified: boolean };

/** PostHog's own namespace: person ids are a function of project and first distinct id, here as there. */
const PERSON_NAMESPACE = "932979b4-65c3-4424-8467-0b66ec27bc22";
const PROJECT_ID = 1;
const NEEDS_A_PROFILE: ReadonlySet<string> = new Set(["$identify", "$create_alias", "$merge_dangerously"]);
/** Properties that name a person, the first that is there wins. */
const NAMING_PROPERTIES = ["email", "name", "username"] as const;

/** Person properties after an event: `$set` overwrites, `$set_once` fills gaps, `$unset` removes. */
export function updatedProperties(known: Properties, event: Properties): Properties {
  const once = isObject(event.$set_once) ? event.$set_once : {};
  const set = isObject(event.$set) ? event.$set : {};
  const unset = new Set(Array.isArray(event.$unset) ? event.$unset : Object.keys(objectOr(event.$unset)));
  const next = { ...once, ...known, ...set };
  return unset.size === 0
    ? next
    : Object.fromEntries(Object.entries(next).filter(([key]) => !unset.has(key)));
}

/** What PostHog calls a person: its e-mail address, name or user name, else the distinct id. */
export function personName(properties: Properties, distinctId: string): string {
  for (const key of NAMING_PROPERTIES) {
    const value = properties[key];
    if (typeof value === "string" && value.trim() !== "") return value.trim();
  }
  return distinctId;
}

/** Opens the persons in `db`; `projectUrl` is what their addresses begin with. */
export function openPersons(db: DatabaseSync, { projectUrl }: { projectUrl: string }): Persons {
  db.exec(`
    CREATE TABLE IF NOT EXISTS person (
      id TEXT PRIMARY KEY,
      properties TEXT NOT NULL,
      is_identified INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS distinct_id (
      distinct_id TEXT PRIMARY KEY,
      person_id TEXT NOT NULL REFERENCES person (id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS distinct_id_person ON distinct_id (person_id);
  `);
  const store = openPersonRows(db);

  function apply(event: CapturedEvent): PersonSnapshot | null {
    if (event.properties.$process_person_profile === false) {
      if (NEEDS_A_PROFILE.has(event.event)) return null;
      const id = store.find(event.distinctId)?.id ?? personIdOf(event.distinctId);
      return snapshot({ id, properties: {} }, event.distinctId);
    }
    const other = otherIdOf(event);
    if (other !== null) join(event, other);
    const person = store.find(event.distinctId) ??
      store.create([event.distinctId], creation(event, { isIdentified: false }));
    const properties = updatedProperties(person.properties, event.properties);
    const next = { ...person, properties, isIdentified: person.isIdentified || other !== null };
    store.save(next);
    return snapshot(next, event.distinctId);
  }

  /** The person of `event.distinctId` stays; the other one's ids and gaps-filling properties move into it. */
  function join(event: CapturedEvent, otherId: string): void {
    const into = store.find(event.distinctId);
    const other = store.find(otherId);
    if (into && other) {
      const mayMerge = !other.isIdentified || event.event === "$merge_dangerously";
      if (into.id !== other.id && mayMerge) store.merge(into, other);
    } else if (into) store.attach(otherId, into.id);
    else if (other) store.attach(event.distinctId, other.id);
    else store.create([event.distinctId, otherId], creation(event, { isIdentified: true }));
  }

  function snapshot(person: Omit<Person, "isIdentified">, distinctId: string): PersonSnapshot {
    return {
      id: person.id,
      properties: person.properties,
      name: personName(person.properties, distinctId),
      url: `${projectUrl}/person/${encodeURIComponent(distinctId)}`,
    };
  }

  return { apply };
}

function personIdOf(distinctId: string): string {
  return uuidV5(`${PROJECT_ID}:${distinctId}`, { namespace: PERSON_NAMESPACE });
}

function creation(event: CapturedEvent, { isIdentified }: { isIdentified: boolean }): Person {
  return { id: personIdOf(event.distinctId), properties: { $creator_event_uuid: event.uuid }, isIdentified };
}

/** The id that an event joins to its own, or null where it joins none or may not. */
function otherIdOf({ event, distinctId, properties }: CapturedEvent): string | null {
  const named = event === "$identify"
    ? properties.$anon_distinct_id
    : event === "$create_alias" || event === "$merge_dangerously"
    ? properties.alias
    : undefined;
  if (named === undefined || named === null || named === "") return null;
  const other = String(named);
  const joins = other !== distinctId && !isNobody(other) && !isNobody(distinctId);
  return joins ? other : null;
}

function openPersonRows(db: DatabaseSync) {
  const find = db.prepare(
    `SELECT person.id, properties, is_identified FROM distinct_id JOIN person ON person.id = person_id
     WHERE distinct_id = ?`,
  );
  const put = db.prepare(
    `INSERT INTO person (id, properties, is_identified) VALUES (?, ?, ?)
     ON CONFLICT (id) DO UPDATE SET properties = excluded.properties, is_identified = excluded.is_identified
     WHERE properties <> excluded.properties OR is_identified <> excluded.is_identified`,
  );
  const attach = db.prepare("INSERT OR REPLACE INTO distinct_id (distinct_id, person_id) VALUES (?, ?)");
  const move = db.prepare("UPDATE distinct_id SET person_id = ? WHERE person_id = ?");
  const remove = db.prepare("DELETE FROM person WHERE id = ?");

  const save = (person: Person) => {
    put.run(person.id, JSON.stringify(person.properties), person.isIdentified ? 1 : 0);
  };
  return {
    find(distinctId: string): Person | null {
      const row = find.get(distinctId) as
        | { id: string; properties: string; is_identified: number }
        | undefined;
      if (!row) return null;
      return { id: row.id, properties: JSON.parse(row.properties), isIdentified: row.is_identified === 1 };
    },
    save,
    attach: (distinctId: string, personId: string) => void attach.run(distinctId, personId),
    create(distinctIds: readonly string[], person: Person): Person {
      save(person);
      for (const distinctId of distinctIds) attach.run(distinctId, person.id);
      return person;
    },
    merge(into: Person, other: Person): void {
      save({ ...into, properties: { ...other.properties, ...into.properties } });
      move.run(into.id, other.id);
      remove.run(other.id);
    },
  };
}

function objectOr(value: unknown): Record<string, unknown> {
  return isObject(value) ? value : {};
}
