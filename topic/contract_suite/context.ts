import type { LogRole } from "../log_config.ts";
import type {
  ConsumeOptions,
  PartitionHandler,
  RecordBatch,
  RecordToPublish,
  TopicLog,
  TopicRecord,
  TopicSpec,
} from "../topic.ts";

/** The log under test; the suite closes what it opens. */
export type ContractAdapter = {
  /** One more handle on the same log, as another process would have it. */
  open(role: LogRole): Promise<TopicLog>;
  /** Another program that writes to the same log; missing where only this one can. */
  other?(): OtherClient;
  /** Called once at the end: takes away whatever the log keeps. */
  remove(): Promise<void>;
};

/** A record as any program may write it. */
export type OtherRecord = {
  readonly key?: string | null;
  readonly value: string | null;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Default: the key's, and without one any. */
  readonly partition?: number;
};

/** What other programs do to a log that this one reads. Topics that they make have one partition. */
export type OtherClient = {
  topic(name: string, settings?: Readonly<Record<string, string>>): Promise<void>;
  publish(
    topic: string,
    records: readonly OtherRecord[],
    options?: { readonly codec?: "gzip" | "zstd" },
  ): Promise<void>;
  /** Publishes in a transaction, which stays open until it is ended. */
  transaction(topic: string, records: readonly OtherRecord[]): Promise<{
    commit(): Promise<void>;
    abort(): Promise<void>;
  }>;
  deleteBelow(topic: string, offset: number): Promise<void>;
  deleteTopic(topic: string): Promise<void>;
  /** In the format of clients of before Kafka 0.11; `refused` by brokers that take it no more. */
  publishAsBefore011(topic: string, records: readonly OtherRecord[]): Promise<"taken" | "refused">;
  close(): Promise<void>;
};

/** Ends a test as not run, for a reason that shows only while it runs. */
export class NotHere extends Error {
  override name = "NotHere";
}

/** Tests by name. */
export type ContractTests = Readonly<Record<string, (context: Context) => Promise<void>>>;

/** What one test works with: names nobody else uses, so that tests do not meet in a log that outlives them. */
export class Context {
  readonly #opened: TopicLog[] = [];
  #other: OtherClient | null = null;

  private constructor(private readonly adapter: ContractAdapter) {}

  static async begin(adapter: ContractAdapter): Promise<Context> {
    const context = new Context(adapter);
    await context.open("processor");
    return context;
  }

  /** The handle that most tests are content with. */
  get log(): TopicLog {
    return this.#opened[0]!;
  }

  async open(role: LogRole): Promise<TopicLog> {
    const log = await this.adapter.open(role);
    this.#opened.push(log);
    return log;
  }

  get other(): OtherClient {
    if (!this.adapter.other) throw new NotHere("no other program writes to this log");
    return this.#other ??= this.adapter.other();
  }

  name(kind: "topic" | "group"): string {
    return `contract-${kind}-${crypto.randomUUID()}`;
  }

  /** A new topic. */
  async topic(settings: Partial<TopicSpec> = {}): Promise<string> {
    const spec = { ...SPEC, name: this.name("topic"), ...settings };
    await this.log.ensureTopic(spec);
    return spec.name;
  }

  /** Joins a group with a handler that writes down what happens to it. */
  consume(options: Omit<ConsumeOptions, "handler">, behaviour: Partial<PartitionHandler> = {}) {
    const seen = observed(behaviour);
    return { ...seen, consumption: this.log.consume({ ...options, handler: seen.handler }) };
  }

  async end(): Promise<void> {
    for (const log of this.#opened) await log.close();
    await this.#other?.close();
  }
}

const SPEC: Omit<TopicSpec, "name"> = {
  partitions: 3,
  retentionMs: null,
  retentionBytes: null,
  recordBytesMax: 100_000,
};

export const bytes = (text: string) => new TextEncoder().encode(text);
export const text = (value: Uint8Array) => new TextDecoder().decode(value);
export const texts = (records: readonly TopicRecord[]) => records.map((record) => text(record.value));

/** A record that says nothing but `value`. */
export function saying(value: string, settings: Partial<RecordToPublish> = {}): RecordToPublish {
  return { key: null, value: bytes(value), headers: {}, timestamp: Date.UTC(2026, 0, 1), ...settings };
}

export function numbered(
  count: number,
  settings: Partial<RecordToPublish> = {},
  first = 0,
): RecordToPublish[] {
  return Array.from({ length: count }, (_, i) => saying(String(first + i), settings));
}

/** Everything that a partition holds now. */
export async function all(log: TopicLog, topic: string, partition = 0): Promise<TopicRecord[]> {
  const { endOffset } = (await log.bounds(topic))[partition]!;
  return await collect(log.read(topic, { partition, from: 0, until: endOffset }));
}

export async function collect(batches: AsyncIterable<RecordBatch>): Promise<TopicRecord[]> {
  const records: TopicRecord[] = [];
  for await (const batch of batches) records.push(...batch.records);
  return records;
}

/** A handler that writes down what happens to it. */
export function observed(behaviour: Partial<PartitionHandler> = {}) {
  const records: TopicRecord[] = [];
  const batches: RecordBatch[] = [];
  const calls: string[] = [];
  const handler: PartitionHandler = {
    async assigned(partition, control) {
      calls.push(`assigned ${partition}`);
      return await behaviour.assigned?.(partition, control) ?? null;
    },
    async handle(batch, control) {
      calls.push(`handle ${batch.partition}`);
      const verdict = await behaviour.handle?.(batch, control) ?? "handled";
      batches.push(batch);
      records.push(...batch.records);
      return verdict;
    },
    async revoked(partition) {
      await behaviour.revoked?.(partition);
      calls.push(`revoked ${partition}`);
    },
    ...(behaviour.unreadable ? { unreadable: behaviour.unreadable } : {}),
  };
  return { handler, records, batches, calls };
}

export async function ends(log: TopicLog, topic: string): Promise<number[]> {
  return (await log.bounds(topic)).map((bounds) => bounds.endOffset);
}
