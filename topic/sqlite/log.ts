import { join } from "node:path";
import { type HeldLock, tryLockFile } from "../../runtime/data_dir.ts";
import type { TopicWriter } from "../../contract/names.ts";
import type { LogRole } from "../log_config.ts";
import { boundsIn } from "../group_lag.ts";
import { SqliteConsumption } from "./consumption.ts";
import { type Connection, logDirectory, logFileOf, makeDirectory, refuseUnsafeHost } from "./file.ts";
import { SqliteOffsets } from "./offsets.ts";
import { SqlitePublisher } from "./publisher.ts";
import { readSqlite } from "./read.ts";
import { SqliteReader } from "./reader.ts";
import { SqliteRetention } from "./retention.ts";
import {
  boundsOf,
  ensureSqliteTopic,
  type FilePartition,
  lagOf,
  missingTopic,
  partitionsOf,
  topicIdOf,
} from "./topics.ts";
import { SqliteWriter } from "./writer.ts";
import {
  type ConsumeOptions,
  type Consumption,
  LogSetupError,
  LogUnavailableError,
  type PartitionBounds,
  type PartitionLag,
  type ReadOptions,
  type RecordBatch,
  type RecordPosition,
  type RecordToPublish,
  type TopicLog,
  type TopicSpec,
} from "../topic.ts";

export type SqliteLogOptions = {
  readonly dataDir: string;
  readonly role: LogRole;
  /** Which file a topic lies in: a function of its name alone, the same for whoever opens this log. */
  readonly writerOf: (topic: string) => TopicWriter;
  /** How often expired records are looked for, in ms; default 30 s. Only in the file that the role is the writer of. */
  readonly retentionEveryMs?: number;
  /** How long a partition stands before what cannot be read there is looked at again, in ms; default 5 s. */
  readonly unreadableAgainMs?: number;
};

/** How each role behaves where it meets another writer of a file; see `WriterOptions` and `PublisherOptions`. */
const WRITE_SETTINGS: Record<LogRole, {
  readonly busyTimeoutMs: number;
  readonly busyMsMax: number;
  readonly transactionRecordsMax: number;
  readonly pauseMs: number;
}> = {
  ingest: { busyTimeoutMs: 10, busyMsMax: 5_000, transactionRecordsMax: 1_000, pauseMs: 0 },
  processor: { busyTimeoutMs: 10, busyMsMax: 5_000, transactionRecordsMax: 1_000, pauseMs: 0 },
  // A command has time: it takes small bites and lets the services write between them.
  command: { busyTimeoutMs: 50, busyMsMax: 30_000, transactionRecordsMax: 100, pauseMs: 2 },
};

/**
 * The log of one machine, on node:sqlite, in `DATA_DIR/log`. Opens nothing before it is needed. May be opened several
 * times, in one process and in several.
 *
 * Throws {@link LogSetupError} where SQLite is too old or DATA_DIR lies on a network file system.
 */
export function openSqliteLog(options: SqliteLogOptions): TopicLog {
  refuseUnsafeHost(options.dataDir);
  return new SqliteLog(options);
}

/** What the log holds open of one file. */
type OpenFile = {
  readonly reader: SqliteReader;
  readonly writer: SqliteWriter;
  readonly publisher: SqlitePublisher;
};

class SqliteLog implements TopicLog {
  readonly kind = "embedded";
  readonly #files = new Map<TopicWriter, OpenFile>();
  readonly #offsets: SqliteOffsets;
  readonly #consumptions = new Set<SqliteConsumption>();
  /** Aborts when consumptions have drained: from then on nothing is published or read any more. */
  readonly #closing = new AbortController();
  #closed: Promise<void> | null = null;
  #sweeping: Promise<void> | null = null;
  readonly #sweepTimer: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly options: SqliteLogOptions) {
    this.#offsets = new SqliteOffsets(options.dataDir, WRITE_SETTINGS[options.role]);
    const { role } = options;
    if (role === "command") return;
    const timer = setInterval(() => this.#sweep(role), options.retentionEveryMs ?? 30_000);
    Deno.unrefTimer(timer);
    this.#sweepTimer = timer;
  }

  async ensureTopic(spec: TopicSpec): Promise<void> {
    this.#refuseIfClosed();
    const { reader, writer } = this.#fileOf(spec.name);
    await ensureSqliteTopic(spec, { reader, writer });
  }

