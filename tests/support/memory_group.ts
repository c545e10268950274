import { setImmediate } from "node:timers";
import {
  type ConsumeOptions,
  type Consumption,
  LogSetupError,
  type RecordBatch,
  type UnreadableRecords,
} from "../../topic/topic.ts";

/** What a group of the memory log needs of its topic. */
export type GroupTopic = {
  readonly topic: string;
  partitions(): number;
  bounds(partition: number): { readonly start: number; readonly end: number };
  /** Null where nothing is there to read. */
  poll(partition: number, wanted: {
    readonly from: number;
    readonly recordsMax: number | undefined;
    readonly bytesMax: number | undefined;
  }): RecordBatch | null;
  /** What cannot be read and comes next, where `poll` answers null. */
  unreadableAt(partition: number, from: number): UnreadableRecords | null;
  /** Any topic of the log has changed: it stands for the 5 s after which what cannot be read is asked about again. */
  anythingChanged(signal: AbortSignal): Promise<void>;
  changed(signal: AbortSignal): Promise<void>;
};

/** The members of one consumer group and who owns which partition. A partition is revoked before it is assigned anew. */
export class MemoryGroup {
  readonly #committed = new Map<number, number>();
  readonly #members: Member[] = [];
  #rebalancing: Promise<void> = Promise.resolve();
  #known = 0;

  constructor(private readonly topic: GroupTopic) {}

  /** Committed next offsets by partition number. */
  offsets(): (number | null)[] {
    return Array.from(
      { length: this.topic.partitions() },
      (_, partition) => this.#committed.get(partition) ?? null,
    );
  }

  join(options: ConsumeOptions): Consumption {
    const member = new Member(this.topic, { options, committed: this.#committed });
    member.leave = () => this.#leave(member);
    this.#members.push(member);
    this.#rebalance();
    if (this.#members.length === 1) this.#followPartitions(member);
    return member;
  }

  async #leave(member: Member): Promise<void> {
    const place = this.#members.indexOf(member);
    if (place >= 0) this.#members.splice(place, 1);
    await member.giveUp(() => false);
    this.#rebalance();
  }

  /** Partitions that are added while the group has members come to them too. */
  async #followPartitions(first: Member): Promise<void> {
    while (!first.left.aborted) {
      await this.topic.changed(first.left);
      if (this.topic.partitions() > this.#known) this.#rebalance();
    }
    const [next] = this.#members;
    if (next) this.#followPartitions(next);
  }

  /** Partition i belongs to member i modulo their number, in the order of joining. */
  #rebalance(): void {
    this.#rebalancing = this.#rebalancing.then(async () => {
      const members = [...this.#members];
      this.#known = this.topic.partitions();
      const ownerOf = (partition: number) => members[partition % members.length];
      await Promise.all(members.map((member) => member.giveUp((partition) => ownerOf(partition) === member)));
      for (let partition = 0; partition < this.#known; partition++) {
        ownerOf(partition)?.take(partition);
      }
      for (const member of members) member.joined = true;
    });
  }
}

class Member implements Consumption {
  readonly ended: Promise<void>;
  joined = false;
  leave: () => Promise<void> = () => Promise.resolve();
  readonly #owned = new Map<number, { readonly taken: AbortController; readonly done: Promise<void> }>();
  /** Up to where each was committed since it was assigned. */
  readonly #reached = new Map<number, number>();
  /** Aborts where a partition is to begin anew. */
  readonly #anew = new Map<number, AbortController>();
  readonly #standing = new Map<number, UnreadableRecords>();
  readonly #options: ConsumeOptions;
  readonly #committed: Map<number, number>;
  readonly #leaving = new AbortController();
  #resolve!: () => void;
  #reject!: (error: unknown) => void;
  #stopping: Promise<void> | null = null;

  constructor(
    private readonly topic: GroupTopic,
    given: { readonly options: ConsumeOptions; readonly committed: Map<number, number> },
  ) {
    this.#options = given.options;
    this.#committed = given.committed;
    this.ended = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.ended.catch(() => {});
  }

