import { rmdirSync } from "node:fs";
import { basename, dirname } from "node:path";
import type { HeldLock } from "../../runtime/data_dir.ts";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import {
  type DatasetLocks,
  DatasetStateError,
  manifestPartitions,
  readEntries,
} from "../../processor/dataset/mod.ts";
import { ifThere, removeIfThere, syncDirectory } from "../../runtime/durable_file.ts";
import { compareTrees, type TreeFiles } from "./changes.ts";
import type { ReplayDependencies } from "./rebuild.ts";
import { type ReplayResult, type ReplayState, saveState } from "./tree.ts";

/** Putting a rebuilt dataset in the live one's place, beside running writers. */

export type SwapTiming = {
  /** How long the writers are asked for their partitions before they get them back. */
  readonly locksMs: number;
  /** How long they then go on before they are asked again. */
  readonly pauseMs: number;
};

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

/** Leads DATASET_DIR to another directory beside it, by one rename: a reader finds the old or the new one. */
export async function leadTo(
  datasetDir: string,
  { root, faultPoint }: { readonly root: string; readonly faultPoint: ReplayDependencies["faultPoint"] },
): Promise<void> {
  const link = `${datasetDir}.next`;
  removeLink(link);
  Deno.symlinkSync(basename(root), link);
  faultPoint("replay.linked");
  removeEmptyDirectory(datasetDir);
  Deno.renameSync(link, datasetDir);
  faultPoint("replay.renamed");
  await syncDirectory(dirname(datasetDir));
}

/** Files of a tree as its manifests have them; null where there is no tree, or its manifests cannot be read. */
export function filesOf(root: string | null): TreeFiles | null {
  if (root === null) return null;
  try {
    const sizes = Object.entries(readEntries(root)).map(([path, { bytes, records }]) =>
      [path, { bytes, records }] as const
    );
    return { root, files: Object.fromEntries(sizes) };
  } catch (error) {
    if (error instanceof DatasetStateError || error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/**
 * What is left to do once the new dataset is in place: compare it with the old one, and remove that. Each step may be
 * found done: an interrupted replay is finished from here by the next one.
 */
export async function finishSwap(
  root: string,
  { state, faultPoint }: {
    readonly state: ReplayState;
    readonly faultPoint: ReplayDependencies["faultPoint"];
  },
): Promise<ReplayResult> {
  const swap = state.swap!;
  const result = swap.result ?? await resultOf(root, swap);
  await saveState(root, { ...state, swap: { ...swap, result } });
  faultPoint("replay.compared");
  if (swap.old !== null && swap.old !== root) removeIfThere(swap.old, { recursive: true });
  faultPoint("replay.removed");
  return result;
}

async function resultOf(root: string, swap: NonNullable<ReplayState["swap"]>): Promise<ReplayResult> {
  const { records, deadLetters, after: files } = swap;
  const partitions = await compareTrees({ before: filesOf(swap.old), after: { root, files } });
  const lines = Object.values(files).reduce((sum, file) => sum + file.records, 0);
  return { records, lines, deadLetters, partitions };
}

/** Left by a replay that was killed; anything but a link was put there by somebody else, and stays. */
function removeLink(path: string): void {
  if (ifThere(() => Deno.lstatSync(path))?.isSymlink) Deno.removeSync(path);
}

function removeEmptyDirectory(path: string): void {
  try {
    rmdirSync(path);
  } catch (error) {
    // A link, or nothing: as it is to be.
    if (!["ENOENT", "ENOTDIR"].includes(String((error as { code?: unknown }).code))) throw error;
  }
}
