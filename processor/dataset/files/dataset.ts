import { randomBytes } from "node:crypto";
import { rmdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Clock } from "../../../runtime/clock.ts";
import { manifestPath, parseDatasetPath } from "../core/path.ts";
import { DatasetStateError } from "../core/state_error.ts";
import type { DatasetIdentity, DatasetStore } from "../store.ts";
import { openDatasetLocks } from "./locks.ts";
import { readIdentity, readManifest, saveIdentity } from "./manifest.ts";
import { GROUP_READS, ifThere, narrow, syncDirectory } from "../../../runtime/durable_file.ts";
import { JsonlPartition } from "./partition.ts";
import { treeAt } from "./topic_memory.ts";

/**
 * The dataset as JSON Lines on a local disk. DATASET_DIR is a link to `dataset.<build>/` beside it, made at the first
 * start, so that a rebuilt dataset takes its place by one rename; locks lie in `$DATASET_DIR.locks/`.
 */
export function openJsonlDataset(
  datasetDir: string,
  { dedupWindow, clock, manifestEntriesMax }: {
    readonly dedupWindow: number;
    readonly clock: Clock;
    /** Entries of a manifest above which they are sealed. Default 500. */
    readonly manifestEntriesMax?: number | undefined;
  },
): DatasetStore {
  Deno.mkdirSync(dirname(datasetDir), { recursive: true, mode: GROUP_READS.directory });
  const locks = openDatasetLocks(datasetDir);
  return {
    swapWanted: locks.swapWanted,
    takePartition: locks.takePartition,
    close: locks.close,
    tree: async () => treeAt(await ensureRoot(datasetDir, { dedupWindow, clock })),
    identity: async () => identityOf(await ensureRoot(datasetDir, { dedupWindow, clock })),
    open: async (partition, startOffset) => {
      const root = await ensureRoot(datasetDir, { dedupWindow, clock });
      checkWindow(identityOf(root), { dedupWindow, datasetDir });
      const manifest = readManifest(root, partition);
      if (manifest) return new JsonlPartition(root, { partition, manifest, manifestEntriesMax });
      refuseFilesWithoutManifest(root, partition);
      const empty = { firstOffset: startOffset, nextOffset: startOffset, files: {}, letters: [] };
      return new JsonlPartition(root, { partition, manifest: empty, manifestEntriesMax });
    },
  };
}

/** The directory that DATASET_DIR leads to, made where there is none yet. */
export async function ensureRoot(
  datasetDir: string,
  { dedupWindow, clock }: { readonly dedupWindow: number; readonly clock: Clock },
): Promise<string> {
  const found = findRoot(datasetDir);
  if (found !== null) {
    // What an earlier version has made is open to everybody; its root alone closes it, however many files it has.
    narrow(found, GROUP_READS.directory);
    return found;
  }
  const createdAt = new Date(clock.now()).toISOString();
  const root = await makeRoot(datasetDir, { id: crypto.randomUUID(), createdAt, dedupWindow });
  return root ?? findRoot(datasetDir)!;
}

/** Where DATASET_DIR leads; null where it is missing or an empty directory. Throws where it is anything but a link. */
export function findRoot(datasetDir: string): string | null {
  const info = ifThere(() => Deno.lstatSync(datasetDir));
  if (info === null) return null;
  if (info.isSymlink) return followLink(datasetDir);
  if (info.isDirectory && isEmpty(datasetDir)) return null;
  throw new DatasetStateError(
    "dataset_no_link",
    `Cannot use DATASET_DIR "${datasetDir}": it is ${
      info.isDirectory ? "a directory with files in it" : "a file"
    }, ` +
      `and must be a link to a directory beside it. If it holds a dataset: mv "${datasetDir}" "${datasetDir}.restored" ` +
      `&& ln -s "${basename(datasetDir)}.restored" "${datasetDir}". Else name another place.`,
  );
}

function followLink(datasetDir: string): string {
  try {
    return Deno.realPathSync(datasetDir);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new DatasetStateError(
      "dataset_no_link",
      `Cannot use DATASET_DIR "${datasetDir}": it leads to "${
        Deno.readLinkSync(datasetDir)
      }", which is missing. Put ` +
        `that directory back, or remove the link and build it anew from the topic: \`deno task replay --take-over\`.`,
      { cause: error },
    );
  }
}

