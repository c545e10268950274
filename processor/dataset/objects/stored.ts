import type { Clock } from "../../../runtime/clock.ts";
import { noFaultPoint } from "../../../runtime/fault_point.ts";
import type { ErasedSubjects } from "../../record/erasure.ts";
import type { CommitObject } from "../core/commit.ts";
import type { CommitState } from "../core/commit_state.ts";
import { parseDatasetPath } from "../core/path.ts";
import { DatasetStateError } from "../core/state_error.ts";
import type { Advance, DatasetIdentity } from "../store.ts";
import type { FileSizes, ManifestNow, StoredDataset } from "../reading/stored_dataset.ts";
import { CommitLog, partitionsIn } from "./commit_log.ts";
import type { ObjectsConfig } from "./config.ts";
import { unpacked } from "./lines.ts";
import type { ObjectStore } from "./object_store.ts";
import { entryOf, erasedList, ObjectPartition, type ObjectsContext } from "./partition.ts";
import { Room } from "./room.ts";
import { Sweeper } from "./sweeper.ts";
import { ObjectsTree } from "./tree.ts";

/** Where builds that are not done have their notes; not in the builds, so that one listing finds them. */
export const NOTES = "_replays/";
export function noteKey(build: string): string {
  return `${NOTES}${build}.json`;
}

/** An object for each build that was dropped, for good: whoever was at work on that may come back, however late. */
export const DROPPED = "_dropped/";
export function droppedKey(build: string): string {
  return `${DROPPED}${build}.json`;
}

/** Objects that are removed at once. */
const REMOVED_AT_ONCE = 1_000;
/** Listings of what is being deleted before one that still shows something is taken for one that lags. */
const LISTINGS_MAX = 10;

export type StoredBuildOptions = {
  readonly store: ObjectStore;
  readonly config: Pick<ObjectsConfig, "objectBytes" | "objectAgeMs" | "compression">;
  readonly clock: Clock;
  /** See `CommitLog`. */
  readonly checkpointEvery?: number;
  identity(): Promise<DatasetIdentity | null>;
  /** Makes sure that the dataset has a name; the first one stands. */
  nameAs(identity: DatasetIdentity): Promise<DatasetIdentity>;
  /** See `Bucket.discard`. */
  discard(): Promise<unknown>;
  /** Before the note goes: the build becomes the dataset of a prefix that has none. Default: nothing. */
  readonly becomesFirst?: () => Promise<void>;
};

/** One build in a bucket, for a replay. */
export function storedBuild(build: string, options: StoredBuildOptions): StoredDataset {
  const { store, clock, checkpointEvery } = options;
  const logs = new Map<number, CommitLog>();
  const key = noteKey(build);
  const tree = new ObjectsTree(store, build, { clock, checkpointEvery });
  const partitions = async () => {
    await tree.refresh();
    const count = tree.counts().at(-1)?.count;
    if (count === undefined) return await partitionsIn(store, build);
    const all = await Promise.all(Array.from({ length: count }, (_, one) => logOf(one)));
    return all.flatMap(({ state }, partition) => state.number > 0 ? [partition] : []);
  };
  /** The same log again and again: what is new is read on. */
  const logOf = async (partition: number) => {
    const log = logs.get(partition) ?? new CommitLog(store, { build, partition }, { checkpointEvery });
    logs.set(partition, log);
    await log.readOn();
    return log;
  };
  const manifest = async (partition: number) => {
    const { state } = await logOf(partition);
    return state.number === 0 ? null : manifestOf(state);
  };
  const snapshot = async (partition: number) => {
    const found = await manifest(partition);
    return found && { manifest: found, files: sizesOf((await logOf(partition)).state.objects.values()) };
  };
  const common = buildingContext(build, options);
  return {
    place: `${store.place}/${build}`,
    identity: () => options.identity(),
    partitions,
    manifest,
    snapshot,
    tree: async () => {
      await tree.refresh();
      return tree;
    },
    async sizes() {
      const all = await Promise.all((await partitions()).map((partition) => snapshot(partition)));
      return Object.assign({}, ...all.map((one) => one?.files));
    },
    async blocks(path) {
      const body = await store.read(`${build}/${path}`);
      return body && unpacked(body.blocks, parseDatasetPath(path)!.compression ?? "none");
    },
    /** A replay that was paused while its build was dropped may note it again. */
    note: async () => await store.get(droppedKey(build)) === null ? await store.get(key) : null,
    saveNote: (bytes) => store.put(key, bytes),
    async removeNote() {
      await options.becomesFirst?.();
      await store.remove([key]);
    },
    async make({ identity, note }) {
      await store.put(key, note);
      const { dedupWindow } = await options.nameAs(identity);
      if (dedupWindow !== identity.dedupWindow) {
        throw otherWindow(store.place, { dedupWindow, own: identity.dedupWindow });
      }
    },
    async build(partition, { firstOffset, erased }) {
      const log = new CommitLog(store, { build, partition }, {
        startOffset: firstOffset,
        writes: true,
        checkpointEvery,
      });
      await log.readOn();
      await knowErased(log, { erased, clock });
      const opened = new BuiltPartition(partition, log, common);
      await opened.take();
      return opened;
    },
    async remove() {
      await options.discard();
    },
  };
}

