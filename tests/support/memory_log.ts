import { boundsIn } from "../../topic/group_lag.ts";
import { partitionFor } from "../../topic/partitioner.ts";
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
  RecordRefusedError,
  type RecordToPublish,
  type TopicLog,
  type TopicRecord,
  type TopicSpec,
  type UnreadableRecords,
  UnreadableRecordsError,
} from "../../topic/topic.ts";
import { MemoryGroup } from "./memory_group.ts";

/**
 * The log's port in memory, for tests that look at what stands above it. Several members may join one group; they
 * share its partitions as on Kafka (revoked before another is assigned).
 *
 * What it does not imitate: the 5 s between two questions about what cannot be read (any change of the log asks again), durability (it ends with the process), heartbeats and session time-outs, retention by
 * time or size (see `trim`).
 */
export type MemoryLogOptions = {
  /** Records in the next batch of a consumer or reader, beside the bound that it asked for; default no bound. */
  readonly batchRecords?: () => number;
  /** Offsets left out before a record that is published; default 0. */
  readonly gapBefore?: (position: RecordPosition) => number;
};

const BATCH_BYTES_MAX = 4 * 1024 * 1024;

export class MemoryLog implements TopicLog {
  readonly kind = "kafka";
  readonly #topics: Map<string, MemoryTopic>;
  readonly #groups: Map<string, MemoryGroup>;
  readonly #consumptions = new Set<Consumption>();
  #away = false;
  #standsFor: MemoryLog | null = null;
  #closed = false;

  /** With `shared`: one more handle on the same records and groups, as another process would have it. */
  constructor(private readonly options: MemoryLogOptions = {}, shared?: MemoryLog) {
    this.#topics = shared ? shared.#topics : new Map();
    this.#groups = shared ? shared.#groups : new Map();
  }

  ensureTopic(spec: TopicSpec): Promise<void> {
    const known = this.#topics.get(spec.name);
    if (spec.partitionsExact && known && known.partitions.length > spec.partitions) {
      return Promise.reject(new LogSetupError(`Cannot use "${spec.name}": it has too many partitions.`));
    }
    if (known) known.raise(spec);
    else this.#topics.set(spec.name, new MemoryTopic(spec));
    return Promise.resolve();
  }

  async topicId(topic: string): Promise<string> {
    await Promise.resolve();
    return this.#standsFor?.topicId(topic) ?? this.#topic(topic).id;
  }

  /** Its topics have the ids of the other's from here on: it holds the same records, or what was left of them. */
  standFor(other: MemoryLog): void {
    this.#standsFor = other;
  }

