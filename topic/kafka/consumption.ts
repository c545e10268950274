import { systemClock } from "../../runtime/clock.ts";
import { backOffMs, retry } from "../../runtime/retry.ts";
import type { KafkaFetcher } from "./fetcher.ts";
import { typeOf } from "./errors.ts";
import {
  type Consumption,
  LogSetupError,
  type PartitionBounds,
  type PartitionHandler,
  type RecordBatch,
  type TopicRecord,
} from "../topic.ts";

/** Membership in a consumer group, as the client keeps it: who owns what, and the group's committed offsets. */
export type Membership = {
  /** Joins and stays joined; tells what it owns at each rebalance, and when it owns nothing any more. */
  join(callbacks: MembershipEvents): Promise<void>;
  /** Rejects where nothing was committed: then the offsets are given again later. */
  commit(offsets: ReadonlyMap<number, number>): Promise<void>;
  leave(): Promise<void>;
};
/** What a membership of a consumer group reports. */
export type MembershipEvents = {
  /** The group says so now: at each rebalance, and again when a membership that was lost turns out to hold. */
  owns(partitions: readonly number[]): void;
  /** No heartbeat went through for the session's time: another member may own everything by now. */
  lost(reason: string): void;
  /** The group cannot be reached; what is owned stays owned until `lost` or `owns`. */
  away(reason: string): void;
};

export type KafkaConsumptionOptions = {
  readonly handler: PartitionHandler;
  readonly batchRecordsMax: number;
  readonly batchBytesMax: number;
  readonly membership: Membership;
  readonly fetcher: Pick<KafkaFetcher, "fetch" | "recover" | "close">;
  readonly bounds: () => Promise<readonly PartitionBounds[]>;
  readonly committed: () => Promise<readonly (number | null)[]>;
  /** What an operator is told of an error of the client. */
  readonly messageOf: (error: unknown) => string;
};

/** Longest wait of the broker for the first record, in ms. */
const FETCH_WAIT_MS = 250;
/** Bytes fetched ahead per partition: while a batch is handled the next is on its way. */
const AHEAD_BYTES_MAX = 4 * 1024 * 1024;
/** What a record costs in memory beside its key and value, in bytes. */
const RECORD_OVERHEAD_BYTES = 200;
const BACK_OFF = { msFirst: 100, msMax: 2_000 };
const COMMIT_RETRY_MS = 1_000;

/**
 * Reads for a group: the client's membership says what this member owns, records are fetched by position, and the next
 * offsets are committed behind the handler. The handler's own position is the truth; a commit that fails is made good
 * later and harms nothing. Only what the group says is ours is committed: the broker does not check, and an offset of
 * a partition that has moved on would take its new owner back.
 */
export class KafkaConsumption implements Consumption {
  readonly ended: Promise<void>;
  #owned = new Map<number, Owned>();
  /** The last life of each partition here, until it has ended. */
  #leaving = new Map<number, Owned>();
  #uncommitted = new Map<number, number>();
  #committing: Promise<void> | null = null;
  #commitTimer: ReturnType<typeof setTimeout> | undefined;
  #joined = false;
  /** Why the log cannot be reached, by what was tried. */
  #away = new Map<"group" | "records" | "position", string>();
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
    const [reason] = this.#away.values();
    if (reason !== undefined) return { is: "away", partitions, reason } as const;
    return { is: this.#joined ? "joined" : "joining", partitions } as const;
  }

  stop(): Promise<void> {
    return this.#stopping ??= this.#stopNow();
  }

