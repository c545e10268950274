import { type Clock, within } from "../../../../runtime/clock.ts";
import { DatasetReadError } from "../../core/read_error.ts";
import { DatasetStateError } from "../../core/state_error.ts";
import type { CurrentDataset } from "../../reading/reader.ts";
import type { DatasetIdentity } from "../../store.ts";
import { Builds } from "../builds.ts";
import { partitionsIn } from "../commit_log.ts";
import { readObjectsIdentity } from "../identity.ts";
import type { ObjectStore } from "../object_store.ts";
import { asReadError, FollowedPartition, type Following, type SeenBuild } from "./followed.ts";
import { KeptLines } from "./kept_lines.ts";
import { ObjectsReader } from "./reader.ts";

/** What was seen is as good as new for so long, in ms. */
const FRESH_MS = 2_000;
/** So long a look is waited for, in ms, and it goes on behind that: the page's frame waits 800 ms for the processor. */
const LOOK_MS_MAX = 500;
/** Partitions whose commits are read at once. */
const READS_MAX = 16;

/** The dataset in a bucket as its commits have it, followed on demand: one look serves everybody who asks meanwhile. */
export class CurrentObjects implements CurrentDataset, Following {
  readonly place: string;
  readonly lines: KeptLines;
  readonly #builds: Builds;
  #followed: { readonly build: string; readonly partitions: Map<number, FollowedPartition> } | null = null;
  #reader: ObjectsReader | null = null;
  #seen: SeenBuild | null = null;
  #seenAt = -Infinity;
  #problem: string | null = null;
  #looking: Promise<void> | null = null;
  #next: Promise<void> | null = null;

  constructor(
    readonly store: ObjectStore,
    private readonly options: {
      readonly clock: Clock;
      /** Bytes of an object's lines that are read as a whole, unpacked; an object ends at half of that. */
      readonly linesBytesMax: number;
      /** Default 500 ms. */
      readonly lookMsMax?: number;
    },
  ) {
    this.place = store.place;
    this.lines = new KeptLines(store.place, options.linesBytesMax);
    this.#builds = new Builds(store, options.clock);
  }

  get seen(): SeenBuild | null {
    return this.#seen;
  }

  async now(): Promise<ObjectsReader | null> {
    const { clock, lookMsMax: ms = LOOK_MS_MAX } = this.options;
    if (clock.monotonic() >= this.#seenAt + FRESH_MS) {
      const look = this.#look();
      // What it failed of stands in the problem.
      if (await within(look.catch(() => {}), { ms, clock }) === "late") {
        this.#problem ??=
          `Cannot read the dataset in ${this.place} yet: the bucket has not answered within ${ms} ms.`;
        // Whoever asks next does not wait for it too.
        this.#seenAt = clock.monotonic();
      }
    }
    if (this.#seen === null) return null;
    if (this.#reader?.seen !== this.#seen) this.#reader = new ObjectsReader(this, this.#seen);
    return this.#reader;
  }

  problem(): string | null {
    return this.#problem;
  }

  refresh(): Promise<void> {
    if (this.#looking === null) return this.#look();
    this.#next ??= this.#looking.catch(() => {}).then(() => {
      this.#next = null;
      return this.#look();
    });
    return this.#next;
  }

  close(): void {
    this.store.close();
  }

  /** The one under way, or a new one. */
  #look(): Promise<void> {
    this.#looking ??= this.#see().then((seen) => {
      if (!isSame(seen, this.#seen)) this.#seen = seen;
      this.#problem = null;
    }).catch((error) => {
      const wrapped = asReadError(error, this.place);
      const isTold = wrapped instanceof DatasetReadError || wrapped instanceof DatasetStateError;
      this.#problem = isTold ? wrapped.message : `Cannot read the dataset in ${this.place}: ${error.message}`;
      throw wrapped;
    }).finally(() => {
      this.#looking = null;
      // Also where it failed: whoever asks next would only wait as long again.
      this.#seenAt = this.options.clock.monotonic();
    });
    return this.#looking;
  }

  async #see(): Promise<SeenBuild | null> {
    const entry = await this.#builds.current();
    if (entry === null) return null;
    const { build, createdAt } = entry;
    if (this.#followed?.build !== build) this.#followed = { build, partitions: new Map() };
    const { partitions } = this.#followed;
    const count = await this.#countOf(build);
    for (let partition = 0; partition < count; partition++) {
      if (!partitions.has(partition)) {
        partitions.set(partition, new FollowedPartition(this.store, { build, partition }));
      }
    }
    const followed = [...partitions.values()];
    for (let from = 0; from < followed.length; from += READS_MAX) {
      await Promise.all(followed.slice(from, from + READS_MAX).map((one) => one.readOn()));
    }
    const seen = [...partitions].filter(([, { seen }]) => seen.snapshot.manifest !== null || seen.damage)
      .map(([partition, { seen }]) => [partition, seen] as const);
    const name = this.#seen?.build === build ? this.#seen.identity : await this.#identity(createdAt);
    return { build, identity: name, partitions: new Map(seen) };
  }

  /** How many partitions the topic had when a writer looked last; of a build that none has opened yet, those that have commits. */
  async #countOf(build: string): Promise<number> {
    const prefix = `${build}/_partitions/`;
    const noted: number[] = [];
    for await (const { key } of this.store.list(prefix)) {
      noted.push(Number(/^(\d{1,9})\.json$/.exec(key.slice(prefix.length))?.[1] ?? 0));
    }
    const known = [this.#followed!.partitions.size, ...noted];
    if (noted.length === 0) known.push(...(await partitionsIn(this.store, build)).map((last) => last + 1));
    return Math.max(...known);
  }

  async #identity(createdAt: string): Promise<DatasetIdentity> {
    const named = await readObjectsIdentity(this.store);
    if (named === null) {
      throw new DatasetReadError(
        `Cannot read "${this.place}/_dataset.json": it is missing, and the dataset has a build. Put it back from a backup.`,
      );
    }
    const { id, dedupWindow } = named;
    return { id, createdAt, dedupWindow };
  }
}

function isSame(a: SeenBuild | null, b: SeenBuild | null): boolean {
  return a !== null && a.build === b?.build && a.partitions.size === b.partitions.size &&
    [...a.partitions].every(([partition, seen]) => b.partitions.get(partition) === seen);
}
