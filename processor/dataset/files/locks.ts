import { join } from "node:path";
import { type HeldLock, tryLockFile } from "../../../runtime/data_dir.ts";
import { ifThere, makePrivateDirectory, narrow, OWNER_ONLY, PRIVATE } from "../../../runtime/durable_file.ts";
import { partitionPrefix } from "../core/path.ts";

/**
 * The dataset's locks. They lie in `$DATASET_DIR.locks/`, outside the tree that a replay puts in the place of another,
 * and are never deleted: a lock on a file that has lost its name keeps nobody out.
 */
export type DatasetLocks = {
  /** For whoever writes one partition; null where another has it. */
  takePartition(partition: number): HeldLock | null;
  /** For a replay that wants every partition. A look by {@link swapWanted} may hold it for a moment: try again. */
  takeSwapWanted(): HeldLock | null;
  /**
   * For one replay or one erasure at a time. `what` says who holds it to those that come meanwhile, such as "a replay";
   * without it they are told no name.
   */
  takeMaintenance(what?: string): HeldLock | null;
  /** Who holds the maintenance lock, and since when, in words; only of use where it could not be taken. */
  maintenanceUnderWay(): string;
  swapWanted(): boolean;
  close(): void;
};

/** Opens the locks of a dataset in `<datasetDir>.locks/`, which is made where it is missing; nothing is locked yet. */
export function openDatasetLocks(datasetDir: string): DatasetLocks {
  const directory = `${datasetDir}.locks`;
  makePrivateDirectory(directory);
  narrow(directory, OWNER_ONLY.directory);
  const swapPath = join(directory, "swap-wanted");
  const holderPath = join(directory, "maintenance.holder");
  const look = Deno.openSync(swapPath, { ...PRIVATE, create: true, read: true, write: true });
  return {
    takePartition: (partition) => tryLockFile(join(directory, `${partitionPrefix(partition)}.lock`)),
    takeSwapWanted: () => tryLockFile(swapPath),
    takeMaintenance: (what) => {
      const lock = tryLockFile(join(directory, "maintenance"));
      if (lock) writeHolder(holderPath, what);
      return lock;
    },
    maintenanceUnderWay: () =>
      ifThere(() => Deno.readTextFileSync(holderPath)) || "a replay, an erasure or a redrive",
    swapWanted: () => {
      // Shared, so that two writers that look at the same time don't take each other for a replay.
      if (!look.tryLockSync(false)) return true;
      look.unlockSync();
      return false;
    },
    close: () => look.close(),
  };
}

/** Beside the lock, since Windows lets nobody read a locked file. Words only: the lock alone keeps others out. */
function writeHolder(path: string, what: string | undefined): void {
  const since = new Date().toISOString();
  const words = what === undefined ? "" : `${what} (process ${Deno.pid}, since ${since})`;
  Deno.writeTextFileSync(path, words, PRIVATE);
}
