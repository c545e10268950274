import type { ReplayDependencies, SwapTiming } from "./home.ts";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { DatasetOwner, type StoredDataset, takeOverDataset } from "../../processor/dataset/mod.ts";
import { LogSetupError, type TopicLog } from "../../topic/topic.ts";
import { liveIdentity, type LivePartition, rangeOf, readLive, refuseMadeAgain } from "./live.ts";
import {
  beginRebuild,
  isStale,
  newIdentity,
  type Rebuild,
  refuseBeyondEnd,
  resumeRebuild,
} from "./rebuild.ts";
import { filesOf, finishSwap, SWAP_TIMING } from "./swap.ts";
import {
  parseState,
  readState,
  type ReplayParameters,
  type ReplayResult,
  type ReplayState,
  sameParameters,
} from "./tree.ts";
import { CommandFailedError } from "../command.ts";

/**
 * A replay whose dataset takes the place of the live one (or, with `take-over`, becomes the one that the group writes).
 *
 * The range ends where the live writer goes on; what it writes meanwhile is caught up with, at last under all partition
 * locks, so that the writers go on from the new dataset without a gap or a double.
 */

export type InPlaceOptions = {
  /** All but the dataset's id, which is found here. */
  readonly parameters: Omit<ReplayParameters, "dataset">;
  readonly timing?: SwapTiming;
  /** Gets the result before the last trace of the replay goes: killed before that, the next one tells it again. */
  readonly onResult: (result: ReplayResult) => void;
};

/** Offsets that the build may lack when the partitions are asked for: caught up with in a fraction of a second. */
const BEHIND_MAX = 2_000;
/** Rounds of catching up; writers that are faster than a replay are caught up with under the locks. */
const ROUNDS_MAX = 10;
/** Builds that are begun before a replay gives up on ever newer changes below it. */
const BUILDS_MAX = 3;

/**
 * Finishes an earlier replay that had swapped already; else builds, catches up and swaps, and begins anew at most
 * three times where something below it changed. Where it rejects before the swap, the live dataset is as it was.
 */
export async function replayInPlace(deps: ReplayDependencies, options: InPlaceOptions): Promise<void> {
  const live = await deps.home.live();
  if (live !== null && await finishEarlier(live, { deps, options })) return;
  const parameters = { ...options.parameters, dataset: await datasetToReplace(deps, { live, options }) };
  for (let build = 1;; build++) {
    const rebuild = await openRebuild(deps, parameters);
    try {
      const state = await buildAndSwap(rebuild, { deps, live, parameters, options });
      return await finish(rebuild.dataset, { deps, state, onResult: options.onResult });
    } catch (error) {
      if (!isStale(error) || build === BUILDS_MAX) throw error;
      deps.progress.say(`begins anew: ${error.message}`);
      await rebuild.dataset.remove();
    } finally {
      rebuild.close();
    }
  }
}

/** The id that the new dataset keeps; null where it gets a new one. Refuses what would change nothing, or too much. */
async function datasetToReplace(
  { log, home: { place, windowMayChange }, dedupWindow, progress }: ReplayDependencies,
  { live, options: { parameters } }: {
    readonly live: StoredDataset | null;
    readonly options: InPlaceOptions;
  },
): Promise<string | null> {
  const identity = live === null ? null : await liveIdentity(live);
  const own = identity?.id ?? null;
  const held = await ownerOf(log);
  if (parameters.mode === "take-over") {
    refuseTakeOver(held, { own, place });
    progress.say(`takes over from dataset ${held}.`);
    return null;
  }
  if (identity === null) {
    throw new CommandFailedError(
      live === null
        ? `Cannot replay: there is no dataset at "${place}" to replace. Start the processor, which writes it from ` +
          "the topic's start; or build one with --to DIR, or with --take-over where another one is written."
        : `Cannot replay: the name of the dataset in "${live.place}" is missing or damaged (_manifest/dataset.json). Put ` +
          "that file back from a backup, or build a dataset with a new name with --to DIR.",
    );
  }
  if (held !== null && held !== own) {
    throw new CommandFailedError(
      `Cannot replay: the group dataset-writer writes dataset ${held}, and the one at "${place}" is ${own}. Run ` +
        "this on the host of that dataset, or make this host's the one with --take-over.",
    );
  }
  const kept = identity.dedupWindow;
  if (kept !== dedupWindow && !windowMayChange) {
    throw new CommandFailedError(
      `Cannot replay with DEDUP_WINDOW ${dedupWindow}: the dataset at "${place}" was begun with ${kept}, and keeps that. Set ` +
        `DEDUP_WINDOW=${kept}, or build one under another prefix with --to.`,
    );
  }
  if (kept !== dedupWindow) {
    progress.say(
      `DEDUP_WINDOW becomes ${dedupWindow}, after ${kept}: a processor that runs with ${kept} stops at the swap, and goes ` +
        `on when it is started with DEDUP_WINDOW=${dedupWindow}.`,
    );
  }
  return own;
}