  async #stopNow(): Promise<void> {
    this.#stop.abort();
    this.#wake();
    for (const owned of [...this.#owned.values()]) this.#release(owned);
    await Promise.allSettled([...this.#leaving.values()].map((owned) => owned.work));
    clearTimeout(this.#commitTimer);
    await this.#committing;
    await this.#flushCommits();
    await this.options.membership.leave().catch(() => {});
    await this.options.fetcher.close().catch(() => {});
    this.#finish();
  }

  // ---- the group

  async #join(): Promise<void> {
    await this.#retry("group", {
      signal: this.#stop.signal,
      attempt: () =>
        this.options.membership.join({
          owns: (partitions) => this.#owns(partitions),
          lost: (reason) => this.#lost(reason),
          away: (reason) => void this.#away.set("group", reason),
        }),
    });
  }

  #owns(partitions: readonly number[]): void {
    this.#joined = true;
    this.#away.delete("group");
    this.#disown((partition) => !partitions.includes(partition));
    if (this.#stop.signal.aborted) return;
    for (const owned of [...this.#owned.values()]) {
      if (!partitions.includes(owned.partition)) this.#release(owned);
      // The client may have dropped a commit silently while it was out of the group.
      else if (owned.nextOffset !== null) this.#commitLater(owned, owned.nextOffset);
    }
    for (const partition of partitions) {
      if (!this.#owned.has(partition)) this.#take(partition);
    }
  }

  #lost(reason: string): void {
    this.#away.set("group", reason);
    this.#disown(() => true);
    for (const owned of [...this.#owned.values()]) this.#release(owned);
  }

  /** From now on another member's: what is in hand is finished, and not committed. */
  #disown(isGone: (partition: number) => boolean): void {
    for (const owned of [...this.#owned.values(), ...this.#leaving.values()]) {
      if (isGone(owned.partition)) owned.isOurs = false;
    }
    for (const partition of this.#uncommitted.keys()) {
      if (isGone(partition)) this.#uncommitted.delete(partition);
    }
  }

  #take(partition: number): void {
    const owned = new Owned(partition);
    // A partition that came back at once waits until its former life here has ended.
    const before = this.#leaving.get(partition)?.work ?? Promise.resolve();
    this.#owned.set(partition, owned);
    owned.work = before.then(() => this.#work(owned)).catch((error) => {
      this.#fail(error);
      void this.stop();
    });
  }

  #release(owned: Owned): void {
    const { partition } = owned;
    this.#owned.delete(partition);
    this.#leaving.set(partition, owned);
    owned.gone.abort();
    owned.wake();
    void owned.work!.then(() => {
      if (this.#leaving.get(partition) === owned) this.#leaving.delete(partition);
    });
  }

  // ---- one partition

  /** One partition's life here: assigned, batch by batch, revoked. */
  async #work(owned: Owned): Promise<void> {
    const { partition, gone } = owned;
    const { handler } = this.options;
    if (gone.signal.aborted) return;
    try {
      while (!gone.signal.aborted) {
        const start = await handler.assigned(partition, { signal: gone.signal });
        if (gone.signal.aborted) break;
        owned.startAt(await this.#position(partition, { start, signal: gone.signal }));
        if (start !== null) this.#commitLater(owned, start);
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
      this.#commitLater(owned, batch.nextOffset);
    }
  }

  async #position(
    partition: number,
    { start, signal }: { start: number | null; signal: AbortSignal },
  ): Promise<number> {
    if (start !== null) return start;
    const position = await this.#retry("position", {
      signal,
      attempt: async () => {
        const committed = (await this.options.committed())[partition] ?? null;
        return committed ?? (await this.options.bounds())[partition]?.startOffset ?? 0;
      },
    });
    this.#away.delete("position");
    return position ?? 0;
  }

