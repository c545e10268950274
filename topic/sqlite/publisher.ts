import { Buffer } from "node:buffer";
import { partitionFor } from "../partitioner.ts";
import { type Connection, OFFSETS_PER_PARTITION } from "./file.ts";
import { type FilePartition, missingTopic, nextOffsetOf, partitionsOf, readTopic } from "./topics.ts";
import { pause, type SqliteWriter } from "./writer.ts";
import {
  LogSetupError,
  LogUnavailableError,
  type RecordPosition,
  RecordRefusedError,
  type RecordToPublish,
} from "../topic.ts";

export type PublisherOptions = {
  /** Most records in one transaction: how long a second writer of the file may have to wait. */
  readonly transactionRecordsMax: number;
  /** Wait between two transactions, in ms, so that another process gets its turn; 0 for the file's own writer. */
  readonly pauseMs: number;
  /** Called after each commit. */
  readonly committed: () => void;
};

const TRANSACTION_BYTES_MAX = 8 * 1024 * 1024;
/** What may wait for its commit before a publish is turned away; one call alone may be larger. */
const QUEUE_RECORDS_MAX = 20_000;
const QUEUE_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Group commit: everything published while one commit runs shares the next. No timer waits for more, since a commit
 * takes long enough (0.2 ms) for others to queue, and a linger only makes both slower.
 */
export class SqlitePublisher {
  #queue: Call[] = [];
  #queuedRecords = 0;
  #queuedBytes = 0;
  #flushing: Promise<void> | null = null;

  constructor(private readonly writer: SqliteWriter, private readonly options: PublisherOptions) {}

  /** See `TopicLog.publish`. The bytes must stay as they are until it resolves: they are not copied. */
  publish(topic: string, records: readonly RecordToPublish[]): Promise<readonly RecordPosition[]> {
    const entries = records.map(entryOf);
    const bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
    return new Promise((resolve, reject) => {
      if (records.length === 0) return resolve([]);
      if (this.#isFull(records.length, bytes)) return reject(this.#full());
      this.#queue.push({ topic, entries, positions: [], ended: false, resolve, reject });
      this.#queuedRecords += records.length;
      this.#queuedBytes += bytes;
      this.#flushing ??= this.#flush();
    });
  }

  /** Resolves when everything queued has been committed or turned away. */
  async drain(): Promise<void> {
    while (this.#flushing) await this.#flushing;
  }

  #isFull(records: number, bytes: number): boolean {
    if (this.#queue.length === 0) return false;
    return this.#queuedRecords + records > QUEUE_RECORDS_MAX || this.#queuedBytes + bytes > QUEUE_BYTES_MAX;
  }

  #full(): LogUnavailableError {
    return new LogUnavailableError(
      `Cannot publish to the log file "${this.writer.path}" now: ${this.#queuedRecords} records (${this.#queuedBytes} ` +
        `bytes) already wait for their commit. Try again later.`,
    );
  }

  async #flush(): Promise<void> {
    await pause(0);
    while (this.#queue.length > 0) {
      await this.#commit(this.#take());
      await pause(this.options.pauseMs);
    }
    this.#flushing = null;
  }

  /** The next transaction's share of the queue: whole calls, but for one that is larger than a transaction. */
  #take(): Slice[] {
    const slices: Slice[] = [];
    let records = 0;
    let bytes = 0;
    for (const call of this.#queue) {
      const from = call.positions.length;
      let to = from;
      while (to < call.entries.length && records < this.options.transactionRecordsMax) {
        const size = call.entries[to]!.bytes;
        if (records > 0 && bytes + size > TRANSACTION_BYTES_MAX) break;
        bytes += size;
        records++;
        to++;
      }
      if (to > from) slices.push({ call, from, to });
      if (to < call.entries.length) break;
    }
    return slices;
  }

  async #commit(slices: readonly Slice[]): Promise<void> {
    try {
      const outcomes = await this.writer.transaction((connection) => {
        const appending = new Appending(connection);
        const outcomes = slices.map((slice) => appending.append(slice));
        appending.finish();
        return outcomes;
      });
      this.options.committed();
      slices.forEach((slice, i) => this.#settle(slice, outcomes[i]!));
    } catch (error) {
      for (const { call } of slices) this.#end(call, () => call.reject(error));
    }
    this.#queue = this.#queue.filter((call) => !call.ended);
  }

  #settle({ call }: Slice, outcome: readonly RecordPosition[] | Error): void {
    if (outcome instanceof Error) return this.#end(call, () => call.reject(outcome));
    for (const position of outcome) call.positions.push(position);
    if (call.positions.length === call.entries.length) this.#end(call, () => call.resolve(call.positions));
  }

  #end(call: Call, settle: () => void): void {
    call.ended = true;
    this.#queuedRecords -= call.entries.length;
    for (const entry of call.entries) this.#queuedBytes -= entry.bytes;
    settle();
  }
}

