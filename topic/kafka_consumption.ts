import { type Fetched, KafkaFetcher } from "./kafka_fetcher.ts";
import { typeOf } from "./kafka_errors.ts";
import {
  type Consumption,
  LogSetupError,
  type PartitionBounds,
  type PartitionHandler,
  type RecordBatch,
  type TopicRecord,
} from "./topic.ts";

/** Membership in a consumer group, as the client keeps it: who owns what, and the group's committed offsets. */
export type Membership = {
  /** Joins and stays joined; tells what it owns at each rebalance, and when it owns nothing any more. */
  join(tell: MembershipEvents): Promise<void>;
  commit(offsets: ReadonlyMap<number, number>): Promise<void>;
  leave(): Promise<void>;
};
export type MembershipEvents = {
  owns(partitions: readonly number[]): void;
  /** No heartbeat went through for the session's time: another member may own everything by now. */
  lost(words: string): void;
  away(words: string): void;
};

export type KafkaConsumptionOptions = {
  readonly handler: PartitionHandler;
  readonly batchRecordsMax: number;
  readonly batchBytesMax: number;
  readonly membership: Membership;
  readonly fetcher: KafkaFetcher;
  readonly bounds: () => Promise<readonly PartitionBounds[]>;
  readonly committed: () => Promise<readonly (number | null)[]>;
};

/** Longest wait of the broker for the first record, in ms. */
const FETCH_WAIT_MS = 250;
/** Bytes of values fetched ahead per partition: while a batch is handled the next is on its way. */
const AHEAD_BYTES_MAX = 4 * 1024 * 1024;
const BACK_OFF_MS_MAX = 2_000;
const COMMIT_RETRY_MS = 1_000;

/**
 * Reads for a group: the client's membership says what this member owns, records are fetched by position, and the next
 * offsets are committed behind the handler. The handler's own position is the truth; a commit that fails is made good
 * later and harms nothing.
 */
export class KafkaConsumption implements Consumption {
  readonly ended: Promise<void>;
  #owned = new Map<number, Owned>();
  #leaving: Promise<unknown>[] = [];
  #uncommitted = new Map<number, number>();
  #committing: Promise<void> | null = null;
  #commitTimer: ReturnType<typeof setTimeout> | undefined;
  #joined = false;
  #away: string | null = null;
  #stopping: Promise<void> | null = null;
  #stop = new AbortController();
  #wake = () => {};
  #fail: (error: unknown) => void = () => {};
  #finish: () => void = () => {};

  constructor(private readonly options: KafkaConsumptionOptions) {
    this.ended = new Promise((resolve, reject) => {
      this.#finish = resolve;
      this.#fail = reject;
    });
    this.ended.catch(() => {});
    void this.#join();
    void this.#fetchLoop();
  }