  async topicId(topic: string): Promise<string | null> {
    this.#refuseIfClosed();
    return await this.#fileOf(topic).reader.look((connection) => {
      if (connection === null) throw missingTopic(topic);
      return topicIdOf(connection, topic);
    });
  }

  async publish(topic: string, records: readonly RecordToPublish[]): Promise<readonly RecordPosition[]> {
    this.#refuseIfClosed();
    return await this.#fileOf(topic).publisher.publish(topic, records);
  }

  consume(options: ConsumeOptions): Consumption {
    if (this.#closed) throw closedError();
    const consumption = new SqliteConsumption(options, {
      reader: this.#fileOf(options.topic).reader,
      offsets: this.#offsets,
      enterGroup: (group) => this.#enterGroup(group),
      unreadableAgainMs: this.options.unreadableAgainMs,
    });
    this.#consumptions.add(consumption);
    consumption.ended.catch(() => {}).then(() => this.#consumptions.delete(consumption));
    return consumption;
  }

  read(topic: string, options: ReadOptions): AsyncIterable<RecordBatch> {
    this.#refuseIfClosed();
    return readSqlite(this.#fileOf(topic).reader, { ...options, topic, closing: this.#closing.signal });
  }

  async partitions(topic: string): Promise<number> {
    return (await this.bounds(topic)).length;
  }

  async bounds(topic: string): Promise<readonly PartitionBounds[]> {
    return await this.#eachPartition(topic, boundsOf);
  }

  async boundsOf(topic: string, partition: number): Promise<PartitionBounds> {
    return boundsIn(await this.bounds(topic), { topic, partition });
  }

  async committed(topic: string, group: string): Promise<readonly (number | null)[]> {
    this.#refuseIfClosed();
    const committed = await this.#offsets.committed(group, topic);
    return await this.#eachPartition(topic, (_, { number }) => committed.get(number) ?? null);
  }

  async lag(topic: string, group: string, now: number): Promise<readonly PartitionLag[]> {
    this.#refuseIfClosed();
    const committed = await this.#offsets.committed(group, topic);
    return await this.#eachPartition(topic, (connection, partition) => {
      const nextOffset = committed.get(partition.number) ?? null;
      return lagOf(connection, partition, { nextOffset, now });
    });
  }

  close(): Promise<void> {
    return this.#closed ??= this.#close();
  }

  async #close(): Promise<void> {
    // Handlers may still publish until their consumptions have drained; only then the queues can run empty.
    await Promise.all([...this.#consumptions].map((consumption) => consumption.stop()));
    this.#closing.abort(closedError());
    clearInterval(this.#sweepTimer);
    await this.#sweeping;
    for (const { publisher } of this.#files.values()) await publisher.drain();
    // Writers last: SQLite empties the WAL when a file's last connection closes, unless that one can only read.
    for (const { reader } of this.#files.values()) reader.close();
    this.#offsets.close();
    for (const { writer } of this.#files.values()) writer.close();
  }

  /** By partition number, all of one moment. */
  async #eachPartition<T>(
    topic: string,
    work: (connection: Connection, partition: FilePartition) => T,
  ): Promise<readonly T[]> {
    this.#refuseIfClosed();
    return await this.#fileOf(topic).reader.look((connection) => {
      const partitions = partitionsOf(connection, topic);
      if (connection === null || partitions.length === 0) throw missingTopic(topic);
      return partitions.map((partition) => work(connection, partition));
    });
  }

  #fileOf(topic: string): OpenFile {
    return this.#file(this.options.writerOf(topic));
  }

  #file(owner: TopicWriter): OpenFile {
    let file = this.#files.get(owner);
    if (!file) this.#files.set(owner, file = this.#open(owner));
    return file;
  }

  #open(owner: TopicWriter): OpenFile {
    const path = join(this.options.dataDir, logFileOf(owner));
    const settings = WRITE_SETTINGS[this.options.role];
    const reader = new SqliteReader(path);
    const secureDelete = owner === "processor";
    const writer = new SqliteWriter(path, { synchronous: "FULL", secureDelete, ...settings });
    const publisher = new SqlitePublisher(writer, {
      ...settings,
      committed: () => reader.wakeWhereChanged(),
    });
    return { reader, writer, publisher };
  }

  /** The lock goes with the process, however it ends, so that a restart never waits for its former self. */
  #enterGroup(group: string): HeldLock {
    const directory = logDirectory(this.options.dataDir);
    makeDirectory(directory);
    const lock = tryLockFile(join(directory, `${encodeURIComponent(group)}.lock`));
    if (lock) return lock;
    throw new LogSetupError(
      `Cannot join group "${group}" on DATA_DIR "${this.options.dataDir}": it has a member already, and the embedded ` +
        `log knows one processor. Stop the other one, or set KAFKA_BROKERS to run several.`,
    );
  }

  #sweep(ownFile: TopicWriter): void {
    const { reader, writer } = this.#file(ownFile);
    const retention = new SqliteRetention({ reader, writer, offsets: this.#offsets });
    this.#sweeping ??= retention.sweep(Date.now(), this.#closing.signal)
      // A file that is busy now is swept next time: what has expired only takes room.
      .catch((error) => {
        if (!(error instanceof LogUnavailableError)) throw error;
      })
      .finally(() => this.#sweeping = null);
  }

  #refuseIfClosed(): void {
    if (this.#closing.signal.aborted) throw closedError();
  }
}

function closedError(): LogUnavailableError {
  return new LogUnavailableError("Cannot use the log: this process has closed it.");
}
