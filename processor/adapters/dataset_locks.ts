import { join } from "node:path";
import { type HeldLock, tryLockFile } from "../../topic/data_dir.ts";
import { partitionPrefix } from "../core/dataset_path.ts";

/**
 * The dataset's locks. They lie in `$DATASET_DIR.locks/`, outside the tree that a replay puts in the place of another,
 * and are never deleted: a lock on a file that has lost its name keeps nobody out.
 */
export type DatasetLocks = {
  /** For whoever writes one partition; null where another has it. */
  takePartition(partition: number): HeldLock | null;
  /** For a replay that wants every partition. A look by {@link swapWanted} may hold it for a moment: try again. */
  takeSwapWanted(): HeldLock | null;
  /** For one replay or one erasure at a time. */
  takeMaintenance(): HeldLock | null;
  swapWanted(): boolean;
  close(): void;
};

export function openDatasetLocks(datasetDir: string): DatasetLocks {
  const directory = `${datasetDir}.locks`;
  Deno.mkdirSync(directory, { recursive: true });
  const swapPath = join(directory, "swap-wanted");
  const look = Deno.openSync(swapPath, { create: true, read: true, write: true });
  return {
    takePartition: (partition) => tryLockFile(join(directory, `${partitionPrefix(partition)}.lock`)),
    takeSwapWanted: () => tryLockFile(swapPath),
    takeMaintenance: () => tryLockFile(join(directory, "maintenance")),
    swapWanted: () => {
      // Shared, so that two writers that look at the same time don't take each other for a replay.
      if (!look.tryLockSync(false)) return true;
      look.unlockSync();
      return false;
    },
    close: () => look.close(),
  };
}
