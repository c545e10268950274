import { FACTS_TOPIC, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { decodeFact, type Fact } from "../../processor/facts/facts.ts";
import {
  type ConsumeOptions,
  type Consumption,
  LogUnavailableError,
  type PartitionHandler,
  type ReadOptions,
  type RecordBatch,
  type RecordPosition,
  type RecordToPublish,
  type TopicLog,
  type TopicRecord,
} from "../../topic/topic.ts";
import type { Rule } from "./terms.ts";

/** What the log sees of the world. */
export type LogWorld = {
  readonly random: () => number;
  readonly calm: boolean;
  readonly awayShare: number;
  readonly facts: readonly TopicRecord[];
  readonly raw: readonly (readonly TopicRecord[])[];
  readonly committed: number[];
  readonly owner: readonly number[];
  readonly generation: number;
  readonly ownedSince: readonly number[];
  append(fact: Fact): number;
  leavesOut(rule: Rule): boolean;
};

/** The processor whose log it is. */
export type LogUser = { readonly id: number; readonly simulation: LogWorld; group: SimulatedGroup | null };

/** Something that a loop waits for. */
export type Step = { readonly ready: () => boolean; readonly isTimer: boolean; readonly take: () => void };

/** The log as one incarnation of a processor sees it; every answer is a step. */
export class SimulatedLog implements TopicLog {
  readonly kind = "kafka";
  readonly #simulation: LogWorld;

  constructor(readonly processor: LogUser, readonly steps: Step[]) {
    this.#simulation = processor.simulation;
  }

  ensureTopic(): Promise<void> {
    return Promise.resolve();
  }

  /** The records land in one step, the answer comes in another; now and then it does not come, whatever happened. */
  async publish(topic: string, records: readonly RecordToPublish[]): Promise<readonly RecordPosition[]> {
    if (topic !== FACTS_TOPIC) throw new Error(`nothing publishes to ${topic} here`);
    const simulation = this.#simulation;
    const luck = simulation.calm ? 1 : simulation.random();
    const positions = await stepIn(this.steps, () => {
      if (luck < simulation.awayShare / 2) return [];
      return records.map(({ value }) => {
        const outcome = decodeFact(new TextDecoder().decode(value));
        if (!outcome.ok) throw new Error(outcome.reason);
        return { partition: 0, offset: simulation.append(outcome.fact) };
      });
    });
    await stepIn(this.steps, () => {});
    if (luck < simulation.awayShare) throw new LogUnavailableError("away");
    return positions;
  }

  async *read(topic: string, { partition, from, until, signal, batchRecordsMax = 500 }: ReadOptions) {
    const simulation = this.#simulation;
    const records = topic === FACTS_TOPIC ? simulation.facts : simulation.raw[partition]!;
    let next = from;
    while (!signal?.aborted && (until === undefined || next < until)) {
      const batch = await stepIn(this.steps, () => {
        const size = simulation.calm ? batchRecordsMax : 1 + Math.floor(simulation.random() * 40);
        return records.slice(next, Math.min(next + size, until ?? Infinity));
      }, { ready: () => records.length > next || until !== undefined || signal?.aborted === true });
      if (batch.length === 0 && until !== undefined) return;
      next += batch.length;
      yield { partition, records: batch, nextOffset: next, endOffset: records.length };
    }
  }

  async partitions(topic: string) {
    return (await this.bounds(topic)).length;
  }

  async boundsOf(topic: string, partition: number) {
    return (await this.bounds(topic))[partition]!;
  }

  bounds(topic: string) {
    const partitions = topic === FACTS_TOPIC ? [this.#simulation.facts] : this.#simulation.raw;
    const isNothing = topic === WEBHOOKS_TOPIC && this.#simulation.leavesOut("barrier");
    return stepIn(this.steps, () =>
      partitions.map((records, partition) => ({
        partition,
        startOffset: 0,
        endOffset: isNothing ? 0 : records.length,
      })));
  }

  committed() {
    return stepIn(this.steps, () => [...this.#simulation.committed]);
  }

  consume({ handler }: ConsumeOptions): Consumption {
    const group = new SimulatedGroup(this.processor, {
      steps: this.steps,
      handler,
      simulation: this.#simulation,
    });
    this.processor.group = group;
    return {
      state: () => ({ is: "joined", partitions: [...group.owned] }),
      // The offers' handlers are done when they answer.
      commit: () => {},
      reassign: () => {},
      stop: () => Promise.resolve(),
      ended: group.ended,
    };
  }

  lag(): never {
    throw new Error("nobody asks for the lag here");
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

type Task = { readonly gone: AbortController; readonly done: Promise<void>; readonly generation: number };

/** One processor's membership: what it believes to own, and one task per partition. */
export class SimulatedGroup {
  readonly owned = new Set<number>();
  readonly ended: Promise<void>;
  readonly #tasks = new Map<number, Task>();
  #fail: (error: unknown) => void = () => {};

  constructor(
    readonly processor: LogUser,
    readonly options: {
      readonly steps: Step[];
      readonly handler: PartitionHandler;
      readonly simulation: LogWorld;
    },
  ) {
    this.ended = new Promise((_, reject) => this.#fail = reject);
  }

  /** Partitions that went and came back meanwhile begin anew too: another owner may have committed less. */
  learn(now: readonly number[]): void {
    const { simulation } = this.options;
    for (const partition of [...this.owned]) {
      const task = this.#tasks.get(partition)!;
      if (now.includes(partition) && task.generation >= simulation.ownedSince[partition]!) continue;
      this.owned.delete(partition);
      task.gone.abort();
    }
    for (const partition of now) {
      if (this.owned.has(partition)) continue;
      this.owned.add(partition);
      const before = this.#tasks.get(partition)?.done ?? Promise.resolve();
      const gone = new AbortController();
      const { generation } = simulation;
      const done = before.then(() => this.#task(partition, { signal: gone.signal, generation })).catch(
        this.#fail,
      );
      this.#tasks.set(partition, { gone, done, generation });
    }
  }

  async #task(
    partition: number,
    { signal, generation }: { signal: AbortSignal; generation: number },
  ): Promise<void> {
    const { steps, handler, simulation } = this.options;
    const records = simulation.raw[partition]!;
    while (!signal.aborted) {
      let next = await handler.assigned(partition, { signal }) ?? simulation.committed[partition]!;
      let goesOn = true;
      while (goesOn && !signal.aborted) {
        const batch = await stepIn(steps, () => this.#poll(partition, next), {
          ready: () => signal.aborted || records.length > next,
        });
        if (signal.aborted) break;
        const answer = await handler.handle(batch, { signal, heartbeat: () => Promise.resolve() });
        goesOn = answer === "handled";
        if (goesOn) {
          next = batch.nextOffset;
          // Refused under an older generation; the member then learns that it has to begin anew.
          await stepIn(steps, () => {
            const isOwner = simulation.owner[partition] === this.processor.id && !signal.aborted;
            if (isOwner && generation >= simulation.ownedSince[partition]!) {
              simulation.committed[partition] = next;
            }
          });
        }
      }
    }
    await handler.revoked(partition);
  }

  #poll(partition: number, from: number): RecordBatch {
    const { simulation } = this.options;
    const all = simulation.raw[partition]!;
    const records = all.slice(from, from + 1 + Math.floor(simulation.random() * 5));
    return { partition, records, nextOffset: from + records.length, endOffset: all.length };
  }
}

/** Resolves with what `take` answers when the world takes this step. */
export function stepIn<T>(
  steps: Step[],
  take: () => T,
  { ready = () => true, isTimer = false }: { ready?: () => boolean; isTimer?: boolean } = {},
): Promise<T> {
  return new Promise((resolve, reject) => {
    steps.push({
      ready,
      isTimer,
      take() {
        try {
          resolve(take());
        } catch (error) {
          reject(error);
        }
      },
    });
  });
}