/** A path for a new tree beside where DATASET_DIR lies. */
export function newTreePath(datasetDir: string, createdAt: string): string {
  const build = createdAt.replace(/[-:]|\.\d+/g, "");
  return `${datasetDir}.${build}-${randomBytes(4).toString("hex")}`;
}

/** Two writers may start at once: the tree is made whole beside, and the first link stands. Null where it was not ours. */
async function makeRoot(datasetDir: string, identity: DatasetIdentity): Promise<string | null> {
  const root = newTreePath(datasetDir, identity.createdAt);
  Deno.mkdirSync(join(root, "_manifest"), { recursive: true, mode: GROUP_READS.directory });
  await saveIdentity(root, identity);
  await syncDirectory(root);
  if (!putLink(datasetDir, root)) {
    Deno.removeSync(root, { recursive: true });
    return null;
  }
  await syncDirectory(dirname(datasetDir));
  return Deno.realPathSync(root);
}

/** False where another writer's link stands there by now; an empty directory gives way, anything else stays. */
function putLink(datasetDir: string, root: string): boolean {
  try {
    rmdirSync(datasetDir);
  } catch (error) {
    if (codeOf(error) === "EBUSY") throw mountPoint(datasetDir, error);
    if (!["ENOENT", "ENOTDIR", "ENOTEMPTY"].includes(codeOf(error))) throw error;
  }
  try {
    Deno.symlinkSync(basename(root), datasetDir);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw error;
  }
}

function mountPoint(datasetDir: string, cause: unknown): DatasetStateError {
  return new DatasetStateError(
    "dataset_no_link",
    `Cannot use DATASET_DIR "${datasetDir}": it is a mount point, and a rebuilt dataset takes its place by a rename. ` +
      `Mount the directory above it instead.`,
    { cause },
  );
}

function identityOf(root: string): DatasetIdentity {
  const identity = readIdentity(root);
  if (identity) return identity;
  throw new DatasetStateError(
    "dataset_no_manifest",
    `Cannot use the dataset in "${root}": _manifest/dataset.json is missing. Put it back from a backup, or remove the ` +
      `link that leads here and build it anew from the topic: \`deno task replay --take-over\`.`,
  );
}

function checkWindow(
  identity: DatasetIdentity,
  { dedupWindow, datasetDir }: { dedupWindow: number; datasetDir: string },
): void {
  if (identity.dedupWindow === dedupWindow) return;
  throw new DatasetStateError(
    "dataset_window",
    `Cannot write to "${datasetDir}" with DEDUP_WINDOW ${dedupWindow}: it was begun with ${identity.dedupWindow}, and ` +
      `its bytes hang on that. Set DEDUP_WINDOW=${identity.dedupWindow}, or rebuild with \`deno task replay\`.`,
  );
}

/** Writing on would double every line that these files hold already. */
function refuseFilesWithoutManifest(root: string, partition: number): void {
  const file = findFileOf(root, partition);
  if (file === null) return;
  throw new DatasetStateError(
    "dataset_no_manifest",
    `Cannot write partition ${partition} of "${root}": "${file}" is there without a manifest. Put ` +
      `${manifestPath(partition)} back from a backup, or rebuild with \`deno task replay\`.`,
  );
}

function findFileOf(root: string, partition: number): string | null {
  for (const event of Deno.readDirSync(root)) {
    if (!event.isDirectory || !event.name.startsWith("event=")) continue;
    for (const date of Deno.readDirSync(join(root, event.name))) {
      if (!date.isDirectory) continue;
      for (const file of Deno.readDirSync(join(root, event.name, date.name))) {
        const path = `${event.name}/${date.name}/${file.name}`;
        if (parseDatasetPath(path)?.partition === partition) return path;
      }
    }
  }
  return null;
}

function isEmpty(directory: string): boolean {
  for (const _ of Deno.readDirSync(directory)) return false;
  return true;
}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown }).code);
}
