import {
  LogUnavailableError,
  type RecordPosition,
  RecordRefusedError,
  type RecordToPublish,
} from "../topic.ts";

/** Bounds of what is sent at once and of what may wait. */
export type MicroBatcherBounds = {
  /** Most records in one send. */
  readonly recordsMax: number;
  /** Most bytes in one send: all records of one send for one partition become one record batch, which the broker bounds. */
  readonly bytesMax: number;
  /** Bytes that may wait or be in flight before a publish is turned away. */
  readonly waitingBytesMax: number;
};

/** Sends records in order and answers their positions in the same order. */
export type SendRecords = (
  topic: string,
  records: readonly RecordToPublish[],
) => Promise<readonly RecordPosition[]>;

type Call = {
  readonly topic: string;
  readonly records: readonly RecordToPublish[];
  readonly bytes: number;
  readonly resolve: (positions: readonly RecordPosition[]) => void;
  readonly reject: (error: unknown) => void;
};

/** What a record costs on the wire beside its key, value and headers, in bytes. */
const RECORD_OVERHEAD_BYTES = 64;

/**
 * Sends everything that was queued while the previous send was in flight, and one send at a time: an idempotent
 * producer keeps its order only so. No timer waits for more.
 */
export class MicroBatcher {
  #queue: Call[] = [];
  #waitingBytes = 0;
  #sending: Promise<void> | null = null;

  constructor(private readonly send: SendRecords, private readonly bounds: MicroBatcherBounds) {}

  publish(topic: string, records: readonly RecordToPublish[]): Promise<readonly RecordPosition[]> {
    const bytes = records.reduce((sum, record) => sum + recordBytes(record), 0);
    return new Promise((resolve, reject) => {
      if (records.length === 0) return resolve([]);
      if (this.#waitingBytes > 0 && this.#waitingBytes + bytes > this.bounds.waitingBytesMax) {
        return reject(
          new LogUnavailableError(
            `Cannot publish to "${topic}" now: ${this.#waitingBytes} bytes already wait for the broker. Try again later.`,
          ),
        );
      }
      this.#waitingBytes += bytes;
      this.#queue.push({ topic, records, bytes, resolve, reject });
      this.#sending ??= this.#run();
    });
  }

  /** Resolves when nothing waits any more. */
  async drain(): Promise<void> {
    while (this.#sending) await this.#sending;
  }

  async #run(): Promise<void> {
    await Promise.resolve();
    while (this.#queue.length > 0) {
      await this.#sendTogether(this.#take());
    }
    this.#sending = null;
  }

  /** The next send: whole calls of one topic, in order, within the bounds; at least one. */
  #take(): Call[] {
    const [first] = this.#queue;
    let records = 0;
    let bytes = 0;
    let count = 0;
    for (const call of this.#queue) {
      const fits = records + call.records.length <= this.bounds.recordsMax &&
        bytes + call.bytes <= this.bounds.bytesMax;
      if (call.topic !== first!.topic || (count > 0 && !fits)) break;
      records += call.records.length;
      bytes += call.bytes;
      count++;
    }
    return this.#queue.splice(0, count);
  }

  async #sendTogether(calls: readonly Call[]): Promise<void> {
    try {
      const positions = await this.#sendInBounds(calls[0]!.topic, calls.flatMap((call) => call.records));
      let at = 0;
      for (const call of calls) {
        this.#waitingBytes -= call.bytes;
        call.resolve(positions.slice(at, at += call.records.length));
      }
    } catch (error) {
      // One record that is refused fails its whole send: alone, each call learns its own fate. A right is missing for all.
      if (calls.length > 1 && error instanceof RecordRefusedError && error.code !== "not_authorised") {
        for (const call of calls) await this.#sendTogether([call]);
        return;
      }
      for (const call of calls) {
        this.#waitingBytes -= call.bytes;
        call.reject(error);
      }
    }
  }

  /** One call may be larger than a send: it goes out in several, in order. */
  async #sendInBounds(
    topic: string,
    records: readonly RecordToPublish[],
  ): Promise<readonly RecordPosition[]> {
    const positions: RecordPosition[] = [];
    for (let from = 0; from < records.length;) {
      let to = from;
      let bytes = 0;
      while (to < records.length && to - from < this.bounds.recordsMax) {
        const size = recordBytes(records[to]!);
        if (to > from && bytes + size > this.bounds.bytesMax) break;
        bytes += size;
        to++;
      }
      positions.push(...await this.send(topic, records.slice(from, to)));
      from = to;
    }
    return positions;
  }
}

/** Bytes of a record as the bounds count them. */
export function recordBytes(record: RecordToPublish): number {
  let bytes = RECORD_OVERHEAD_BYTES + record.value.length + (record.key?.length ?? 0);
  for (const name in record.headers) bytes += name.length + record.headers[name]!.length * 3;
  return bytes;
}
