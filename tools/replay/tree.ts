import { basename, dirname, join } from "node:path";
import * as z from "zod";
import { type DatasetIdentity, hasIdentity, saveIdentity } from "../../processor/dataset/mod.ts";
import { GROUP_READS, PRIVATE, readIfThere, replaceFile, syncDirectory } from "../../runtime/durable_file.ts";

/**
 * The directory that a replay builds, and what it remembers there in `_manifest/replay.json` until it is done. A rebuilt
 * dataset lies beside the live one as `dataset.<build>/`; whatever has a `replay.json` is unfinished.
 */

const offset = z.int().min(0);
/** What the bytes of a rebuilt dataset depend on beside the topic: another value of any of them begins anew. */
const parameters = z.object({
  mode: z.enum(["swap", "take-over", "to"]),
  /** Which log, as far as its name tells: `embedded`, or Kafka's topic. */
  log: z.string(),
  /** The live dataset's id; null where a replay needs none. */
  dataset: z.string().nullable(),
  sanitiserVersion: z.string(),
  dedupWindow: z.int(),
  trainingEvents: z.array(z.string()).readonly(),
  /** Of the secret. */
  fingerprint: z.string(),
  /** Milliseconds since 1970; null for no bound. */
  fromTime: z.int().nullable(),
  untilTime: z.int().nullable(),
}).readonly();
const size = z.object({ bytes: offset, records: offset });
const partitionRow = z.object({
  event: z.string(),
  date: z.string(),
  before: offset,
  after: offset,
  changed: offset,
});
const result = z.object({
  records: offset,
  lines: offset,
  deadLetters: offset,
  partitions: z.array(partitionRow),
});
const state = z.object({
  parameters,
  /** Where the new dataset begins, and up to where it was to be built when that was last fixed. */
  ranges: z.array(z.object({ partition: offset, from: offset, until: offset })),
  /** Positions by partition that had a letter at that moment. */
  letters: z.record(z.string(), z.array(offset)),
  /** Set right before the new dataset takes the old one's place; there it says what is left to do. */
  swap: z.object({
    /** The tree that has been replaced; null where there was none. */
    old: z.string().nullable(),
    /** The files of the new one at that moment, by path. */
    after: z.record(z.string(), size),
    records: offset,
    deadLetters: offset,
    /** Set before the old tree is removed. */
    result: result.nullable(),
  }).nullable(),
});

/** What an unfinished replay remembers in its tree, so that it can go on after a crash. */
export type ReplayParameters = z.infer<typeof parameters>;
export type ReplayState = z.infer<typeof state>;
export type ReplayResult = z.infer<typeof result>;

/** Where an unfinished replay keeps its state in this tree: `_manifest/replay.json`. */
export function statePath(root: string): string {
  return join(root, "_manifest", "replay.json");
}

/** What an unfinished replay remembers in this directory; null where there is none, or one that cannot be read. */
export function readState(root: string): ReplayState | null {
  const bytes = readIfThere(statePath(root));
  if (!bytes) return null;
  try {
    return state.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    return null;
  }
}

/** Replaces the replay's state; durable once it resolves. */
export function saveState(root: string, value: ReplayState): Promise<void> {
  return replaceFile(statePath(root), new TextEncoder().encode(JSON.stringify(value) + "\n"), PRIVATE);
}

/** Ends a replay in this directory: from here on it is a dataset like any other. */
export async function removeState(root: string): Promise<void> {
  Deno.removeSync(statePath(root));
  await syncDirectory(dirname(statePath(root)));
}

/**
 * True where both would build the same bytes from the same topic, so that one replay may go on with the other's tree.
 */
export function sameParameters(a: ReplayParameters, b: ReplayParameters): boolean {
  const text = (one: ReplayParameters) =>
    JSON.stringify([
      [one.mode, one.log, one.dataset, one.sanitiserVersion, one.dedupWindow, one.fingerprint],
      [one.fromTime, one.untilTime, [...one.trainingEvents].sort()],
    ]);
  return text(a) === text(b);
}

/** Makes the directory of a new build; durable. The state comes first: whatever lies there later is known as a replay's. */
export async function makeTree(
  root: string,
  { identity, state }: { readonly identity: DatasetIdentity; readonly state: ReplayState },
): Promise<void> {
  Deno.mkdirSync(join(root, "_manifest"), { recursive: true, mode: GROUP_READS.directory });
  await saveState(root, state);
  await saveIdentity(root, identity);
  await syncDirectory(root);
  await syncDirectory(dirname(root));
}

/**
 * The build of an interrupted replay with these parameters, beside the dataset; what other replays have left there goes.
 * The caller holds the maintenance lock.
 */
export function findInterrupted(
  datasetDir: string,
  { live, parameters }: { readonly live: string | null; readonly parameters: ReplayParameters },
): string | null {
  let found: string | null = null;
  for (const root of treesBeside(datasetDir)) {
    if (root === live) continue;
    const state = readState(root);
    const resumable = state !== null && sameParameters(state.parameters, parameters) && hasIdentity(root);
    if (resumable && found === null) found = root;
    else if (isLeftOver(root)) Deno.removeSync(root, { recursive: true });
  }
  return found;
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
 * Of a build under our own names that a replay has not ended, or not even begun. Whatever has no `replay.json` is a
 * dataset or somebody's copy of one, whatever has another name was given it by somebody: not ours to remove.
 */
function isLeftOver(root: string): boolean {
  const path = statePath(root);
  return BUILD.test(root) && (readIfThere(path) !== null || readIfThere(`${path}.tmp`) !== null);
}
