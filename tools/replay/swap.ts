import type { HeldLock } from "../../runtime/data_dir.ts";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { type DatasetLocks, manifestPartitions, type StoredDataset } from "../../processor/dataset/mod.ts";
import { compareDatasets, type DatasetFilesNow } from "./changes.ts";
import type { ReplayDependencies, SwapTiming } from "./home.ts";
import { encodeState, type ReplayResult, type ReplayState } from "./tree.ts";

/** Putting a rebuilt dataset in the live one's place, beside running writers. */

export const SWAP_TIMING: SwapTiming = { locksMs: 30_000, pauseMs: 5_000 };
const LOOK_EVERY_MS = 50;

/**
 * Wants all partitions and takes their locks, those too that no manifest knows; one release for all of it. Null where a
 * writer has not let go in time (it is stopped, or in the middle of a long erasure): all are given back meanwhile, so that
 * it holds up nobody else.
 */
export async function takeAllPartitions(
  locks: DatasetLocks,
  { deps: { log, clock, faultPoint, progress }, timing, root }: {
    readonly deps: ReplayDependencies;
    readonly timing: SwapTiming;
    readonly root: string | null;
  },
): Promise<HeldLock | null> {
  using held = new DisposableStack();
  const end = clock.monotonic() + timing.locksMs;
  while (!takeInto(held, locks.takeSwapWanted())) await clock.wait(LOOK_EVERY_MS / 10);
  faultPoint("replay.wanted");
  // Read while nobody takes a new lock any more: a partition that was added just now is among them.
  const known = root === null ? [] : manifestPartitions(root);
  const partitions = new Array(await log.partitions(WEBHOOKS_TOPIC)).keys();
  const missing = new Set([...partitions, ...known]);
  for (;;) {
    for (const partition of missing) {
      if (takeInto(held, locks.takePartition(partition))) missing.delete(partition);
    }
    if (missing.size === 0) {
      const all = held.move();
      return { release: () => all.dispose() };
    }
    if (clock.monotonic() >= end) {
      progress.say(
        `partition ${[...missing].join(", ")} is held by a writer that does not let go within ` +
          `${timing.locksMs / 1000} s (is it stopped?); the others go on, and it is tried again in ` +
          `${timing.pauseMs / 1000} s.`,
      );
      return null;
    }
    await clock.wait(LOOK_EVERY_MS);
  }
}

function takeInto(held: DisposableStack, lock: HeldLock | null): boolean {
  if (lock) held.defer(() => lock.release());
  return lock !== null;
}

/**
 * What is left to do once the new dataset is in place: compare it with the old one, and remove that. Each step may be
 * found done: an interrupted replay is finished from here by the next one.
 */
export async function finishSwap(
  dataset: StoredDataset,
  { state, deps }: { readonly state: ReplayState; readonly deps: ReplayDependencies },
): Promise<ReplayResult> {
  const { home, faultPoint } = deps;
  const swap = state.swap!;
  const old = swap.old === null || swap.old === dataset.place ? null : swap.old;
  const result = swap.result ?? await resultOf(dataset, { swap, old: old === null ? null : home.at(old) });
  await dataset.saveNote(encodeState({ ...state, swap: { ...swap, result } }));
  faultPoint("replay.compared");
  if (old !== null) await home.retire(old, deps);
  faultPoint("replay.removed");
  return result;
}

async function resultOf(
  dataset: StoredDataset,
  { swap, old }: { readonly swap: NonNullable<ReplayState["swap"]>; readonly old: StoredDataset | null },
): Promise<ReplayResult> {
  const { records, deadLetters, after: files } = swap;
  const partitions = await compareDatasets({ before: await filesOf(old), after: { dataset, files } });
  const lines = Object.values(files).reduce((sum, file) => sum + file.records, 0);
  return { records, lines, deadLetters, partitions };
}

/** Files of a dataset as its manifests have it; null where there is none, or its manifests cannot be read. */
export async function filesOf(dataset: StoredDataset | null): Promise<DatasetFilesNow | null> {
  const files = await dataset?.sizes() ?? null;
  return files && { dataset: dataset!, files };
}