function otherWindow(
  place: string,
  { dedupWindow, own }: { readonly dedupWindow: number; readonly own: number },
): DatasetStateError {
  return new DatasetStateError(
    "dataset_window",
    `Cannot build with DEDUP_WINDOW ${own}: "${place}" was begun with ${dedupWindow}, and keeps that. Set ` +
      `DEDUP_WINDOW=${dedupWindow}, or name another prefix.`,
  );
}

/** Nobody publishes the letters of a build: each chunk brings those of all before it along. */
class BuiltPartition extends ObjectPartition {
  readonly #known = new Set(this.manifest.letters.map(({ offset }) => offset));

  override advance(to: Advance): Promise<void> {
    const letters = to.letters.filter(({ offset }) => !this.#known.has(offset));
    for (const { offset } of letters) this.#known.add(offset);
    return super.advance({ ...to, letters });
  }
}

/** Known before the first line: nothing of the erased is written, not even for a moment. */
async function knowErased(
  log: CommitLog,
  { erased, clock }: { readonly erased: ErasedSubjects; readonly clock: Clock },
): Promise<void> {
  if (log.state.number > 0 || erased.size === 0) return;
  const { firstOffset, nextOffset } = log.state;
  const at = new Date(clock.now()).toISOString();
  await log.append({
    kind: "fence",
    writer: "replay",
    at,
    firstOffset,
    nextOffset,
    erased: erasedList(erased),
  });
}

function buildingContext(
  build: string,
  { store, config, clock }: StoredBuildOptions,
): ObjectsContext {
  return {
    store,
    build,
    tree: null,
    clock,
    faultPoint: noFaultPoint,
    room: new Room(),
    sweeper: new Sweeper(store, build, clock),
    ...config,
    // One that was current is sealed for good: an erasure goes on behind that.
    unseal: () => Promise.resolve(),
    stillCurrent: () => Promise.resolve(),
  };
}

function manifestOf(state: CommitState): ManifestNow {
  const { firstOffset, nextOffset, objects, letters, counts, last } = state;
  return {
    firstOffset,
    nextOffset,
    /** Made when somebody asks: a partition may have 100,000 objects. */
    get files() {
      return Object.fromEntries([...objects.values()].map((object) => [object.path, entryOf(object)]));
    },
    letters: letters.flatMap(({ letters }) => letters),
    counts,
    last,
  };
}

function sizesOf(objects: Iterable<CommitObject>): FileSizes {
  const sizes: Record<string, FileSizes[string]> = {};
  for (const { path, bytes, records } of objects) sizes[path] = { bytes, records };
  return sizes;
}

/** Everything whose key begins so, until a listing shows nothing more. Answers how much that was. */
export async function removeAll(
  store: ObjectStore,
  prefix: string,
): Promise<{ readonly objects: number; readonly bytes: number }> {
  let [objects, sum] = [0, 0];
  for (let [round, before] = [0, -1]; before < objects && round < LISTINGS_MAX; round++) {
    before = objects;
    let keys: string[] = [];
    for await (const { key, bytes } of store.list(prefix)) {
      objects++;
      sum += bytes;
      if (keys.push(key) < REMOVED_AT_ONCE) continue;
      await store.remove(keys);
      keys = [];
    }
    if (keys.length > 0) await store.remove(keys);
  }
  return { objects, bytes: sum };
}
