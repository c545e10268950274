import type { Clock } from "../../../runtime/clock.ts";
import { type FaultPoint, noFaultPoint } from "../../../runtime/fault_point.ts";
import { DatasetStateError } from "../core/state_error.ts";
import {
  type DatasetIdentity,
  type DatasetStore,
  type DatasetTree,
  PartitionLostError,
  type PartitionStore,
} from "../store.ts";
import { type BuildEntry, Builds, newBuildName } from "./builds.ts";
import { CommitLog } from "./commit_log.ts";
import type { ObjectsConfig } from "./config.ts";
import { nameOnce, readObjectsIdentity } from "./identity.ts";
import type { ObjectStore } from "./object_store.ts";
import { ObjectPartition, type ObjectsContext } from "./partition.ts";
import { probeCreation } from "./probe.ts";
import { Room } from "./room.ts";
import { openS3 } from "./s3/client.ts";
import { Sweeper } from "./sweeper.ts";
import { ObjectsTree } from "./tree.ts";

/** So long a writer waits for the replay that has sealed its partition before it takes the old build up again, in ms. */
const SEALED_MS = 60_000;
/** Between two looks whether the replay has ended, in ms. */
const SEALED_LOOK_MS = 5_000;

export type ObjectDatasetOptions = {
  /** Default: the bucket that the config names. */
  readonly store?: ObjectStore;
  readonly dedupWindow: number;
  readonly clock: Clock;
  readonly faultPoint?: FaultPoint;
  /** Shared memory of the partitions; default 20 MiB gathered, 32 MiB with what is on its way. */
  readonly room?: Room;
  /** True where it is known that the bucket creates once; default false. */
  readonly isProbed?: boolean;
  /** See `CommitLog`; the same for everybody. */
  readonly checkpointEvery?: number;
};

/**
 * The dataset on object storage: any number of writers on any number of hosts, each partition's by a log of commits that
 * are created once. Throws `ObjectStoreSetupError` where the bucket does not create once.
 */
export async function openObjectDataset(
  config: ObjectsConfig,
  options: ObjectDatasetOptions,
): Promise<DatasetStore> {
  const store = options.store ?? await openS3(config);
  try {
    if (!options.isProbed) await probeCreation(store);
    return new ObjectDataset(config, { ...options, store });
  } catch (error) {
    store.close();
    throw error;
  }
}

class ObjectDataset implements DatasetStore {
  readonly #builds: Builds;
  readonly #room: Room;
  #build: { readonly name: string; readonly tree: ObjectsTree; readonly sweeper: Sweeper } | null = null;
  /** When a seal was first met, by the monotonic clock: of the newest per partition. */
  readonly #sealedSince = new Map<number, { readonly number: number; readonly at: number }>();

  constructor(
    private readonly config: Pick<ObjectsConfig, "objectBytes" | "objectAgeMs" | "compression">,
    private readonly options: ObjectDatasetOptions & { readonly store: ObjectStore },
  ) {
    this.#builds = new Builds(options.store, options.clock);
    this.#room = options.room ?? new Room();
  }

  swapWanted(): boolean {
    return false;
  }

  /** Fences stand in for locks. */
  takePartition() {
    return { release: () => {} };
  }

  async open(
    partition: number,
    startOffset: number,
    { tree }: { readonly tree?: DatasetTree } = {},
  ): Promise<PartitionStore> {
    const { dedupWindow, store, clock, faultPoint = noFaultPoint, checkpointEvery } = this.options;
    checkWindow(await this.#identity(), { dedupWindow, place: store.place });
    const now = await this.#now();
    // Where that is another build by now, taking the partition says so.
    const joined = tree instanceof ObjectsTree ? tree : now.tree;
    const { build } = joined;
    const log = new CommitLog(store, { build, partition }, { startOffset, writes: true, checkpointEvery });
    await log.readOn();
    const context: ObjectsContext = {
      store,
      build,
      tree: joined,
      sweeper: now.sweeper,
      clock,
      faultPoint,
      room: this.#room,
      ...this.config,
      unseal: (seal) => this.#unseal(build, seal),
      stillCurrent: () => this.#stillCurrent(build),
    };
    return new ObjectPartition(partition, log, context);
  }

  async tree(): Promise<ObjectsTree> {
    const { tree } = await this.#now();
    await tree.refresh();
    return tree;
  }

  async identity(): Promise<DatasetIdentity> {
    const { id, dedupWindow } = await this.#identity();
    const { createdAt } = await this.#current();
    return { id, dedupWindow, createdAt };
  }

  close(): void {
    this.options.store.close();
  }

  async #identity(): Promise<DatasetIdentity> {
    const { store, dedupWindow } = this.options;
    return await readObjectsIdentity(store) ??
      await nameOnce(store, { id: crypto.randomUUID(), dedupWindow, createdAt: this.#time() });
  }

  /** The build that is the dataset now; the first one is made where there is none. */
  async #current(): Promise<BuildEntry> {
    for (;;) {
      const found = await this.#builds.current();
      if (found) return found;
      await this.#builds.create(0, { build: newBuildName(this.#time()), because: "first" });
    }
  }

  async #now() {
    const { build: name } = await this.#current();
    if (this.#build?.name !== name) {
      const { store, clock } = this.options;
      const tree = new ObjectsTree(store, name, this.options);
      this.#build = { name, tree, sweeper: new Sweeper(store, name, clock) };
    }
    return this.#build;
  }

  /** See `ObjectsContext.unseal`. Whoever creates the next number in `_builds` first decides: the replay, or who waited for it. */
  async #unseal(
    build: string,
    { partition, number, builds }: {
      readonly partition: number;
      readonly number: number;
      readonly builds: number;
    },
  ): Promise<void> {
    const { clock } = this.options;
    await this.#stillCurrent(build);
    const current = await this.#current();
    if (current.number > builds) return;
    const since = this.#sealedSince.get(partition);
    if (since?.number !== number) this.#sealedSince.set(partition, { number, at: clock.monotonic() });
    else if (clock.monotonic() >= since.at + SEALED_MS) {
      await this.#builds.create(builds, { build, because: "reopened" });
      return await this.#stillCurrent(build);
    }
    throw new PartitionLostError(
      `Cannot go on with partition ${partition}: a replay has sealed it; it is waited for, at most a minute.`,
      SEALED_LOOK_MS,
    );
  }

  async #stillCurrent(build: string): Promise<void> {
    const current = await this.#current();
    if (current.build === build) return;
    throw new PartitionLostError(
      `Cannot go on with build ${build}: ${current.build} has taken its place.`,
      0,
    );
  }

  #time(): string {
    return new Date(this.options.clock.now()).toISOString();
  }
}

function checkWindow(
  identity: DatasetIdentity,
  { dedupWindow, place }: { readonly dedupWindow: number; readonly place: string },
): void {
  if (identity.dedupWindow === dedupWindow) return;
  throw new DatasetStateError(
    "dataset_window",
    `Cannot write to "${place}" with DEDUP_WINDOW ${dedupWindow}: it was begun with ${identity.dedupWindow}, and its ` +
      `lines hang on that. Set DEDUP_WINDOW=${identity.dedupWindow}, or begin a dataset under another prefix.`,
  );
}