function refuseTakeOver(
  held: string | null,
  { own, place }: { readonly own: string | null; readonly place: string },
): void {
  if (held === null) {
    throw new CommandFailedError(
      "Cannot take over: the group dataset-writer writes no dataset yet. Start a processor: the first one's is the one.",
    );
  }
  if (held === own) {
    throw new CommandFailedError(
      `Cannot take over: the dataset at "${place}" is the one that the group writes already. Rebuild it with ` +
        "`deno task replay`.",
    );
  }
}

/** The dataset that the facts name; null where they name none. */
async function ownerOf(log: TopicLog): Promise<string | null> {
  try {
    return await new DatasetOwner(log).current();
  } catch (error) {
    if (error instanceof LogSetupError) return null;
    throw error;
  }
}

/** True where an earlier replay by the same parameters was interrupted after its swap, and is finished now. */
async function finishEarlier(
  live: StoredDataset,
  { deps, options: { parameters, onResult } }: {
    readonly deps: ReplayDependencies;
    readonly options: InPlaceOptions;
  },
): Promise<boolean> {
  const state = await readState(live);
  if (!state?.swap) return false;
  const isThisOne = sameParameters(state.parameters, { ...parameters, dataset: state.parameters.dataset });
  deps.progress.say("finishes an interrupted replay: its dataset is in place.");
  await finish(live, { deps, state, onResult: isThisOne ? onResult : () => {} });
  return isThisOne;
}

async function finish(
  dataset: StoredDataset,
  { deps, state, onResult }: {
    readonly deps: ReplayDependencies;
    readonly state: ReplayState;
    readonly onResult: InPlaceOptions["onResult"];
  },
): Promise<void> {
  const { log, clock, faultPoint } = deps;
  if (state.parameters.mode === "take-over") {
    await takeOverDataset(log, { id: (await dataset.identity())!.id, now: clock.now() });
    faultPoint("replay.taken_over");
  }
  onResult(await finishSwap(dataset, { state, deps }));
  await dataset.removeNote();
  faultPoint("replay.finished");
}

/** An interrupted build that fits, or a new one that is made once its range is fixed. */
async function openRebuild(deps: ReplayDependencies, parameters: ReplayParameters): Promise<Rebuild> {
  const begun = await deps.home.findInterrupted((note) => {
    const state = parseState(note);
    return state !== null && sameParameters(state.parameters, parameters);
  });
  const state = begun && await readState(begun);
  if (begun && state) return resumeRebuild(deps, { dataset: begun, state });
  const identity = newIdentity(deps, parameters.dataset ?? crypto.randomUUID());
  return beginRebuild(deps, { dataset: deps.home.beside(identity.createdAt), parameters, identity });
}

type Swapping = {
  readonly deps: ReplayDependencies;
  readonly live: StoredDataset | null;
  readonly parameters: ReplayParameters;
  readonly options: InPlaceOptions;
};