  /** While it is away `publish` rejects and nobody gets a batch. */
  setAway(away: boolean): void {
    this.#away = away;
    for (const topic of this.#topics.values()) topic.wake();
  }

  /** Drops the records below `startOffset`, as retention does. */
  trim(topic: string, { partition, startOffset }: { partition: number; startOffset: number }): void {
    this.#topic(topic).partition(partition).trim(startOffset);
  }

  /** Puts records at the partition's end that nobody can read, `records` of them; answers where. */
  appendUnreadable(
    topic: string,
    { partition, reason = "its codec 9 is not known", records = 1, bytes = null }: {
      partition: number;
      reason?: string;
      records?: number;
      bytes?: Uint8Array | null;
    },
  ): RecordPosition {
    const target = this.#topic(topic);
    const { end: offset } = target.partition(partition);
    target.partition(partition).appendUnreadable({ nextOffset: offset + records, reason, bytes });
    target.wake();
    return { partition, offset };
  }

  /** Takes an offset that brings no record, as the end of another program's transaction does on Kafka. */
  endTransaction(topic: string, partition: number): void {
    const target = this.#topic(topic);
    target.partition(partition).end++;
    target.wake();
  }

  /** Everything a partition holds, for looking at from a test. */
  records(topic: string, partition = 0): readonly TopicRecord[] {
    return this.#topic(topic).partition(partition).records;
  }

  publish(topic: string, records: readonly RecordToPublish[]): Promise<readonly RecordPosition[]> {
    if (this.#away || this.#closed) return Promise.reject(new LogUnavailableError("The memory log is away."));
    let target: MemoryTopic;
    try {
      target = this.#topic(topic);
    } catch (error) {
      return Promise.reject(error);
    }
    const tooLarge = records.find((record) => bytesOf(record) > target.spec.recordBytesMax);
    if (tooLarge) {
      const message = `Cannot publish a record of ${bytesOf(tooLarge)} bytes to "${topic}": it takes ` +
        `${target.spec.recordBytesMax}.`;
      return Promise.reject(new RecordRefusedError("record_too_large", message));
    }
    const positions = records.map((record) => target.append(record, this.options.gapBefore ?? (() => 0)));
    target.wake();
    return Promise.resolve(positions);
  }

  consume(options: ConsumeOptions): Consumption {
    const consumption = this.#group(options.topic, options.group).join(options);
    this.#consumptions.add(consumption);
    return consumption;
  }

  async *read(topic: string, options: ReadOptions): AsyncIterable<RecordBatch> {
    const target = this.#topic(topic);
    const partition = target.partition(options.partition);
    let from = options.from;
    while (!options.signal?.aborted && !this.#closed) {
      if (options.until !== undefined && from >= options.until) return;
      const batch = partition.poll(from, {
        records: this.#batchRecords(options.batchRecordsMax),
        bytes: BATCH_BYTES_MAX,
        until: options.until ?? Infinity,
      });
      if (batch) {
        from = batch.nextOffset;
        yield batch;
        continue;
      }
      const unreadable = partition.unreadableAt(from);
      if (unreadable !== null && unreadable.offset < (options.until ?? Infinity)) {
        if (await options.unreadable?.(unreadable) !== "skip") {
          throw new UnreadableRecordsError(unreadable, topic);
        }
        from = unreadable.nextOffset;
        yield { partition: options.partition, records: [], nextOffset: from, endOffset: partition.end };
      } else if (options.until !== undefined && partition.end >= options.until) return;
      else await target.changed(options.signal);
    }
  }

  partitions(topic: string): Promise<number> {
    return Promise.resolve().then(() => this.#topic(topic).partitions.length);
  }

  boundsOf(topic: string, partition: number): Promise<PartitionBounds> {
    return Promise.resolve().then(() => boundsIn(this.#boundsNow(topic), { topic, partition }));
  }

  bounds(topic: string): Promise<readonly PartitionBounds[]> {
    return Promise.resolve().then(() => this.#boundsNow(topic));
  }

  #boundsNow(topic: string): readonly PartitionBounds[] {
    return this.#topic(topic).partitions.map(({ start, end }, partition) => ({
      partition,
      startOffset: start,
      endOffset: end,
    }));
  }

  committed(topic: string, group: string): Promise<readonly (number | null)[]> {
    return Promise.resolve().then(() => this.#group(topic, group).offsets());
  }

  async lag(topic: string, group: string, now: number): Promise<readonly PartitionLag[]> {
    const committed = await this.committed(topic, group);
    return this.#topic(topic).partitions.map((one, partition) => {
      const nextOffset = committed[partition] ?? null;
      const unread = one.records.filter((record) => record.offset >= (nextOffset ?? one.start));
      const oldest = unread[0];
      const unreadable = one.unreadable.filter((records) => records.nextOffset > (nextOffset ?? one.start));
      return {
        partition,
        nextOffset,
        endOffset: one.end,
        lag: unread.length + unreadable.length,
        lagSeconds: oldest ? Math.max(0, (now - oldest.timestamp) / 1000) : 0,
      };
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#consumptions].map((consumption) => consumption.stop()));
    for (const topic of this.#topics.values()) topic.wake();
  }

  #topic(name: string): MemoryTopic {
    const topic = this.#topics.get(name);
    if (!topic) throw new LogSetupError(`Cannot use topic "${name}": it does not exist.`);
    return topic;
  }

  #group(topic: string, group: string): MemoryGroup {
    const name = `${topic}\n${group}`;
    const known = this.#groups.get(name);
    if (known) return known;
    const target = this.#topic(topic);
    const made = new MemoryGroup({
      topic,
      partitions: () => target.partitions.length,
      bounds: (partition) => target.partition(partition),
      poll: (partition, { from, recordsMax, bytesMax = BATCH_BYTES_MAX }) =>
        this.#away ? null : target.partition(partition).poll(from, {
          records: this.#batchRecords(recordsMax),
          bytes: bytesMax,
          until: Infinity,
        }),
      changed: (signal) => target.changed(signal),
      unreadableAt: (partition, from) => this.#away ? null : target.partition(partition).unreadableAt(from),
      anythingChanged: async (signal) => {
        const changing = new AbortController();
        const any = AbortSignal.any([signal, changing.signal]);
        await Promise.race([...this.#topics.values()].map((one) => one.changed(any)));
        changing.abort();
      },
    });
    this.#groups.set(name, made);
    return made;
  }

  #batchRecords(asked = 500): number {
    return Math.max(1, Math.min(asked, this.options.batchRecords?.() ?? Infinity));
  }
}

class MemoryTopic {
  readonly id = crypto.randomUUID().replaceAll("-", "");
  readonly partitions: MemoryPartition[] = [];
  #waiting = new Set<() => void>();

