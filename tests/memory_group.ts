import type { ConsumeOptions, Consumption, RecordBatch } from "../topic/topic.ts";

/** What a group of the memory log needs of its topic. */
export type GroupTopic = {
  readonly partitions: number;
  start(partition: number): number;
  /** Null where nothing is there to read. */
  poll(partition: number, wanted: { from: number; recordsMax: number | undefined }): RecordBatch | null;
  changed(signal: AbortSignal): Promise<void>;
};

/** The members of one consumer group and who owns which partition. A partition is revoked before it is assigned anew. */
export class MemoryGroup {
  readonly committed: (number | null)[];
  readonly #members: Member[] = [];
  #rebalancing: Promise<void> = Promise.resolve();

  constructor(private readonly topic: GroupTopic) {
    this.committed = Array.from({ length: topic.partitions }, () => null);
  }

  join(options: ConsumeOptions): Consumption {
    const member = new Member(this.topic, { options, committed: this.committed });
    member.leave = () => this.#leave(member);
    this.#members.push(member);
    this.#rebalance();
    return member;
  }

  async #leave(member: Member): Promise<void> {
    const place = this.#members.indexOf(member);
    if (place >= 0) this.#members.splice(place, 1);
    await member.giveUp(() => false);
    this.#rebalance();
  }

  /** Partition i belongs to member i modulo their number, in the order of joining. */
  #rebalance(): void {
    this.#rebalancing = this.#rebalancing.then(async () => {
      const members = [...this.#members];
      const ownerOf = (partition: number) => members[partition % members.length];
      await Promise.all(members.map((member) => member.giveUp((partition) => ownerOf(partition) === member)));
      for (let partition = 0; partition < this.topic.partitions; partition++) {
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
  readonly #options: ConsumeOptions;
  readonly #committed: (number | null)[];
  #resolve!: () => void;
  #reject!: (error: unknown) => void;
  #stopping: Promise<void> | null = null;

  constructor(
    private readonly topic: GroupTopic,
    given: { readonly options: ConsumeOptions; readonly committed: (number | null)[] },
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
    };
  }

  stop(): Promise<void> {
    this.#stopping ??= this.leave().then(() => this.#resolve());
    return this.#stopping;
  }

  take(partition: number): void {
    if (this.#owned.has(partition) || this.#stopping) return;
    const taken = new AbortController();
    const done = this.#run(partition, taken.signal).catch((error) => {
      this.#reject(error);
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
        const wanted = await handler.assigned(partition, { signal: taken });
        await this.#flow(partition, {
          from: wanted ?? this.#committed[partition] ?? this.topic.start(partition),
          taken,
        });
      }
    } finally {
      await handler.revoked(partition);
    }
  }

  /** Hands over batch after batch until the partition is taken away or the handler wants it assigned anew. */
  async #flow(partition: number, { from, taken }: { from: number; taken: AbortSignal }): Promise<void> {
    const { handler, batchRecordsMax } = this.#options;
    let next = from;
    while (!taken.aborted) {
      const batch = this.topic.poll(partition, { from: next, recordsMax: batchRecordsMax });
      if (!batch) {
        await this.topic.changed(taken);
        continue;
      }
      const heartbeat = () => Promise.resolve();
      if (await handler.handle(batch, { signal: taken, heartbeat }) === "reassign") return;
      next = batch.nextOffset;
      this.#committed[partition] = next;
    }
  }
}
