import { type Clock, systemClock } from "../../runtime/clock.ts";
import { backOffMs, retry } from "../../runtime/retry.ts";
import { type Fetched, type KafkaFetcher, noLeader } from "./fetcher.ts";
import { typeOf } from "./errors.ts";
import { OwnedPartition } from "./owned_partition.ts";
import {
  type Consumption,
  LogSetupError,
  type PartitionBounds,
  type PartitionHandler,
  type UnreadableRecords,
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
  readonly fetcher: Pick<KafkaFetcher, "connect" | "leaderOf" | "fetch" | "boundsOf" | "recover" | "close">;
  readonly committed: () => Promise<readonly (number | null)[]>;
  /** What an operator is told of an error of the client. */
  readonly messageOf: (error: unknown) => string;
  /** For the waits between attempts; default the machine's. */
  readonly clock?: Clock;
};

/** Longest wait of the broker for the first record, in ms. */
const FETCH_WAIT_MS = 250;
const BACK_OFF = { msFirst: 100, msMax: 2_000 };
/** How soon records that cannot be read are read and asked about again, in ms. */
const STANDING_MS = 5_000;
const COMMIT_RETRY_MS = 1_000;

/**
 * Reads for a group: the client's membership says what this member owns, records are fetched by position, and the next
 * offsets are committed behind the handler. The handler's own position is the truth; a commit that fails is made good
 * later and harms nothing. Only what the group says is ours is committed: the broker does not check, and an offset of
 * a partition that has moved on would take its new owner back.
 */
