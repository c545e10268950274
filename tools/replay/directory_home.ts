import { rmdirSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import {
  type DatasetLocks,
  findRoot,
  hasIdentity,
  newTreePath,
  notePath,
  type StoredDataset,
  storedTree,
} from "../../processor/dataset/mod.ts";
import { ifThere, readIfThere, removeIfThere, syncDirectory } from "../../runtime/durable_file.ts";
import type { DatasetHome } from "./home.ts";
import type { ReplayDependencies } from "./home.ts";
import { takeAllPartitions } from "./swap.ts";
import type { ReplayTarget } from "./to.ts";
import { CommandFailedError } from "../command.ts";

/** DATASET_DIR: a link to `dataset.<build>/` beside it. */
export function directoryHome(datasetDir: string, locks: DatasetLocks | null): DatasetHome {
  const live = () => findRoot(datasetDir);
  return {
    place: datasetDir,
    live: () => Promise.resolve().then(live).then((root) => root === null ? null : storedTree(root)),
    at: storedTree,
    beside: (createdAt) => storedTree(newTreePath(datasetDir, createdAt)),
    findInterrupted: (fits) =>
      Promise.resolve().then(() => findInterrupted(datasetDir, { live: live(), fits })),
    halt: (deps, timing) => takeAllPartitions(locks!, { deps, timing, root: live() }),
    windowMayChange: true,
    leadTo: (dataset, deps) => leadTo(datasetDir, { root: dataset.place, deps }),
    async retire(place) {
      await storedTree(place).remove();
    },
  };
}

/** A directory that takes nobody's place; refused where it lies in the live dataset. */
export function directoryTarget(dir: string, datasetDir: string): ReplayTarget {
  refuseInside(dir, findRoot(datasetDir));
  return {
    dataset: storedTree(dir),
    isEmpty: () => Promise.resolve().then(() => isEmpty(dir)),
    toEmpty: `empty "${basename(dir)}"`,
  };
}

function refuseInside(dir: string, live: string | null): void {
  if (live === null) return;
  const below = relative(live, ifThere(() => Deno.realPathSync(dir)) ?? resolve(dir));
  if (below.startsWith("..") || resolve(below) === below) return;
  throw new CommandFailedError(`Cannot write to "${dir}": it lies in the live dataset. Name another place.`);
}

function isEmpty(dir: string): boolean {
  // A run that was killed before it could write down what it was has left this and nothing else.
  const isLeft = ({ name }: Deno.DirEntry) => name === "_manifest" && isUnnamed(`${dir}/${name}`);
  return ifThere(() => [...Deno.readDirSync(dir)].every(isLeft)) ?? true;
}

function isUnnamed(manifestDir: string): boolean {
  return [...Deno.readDirSync(manifestDir)].every(({ name }) => name === "replay.json.tmp");
}

/** Leads DATASET_DIR to another directory beside it, by one rename. */
async function leadTo(
  datasetDir: string,
  { root, deps: { faultPoint } }: { readonly root: string; readonly deps: ReplayDependencies },
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

/** The caller holds the maintenance lock. */
function findInterrupted(
  datasetDir: string,
  { live, fits }: { readonly live: string | null; readonly fits: (note: Uint8Array) => boolean },
): StoredDataset | null {
  let found: string | null = null;
  for (const root of treesBeside(datasetDir)) {
    if (root === live) continue;
    const note = readIfThere(notePath(root));
    if (found === null && note !== null && fits(note) && hasIdentity(root)) found = root;
    else if (isLeftOver(root)) removeIfThere(root, { recursive: true });
  }
  return found === null ? null : storedTree(found);
}

function treesBeside(datasetDir: string): readonly string[] {
  const beside = Deno.realPathSync(dirname(datasetDir));
  const begins = `${basename(datasetDir)}.`;
  return [...Deno.readDirSync(beside)]
    .filter(({ name, isDirectory }) => isDirectory && name.startsWith(begins))
    .map(({ name }) => join(beside, name));
}

const BUILD = /\.\d{8}T\d{6}Z-[0-9a-f]{8}$/;

/**
 * Of a build under our own names that a replay has not ended, or not even begun. Whatever has no note is a dataset or
 * somebody's copy of one, whatever has another name was given it by somebody: not ours to remove.
 */
function isLeftOver(root: string): boolean {
  const path = notePath(root);
  return BUILD.test(root) && (readIfThere(path) !== null || readIfThere(`${path}.tmp`) !== null);
}
