import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { isThere, makePrivateFile, removeIfThere } from "../../../runtime/durable_file.ts";

/**
 * The tables of the offer view, and how its file is opened. What they mean is the fold's affair, see
 * `processor/offers/core/offer.ts`.
 */

/** Grows with every change of the schema or the fold: a view that another version made is built again. */
const VIEW_VERSION = 6;

/**
 * Rows are kept per subject, with the position of the record that brought them. `person`, every column `person`, `earning`,
 * `party` and `destination` are derived from them, and kept so that what a fact costs does not grow with how many ids its person
 * has. `offer.state` is `unknown` for a failure as `delivery_unknown`. `person.reason`: why it is closed or has failed.
 *
 * A subject is a number in the tables that have most rows: `use`, `address`, `party`, `offer` and `timeline`. It keeps it for ever,
 * and those who come together lie together. Elsewhere it is its hash.
 *
 * `subject.since`: the fact since which it is of this person. `person.newest_*`: the newest address of its subjects.
 * `joined`: see `processor/offers/core/merge.ts`; `holds` and `open` are derived, and a join that PostHog refused stays as a
 * row that does not hold, for it names its ids. Of one `b` at most one row is open: a later request is refused by the earlier.
 * `address.first_at`: when the subject's first record with this mailbox came, `at` and position: its newest.
 */
const SCHEMA = `
create table view (one integer primary key check (one = 1), next_fact integer not null, last_offset integer,
  last_hash text, fingerprint text, topic_id text) strict;
insert into view values (1, 0, null, null, null, null);
create table lost (partition integer primary key, before integer not null, caught_up integer not null) strict;
create table subject (id integer primary key, subject text not null unique, person integer not null,
  since integer not null) strict;
create index subject_person on subject (person);
create index subject_since on subject (since);
create table person (id integer primary key, touched integer not null, state text, reason text, size integer not null,
  uses integer not null, opted_out integer not null, newest_at integer, newest_partition integer, newest_offset integer,
  newest_mailbox text, offer integer, partition integer, due integer, due_proven integer) strict;
create index person_state on person (state, reason, touched);
create index person_counting on person (uses) where state = 'counting';
create index person_due on person (partition, due) where due is not null;
create index person_due_proven on person (partition, due_proven) where due_proven is not null;
create table use (subject integer, uuid text, person integer not null, partition integer not null,
  offset integer not null, primary key (subject, uuid)) strict, without rowid;
create index use_person on use (person, uuid);
create index use_position on use (person, partition, offset);
create table address (subject integer, mailbox text, at integer not null, partition integer not null,
  offset integer not null, first_at integer not null, proven integer not null, primary key (subject, mailbox))
  strict, without rowid;
create index address_newest on address (subject, at, partition, offset);
create table past_address (subject text, mailbox text, partition integer not null, offset integer not null,
  primary key (subject, mailbox, partition)) strict, without rowid;
create table joined (a text, b text, how text not null, time integer not null, at integer not null,
  partition integer not null, offset integer not null, arrived integer not null, person text, proven integer not null,
  holds integer not null, open integer not null, primary key (a, b)) strict, without rowid;
create index joined_b on joined (b);
create index joined_open on joined (b) where open = 1;
create index joined_names_a on joined (a, time) where how <> 'person';
create index joined_names_b on joined (b, time) where how <> 'person';
create table unproven (subject text, what text, partition integer not null, offset integer not null,
  primary key (subject, what)) strict, without rowid;
create table earning (offer integer primary key, root text not null, until integer not null) strict;
create table party (offer integer, subject integer, primary key (offer, subject)) strict, without rowid;
create index party_subject on party (subject);
create table destination (offer integer, proven integer, at integer not null, partition integer not null,
  offset integer not null, mailbox text not null, primary key (offer, proven)) strict, without rowid;
create table opted_out (subject text primary key) strict, without rowid;
create table suppressed (mailbox text primary key) strict, without rowid;
create table claimed (mailbox text primary key, offer integer not null) strict, without rowid;
create table code (code text primary key) strict, without rowid;
create table held (fact integer primary key, at integer not null) strict;
create index held_at on held (at);
create table offer (id integer primary key, subject integer not null, person integer not null, state text not null,
  lost integer not null, body text not null) strict;
create index offer_subject on offer (subject);
create index offer_person on offer (person);
create index offer_state on offer (state) where state in ('sending', 'unknown');
create index offer_lost on offer (lost) where lost = 1;
create table erased (subject text, partition integer, offset integer not null, at integer not null,
  primary key (subject, partition)) strict, without rowid;
create table erasure (fact integer, subject text, primary key (fact, subject)) strict, without rowid;
create index erasure_subject on erasure (subject);
create table erased_mail (message_id text primary key) strict, without rowid;
create table outcome (kind text primary key, count integer not null) strict, without rowid;
create table timeline (fact integer primary key, subject integer not null, offer integer, partition integer,
  offset integer, body text not null) strict;
create index timeline_subject on timeline (subject);
create index timeline_offer on timeline (offer) where offer is not null;
pragma user_version = ${VIEW_VERSION};
`;

