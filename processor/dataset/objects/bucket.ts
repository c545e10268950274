import type { Clock } from "../../../runtime/clock.ts";
import { type Erasure, NOBODY } from "../../record/erasure.ts";
import { commitKey, encodeJson } from "../core/commit.ts";
import { parseDatasetPath } from "../core/path.ts";
import { DatasetStateError } from "../core/state_error.ts";
import { type ErasureTools, PartitionLostError } from "../store.ts";
import type { StoredDataset } from "../reading/stored_dataset.ts";
import { DatasetReplacedError } from "../reading/reader.ts";
import { Builds, isBuildName, newBuildName } from "./builds.ts";
import { CommitLog, partitionsIn } from "./commit_log.ts";
import { type CompactedDay, compactPartition } from "./compact.ts";
import type { ObjectsConfig } from "./config.ts";
import { nameOnce, readObjectsIdentity } from "./identity.ts";
import { objectLines, ObjectMissingError } from "./lines.ts";
import type { ObjectStore } from "./object_store.ts";
import { probeCreation } from "./probe.ts";
import { Sweeper } from "./sweeper.ts";
import { DROPPED, droppedKey, noteKey, NOTES, removeAll, storedBuild } from "./stored.ts";

/** Openings of one partition by a command that another one may meet there. */
const ATTEMPTS_MAX = 10;

/**
 * `interrupted`: a replay's that has not ended it, also where it is at work; `left`: of one that was deleted, or is to be,
 * and is no dataset any more.
 */
export type FoundBuild = {
  readonly build: string;
  readonly is: "current" | "before" | "interrupted" | "left";
};

export type Discarded = { readonly objects: number; readonly bytes: number };

/** What replays, erasures and whoever looks after a bucket do with its builds. */
export class Bucket {
  readonly place: string;
  readonly #builds: Builds;
  /** The number in `_builds` that {@link seal} was made against. */
  #sealedAgainst: number | null = null;
  /** Where the sealed partitions end. */
  readonly #sealedAt = new Map<number, number>();

  constructor(
    private readonly store: ObjectStore,
    private readonly options: {
      readonly config: Pick<ObjectsConfig, "objectBytes" | "objectAgeMs" | "compression">;
      readonly clock: Clock;
      /** See `CommitLog`; the same for everybody. */
      readonly checkpointEvery?: number;
    },
  ) {
    this.place = store.place;
    this.#builds = new Builds(store, options.clock);
  }

  /** The build that is the dataset now; null where there is none. */
  async live(): Promise<StoredDataset | null> {
    const current = await this.#builds.current();
    return current && this.stored(current.build);
  }

  /** One by its place. */
  at(place: string): StoredDataset {
    return this.stored(place.slice(place.lastIndexOf("/") + 1));
  }

  /** A new one, which is still to be made. */
  beside(createdAt: string): StoredDataset {
    return this.stored(newBuildName(createdAt));
  }

