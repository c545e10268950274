import type { DeadLetterIndex } from "../../processor/dead_letters/mod.ts";
import { LogSetupError } from "../../topic/topic.ts";
import type { LivePartition } from "./live.ts";

/**
 * Positions that have a dead letter: those of the topic, and those that the live manifests still carry. Their lines come
 * through redriven copies alone.
 */
export class ReplayLetters {
  readonly #carried = new Map<number, Set<number>>();

  constructor(private readonly index: DeadLetterIndex) {}

  has(partition: number, offset: number): boolean {
    return this.index.has(partition, offset) || (this.#carried.get(partition)?.has(offset) ?? false);
  }

  /** See {@link DeadLetterIndex.unreadable}. */
  get unreadable(): DeadLetterIndex["unreadable"] {
    return this.index.unreadable;
  }

  /** See {@link DeadLetterIndex.isPassedOver}. */
  isPassedOver(partition: number, offset: number): boolean {
    return this.index.isPassedOver(partition, offset);
  }

  /** All of one partition, ascending. */
  offsets(partition: number): readonly number[] {
    const all = new Set([...this.index.offsets(partition), ...this.#carried.get(partition) ?? []]);
    return [...all].sort((a, b) => a - b);
  }

  /**
   * Takes in what `live` carries and reads the topic up to its end of this moment. `live` must have been read before: then
   * every letter below its next offsets is in one of the two.
   */
  async catchUp(live: readonly LivePartition[]): Promise<void> {
    for (const { partition, letters } of live) {
      const carried = this.#carried.get(partition) ?? new Set();
      this.#carried.set(partition, carried);
      for (const { offset } of letters) carried.add(offset);
    }
    try {
      await this.index.catchUp();
    } catch (error) {
      // No topic, no letters: a replay makes no topics.
      if (!(error instanceof LogSetupError)) throw error;
    }
  }
}

/** Letters as they were at one moment: what a replay with a fixed range goes by, also when it is resumed. */
export function fixedLetters(byPartition: Readonly<Record<string, readonly number[]>>) {
  const sets = new Map(
    Object.entries(byPartition).map(([name, offsets]) => [Number(name), new Set(offsets)]),
  );
  return { has: (partition: number, offset: number) => sets.get(partition)?.has(offset) ?? false };
}