  constructor(public spec: TopicSpec) {
    this.raise(spec);
  }

  /** Never lowers anything; retention is not imitated. */
  raise(spec: TopicSpec): void {
    const recordBytesMax = Math.max(this.spec.recordBytesMax, spec.recordBytesMax);
    this.spec = { ...this.spec, recordBytesMax, partitions: Math.max(this.spec.partitions, spec.partitions) };
    while (this.partitions.length < spec.partitions) {
      this.partitions.push(new MemoryPartition(this.partitions.length));
    }
    this.wake();
  }

  partition(number: number): MemoryPartition {
    const found = this.partitions[number];
    if (!found) {
      throw new LogSetupError(`Cannot use partition ${number} of "${this.spec.name}": no such one.`);
    }
    return found;
  }

  append(record: RecordToPublish, gapBefore: (position: RecordPosition) => number): RecordPosition {
    return this.partition(partitionFor(record, this.partitions.length)).append(record, gapBefore);
  }

  /** Resolves at the next change, or when `signal` aborts. */
  changed(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = () => {
        this.#waiting.delete(done);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      this.#waiting.add(done);
      signal?.addEventListener("abort", done);
    });
  }

  wake(): void {
    for (const done of [...this.#waiting]) done();
  }
}

class MemoryPartition {
  readonly records: TopicRecord[] = [];
  readonly unreadable: UnreadableRecords[] = [];
  start = 0;
  end = 0;

  constructor(readonly number: number) {}

  append(record: RecordToPublish, gapBefore: (position: RecordPosition) => number): RecordPosition {
    const offset = this.end + gapBefore({ partition: this.number, offset: this.end });
    this.records.push({
      partition: this.number,
      offset,
      timestamp: record.timestamp,
      key: record.key === null ? null : record.key.slice(),
      value: record.value.slice(),
      headers: { ...record.headers },
    });
    this.end = offset + 1;
    return { partition: this.number, offset };
  }

  appendUnreadable(records: Omit<UnreadableRecords, "partition" | "offset">): void {
    this.unreadable.push({ partition: this.number, offset: this.end, ...records });
    this.end = records.nextOffset;
  }

  /** The first at or behind `from`, whole or in part. */
  unreadableAt(from: number): UnreadableRecords | null {
    const found = this.unreadable.find(({ nextOffset }) => nextOffset > Math.max(from, this.start));
    return found ? { ...found, offset: Math.max(found.offset, from) } : null;
  }

  poll(
    from: number,
    { records: most, bytes, until }: { records: number; bytes: number; until: number },
  ): RecordBatch | null {
    const first = this.#firstFrom(Math.max(from, this.start));
    const records: TopicRecord[] = [];
    const below = Math.min(until, this.unreadableAt(from)?.offset ?? Infinity);
    let taken = 0;
    for (let i = first; i < this.records.length && records.length < most && taken < bytes; i++) {
      const record = this.records[i]!;
      if (record.offset >= below) break;
      records.push(record);
      taken += record.value.length;
    }
    const isLast = first + records.length >= this.records.length;
    const nextOffset = isLast ? Math.min(this.end, below) : (records.at(-1)?.offset ?? from - 1) + 1;
    if (nextOffset <= Math.max(from, this.start)) return null;
    return { partition: this.number, records, nextOffset, endOffset: this.end };
  }

  trim(startOffset: number): void {
    this.records.splice(0, this.#firstFrom(startOffset));
    this.start = Math.max(this.start, startOffset);
    this.end = Math.max(this.end, startOffset);
  }

  #firstFrom(offset: number): number {
    let low = 0;
    let high = this.records.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.records[middle]!.offset < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function bytesOf(record: RecordToPublish): number {
  const headers = Object.entries(record.headers).reduce(
    (sum, [name, value]) => sum + name.length + value.length,
    0,
  );
  return (record.key?.length ?? 0) + record.value.length + headers;
}