export class KafkaConsumption implements Consumption {
  readonly ended: Promise<void>;
  #owned = new Map<number, OwnedPartition>();
  /** The last life of each partition here, until it has ended. */
  #leaving = new Map<number, OwnedPartition>();
  /** Brokers that are being asked for records. */
  #asked = new Set<number>();
  #clock: Clock;
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
    this.#clock = options.clock ?? systemClock;
    this.ended = new Promise((resolve, reject) => {
      this.#finish = resolve;
      this.#fail = reject;
    });
    this.ended.catch(() => {});
    void this.#join();
    void this.#fetchLoop();
  }

  state(): ReturnType<Consumption["state"]> {
    const owned = [...this.#owned.values()].sort((a, b) => a.partition - b.partition);
    const partitions = owned.map(({ partition }) => partition);
    // Without the bytes: this is looked at, compared and passed on several times a second.
    const stand = owned.flatMap(({ standing }) => standing === null ? [] : [{ ...standing, bytes: null }]);
    const standing = stand.length > 0 ? { standing: stand } : {};
    const [reason] = [...this.#away.values(), ...owned.flatMap(({ trouble }) => trouble ?? [])];
    if (reason !== undefined) return { is: "away", partitions, reason, ...standing };
    return { is: this.#joined ? "joined" : "joining", partitions, ...standing };
  }

  commit(partition: number, nextOffset: number): void {
    // One that came back at once is in its former life still, and is committed for the new one.
    const owned = this.#owned.get(partition) ?? this.#leaving.get(partition);
    if (owned && nextOffset > (owned.nextOffset ?? -1)) this.#commitLater(owned, nextOffset);
  }

  reassign(partition: number): void {
    const owned = this.#owned.get(partition);
    if (!owned) return;
    owned.isToBeginAnew = true;
    owned.wake();
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
    const owned = new OwnedPartition(partition);
    // A partition that came back at once waits until its former life here has ended.
    const before = this.#leaving.get(partition)?.work ?? Promise.resolve();
    this.#owned.set(partition, owned);
    owned.work = before.then(() => this.#work(owned)).catch((error) => {
      this.#fail(error);
      void this.stop();
    });
  }

  #release(owned: OwnedPartition): void {
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
  async #work(owned: OwnedPartition): Promise<void> {
    const { partition, gone } = owned;
    const { handler } = this.options;
    if (gone.signal.aborted) return;
    try {
      while (!gone.signal.aborted) {
        const start = await handler.assigned(partition, { signal: gone.signal });
        if (gone.signal.aborted) break;
        owned.isToBeginAnew = false;
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

  /** Hands batches over until the partition has gone or is to begin anew. */
  async #flow(owned: OwnedPartition): Promise<void> {
    const { handler, batchRecordsMax, batchBytesMax } = this.options;
    const { signal } = owned.gone;
    while (!signal.aborted) {
      const batch = await owned.next(batchRecordsMax, batchBytesMax);
      if (batch === null) return owned.stopFetching();
      this.#wake();
      if ("reason" in batch) {
        await this.#stand(owned, batch);
        continue;
      }
      owned.standing = null;
      const answer = await handler.handle(batch, { signal, heartbeat: yieldTurn });
      if (answer === "reassign") return owned.stopFetching();
      if (answer === "handled") this.#commitLater(owned, batch.nextOffset);
    }
  }

  /** Until the handler passes over them, or they can be read after all. */
  async #stand(owned: OwnedPartition, records: UnreadableRecords): Promise<void> {
    const { signal } = owned.gone;
    owned.standing = records;
    if (await this.options.handler.unreadable?.(records) === "skip") {
      owned.standing = null;
      return owned.skipUnreadable();
    }
    await this.#clock.wait(STANDING_MS, signal);
    if (signal.aborted) return;
    owned.startAt(owned.position);
    this.#wake();
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
        return committed ?? (await this.options.fetcher.boundsOf(partition)).startOffset;
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
      clock: this.#clock,
      signal,
      failed: ({ error }) => void this.#away.set(what, this.options.messageOf(error)),
    });
  }

  // ---- records

  async #fetchLoop(): Promise<void> {
    for (let failures = 0; !this.#stop.signal.aborted;) {
      try {
        await this.options.fetcher.connect();
      } catch (error) {
        this.#away.set("records", this.options.messageOf(error));
        await this.#clock.wait(backOffMs(++failures, BACK_OFF), this.#stop.signal);
        continue;
      }
      failures = 0;
      this.#away.delete("records");
      this.#askLeaders();
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /** Asks every broker that is not being asked already: none waits for another's answer. */
  #askLeaders(): void {
    if (this.#stop.signal.aborted) return;
    const hungry = [...this.#owned.values()].filter((owned) => owned.wantsMore());
    const byLeader = Map.groupBy(hungry, ({ partition }) => this.options.fetcher.leaderOf(partition));
    for (const [leader, some] of byLeader) {
      if (leader === null) void this.#failed(some, noLeader(some[0]!.partition));
      else if (!this.#asked.has(leader)) void this.#ask(leader, some);
    }
  }

  async #ask(leader: number, some: readonly OwnedPartition[]): Promise<void> {
    this.#asked.add(leader);
    const asked = new Map(some.map((owned) => [owned.partition, { owned, epoch: owned.epoch }]));
    const wanted = some.map(({ partition, fetchFrom }) => ({ partition, from: fetchFrom }));
    try {
      const answers = await this.options.fetcher.fetch(leader, wanted, { waitMs: FETCH_WAIT_MS });
      for (const answer of answers) {
        const { owned, epoch } = asked.get(answer.partition)!;
        if (owned.epoch === epoch) this.#answered(owned, answer);
      }
    } catch (error) {
      void this.#failed(some, error);
    } finally {
      this.#asked.delete(leader);
      this.#wake();
    }
  }

  #answered(owned: OwnedPartition, answer: Fetched): void {
    if (answer.error !== undefined) return void this.#failed([owned], answer.error);
    owned.trouble = null;
    owned.failures = 0;
    owned.push(answer);
  }

  /** These partitions pause; the others flow meanwhile. */
  async #failed(some: readonly OwnedPartition[], error: unknown): Promise<void> {
    for (const owned of some) owned.pause();
    try {
      if (typeOf(error) === "OFFSET_OUT_OF_RANGE") {
        for (const owned of some) {
          this.#moveIntoBounds(owned, await this.options.fetcher.boundsOf(owned.partition));
        }
      } else {
        for (const owned of some) owned.trouble = this.options.messageOf(error);
        await this.options.fetcher.recover(error);
      }
    } catch (again) {
      for (const owned of some) owned.trouble = this.options.messageOf(again);
    }
    const failures = Math.max(...some.map((owned) => owned.failures));
    await this.#clock.wait(backOffMs(failures, BACK_OFF), this.#stop.signal);
    for (const owned of some) owned.resume();
    this.#wake();
  }

  /** What retention took is passed over; an offset that the log has not reached belongs to another log. */
  #moveIntoBounds(owned: OwnedPartition, { startOffset, endOffset }: PartitionBounds): void {
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

  #commitLater(owned: OwnedPartition, nextOffset: number): void {
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

/** Heartbeats go on beside the handlers; a turn of the event loop is all they need. */
function yieldTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
