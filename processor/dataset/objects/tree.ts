import * as z from "zod";
import type { Clock } from "../../../runtime/clock.ts";
import { type ErasedSubjects, NOBODY } from "../../record/erasure.ts";
import type { PartitionCount } from "../core/added_partitions.ts";
import { encodeJson, parseJson } from "../core/commit.ts";
import type { CommitState } from "../core/commit_state.ts";
import type { DatasetTree } from "../store.ts";
import { CommitLog, partitionsIn } from "./commit_log.ts";
import { type ObjectStore, ObjectStoreAwayError } from "./object_store.ts";

/**
 * What a build remembers of its topic: `<build>/_topic.json` its id, `<build>/_partitions/<count>.json` that it had so many
 * partitions and where they ended then. Each is created once: of several writers the first one's stands. And what the
 * other partitions' logs say, which are followed for it.
 */

const REFRESH_EVERY_MS = 5_000;
const ATTEMPTS_MAX = 10;
/** Keys that are asked for at once. */
const READS_MAX = 16;

const partitionCount = z.object({ count: z.int().min(1), ends: z.array(z.int().min(0)) });
const topic = z.object({ id: z.string().min(1) });

export class ObjectsTree implements DatasetTree {
  readonly #counts = new Map<number, PartitionCount>();
  readonly #logs = new Map<number, CommitLog>();
  /** Of partitions that are written here, whose commits nobody reads a second time; and of those that were, until they are read. */
  readonly #written = new Map<number, { readonly state: CommitState; isOpen: boolean }>();
  #topicId: string | null = null;
  #refreshedAt = -Infinity;
  #refreshing: Promise<void> | null = null;

  constructor(
    private readonly store: ObjectStore,
    readonly build: string,
    private readonly options: {
      readonly clock: Pick<Clock, "monotonic">;
      readonly checkpointEvery?: number | undefined;
    },
  ) {}

  /** The partitions of a process share one tree: one of them looks, for all. */
  refresh(): Promise<void> {
    if (this.options.clock.monotonic() < this.#refreshedAt + REFRESH_EVERY_MS) return Promise.resolve();
    return this.#refreshing ??= this.#refresh().finally(() => this.#refreshing = null);
  }

  async #refresh(): Promise<void> {
    const now = this.options.clock.monotonic();
    await this.#readCounts();
    if (this.#topicId === null) this.#topicId = await this.#readTopicId();
    // No writer has noted yet how many there are: a replay has made this build.
    const partitions = this.counts().at(-1)?.count ??
      ((await partitionsIn(this.store, this.build)).at(-1) ?? -1) + 1;
    for (let from = 0; from < partitions; from += READS_MAX) {
      const some = Array.from({ length: Math.min(READS_MAX, partitions - from) }, (_, i) => from + i);
      await Promise.all(some.map((one) => this.#follow(one)));
    }
    this.#refreshedAt = now;
  }

  /** The partition's writer keeps `state` up to date, until it says {@link leftHere}. */
  writtenHere(partition: number, state: CommitState): void {
    this.#written.set(partition, { state, isOpen: true });
    this.#logs.delete(partition);
  }

  leftHere(partition: number, state: CommitState): void {
    const written = this.#written.get(partition);
    if (written?.state === state) written.isOpen = false;
  }

  counts(): readonly PartitionCount[] {
    return [...this.#counts.values()].sort((a, b) => a.count - b.count);
  }

  async addCount(value: PartitionCount): Promise<void> {
    await this.#readCountsUpTo(value.count);
    const key = this.#countKey(value.count);
    this.#counts.set(value.count, parseCount(key, await this.#createOnce(key, value)));
    // More partitions are followed from now on.
    await this.#refreshing;
    this.#refreshedAt = -Infinity;
    await this.refresh();
  }

  topicId(): string | null {
    return this.#topicId;
  }

  async addTopicId(id: string): Promise<void> {
    const key = this.#topicKey();
    this.#topicId = parseJson(key, { bytes: await this.#createOnce(key, { id }), schema: topic }).id;
  }

  erasedIn(partition: number): ErasedSubjects {
    return this.#state(partition)?.erased ?? NOBODY;
  }

  nextOffsetOf(partition: number): number | null {
    const state = this.#state(partition);
    return state && state.number > 0 ? state.nextOffset : null;
  }

  state(partitions: number): string {
    return [
      ...[...this.#counts.keys()].sort((a, b) => a - b).map((count) => `count ${count}`),
      ...Array.from({ length: partitions }, (_, one) => this.#state(one)?.erasures ?? 0),
    ].join(" ");
  }

  #state(partition: number): CommitState | undefined {
    return this.#written.get(partition)?.state ?? this.#logs.get(partition)?.state;
  }

  async #follow(partition: number): Promise<void> {
    const written = this.#written.get(partition);
    if (written?.isOpen) return;
    await this.#log(partition).readOn();
    // Its writer may be here again meanwhile.
    if (written && this.#written.get(partition) === written) this.#written.delete(partition);
  }

  #log(partition: number): CommitLog {
    let log = this.#logs.get(partition);
    if (!log) {
      const { checkpointEvery } = this.options;
      const at = { build: this.build, partition };
      log = new CommitLog(this.store, at, { keepsObjects: false, checkpointEvery });
      this.#logs.set(partition, log);
    }
    return log;
  }

  /** A listing may lag: what lies below what it shows is asked for by name. */
  async #readCounts(): Promise<void> {
    const prefix = `${this.build}/_partitions/`;
    let highest = 0;
    for await (const { key } of this.store.list(prefix)) {
      highest = Math.max(highest, Number(/^(\d{1,9})\.json$/.exec(key.slice(prefix.length))?.[1] ?? 0));
    }
    if (!this.#counts.has(highest)) await this.#readCountsUpTo(highest);
  }

  async #readCountsUpTo(highest: number): Promise<void> {
    const asked = Array.from({ length: highest }, (_, i) => i + 1).filter((count) =>
      !this.#counts.has(count)
    );
    for (let from = 0; from < asked.length; from += READS_MAX) {
      await Promise.all(
        asked.slice(from, from + READS_MAX).map(async (count) => {
          const key = this.#countKey(count);
          const bytes = await this.store.get(key);
          if (bytes) this.#counts.set(count, parseCount(key, bytes));
        }),
      );
    }
  }

  async #readTopicId(): Promise<string | null> {
    const bytes = await this.store.get(this.#topicKey());
    return bytes && parseJson(this.#topicKey(), { bytes, schema: topic }).id;
  }

  #createOnce(key: string, value: unknown): Promise<Uint8Array> {
    return createOnce(this.store, { key, bytes: encodeJson(value) });
  }

  #countKey(count: number): string {
    return `${this.build}/_partitions/${count}.json`;
  }

  #topicKey(): string {
    return `${this.build}/_topic.json`;
  }
}

function parseCount(key: string, bytes: Uint8Array): PartitionCount {
  return parseJson(key, { bytes, schema: partitionCount });
}

/** Creates an object, and answers the one that stands: the first creator's. */
export async function createOnce(
  store: ObjectStore,
  { key, bytes }: { readonly key: string; readonly bytes: Uint8Array },
): Promise<Uint8Array> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    if (await store.create(key, bytes) === "created") return bytes;
    const found = await store.get(key);
    if (found) return found;
  }
  throw new ObjectStoreAwayError(
    `Cannot create "${key}" in ${store.place}: ${ATTEMPTS_MAX} creations were not confirmed, and it is not there. It is ` +
      `tried again.`,
  );
}