type Entry = { readonly record: RecordToPublish; readonly headers: string | null; readonly bytes: number };
type Call = {
  readonly topic: string;
  readonly entries: readonly Entry[];
  /** Of the entries committed so far. */
  readonly positions: RecordPosition[];
  ended: boolean;
  readonly resolve: (positions: readonly RecordPosition[]) => void;
  readonly reject: (error: unknown) => void;
};
type Slice = { readonly call: Call; readonly from: number; readonly to: number };

function entryOf(record: RecordToPublish): Entry {
  if (!Number.isSafeInteger(record.timestamp)) {
    throw new TypeError(
      `Cannot publish a record with timestamp ${record.timestamp}: whole milliseconds are needed.`,
    );
  }
  let bytes = record.value.length + (record.key?.length ?? 0);
  let named = false;
  for (const name in record.headers) {
    named = true;
    bytes += Buffer.byteLength(name) + Buffer.byteLength(record.headers[name]!);
  }
  return { record, headers: named ? JSON.stringify(record.headers) : null, bytes };
}

/** What the record counts towards `retentionBytes`: just what SQL finds again when the record is deleted. */
function storedBytes({ key, value }: RecordToPublish, headers: string | null): number {
  return value.length + (key?.length ?? 0) + (headers === null ? 0 : Buffer.byteLength(headers));
}

/** One transaction's view of the topics that it appends to. */
class Appending {
  readonly #topics = new Map<string, OpenTopic | null>();

  constructor(private readonly connection: Connection) {}

  /** The records' positions, or why the whole call is turned away (then nothing of this slice was appended). */
  append({ call, from, to }: Slice): RecordPosition[] | Error {
    const topic = this.#topic(call.topic);
    if (!topic) return missingTopic(call.topic);
    const refusal = from === 0 ? refusalOf(call, topic) : null;
    if (refusal) return refusal;
    return call.entries.slice(from, to).map((entry) => this.#insert(topic, entry));
  }

  /** Writes down the sizes of the partitions of topics that have a bound. */
  finish(): void {
    for (const topic of this.#topics.values()) {
      if (!topic?.hasBytesBound) continue;
      for (const { id, addedBytes } of topic.partitions) {
        this.connection.run("update topic_partition set bytes = bytes + ? where id = ?", addedBytes, id);
      }
    }
  }

  #insert(topic: OpenTopic, { record, headers }: Entry): RecordPosition {
    const number = partitionFor(record, topic.partitions.length);
    const partition = topic.partitions[number]!;
    partition.nextOffset ??= nextOffsetOf(this.connection, partition);
    const offset = partition.nextOffset++;
    if (topic.hasBytesBound) partition.addedBytes += storedBytes(record, headers);
    this.connection.run(
      "insert into record (id, timestamp, key, value, headers) values (?, ?, ?, ?, ?)",
      partition.id * OFFSETS_PER_PARTITION + offset,
      record.timestamp,
      record.key,
      record.value,
      headers,
    );
    return { partition: number, offset };
  }

  #topic(name: string): OpenTopic | null {
    let topic = this.#topics.get(name);
    if (topic === undefined) this.#topics.set(name, topic = openTopic(this.connection, name));
    return topic;
  }
}

type OpenPartition = FilePartition & { nextOffset: number | null; addedBytes: number };
type OpenTopic = {
  readonly recordBytesMax: number;
  readonly hasBytesBound: boolean;
  readonly partitions: readonly OpenPartition[];
};

function openTopic(connection: Connection, name: string): OpenTopic | null {
  const topic = readTopic(connection, name);
  return topic && {
    recordBytesMax: topic.recordBytesMax,
    hasBytesBound: topic.retentionBytes !== null,
    partitions: partitionsOf(connection, name).map((one) => ({ ...one, nextOffset: null, addedBytes: 0 })),
  };
}

function refusalOf(call: Call, topic: OpenTopic): Error | null {
  for (const { record, bytes } of call.entries) {
    if (bytes > topic.recordBytesMax) {
      return new RecordRefusedError(
        "record_too_large",
        `Cannot publish a record of ${bytes} bytes to topic "${call.topic}": it takes ${topic.recordBytesMax} at most.`,
      );
    }
    const number = record.partition ?? 0;
    if (!Number.isInteger(number) || number < 0 || number >= topic.partitions.length) {
      return new LogSetupError(
        `Cannot publish to partition ${number} of topic "${call.topic}": it has ${topic.partitions.length} of them.`,
      );
    }
  }
  return null;
}