  state() {
    const partitions = [...this.#owned.keys()].sort((a, b) => a - b);
    if (this.#away !== null) return { is: "away", partitions, words: this.#away } as const;
    return { is: this.#joined ? "joined" : "joining", partitions } as const;
  }

  stop(): Promise<void> {
    return this.#stopping ??= this.#stopNow();
  }

  async #stopNow(): Promise<void> {
    this.#stop.abort();
    this.#wake();
    for (const owned of [...this.#owned.values()]) this.#release(owned);
    await Promise.allSettled(this.#leaving);
    clearTimeout(this.#commitTimer);
    await this.#flushCommits().catch(() => {});
    await this.options.membership.leave().catch(() => {});
    await this.options.fetcher.close().catch(() => {});
    this.#finish();
  }

  async #join(): Promise<void> {
    for (let wait = 100; !this.#stop.signal.aborted; wait = Math.min(wait * 2, BACK_OFF_MS_MAX)) {
      try {
        return await this.options.membership.join({
          owns: (partitions) => this.#owns(partitions),
          lost: (words) => {
            this.#away = words;
            for (const owned of [...this.#owned.values()]) this.#release(owned);
          },
          away: (words) => this.#away = words,
        });
      } catch (error) {
        this.#away = (error as Error).message;
        await pause(wait, this.#stop.signal);
      }
    }
  }

  #owns(partitions: readonly number[]): void {
    if (this.#stop.signal.aborted) return;
    this.#joined = true;
    this.#away = null;
    for (const owned of [...this.#owned.values()]) {
      if (!partitions.includes(owned.partition)) this.#release(owned);
    }
    for (const partition of partitions) {
      if (!this.#owned.has(partition)) this.#take(partition);
    }
  }

  #take(partition: number): void {
    const owned = new Owned(partition);
    // A partition that came back at once waits until its former life here has ended.
    const before = Promise.allSettled(this.#leaving);
    this.#owned.set(partition, owned);
    owned.work = before.then(() => this.#work(owned)).catch((error) => {
      this.#fail(error);
      void this.stop();
    });
  }

  #release(owned: Owned): void {
    this.#owned.delete(owned.partition);
    owned.gone.abort();
    owned.wake();
    const work = owned.work!;
    this.#leaving.push(work);
    work.finally(() => this.#leaving = this.#leaving.filter((other) => other !== work));
  }

  /** One partition's life here: assigned, batch by batch, revoked. */
  async #work(owned: Owned): Promise<void> {
    const { partition, gone } = owned;
    const { handler } = this.options;
    try {
      while (!gone.signal.aborted) {
        const start = await handler.assigned(partition, { signal: gone.signal });
        if (gone.signal.aborted) break;
        owned.startAt(await this.#position(partition, { start, signal: gone.signal }));
        if (start !== null) this.#commitLater(partition, start);
        this.#wake();
        await this.#flow(owned);
      }
    } finally {
      owned.stopFetching();
      await handler.revoked(partition);
    }
  }

  /** Hands batches over until the partition has gone or has to begin anew. */
  async #flow(owned: Owned): Promise<void> {
    const { handler, batchRecordsMax, batchBytesMax } = this.options;
    const { signal } = owned.gone;
    while (!signal.aborted) {
      const batch = await owned.next(batchRecordsMax, batchBytesMax);
      if (batch === null) return;
      this.#wake();
      if (await handler.handle(batch, { signal, heartbeat: yieldTurn }) === "reassign") {
        return owned.stopFetching();
      }
      this.#commitLater(owned.partition, batch.nextOffset);
    }
  }

  async #position(
    partition: number,
    { start, signal }: { start: number | null; signal: AbortSignal },
  ): Promise<number> {
    if (start !== null) return start;
    for (let wait = 100; !signal.aborted; wait = Math.min(wait * 2, BACK_OFF_MS_MAX)) {
      try {
        const committed = (await this.options.committed())[partition] ?? null;
        return committed ?? (await this.options.bounds())[partition]?.startOffset ?? 0;
      } catch (error) {
        this.#away = (error as Error).message;
        await pause(wait, signal);
      }
    }
    return 0;
  }

  async #fetchLoop(): Promise<void> {
    const { fetcher } = this.options;
    let failures = 0;
    while (!this.#stop.signal.aborted) {
      const wanted = [...this.#owned.values()].filter((owned) => owned.wantsMore());
      if (wanted.length === 0) {
        await new Promise<void>((resolve) => this.#wake = resolve);
        continue;
      }
      const asked = new Map(wanted.map((owned) => [owned.partition, { owned, epoch: owned.epoch }]));
      try {
        const answers = await fetcher.fetch(
          wanted.map(({ partition, fetchFrom }) => ({ partition, from: fetchFrom })),
          FETCH_WAIT_MS,
        );
        if (failures > 0 && this.#joined) this.#away = null;
        failures = 0;
        for (const answer of answers) {
          const { owned, epoch } = asked.get(answer.partition)!;
          if (owned.epoch === epoch) owned.push(answer);
        }
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        await this.#recover(error, { wanted, waitMs: Math.min(100 * 2 ** failures++, BACK_OFF_MS_MAX) });
      }
    }
  }

  async #recover(
    error: unknown,
    { wanted, waitMs }: { wanted: readonly Owned[]; waitMs: number },
  ): Promise<void> {
    try {
      if (typeOf(error) === "OFFSET_OUT_OF_RANGE") {
        const bounds = await this.options.bounds();
        for (const owned of wanted) this.#moveIntoBounds(owned, bounds[owned.partition]!);
      } else {
        this.#away = (error as Error).message;
        await this.options.fetcher.recover(error);
      }
    } catch (again) {
      this.#away = (again as Error).message;
    }
    await pause(waitMs, this.#stop.signal);
  }

  /** What retention took is passed over; an offset that the log has not reached belongs to another log. */
  #moveIntoBounds(owned: Owned, { startOffset, endOffset }: PartitionBounds): void {
    owned.skipTo(startOffset);
    if (owned.fetchFrom <= endOffset) return;
    this.#fail(
      new LogSetupError(
        `Cannot read partition ${owned.partition} from offset ${owned.fetchFrom}: the log ends at ${endOffset}. It is not ` +
          "the log that this state was made from: point to the right brokers, or begin with an empty DATA_DIR.",
      ),
    );
    void this.stop();
  }

  #commitLater(partition: number, nextOffset: number): void {
    this.#uncommitted.set(partition, nextOffset);
    this.#committing ??= this.#flushCommits().catch(() => {
      // The offset is advisory and stays noted; a rebalance or an outage passes.
      clearTimeout(this.#commitTimer);
      this.#commitTimer = setTimeout(() => {
        for (const [partition, nextOffset] of this.#uncommitted) this.#commitLater(partition, nextOffset);
      }, COMMIT_RETRY_MS);
    }).finally(() => this.#committing = null);
  }

  /** Everything that came up while the last commit was on its way goes with the next. */
  async #flushCommits(): Promise<void> {
    await Promise.resolve();
    while (this.#uncommitted.size > 0) {
      const offsets = new Map(this.#uncommitted);
      await this.options.membership.commit(offsets);
      for (const [partition, nextOffset] of offsets) {
        if (this.#uncommitted.get(partition) === nextOffset) this.#uncommitted.delete(partition);
      }
    }
  }
}

/** A partition that this member owns now, and what has been fetched ahead of it. */
class Owned {
  readonly gone = new AbortController();
  work: Promise<void> | null = null;
  /** Changes whenever what is on its way must not be used any more. */
  epoch = 0;
  fetchFrom = 0;
  #flowing = false;
  #ahead: TopicRecord[] = [];
  #at = 0;
  #aheadBytes = 0;
  #nextOffset = 0;
  #endOffset = 0;
  #arrived = () => {};

  constructor(readonly partition: number) {}

  startAt(offset: number): void {
    this.epoch++;
    this.#flowing = true;
    this.fetchFrom = this.#nextOffset = offset;
    this.#clear();
  }

  stopFetching(): void {
    this.epoch++;
    this.#flowing = false;
    this.#clear();
  }

  skipTo(startOffset: number): void {
    if (this.fetchFrom < startOffset) this.fetchFrom = startOffset;
  }

  wantsMore(): boolean {
    return this.#flowing && this.#aheadBytes < AHEAD_BYTES_MAX;
  }

  push(fetched: Fetched): void {
    this.fetchFrom = fetched.nextOffset;
    this.#nextOffset = fetched.nextOffset;
    this.#endOffset = fetched.endOffset;
    for (const record of fetched.records) {
      this.#ahead.push(record);
      this.#aheadBytes += record.value.length;
    }
    if (fetched.records.length > 0) this.#arrived();
  }

  wake(): void {
    this.#arrived();
  }

  /** The next batch within the bounds, as soon as there is one; null where the partition has gone. */
  async next(recordsMax: number, bytesMax: number): Promise<RecordBatch | null> {
    while (this.#at >= this.#ahead.length) {
      if (this.gone.signal.aborted) return null;
      await new Promise<void>((resolve) => this.#arrived = resolve);
    }
    if (this.gone.signal.aborted) return null;
    const from = this.#at;
    let bytes = 0;
    while (this.#at < this.#ahead.length && this.#at - from < recordsMax && bytes < bytesMax) {
      bytes += this.#ahead[this.#at++]!.value.length;
    }
    this.#aheadBytes -= bytes;
    const records = this.#ahead.slice(from, this.#at);
    const isLast = this.#at >= this.#ahead.length;
    if (isLast) this.#clear();
    return {
      partition: this.partition,
      records,
      nextOffset: isLast ? this.#nextOffset : records.at(-1)!.offset + 1,
      endOffset: this.#endOffset,
    };
  }

  #clear(): void {
    this.#ahead = [];
    this.#at = 0;
    this.#aheadBytes = 0;
  }
}

/** Heartbeats go on beside the handlers; a turn of the event loop is all they need. */
function yieldTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}