  /** One that becomes the dataset of a prefix that has none, once its note goes; null where there is one already. */
  async first(): Promise<StoredDataset | null> {
    if (await this.#builds.current()) return null;
    const [begun] = await this.unfinished();
    const build = begun ? begun.name : newBuildName(new Date(this.options.clock.now()).toISOString());
    return this.stored(build, async () => {
      await probeCreation(this.store);
      const place = `${this.place}/${build}`;
      if (await this.#isDropped(build)) {
        throw new DatasetStateError(
          "dataset_replaced",
          `Cannot finish "${place}": it was dropped meanwhile. Begin again.`,
        );
      }
      await this.#builds.create(0, { build, because: "replay" });
      if ((await this.#builds.current())!.build === build) return;
      throw new DatasetStateError(
        "dataset_replaced",
        `Cannot finish "${place}": there is a dataset by now, which somebody else has begun. Name a prefix that has none.`,
      );
    });
  }

  /** Those that have a note, never were the dataset (a note that came late says nothing of one), and were not dropped. */
  async unfinished(): Promise<readonly { readonly name: string; readonly dataset: StoredDataset }[]> {
    const done = new Set([
      ...(await this.#builds.all()).map(({ build }) => build),
      ...await this.#namesIn(DROPPED),
    ]);
    const names = (await this.#namesIn(NOTES)).filter((name) => !done.has(name));
    return names.map((name) => ({ name, dataset: this.stored(name) }));
  }

  /** Stops the writers of the live build where they are: whoever commits next meets the seal, and waits for the switch. */
  async seal(
    partitions: Iterable<number>,
    { startOffsets = [] }: {
      /** Of the topic by partition, for those without a commit; default 0. */
      readonly startOffsets?: readonly number[];
    } = {},
  ): Promise<void> {
    const current = (await this.#builds.current())!;
    this.#sealedAgainst = current.number;
    this.#sealedAt.clear();
    for (const partition of partitions) {
      await this.#sealOne(partition, { ...current, startOffset: startOffsets[partition] ?? 0 });
    }
  }

  /**
   * Makes another build the dataset; false where somebody else was first, whose word counts, or the build is not whole, or
   * was dropped: that is noted first, and then a number is taken. So this creation comes too late, or this look sees it.
   */
  async switchTo(place: string): Promise<boolean> {
    const build = place.slice(place.lastIndexOf("/") + 1);
    for (const [partition, nextOffset] of this.#sealedAt) {
      const log = new CommitLog(this.store, { build, partition }, { ...this.options, keepsObjects: false });
      await log.readOn();
      if (log.state.nextOffset < nextOffset) return false;
    }
    if (await this.stored(build).note() === null) return false;
    return await this.#builds.create(this.#sealedAgainst ?? 0, { build, because: "replay" }) !== null;
  }

  /**
   * Deletes a build that is not current, so that no replay that may be at work on it can lead to what is left of it; null
   * where it is current. That it was dropped stays known: what comes late into it goes too. Killed at any moment, the same
   * again finishes it.
   */
  async discard(build: string): Promise<Discarded | null> {
    const at = new Date(this.options.clock.now()).toISOString();
    await this.store.put(droppedKey(build), encodeJson({ droppedAt: at }));
    await this.store.remove([noteKey(build)]);
    for (;;) {
      const current = await this.#builds.current();
      if (current?.build === build) {
        await this.store.remove([droppedKey(build)]);
        return null;
      }
      const taken = current && { build: current.build, because: "erased" as const };
      if (!taken || await this.#builds.create(current.number, taken) !== null) break;
    }
    const discarded = await removeAll(this.store, `${build}/`);
    await this.store.abortUploads(`${build}/`);
    return discarded;
  }

  /** Builds of which anything is left, by a listing of everything. */
  async builds(): Promise<readonly FoundBuild[]> {
    const names = new Set<string>();
    for await (const { key } of this.store.list("")) {
      if (key.startsWith(NOTES)) names.add(key.slice(NOTES.length).replace(/\.json$/, ""));
      else names.add(/^([^/]+)\/(?:_|event=)/.exec(key)?.[1] ?? "");
    }
    // Behind the listing: one that has become current meanwhile is told as that.
    const entries = new Set((await this.#builds.all()).map(({ build }) => build));
    const current = await this.#builds.current();
    const found: FoundBuild[] = [];
    for (const build of [...names].sort()) {
      // A note that came late says nothing of one that was the dataset.
      const isNoted = !entries.has(build) && await this.store.get(noteKey(build)) !== null;
      if (build === current?.build) found.push({ build, is: "current" });
      else if (await this.#isDropped(build)) found.push({ build, is: "left" });
      else if (isNoted) found.push({ build, is: "interrupted" });
      else if (entries.has(build) && await this.#isWhole(build)) found.push({ build, is: "before" });
      // Below a prefix others may lie too, which are not ours to delete.
      else if (entries.has(build) || isBuildName(build)) found.push({ build, is: "left" });
    }
    return found;
  }

  async #isWhole(build: string): Promise<boolean> {
    // What a writer of long ago has put after it was deleted has no beginning.
    for (const partition of await partitionsIn(this.store, build)) {
      if (await this.store.get(commitKey({ build, partition }, 1)) !== null) return true;
    }
    return false;
  }

  /**
   * Joins the small objects of the live build's closed days, one partition after the other; `before`: the first UTC day that
   * is not closed. Then removes what no commit names, also of a compaction that was killed. Throws
   * {@link DatasetReplacedError} where another build becomes the live one.
   */
  async *compact(before: string): AsyncGenerator<readonly CompactedDay[]> {
    const begun = await this.#builds.current();
    if (!begun) return;
    const { build } = begun;
    const { config, clock } = this.options;
    for (const partition of await partitionsIn(this.store, build)) {
      if ((await this.#builds.current())!.build !== build) throw new DatasetReplacedError();
      yield (await compactPartition(this.store, { build, partition, before, ...config, clock })).days;
    }
    await this.sweep(build);
  }

  /** Takes lines out of a build that nobody writes any more. */
  async eraseFrom(
    build: string,
    { erasure, offsetIn, tools }: {
      readonly erasure: Erasure;
      /** Of the erasure's record in a partition. */
      readonly offsetIn: (partition: number) => number;
      readonly tools: ErasureTools;
    },
  ): Promise<void> {
    const dataset = this.stored(build);
    for (const partition of await dataset.partitions()) {
      for (let attempt = 1;; attempt++) {
        const opened = await dataset.build(partition, { firstOffset: 0, erased: NOBODY });
        try {
          const { nextOffset } = opened.manifest;
          await opened.erase({ ...erasure, offset: offsetIn(partition), nextOffset }, tools);
          break;
        } catch (error) {
          // Another command that erases has taken it in between, and is done with it soon.
          if (!(error instanceof PartitionLostError) || attempt === ATTEMPTS_MAX) throw error;
        } finally {
          opened.close();
        }
      }
    }
  }

  /** Removes what no commit of a build names and none ever will. */
  async sweep(build: string): Promise<void> {
    const sweeper = new Sweeper(this.store, build, this.options.clock);
    for (const partition of await partitionsIn(this.store, build)) {
      const log = new CommitLog(this.store, { build, partition }, this.options);
      await log.readOn();
      sweeper.add({
        partition,
        isLeftover: (path) => log.state.isLeftover(path, this.options.clock.now()),
        sweptUntil: 0,
        sweptAt: 0,
      });
    }
    await sweeper.sweep();
  }

  /** The same of the build that is the dataset. */
  async sweepLive(): Promise<void> {
    const current = await this.#builds.current();
    if (current) await this.sweep(current.build);
  }

  /** Everything below the prefix: of objects with lines these, several at a time, of any other its bytes. */
  async *everything(): AsyncGenerator<
    { readonly key: string; readonly lines: AsyncIterable<readonly Uint8Array[]> }
  > {
    for await (const { key } of this.store.list("")) {
      const [build = "", ...rest] = key.split("/");
      const path = rest.join("/");
      const lines = parseDatasetPath(path)?.commit === undefined
        ? this.#bytesOf(key)
        : this.#linesOf(build, path);
      yield { key, lines };
    }
  }

  /** None where it is gone since it was listed: a writer may be sweeping. */
  async *#linesOf(build: string, path: string): AsyncGenerator<readonly Uint8Array[]> {
    try {
      yield* objectLines(this.store, { build, path });
    } catch (error) {
      if (!(error instanceof ObjectMissingError)) throw error;
    }
  }

  async *#bytesOf(key: string): AsyncGenerator<readonly Uint8Array[]> {
    const bytes = await this.store.get(key);
    if (bytes !== null) yield [bytes];
  }

  async #namesIn(prefix: string): Promise<readonly string[]> {
    const names: string[] = [];
    for await (const { key } of this.store.list(prefix)) {
      names.push(key.slice(prefix.length).replace(/\.json$/, ""));
    }
    return names;
  }

  async #isDropped(build: string): Promise<boolean> {
    return await this.store.get(droppedKey(build)) !== null;
  }

  stored(build: string, becomesFirst?: () => Promise<void>): StoredDataset {
    const { store } = this;
    return storedBuild(build, {
      store,
      ...this.options,
      ...(becomesFirst ? { becomesFirst } : {}),
      identity: () => readObjectsIdentity(store),
      discard: () => this.discard(build),
      nameAs: (identity) => nameOnce(store, identity),
    });
  }

  close(): void {
    this.store.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #sealOne(
    partition: number,
    { build, number: builds, startOffset }: {
      readonly build: string;
      readonly number: number;
      readonly startOffset: number;
    },
  ): Promise<void> {
    const log = new CommitLog(this.store, { build, partition }, {
      ...this.options,
      startOffset,
      keepsObjects: false,
    });
    await log.readOn();
    const at = new Date(this.options.clock.now()).toISOString();
    // A replay that was killed may have sealed it already; whoever commits before us is read, and the seal comes behind.
    while (log.state.seal?.builds !== builds) {
      const { firstOffset, nextOffset } = log.state;
      await log.append({ kind: "seal", writer: "replay", at, builds, firstOffset, nextOffset });
    }
    this.#sealedAt.set(partition, log.state.nextOffset);
  }
}
