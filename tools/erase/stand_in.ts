import { DatabaseSync } from "node:sqlite";
import { existsSync } from "node:fs";
import { Buffer } from "node:buffer";
import { dirname, join } from "node:path";
import { systemClock } from "../../runtime/clock.ts";
import { tryLockFile } from "../../runtime/data_dir.ts";
import type { Finder } from "./finder.ts";
import { type Erased, ownershipOf } from "./person.ts";

/**
 * The demo's stand-in keeps persons and owed webhooks in a SQLite file under DATA_DIR, as PostHog keeps them elsewhere.
 * Its tables are those of `demo/stand_in/persons.ts` and `demo/stand_in/delivery_queue.ts`.
 */

/** A running stand-in gives up after three attempts; so long a delivery of theirs is waited for at most. */
const DELIVERED_MS_MAX = 60_000;
const LOOK_EVERY_MS = 100;
const BUSY_MS_MAX = 30_000;

/** Takes the persons, and what is owed of their events, out of the stand-in's file; answers how many persons. */
export async function eraseInStandIn(dataDir: string, erased: Erased): Promise<number> {
  const path = fileIn(dataDir);
  if (!existsSync(path)) return 0;
  const lock = tryLockFile(join(dirname(path), "stand-in.lock"));
  const db = new DatabaseSync(path);
  try {
    db.exec("PRAGMA busy_timeout=5000; PRAGMA secure_delete=ON");
    // A running one reads a body when its turn has come: it is not taken from under its hands.
    if (lock === null) await until(() => owedOf(db, erased).length === 0, DELIVERED_MS_MAX);
    else removeOwed(db, erased);
    const persons = removePersons(db, erased);
    const truncate = db.prepare("PRAGMA wal_checkpoint(TRUNCATE)");
    await until(() => (truncate.get() as { busy: number }).busy === 0, BUSY_MS_MAX);
    return persons;
  } finally {
    db.close();
    lock?.release();
  }
}

function fileIn(dataDir: string): string {
  return join(dataDir, "posthog-stand-in", "stand_in.sqlite");
}

/** True where the stand-in knows a person of theirs. */
export function knownInStandIn(dataDir: string, erased: Erased): boolean {
  return readStandIn(dataDir, (db) => personsOf(db, erased).size > 0) ?? false;
}

/** How often the rows that are left, other people's, hold something of what is looked for. */
export function hitsInStandIn(dataDir: string, finder: Finder): number {
  return readStandIn(dataDir, (db) => {
    let hits = 0;
    for (const table of ["person", "distinct_id", "delivery"].filter((name) => hasTable(db, name))) {
      for (const row of db.prepare(`SELECT * FROM ${table}`).iterate()) {
        for (const value of Object.values(row as Record<string, string | number | Uint8Array>)) {
          const bytes = value instanceof Uint8Array ? value : Buffer.from(String(value));
          for (const _ of finder.find(bytes)) hits++;
        }
      }
    }
    return hits;
  }) ?? 0;
}

/** Null where no stand-in has worked here. */
function readStandIn<T>(dataDir: string, read: (db: DatabaseSync) => T): T | null {
  const path = fileIn(dataDir);
  if (!existsSync(path)) return null;
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    db.exec("PRAGMA busy_timeout=5000");
    return read(db);
  } finally {
    db.close();
  }
}

function owedOf(db: DatabaseSync, erased: Erased): number[] {
  if (!hasTable(db, "delivery")) return [];
  const rows = db.prepare("SELECT id, body FROM delivery").all() as { id: number; body: Uint8Array }[];
  const isTheirs = (value: Uint8Array) =>
    ownershipOf({ key: null, value, headers: {} }, erased)?.is === "theirs";
  return rows.filter(({ body }) => isTheirs(body)).map(({ id }) => id);
}

/** Looks again and again, but no longer than it may take. */
async function until(isDone: () => boolean, msMax: number): Promise<void> {
  const end = systemClock.monotonic() + msMax;
  while (!isDone() && systemClock.monotonic() < end) await systemClock.wait(LOOK_EVERY_MS);
}

function removeOwed(db: DatabaseSync, erased: Erased): void {
  for (const id of owedOf(db, erased)) db.prepare("DELETE FROM delivery WHERE id = ?").run(id);
}

function removePersons(db: DatabaseSync, erased: Erased): number {
  const persons = personsOf(db, erased);
  if (persons.size === 0) return 0;
  db.exec("BEGIN IMMEDIATE");
  for (const person of persons) {
    db.prepare("DELETE FROM distinct_id WHERE person_id = ?").run(person);
    db.prepare("DELETE FROM person WHERE id = ?").run(person);
  }
  db.exec("COMMIT");
  return persons.size;
}

function personsOf(db: DatabaseSync, erased: Erased): ReadonlySet<string> {
  if (!hasTable(db, "distinct_id")) return new Set();
  const rows = db.prepare("SELECT distinct_id, person_id FROM distinct_id").all() as {
    distinct_id: string;
    person_id: string;
  }[];
  return new Set(
    rows.filter((row) => erased.isTheirs(row.distinct_id) || erased.isTheirPersonId(row.person_id))
      .map((row) => row.person_id),
  );
}

function hasTable(db: DatabaseSync, name: string): boolean {
  return db.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?").get(name) !== undefined;
}
