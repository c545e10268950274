import type { ReplayDependencies } from "./home.ts";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import type { StoredDataset } from "../../processor/dataset/mod.ts";
import type { TopicLog } from "../../topic/topic.ts";
import { compareDatasets } from "./changes.ts";
import { readLive } from "./live.ts";
import { beginRebuild, newIdentity, refuseBeyondEnd, resumeRebuild } from "./rebuild.ts";
import type { PartitionRange } from "./scan.ts";
import { filesOf } from "./swap.ts";
import {
  parseState,
  type ReplayParameters,
  type ReplayResult,
  type ReplayState,
  sameParameters,
} from "./tree.ts";
import { CommandFailedError } from "../command.ts";

/** Where a dataset is left that takes nobody's place. */
export type ReplayTarget = {
  readonly dataset: StoredDataset;
  /** Nothing is there, or what a replay left that was killed before it could note what it was. */
  isEmpty(): Promise<boolean>;
  /** What must go before another replay can write there, for people: `empty "name"`. */
  readonly toEmpty: string;
};

/** A replay that leaves its dataset in a place of its own, and the live one alone. Its range ends at the topic's end. */
export async function replayTo(
  target: ReplayTarget,
  { deps, parameters, onResult }: {
    readonly deps: ReplayDependencies;
    readonly parameters: ReplayParameters;
    readonly onResult: (result: ReplayResult) => void;
  },
): Promise<void> {
  const { dataset } = target;
  const live = await deps.home.live();
  const begun = await interruptedIn(target, parameters);
  // Before the letters are read: every letter below that could be known then is among them.
  const ranges = begun?.ranges ?? await wholeTopic(deps.log, live);
  const rebuild = begun
    ? resumeRebuild(deps, { dataset, state: begun })
    : beginRebuild(deps, { dataset, parameters, identity: newIdentity(deps, crypto.randomUUID()) });
  try {
    await refuseBeyondEnd(deps.log, ranges);
    await rebuild.fix(await readLive(live, deps.log), ranges);
    await rebuild.extend("building");
    deps.faultPoint("replay.built");
    const after = (await filesOf(dataset))!;
    const lines = Object.values(after.files).reduce((sum, { records }) => sum + records, 0);
    const partitions = await compareDatasets({ before: await filesOf(live), after });
    onResult({ records: rebuild.records, lines, deadLetters: rebuild.deadLetters, partitions });
    await dataset.removeNote();
  } finally {
    rebuild.close();
  }
}

/** What an interrupted replay to this place has noted; null where nothing is there. */
async function interruptedIn(
  { dataset, isEmpty, toEmpty }: ReplayTarget,
  parameters: ReplayParameters,
): Promise<ReplayState | null> {
  if (await isEmpty()) return null;
  const note = await dataset.note();
  const state = note && parseState(note);
  if (state && sameParameters(state.parameters, parameters)) return state;
  const message = state === null
    ? "it is not empty"
    : "a replay with other parameters (times, sanitiser, DEDUP_WINDOW, TRAINING_EVENTS, secret or log) was interrupted there";
  throw new CommandFailedError(
    `Cannot write to "${dataset.place}": ${message}. Name an empty directory, or ${toEmpty}.`,
  );
}

/** Of each partition what there is, from where the live dataset began if there is one. */
async function wholeTopic(log: TopicLog, live: StoredDataset | null): Promise<readonly PartitionRange[]> {
  const bounds = await log.bounds(WEBHOOKS_TOPIC);
  const partitions = live === null ? [] : await readLive(live, log);
  return bounds.map(({ partition, startOffset, endOffset: until }) => {
    const from = Math.max(startOffset, partitions[partition]?.firstOffset ?? 0);
    return { partition, from: Math.min(from, until), until };
  });
}