  /** Attempts until it succeeds or `signal` aborts, and shows meanwhile that this is away. */
  async #retry<T>(
    what: "group" | "position",
    { signal, attempt }: { signal: AbortSignal; attempt: () => Promise<T> },
  ): Promise<T | undefined> {
    if (signal.aborted) return undefined;
    return await retry(attempt, {
      ...BACK_OFF,
      clock: systemClock,
      signal,
      failed: ({ error }) => void this.#away.set(what, this.options.messageOf(error)),
    });
  }

  // ---- records

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
        this.#away.delete("records");
        failures = 0;
        for (const answer of answers) {
          const { owned, epoch } = asked.get(answer.partition)!;
          if (owned.epoch === epoch) owned.push(answer);
        }
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        await this.#recover(error, { wanted, waitMs: backOffMs(++failures, BACK_OFF) });
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
        this.#away.set("records", this.options.messageOf(error));
        await this.options.fetcher.recover(error);
      }
    } catch (again) {
      this.#away.set("records", this.options.messageOf(again));
    }
    await systemClock.wait(waitMs, this.#stop.signal);
  }

  /** What retention took is passed over; an offset that the log has not reached belongs to another log. */
  #moveIntoBounds(owned: Owned, { startOffset, endOffset }: PartitionBounds): void {
    owned.skipTo(startOffset);
    if (owned.gone.signal.aborted || owned.fetchFrom <= endOffset) return;
    this.#fail(
      new LogSetupError(
        `Cannot read partition ${owned.partition} from offset ${owned.fetchFrom}: the log ends at ${endOffset}. It is not ` +
          "the log that this state was made from: point to the right brokers, or begin with an empty DATA_DIR.",
      ),
    );
    void this.stop();
  }

  // ---- commits

  #commitLater(owned: Owned, nextOffset: number): void {
    owned.nextOffset = nextOffset;
    if (!owned.isOurs) return;
    this.#uncommitted.set(owned.partition, nextOffset);
    this.#committing ??= this.#flushCommits();
  }

  /** Everything that came up while the last commit was on its way goes with the next. Never rejects. */
  async #flushCommits(): Promise<void> {
    await Promise.resolve();
    try {
      while (this.#uncommitted.size > 0) {
        const offsets = new Map(this.#uncommitted);
        await this.options.membership.commit(offsets);
        for (const [partition, nextOffset] of offsets) {
          if (this.#uncommitted.get(partition) === nextOffset) this.#uncommitted.delete(partition);
        }
      }
    } catch {
      // The offsets are advisory and stay noted; a rebalance or an outage passes.
      clearTimeout(this.#commitTimer);
      if (this.#stop.signal.aborted) return;
      this.#commitTimer = setTimeout(() => this.#committing ??= this.#flushCommits(), COMMIT_RETRY_MS);
    } finally {
      this.#committing = null;
    }
  }
}

/** A partition that this member owns now, and what has been fetched ahead of it. */
class Owned {
  readonly gone = new AbortController();
  work: Promise<void> | null = null;
  /** False once the group has given the partition to another member, or may have. */
  isOurs = true;
  /** What is to be committed, or was: everything below it is done. */
  nextOffset: number | null = null;
  /** Changes whenever what is on its way must not be used any more. */
  epoch = 0;
  fetchFrom = 0;
  #flowing = false;
  #ahead: TopicRecord[] = [];
  #at = 0;
  #aheadBytes = 0;
  #aheadOffset = 0;
  #endOffset = 0;
  #arrived = () => {};

  constructor(readonly partition: number) {}

  startAt(offset: number): void {
    this.epoch++;
    this.#flowing = true;
    this.fetchFrom = this.#aheadOffset = offset;
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

  push(fetched: RecordBatch): void {
    this.fetchFrom = fetched.nextOffset;
    this.#aheadOffset = fetched.nextOffset;
    this.#endOffset = fetched.endOffset;
    for (const record of fetched.records) {
      this.#ahead.push(record);
      this.#aheadBytes += memoryOf(record);
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
      const record = this.#ahead[this.#at++]!;
      bytes += record.value.length;
      this.#aheadBytes -= memoryOf(record);
    }
    const records = this.#ahead.slice(from, this.#at);
    const isLast = this.#at >= this.#ahead.length;
    if (isLast) this.#clear();
    return {
      partition: this.partition,
      records,
      nextOffset: isLast ? this.#aheadOffset : records.at(-1)!.offset + 1,
      endOffset: this.#endOffset,
    };
  }

  #clear(): void {
    this.#ahead = [];
    this.#at = 0;
    this.#aheadBytes = 0;
  }
}

function memoryOf({ key, value }: TopicRecord): number {
  return RECORD_OVERHEAD_BYTES + value.length + (key?.length ?? 0);
}

/** Heartbeats go on beside the handlers; a turn of the event loop is all they need. */
function yieldTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