  state() {
    return {
      is: this.joined ? "joined" as const : "joining" as const,
      partitions: [...this.#owned.keys()].sort(),
      ...(this.#standing.size > 0 ? { standing: [...this.#standing.values()] } : {}),
    };
  }

  /** Aborts when this member leaves. */
  get left(): AbortSignal {
    return this.#leaving.signal;
  }

  commit(partition: number, nextOffset: number): void {
    if (!this.#owned.has(partition) || nextOffset <= (this.#reached.get(partition) ?? -1)) return;
    this.#reached.set(partition, nextOffset);
    this.#committed.set(partition, nextOffset);
  }

  reassign(partition: number): void {
    this.#anew.get(partition)?.abort();
  }

  stop(): Promise<void> {
    this.#leaving.abort();
    this.#stopping ??= this.leave().then(() => this.#resolve());
    return this.#stopping;
  }

  take(partition: number): void {
    if (this.#owned.has(partition) || this.#stopping) return;
    const taken = new AbortController();
    const done = this.#run(partition, taken.signal).catch((error) => {
      this.#reject(error);
      this.#leaving.abort();
      this.#stopping ??= this.leave();
    });
    this.#owned.set(partition, { taken, done });
  }

  /** Gives every partition back that `keeps` does not name, after what is in flight. */
  async giveUp(keeps: (partition: number) => boolean): Promise<void> {
    const going = [...this.#owned].filter(([partition]) => !keeps(partition));
    for (const [, one] of going) one.taken.abort();
    await Promise.all(going.map(async ([partition, one]) => {
      await one.done;
      this.#owned.delete(partition);
    }));
  }

  async #run(partition: number, taken: AbortSignal): Promise<void> {
    const { handler } = this.#options;
    try {
      while (!taken.aborted) {
        this.#anew.delete(partition);
        this.#reached.delete(partition);
        const wanted = await handler.assigned(partition, { signal: taken });
        if (!taken.aborted) await this.#flow(partition, { from: this.#startFor(partition, wanted), taken });
      }
    } finally {
      this.#standing.delete(partition);
      await handler.revoked(partition);
    }
  }

  #startFor(partition: number, wanted: number | null): number {
    const { start, end } = this.topic.bounds(partition);
    if (wanted !== null && wanted > end) {
      throw new LogSetupError(
        `Cannot begin partition ${partition} of "${this.topic.topic}" at ${wanted}: the log ends at ${end}.`,
      );
    }
    return Math.max(wanted ?? this.#committed.get(partition) ?? start, start);
  }

  /** Hands over batch after batch until the partition is taken away or the handler wants it assigned anew. */
  async #flow(partition: number, { from, taken }: { from: number; taken: AbortSignal }): Promise<void> {
    const { handler, batchRecordsMax: recordsMax, batchBytesMax: bytesMax } = this.#options;
    const anew = new AbortController();
    this.#anew.set(partition, anew);
    const ends = AbortSignal.any([taken, anew.signal]);
    let next = from;
    while (!ends.aborted) {
      // One turn of the event loop per batch: a handler that waits for nothing must not keep everybody else waiting.
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (ends.aborted) return;
      const batch = this.topic.poll(partition, { from: next, recordsMax, bytesMax }) ??
        await this.#passOver(partition, { from: next, taken: ends });
      if (batch === "again") continue;
      if (!batch) {
        await this.topic.changed(ends);
        continue;
      }
      const heartbeat = () => Promise.resolve();
      const answer = await handler.handle(batch, { signal: taken, heartbeat });
      if (answer === "reassign") return;
      next = batch.nextOffset;
      if (answer === "handled") this.commit(partition, next);
    }
  }

  /** An empty batch behind what is passed over; `again` after standing there, null where nothing stands in the way. */
  async #passOver(
    partition: number,
    { from, taken }: { from: number; taken: AbortSignal },
  ): Promise<RecordBatch | "again" | null> {
    const unreadable = this.topic.unreadableAt(partition, from);
    this.#standing.delete(partition);
    if (unreadable === null) return null;
    const changing = new AbortController();
    const changed = this.topic.anythingChanged(AbortSignal.any([taken, changing.signal]));
    if (await this.#options.handler.unreadable?.(unreadable) === "skip") {
      changing.abort();
      const { nextOffset } = unreadable;
      return { partition, records: [], nextOffset, endOffset: this.topic.bounds(partition).end };
    }
    this.#standing.set(partition, unreadable);
    await changed;
    return "again";
  }
}
