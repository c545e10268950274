import { DEAD_LETTER_TOPIC, FACTS_TOPIC, WEBHOOKS_TOPIC } from "../../../contract/names.ts";
import {
  type ConsumeOptions,
  type Consumption,
  LogSetupError,
  LogUnavailableError,
  type PartitionHandler,
  type ReadOptions,
  type RecordPosition,
  type RecordToPublish,
  type TopicLog,
  type TopicRecord,
} from "../../../topic/topic.ts";
import { type Step, stepIn } from "../simulated_log.ts";

/** What the log and its groups see of the world. */
export type TopicWorld = {
  readonly random: () => number;
  /** Share of publishes that are not answered, half of which have not landed. */
  readonly awayShare: number;
  readonly raw: readonly (readonly TopicRecord[])[];
  readonly letters: TopicRecord[];
  readonly committed: (number | null)[];
  readonly owner: readonly number[];
  /** Grows with every rebalance; a commit under an older one than gave the partition its owner is refused. */
  readonly generation: number;
  readonly ownedSince: readonly number[];
};

/** The log as one run of a process sees it; what has an effect, or brings records, is a step. */
export class WorldLog implements TopicLog {
  readonly kind = "kafka";
  readonly groups: WorldGroup[] = [];

  constructor(
    readonly process: number,
    private readonly world: TopicWorld,
    private readonly steps: Step[],
  ) {}

  ensureTopic(): Promise<void> {
    return Promise.resolve();
  }

  async publish(topic: string, records: readonly RecordToPublish[]): Promise<readonly RecordPosition[]> {
    if (topic !== DEAD_LETTER_TOPIC) throw new Error(`nothing publishes to ${topic} here`);
    const { world } = this;
    const luck = world.random();
    const positions = await stepIn(this.steps, () => {
      if (luck < world.awayShare / 2) return [];
      return records.map((record) => {
        const offset = world.letters.length;
        world.letters.push({ ...record, partition: 0, offset });
        return { partition: 0, offset };
      });
    });
    if (luck < world.awayShare) throw new LogUnavailableError("away");
    return positions;
  }

  async *read(topic: string, { partition, from, until = Infinity, batchRecordsMax = 500 }: ReadOptions) {
    const records = topic === DEAD_LETTER_TOPIC ? this.world.letters : this.world.raw[partition]!;
    for (let next = from; next < Math.min(until, records.length);) {
      const size = Math.min(batchRecordsMax, 1 + Math.floor(this.world.random() * 40));
      const batch = records.slice(next, Math.min(next + size, until));
      next += batch.length;
      yield { partition, records: batch, nextOffset: next, endOffset: records.length };
    }
  }

  partitions(): Promise<number> {
    return Promise.resolve(this.world.raw.length);
  }

  async boundsOf(topic: string, partition: number) {
    return (await this.bounds(topic))[partition]!;
  }

  bounds(topic: string) {
    if (topic === FACTS_TOPIC) throw new LogSetupError("there is no dataset's fact here");
    const partitions = topic === WEBHOOKS_TOPIC ? this.world.raw : [this.world.letters];
    return Promise.resolve(
      partitions.map((records, partition) => ({ partition, startOffset: 0, endOffset: records.length })),
    );
  }

  committed() {
    return Promise.resolve([...this.world.committed]);
  }

  consume({ handler }: ConsumeOptions): Consumption {
    const group = new WorldGroup(handler, { process: this.process, world: this.world, steps: this.steps });
    this.groups.push(group);
    return group;
  }

  lag(): never {
    throw new Error("nobody asks for the lag here");
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

type Task = { readonly gone: AbortController; readonly done: Promise<void>; readonly generation: number };

/** One process's membership: what it believes to own, and one task per partition. */
export class WorldGroup implements Consumption {
  readonly ended: Promise<void>;
  readonly #tasks = new Map<number, Task>();
  readonly #anew = new Map<number, () => void>();
  #end: () => void = () => {};
  #fail: (error: unknown) => void = () => {};
  #isStopped = false;

  constructor(
    private readonly handler: PartitionHandler,
    private readonly options: {
      readonly process: number;
      readonly world: TopicWorld;
      readonly steps: Step[];
    },
  ) {
    this.ended = new Promise((resolve, reject) => [this.#end, this.#fail] = [resolve, reject]);
    this.ended.catch(() => {});
  }

  state() {
    return { is: "joined" as const, partitions: [...this.#tasks.keys()] };
  }

  /** It hears what it owns by now. */
  learn(now: readonly number[]): void {
    if (this.#isStopped) return;
    const { world } = this.options;
    for (const [partition, { gone, generation }] of this.#tasks) {
      if (now.includes(partition) && generation >= world.ownedSince[partition]!) continue;
      gone.abort();
    }
    for (const partition of now) {
      const before = this.#tasks.get(partition);
      if (before && !before.gone.signal.aborted) continue;
      const gone = new AbortController();
      const { generation } = world;
      const done = (before?.done ?? Promise.resolve())
        .then(() => this.#task(partition, { signal: gone.signal, generation }))
        .catch(this.#fail);
      this.#tasks.set(partition, { gone, done, generation });
    }
  }

  commit(partition: number, nextOffset: number): void {
    const { world, process } = this.options;
    const task = this.#tasks.get(partition);
    if (!task || world.owner[partition] !== process || task.generation < world.ownedSince[partition]!) return;
    world.committed[partition] = Math.max(world.committed[partition] ?? 0, nextOffset);
  }

  reassign(partition: number): void {
    this.#anew.get(partition)?.();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const { gone } of this.#tasks.values()) gone.abort();
    await Promise.all([...this.#tasks.values()].map(({ done }) => done));
    this.#end();
  }

  async #task(
    partition: number,
    { signal, generation }: { signal: AbortSignal; generation: number },
  ): Promise<void> {
    const { steps, world } = this.options;
    const records = world.raw[partition]!;
    while (!signal.aborted) {
      const wanted = await this.handler.assigned(partition, { signal });
      let next = wanted ?? world.committed[partition] ?? 0;
      let isAnew = false;
      this.#anew.set(partition, () => isAnew = true);
      while (!isAnew && !signal.aborted) {
        const batch = await stepIn(steps, () => {
          const some = records.slice(next, next + 1 + Math.floor(world.random() * 6));
          return { partition, records: some, nextOffset: next + some.length, endOffset: records.length };
        }, { ready: () => signal.aborted || isAnew || records.length > next });
        if (signal.aborted || isAnew) break;
        const heartbeat = () => Promise.resolve();
        const answer = await this.handler.handle(batch, { signal, heartbeat });
        if (answer === "reassign") break;
        next = batch.nextOffset;
        if (answer === "handled" && generation >= world.ownedSince[partition]!) this.commit(partition, next);
      }
      this.#anew.delete(partition);
    }
    await this.handler.revoked(partition);
  }
}
