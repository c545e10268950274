import type { Clock } from "../../../runtime/clock.ts";
import { parseDatasetPath } from "../core/path.ts";
import { type ObjectStore, ObjectStoreAwayError } from "./object_store.ts";

/** A writer that runs well so long after it took a partition, or erased, has seen what came late, in ms. */
export const SWEPT_FOR_MS = 180_000;
/** Between two listings of a build, in ms. */
const SWEEP_EVERY_MS = 60_000;
const REMOVED_AT_ONCE = 1_000;

/** A partition whose leftovers go. */
export type SweptPartition = {
  readonly partition: number;
  /** Below the build: true for what no commit names, none ever will, and no reader that lists may still want. */
  isLeftover(path: string): boolean;
  /** Until when it is swept again, by the monotonic clock in ms. */
  sweptUntil: number;
  /** When it was last swept, by the same. */
  sweptAt: number;
};

/**
 * Takes objects that no commit names out of one build: of a writer that crashed, of a commit that lost its number, of an
 * upload whose first try came late. One listing serves every partition of the process.
 */
export class Sweeper {
  readonly #partitions = new Map<number, SweptPartition>();
  #triedAt = -Infinity;
  #sweeping: Promise<void> | null = null;
  #failed: { readonly error: unknown } | null = null;

  constructor(
    private readonly store: ObjectStore,
    private readonly build: string,
    private readonly clock: Pick<Clock, "monotonic">,
  ) {}

  add(one: SweptPartition): void {
    this.#partitions.set(one.partition, one);
    this.#triedAt = -Infinity;
  }

  remove(one: SweptPartition): void {
    if (this.#partitions.get(one.partition) === one) this.#partitions.delete(one.partition);
  }

  /**
   * Begins a sweep in the background where one is due; while the bucket is away it is tried again at the next. Throws what
   * the last one has met beside that.
   */
  look(): void {
    const failed = this.#failed;
    this.#failed = null;
    if (failed) throw failed.error;
    const now = this.clock.monotonic();
    const isDue = ({ sweptAt, sweptUntil }: SweptPartition) =>
      sweptAt < sweptUntil && now >= sweptAt + SWEEP_EVERY_MS;
    if (this.#sweeping || now < this.#triedAt + SWEEP_EVERY_MS) return;
    if (![...this.#partitions.values()].some(isDue)) return;
    this.#triedAt = now;
    this.#sweeping = this.sweep().catch((error) => {
      if (!(error instanceof ObjectStoreAwayError)) this.#failed = { error };
    }).finally(() => this.#sweeping = null);
  }

  /** Resolves once nothing is left of what a listing of now shows. */
  async sweep(): Promise<void> {
    const began = this.clock.monotonic();
    const swept = [...this.#partitions.values()];
    let keys: string[] = [];
    for await (const { key } of this.store.list(`${this.build}/event=`)) {
      const path = key.slice(this.build.length + 1);
      const partition = parseDatasetPath(path)?.partition;
      if (partition === undefined || !this.#partitions.get(partition)?.isLeftover(path)) continue;
      keys.push(key);
      if (keys.length < REMOVED_AT_ONCE) continue;
      await this.store.remove(keys);
      keys = [];
    }
    if (keys.length > 0) await this.store.remove(keys);
    for (const one of swept) one.sweptAt = began;
  }
}
