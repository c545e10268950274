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
  /** Called once at the end: takes away whatever the log keeps. */
  remove(): Promise<void>;
};

/** Tests by name. */
export type ContractTests = Readonly<Record<string, (context: Context) => Promise<void>>>;

/** What one test works with: names nobody else uses, so that tests do not meet in a log that outlives them. */
export class Context {
  readonly #opened: TopicLog[] = [];

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
  };
  return { handler, records, batches, calls };
}

export async function ends(log: TopicLog, topic: string): Promise<number[]> {
  return (await log.bounds(topic)).map((bounds) => bounds.endOffset);
}