/** Where the view lies in a DATA_DIR. */
export function offerViewPath(dataDir: string): string {
  return join(dataDir, "offers.db");
}

/** Opens the view for its one writer; a missing one and one of another version are made new. */
export function openViewToWrite(path: string): DatabaseSync {
  if (path === ":memory:") return makeTables(openAsWriter(path));
  const existing = isThere(path) ? openAsWriter(path) : null;
  if (existing !== null && versionOf(existing) === VIEW_VERSION) return existing;
  existing?.close();
  makeView(path);
  return openAsWriter(path);
}

/**
 * A view gets its name once it is whole: who looks for it meanwhile finds none, and holds no lock that its making would
 * meet. What a crash leaves is made anew.
 */
function makeView(path: string): void {
  const made = `${path}.new`;
  for (const file of [made, path]) for (const suffix of ["", "-wal", "-shm"]) removeIfThere(file + suffix);
  makePrivateFile(made);
  makeTables(openAsWriter(made)).close();
  Deno.renameSync(made, path);
}

function makeTables(db: DatabaseSync): DatabaseSync {
  db.exec(`begin immediate; ${SCHEMA} commit;`);
  return db;
}

/** Opens the view for reading; null while its writer has not made it, and where it cannot be looked at just now. */
export function openViewToRead(path: string): DatabaseSync | null {
  if (!isThere(path)) return null;
  let db: DatabaseSync | null = null;
  try {
    db = new DatabaseSync(path, { readOnly: true });
    // Who has to wait looks again later, and blocks no thread for it.
    db.exec(`pragma busy_timeout=${OPENING_MS_MAX}`);
    if (versionOf(db) === VIEW_VERSION) {
      db.exec(`pragma busy_timeout=${BUSY_MS_MAX}`);
      return db;
    }
    db.close();
  } catch (error) {
    db?.close();
    if (!(error instanceof Error && NOT_NOW.test(error.message))) throw error;
  }
  return null;
}

/** So long SQLite blocks the thread of who meets a lock, in ms. */
const BUSY_MS_MAX = 5_000;
const OPENING_MS_MAX = 20;
/** The writer's page cache: subjects and uuids are hashes, so that one transaction touches pages all over the file. */
const WRITER_CACHE_KB_MAX = 32_768;
/** Pages of 4 kB in the write-ahead log before they move into the file: 16 MB. */
const WAL_PAGES_MAX = 4_000;

function openAsWriter(path: string): DatabaseSync {
  const db = new DatabaseSync(path);
  // NORMAL: what a power cut takes is applied again from the facts. secure_delete: what an erasure takes leaves no bytes.
  db.exec(
    `pragma busy_timeout=${BUSY_MS_MAX}; pragma journal_mode=WAL; pragma synchronous=NORMAL; pragma secure_delete=ON;
     pragma cache_size=${-WRITER_CACHE_KB_MAX}; pragma wal_autocheckpoint=${WAL_PAGES_MAX}`,
  );
  return db;
}

/** Its writer holds it, or replaces one of another version, whose files go one by one. */
const NOT_NOW =
  /unable to open database file|database is locked|disk I\/O error|attempt to write a readonly database/;

function versionOf(db: DatabaseSync): number {
  return (db.prepare("pragma user_version").get() as { user_version: number }).user_version;
}
