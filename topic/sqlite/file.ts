import { DatabaseSync, type StatementSync } from "node:sqlite";
import { existsSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import type { TopicWriter } from "../../contract/names.ts";
import { makePrivateDirectory, makePrivateFile, syncDirectorySync } from "../../runtime/durable_file.ts";
import {
  type FileSystemLooks,
  networkFileSystemAt,
  systemLooks,
  UNKNOWN,
  UNNAMED_FUSE,
} from "./network_file_system.ts";
import { LogSetupError } from "../topic.ts";
import { log } from "../../runtime/log.ts";

/**
 * One file of the embedded log: its place, its tables, how a connection to it is opened.
 *
 * There is one file per writing process, so that ingest's commits wait for nobody. Nothing but SQLite may open such a
 * file inside a process that uses the log: POSIX drops a process's locks on a file when any descriptor of it closes.
 */

/** `DATA_DIR/log`, where the files lie. */
export function logDirectory(dataDir: string): string {
  return join(dataDir, "log");
}

/** The processes that have a file; whoever opens the log says which of them writes a topic, everywhere the same. */
export const LOG_WRITERS: readonly TopicWriter[] = ["ingest", "processor"];

/** A writer's file, below DATA_DIR. */
export function logFileOf(writer: TopicWriter): string {
  return join(logDirectory(""), `${writer}.db`);
}

/** A record's key in its file is `partition id · 2⁴⁰ + offset`: below 2⁵³ for 8,192 partitions of a file. */
export const OFFSETS_PER_PARTITION = 2 ** 40;
export const PARTITION_IDS = 2 ** 13;

/** What a record counts for in `retention_bytes`. */
export const STORED_BYTES = "length(value) + ifnull(length(key), 0) + ifnull(octet_length(headers), 0)";

/** A record's time for who only compares it: SQLite's integers have 64 bits, and one beyond JavaScript's fails a query. */
export const TIME = `max(min(timestamp, ${Number.MAX_SAFE_INTEGER}), -${Number.MAX_SAFE_INTEGER})`;

const SCHEMA_VERSION = 1;
const SCHEMA = `
create table topic (
  name text primary key,
  record_bytes_max integer not null,
  retention_ms integer,     -- null: for ever
  retention_bytes integer   -- of a partition; null: no bound
) strict;
create table topic_partition (
  id integer primary key,
  topic text not null,
  number integer not null,
  start_offset integer not null default 0,  -- stands when every record has gone: offsets are never used twice
  bytes integer not null default 0,         -- kept only where the topic has retention_bytes
  unique (topic, number)
) strict;
create table record (
  id integer primary key,   -- topic_partition.id * 2^40 + offset
  timestamp integer not null,
  key blob,
  value blob not null,
  headers text              -- JSON object; null: none
) strict;
create table group_offset (
  consumer_group text not null,
  topic text not null,
  number integer not null,
  next_offset integer not null,
  primary key (consumer_group, topic, number)
) strict, without rowid;
pragma user_version = ${SCHEMA_VERSION};
`;

/** A connection that prepares each statement once; rows come as arrays, a third faster than as objects. */
export class Connection {
  readonly #statements = new Map<string, StatementSync>();

  constructor(readonly database: DatabaseSync) {}

  exec(sql: string): void {
    this.database.exec(sql);
  }

  run(sql: string, ...values: SqlValue[]): void {
    // `run` would make an object of how many rows it changed, which takes longer than an insert.
    this.#prepared(sql).get(...values);
  }

  /** All rows, as `Row` says they are. */
  all<Row extends unknown[]>(sql: string, ...values: SqlValue[]): Row[] {
    return this.#prepared(sql).all(...values) as unknown as Row[];
  }

  /** The first row, if there is one. */
  first<Row extends unknown[]>(sql: string, ...values: SqlValue[]): Row | undefined {
    return this.#prepared(sql).get(...values) as unknown as Row | undefined;
  }

  close(): void {
    this.#statements.clear();
    this.database.close();
  }

  #prepared(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.database.prepare(sql);
      // Node has it since 24.0; the types that Deno ships do not name it yet.
      (statement as StatementSync & { setReturnArrays(on: boolean): void }).setReturnArrays(true);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

type SqlValue = number | string | Uint8Array | null;

export type WriteOptions = {
  /** FULL fsyncs at every commit; NORMAL only at WAL checkpoints: a power cut may undo the newest commits. */
  readonly synchronous: "FULL" | "NORMAL";
  /** How long SQLite blocks this thread for another writer before it answers "locked", in ms. */
  readonly busyTimeoutMs: number;
  /** Whether what is deleted is overwritten; default true. */
  readonly secureDelete?: boolean;
};

/** Opens the file for writing, and makes it with its tables where it is missing. Throws SQLite's "locked" as it is. */
export function openForWriting(
  path: string,
  { synchronous, busyTimeoutMs, secureDelete = true }: WriteOptions,
): Connection {
  makeDirectory(dirname(path));
  makePrivateFile(path);
  const connection = new Connection(new DatabaseSync(path));
  try {
    connection.exec(`
      pragma busy_timeout = ${busyTimeoutMs};
      pragma page_size = 8192;
      pragma journal_mode = WAL;
      pragma synchronous = ${synchronous};
      pragma wal_autocheckpoint = 1000;
      pragma secure_delete = ${secureDelete ? "ON" : "OFF"};`);
    const mode = connection.first<[string]>("pragma journal_mode")?.[0];
    if (mode !== "wal") {
      throw new LogSetupError(
        `Cannot use the log file "${path}": SQLite's journal is "${mode}" here and not WAL. Put DATA_DIR on a local disk.`,
      );
    }
    if (readSchemaVersion(connection, path) === 0) makeSchema(connection, path);
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

/** Opens the file for reading; null while it is missing or has no tables yet. */
export function openForReading(path: string): Connection | null {
  if (!existsSync(path)) return null;
  const connection = new Connection(new DatabaseSync(path, { readOnly: true }));
  try {
    connection.exec("pragma busy_timeout = 20");
    if (readSchemaVersion(connection, path) === SCHEMA_VERSION) return connection;
    connection.close();
    return null;
  } catch (error) {
    connection.close();
    throw error;
  }
}

function readSchemaVersion(connection: Connection, path: string): number {
  const version = connection.first<[number]>("pragma user_version")?.[0] ?? 0;
  if (version <= SCHEMA_VERSION) return version;
  throw new LogSetupError(
    `Cannot read the log file "${path}": its format is ${version}, this program knows ${SCHEMA_VERSION}. ` +
      `Start the newer program that wrote it.`,
  );
}

function makeSchema(connection: Connection, path: string): void {
  connection.exec("begin immediate");
  // Another process may have been faster between the look and the lock; its schema is ours.
  if (readSchemaVersion(connection, path) === 0) connection.exec(SCHEMA);
  connection.exec("commit");
  syncDirectorySync(dirname(path));
}

/** Makes the directory where it is missing, and its name durable. */
export function makeDirectory(path: string): void {
  if (existsSync(path)) return;
  makePrivateDirectory(path);
  syncDirectorySync(dirname(path));
}

/** True for SQLite's answer to "another connection holds the lock"; Deno's errors carry words only, no result code. */
export function isBusy(error: unknown): boolean {
  return isSqliteError(error) && /\b(locked|busy)\b/i.test(error.message);
}

/** True for whatever SQLite itself answered, as opposed to a bug in the call. */
export function isSqliteError(error: unknown): error is Error {
  return error instanceof Error && (error as { code?: unknown }).code === "ERR_SQLITE_ERROR";
}

/** Throws {@link LogSetupError} where this machine's SQLite or DATA_DIR's file system could lose acknowledged records. */
export function refuseUnsafeHost(dataDir: string): void {
  const probe = new DatabaseSync(":memory:");
  const { version } = probe.prepare("select sqlite_version() as version").get() as { version: string };
  probe.close();
  refuseOldSqlite(version);
  if (Deno.build.os !== "linux") return;
  refuseNetworkFileSystem(dataDir);
}

/**
 * Up to 3.51.2 two processes that write and checkpoint at once can lose acknowledged commits (the "WAL-reset bug",
 * https://sqlite.org/wal.html, section 11).
 */
export function refuseOldSqlite(version: string): void {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map(Number);
  if (major * 1e6 + minor * 1e3 + patch >= 3_051_003) return;
  throw new LogSetupError(
    `Cannot use the embedded log with SQLite ${version}: it may lose acknowledged records, 3.51.3 is the first that ` +
      `does not. Use Deno 2.9.6 or later, or set KAFKA_BROKERS.`,
  );
}

/** See {@link networkFileSystemAt}; a directory that is yet to be made is judged by the nearest one above it. */
export function refuseNetworkFileSystem(dataDir: string, looks: FileSystemLooks = systemLooks): void {
  let there = dataDir;
  while (!existsSync(there) && dirname(there) !== there) there = dirname(there);
  const type = networkFileSystemAt(realpathSync(there), looks);
  if (type === null) return;
  if (type === UNKNOWN) {
    log(
      "warn",
      `Cannot see whether DATA_DIR "${dataDir}" lies on a network file system, where the embedded log could lose ` +
        `records: --allow-sys=statfs (for a path below /dev: -A) lets Deno look.`,
    );
    return;
  }
  throw new LogSetupError(
    type === UNNAMED_FUSE
      ? `Cannot keep the embedded log in DATA_DIR "${dataDir}": it lies on FUSE, which may be a network file system. ` +
        `Put DATA_DIR on a local disk, start with -A so that Deno may look which one it is, or set KAFKA_BROKERS.`
      : `Cannot keep the embedded log in DATA_DIR "${dataDir}": it lies on a network file system (${type}). ` +
        `Put DATA_DIR on a local disk, or set KAFKA_BROKERS.`,
  );
}