async function buildAndSwap(rebuild: Rebuild, swapping: Swapping): Promise<ReplayState> {
  const { deps } = swapping;
  await goOn(rebuild, { ...swapping, what: "building" });
  deps.faultPoint("replay.built");
  for (;;) {
    for (let round = 0; round < ROUNDS_MAX; round++) {
      if (rebuild.behind(await partitionsOf(swapping)) <= BEHIND_MAX) break;
      await goOn(rebuild, { ...swapping, what: "catching up" });
    }
    const state = await trySwap(rebuild, swapping);
    if (state) return state;
    await deps.clock.wait((swapping.options.timing ?? SWAP_TIMING).pauseMs);
  }
}

/** Null where not every partition was to be had. */
async function trySwap(rebuild: Rebuild, swapping: Swapping): Promise<ReplayState | null> {
  const { deps, live, options: { timing = SWAP_TIMING } } = swapping;
  const all = await deps.home.halt(deps, timing);
  if (!all) return null;
  try {
    deps.faultPoint("replay.locked");
    if ((await deps.home.live())?.place !== live?.place) {
      throw new CommandFailedError(
        `Cannot put the new dataset in place: "${deps.home.place}" leads elsewhere by now. Run the command again.`,
      );
    }
    const partitions = await goOn(rebuild, { ...swapping, what: "catching up" });
    await rebuild.takeOverFrom(partitions);
    await rebuild.saveSwap({
      old: live?.place ?? null,
      after: (await filesOf(rebuild.dataset))!.files,
      records: rebuild.records,
      deadLetters: rebuild.deadLetters,
      result: null,
    });
    rebuild.close();
    deps.faultPoint("replay.ready");
    await deps.home.leadTo(rebuild.dataset, deps);
  } finally {
    all.release();
  }
  deps.faultPoint("replay.released");
  deps.progress.say(`the new dataset is in place: "${rebuild.dataset.place}".`);
  return rebuild.state;
}

/** Up to where the live dataset is now, which is read before everything else. */
async function goOn(
  rebuild: Rebuild,
  { what, ...swapping }: Swapping & { readonly what: string },
): Promise<readonly LivePartition[]> {
  const partitions = await partitionsOf(swapping);
  const ranges = partitions.map(rangeOf);
  await refuseBeyondEnd(swapping.deps.log, ranges);
  if (swapping.parameters.mode === "swap") {
    await refuseFewerPartitions(swapping.live!, partitions.length);
    await refuseMadeAgain(swapping.live!, { log: swapping.deps.log, partitions });
    await refuseLoss(swapping.deps.log, { partitions, rebuild });
  }
  await rebuild.fix(partitions, ranges);
  await rebuild.extend(what);
  return partitions;
}

/** A take-over goes by what the group has committed, wherever its dataset lies. */
function partitionsOf({ deps, live, parameters }: Swapping): Promise<readonly LivePartition[]> {
  return readLive(parameters.mode === "take-over" ? null : live, deps.log);
}

/** Lines whose records the topic has dropped can be written by nobody any more. */
async function refuseLoss(
  log: TopicLog,
  { partitions, rebuild }: { readonly partitions: readonly LivePartition[]; readonly rebuild: Rebuild },
): Promise<void> {
  const bounds = await log.bounds(WEBHOOKS_TOPIC);
  for (const { partition, firstOffset, nextOffset } of partitions) {
    const { startOffset } = bounds[partition]!;
    const wanted = await rebuild.nextOffsetOf(partition) ?? firstOffset;
    if (startOffset <= wanted || wanted >= nextOffset) continue;
    throw new CommandFailedError(
      `Cannot replace the dataset: in partition ${partition} it begins at offset ${firstOffset} and the topic, whose ` +
        `retention has dropped the records before, at ${startOffset}; their lines would be lost. The dataset stays as ` +
        `it is. Build what the topic still holds with --to DIR, or put the topic back from a backup.`,
    );
  }
}

async function refuseFewerPartitions(live: StoredDataset, partitions: number): Promise<void> {
  const beyond = (await live.partitions()).find((partition) => partition >= partitions);
  if (beyond === undefined) return;
  throw new CommandFailedError(
    `Cannot replace the dataset: it has a partition ${beyond} and the topic has ${partitions} of them. It is not the log ` +
      "that this dataset was made from: put that back first.",
  );
}
