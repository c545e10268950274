import { basename, relative, resolve } from "node:path";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { findRoot } from "../../processor/dataset/mod.ts";
import { ifThere } from "../../runtime/durable_file.ts";
import type { TopicLog } from "../../topic/topic.ts";
import { compareTrees } from "./changes.ts";
import { readLive } from "./live.ts";
import {
  beginRebuild,
  newIdentity,
  refuseBeyondEnd,
  type ReplayDependencies,
  resumeRebuild,
} from "./rebuild.ts";
import type { PartitionRange } from "./scan.ts";
import { filesOf } from "./swap.ts";
import {
  readState,
  removeState,
  type ReplayParameters,
  type ReplayResult,
  type ReplayState,
  sameParameters,
} from "./tree.ts";
import { CommandFailedError } from "../command.ts";

/** A replay that leaves its dataset in a directory of its own, and the live one alone. Its range ends at the topic's end. */
export async function replayTo(
  dir: string,
  { deps, parameters, onResult }: {
    readonly deps: ReplayDependencies;
    readonly parameters: ReplayParameters;
    readonly onResult: (result: ReplayResult) => void;
  },
): Promise<void> {
  const live = findRoot(deps.datasetDir);
  refuseInside(dir, live);
  const begun = interruptedIn(dir, parameters);
  // Before the letters are read: every letter below that could be known then is among them.
  const ranges = begun?.ranges ?? await wholeTopic(deps.log, live);
  const rebuild = begun
    ? resumeRebuild(deps, { root: dir, state: begun })
    : beginRebuild(deps, { root: dir, parameters, identity: newIdentity(deps, crypto.randomUUID()) });
  try {
    await refuseBeyondEnd(deps.log, ranges);
    await rebuild.fix(await readLive(live, deps.log), ranges);
    await rebuild.extend("building");
    deps.faultPoint("replay.built");
    const after = filesOf(rebuild.root)!;
    const lines = Object.values(after.files).reduce((sum, { records }) => sum + records, 0);
    const partitions = await compareTrees({ before: filesOf(live), after });
    onResult({ records: rebuild.records, lines, deadLetters: rebuild.deadLetters, partitions });
    await removeState(rebuild.root);
  } finally {
    rebuild.close();
  }
}

function refuseInside(dir: string, live: string | null): void {
  if (live === null) return;
  const below = relative(live, ifThere(() => Deno.realPathSync(dir)) ?? resolve(dir));
  if (below.startsWith("..") || resolve(below) === below) return;
  throw new CommandFailedError(`Cannot write to "${dir}": it lies in the live dataset. Name another place.`);
}

/** What an interrupted replay to this directory remembers; null where the directory is empty or missing. */
function interruptedIn(dir: string, parameters: ReplayParameters): ReplayState | null {
  if (isEmpty(dir)) return null;
  const state = readState(dir);
  if (state !== null && sameParameters(state.parameters, parameters)) return state;
  const message = state === null
    ? "it is not empty"
    : "a replay with other parameters (times, sanitiser, DEDUP_WINDOW, TRAINING_EVENTS, secret or log) was interrupted there";
  throw new CommandFailedError(
    `Cannot write to "${dir}": ${message}. Name an empty directory, or empty "${basename(dir)}".`,
  );
}

function isEmpty(dir: string): boolean {
  // A run that was killed before it could write down what it was has left this and nothing else.
  const isLeft = ({ name }: Deno.DirEntry) => name === "_manifest" && isUnnamed(`${dir}/${name}`);
  return ifThere(() => [...Deno.readDirSync(dir)].every(isLeft)) ?? true;
}

function isUnnamed(manifestDir: string): boolean {
  return [...Deno.readDirSync(manifestDir)].every(({ name }) => name === "replay.json.tmp");
}

/** Of each partition what there is, from where the live dataset began if there is one. */
async function wholeTopic(log: TopicLog, live: string | null): Promise<readonly PartitionRange[]> {
  const bounds = await log.bounds(WEBHOOKS_TOPIC);
  const partitions = live === null ? [] : await readLive(live, log);
  return bounds.map(({ partition, startOffset, endOffset: until }) => {
    const from = Math.max(startOffset, partitions[partition]?.firstOffset ?? 0);
    return { partition, from: Math.min(from, until), until };
  });
}
