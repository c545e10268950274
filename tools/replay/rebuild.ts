import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import {
  type BuildContext,
  type Counts,
  countsToAdopt,
  type DatasetIdentity,
  DatasetStateError,
  type DatasetTree,
  MovedIdsReader,
  PartitionBuild,
  rememberAs,
  type StoredDataset,
} from "../../processor/dataset/mod.ts";
import { elsewhere, type ErasedSubjects, joinErased } from "../../processor/record/erasure.ts";
import { DeadLetterIndex } from "../../processor/dead_letters/mod.ts";
import type { TopicLog, TopicRecord } from "../../topic/topic.ts";
import { fixedLetters, ReplayLetters } from "./letters.ts";
import type { LivePartition } from "./live.ts";
import { addRecords } from "./progress.ts";
import { type ErasureAt, firstLook, type PartitionRange, TopicScan } from "./scan.ts";
import type { ReplayDependencies } from "./home.ts";
import { encodeState, type ReplayParameters, type ReplayState } from "./tree.ts";
import { CommandFailedError } from "../command.ts";

/** What a build was begun with holds no longer; it has to begin anew. */
export class StaleBuildError extends Error {
  override name = "StaleBuildError";
}

/** True for received times from ≤ t < until; a null bounds nothing. */
export function timeFilter(
  { fromTime, untilTime }: Pick<ReplayParameters, "fromTime" | "untilTime">,
): (record: TopicRecord) => boolean {
  return ({ timestamp }) =>
    (fromTime === null || timestamp >= fromTime) && (untilTime === null || timestamp < untilTime);
}

/**
 * A dataset being rebuilt beside the live one, all its partitions. Each {@link fix} takes in, in this order, the
 * range, the letters and the erasures up to the topic's end; each {@link extend} writes up to there.
 */
export class Rebuild {
  readonly dataset: StoredDataset;
  /** Records in the range. */
  records = 0;
  #lettersInRange = 0;
  #state: ReplayState;
  /** Of a dataset that is still to be made. */
  #identity: DatasetIdentity | null;
  #isCounted = false;
  /** Letters of a range that never moves. */
  #fixed = fixedLetters({});
  readonly #scan: TopicScan;
  readonly #letters: ReplayLetters;
  readonly #builds = new Map<number, PartitionBuild>();
  readonly #context: BuildContext;

  /** @param state What the dataset's note says; of a new one: nothing that a first {@link fix} doesn't set. */
  constructor(
    private readonly deps: ReplayDependencies,
    { dataset, state, identity }: {
      readonly dataset: StoredDataset;
      readonly state: ReplayState;
      /** Of a dataset that is still to be made; null where it is there. */
      readonly identity: DatasetIdentity | null;
    },
  ) {
    this.dataset = dataset;
    this.#state = state;
    this.#identity = identity;
    this.#letters = new ReplayLetters(new DeadLetterIndex(deps.log));
    this.#scan = new TopicScan(deps.log, this.#letters.unreadable);
    const isFixed = state.parameters.mode === "to";
    this.#context = {
      ...deps,
      movedIds: new MovedIdsReader(deps.log, deps.dedupWindow),
      letters: {
        has: (partition, offset) =>
          (isFixed ? this.#fixed : this.#letters).has(partition, offset) ||
          this.#letters.isPassedOver(partition, offset),
        unreadable: this.#letters.unreadable,
      },
      inTime: timeFilter(state.parameters),
      gapsAllowed: isFixed,
      handled: (records) => addRecords(deps.progress, records),
    };
  }

  /** Positions of the range that give no line because they have a letter, those that failed only now among them. */
  get deadLetters(): number {
    const known = this.#context.letters;
    return [...this.#builds.values()].reduce(
      (sum, { partition, store }) =>
        sum + store.manifest.letters.filter(({ offset }) => !known.has(partition, offset)).length,
      this.#lettersInRange,
    );
  }

  /** Up to where a partition is built, in this run or an earlier one; null where nothing has been looked at yet. */
  async nextOffsetOf(partition: number): Promise<number | null> {
    const known = this.#builds.get(partition)?.nextOffset;
    if (known !== undefined) return known;
    return this.#identity === null ? (await this.dataset.manifest(partition))?.nextOffset ?? null : null;
  }

  /** Offsets that the live dataset has and this one lacks. */
  behind(live: readonly LivePartition[]): number {
    const lacks = ({ partition, firstOffset, nextOffset }: LivePartition) =>
      nextOffset - (this.#builds.get(partition)?.nextOffset ?? firstOffset);
    return live.reduce((sum, one) => sum + Math.max(0, lacks(one)), 0);
  }

  /**
   * Fixes what is to be built: `live` has been read before. Throws {@link StaleBuildError} where something below what is
   * built already would come out otherwise by now.
   */
  async fix(live: readonly LivePartition[], ranges: readonly PartitionRange[]): Promise<void> {
    await this.#letters.catchUp(live);
    const recorded = this.#state.letters;
    const letters = this.#lettersOf(ranges);
    this.#fixed = fixedLetters(letters);
    await this.#look(ranges);
    if (this.#identity) {
      this.#state = { ...this.#state, ranges: [...ranges], letters };
      await this.dataset.make({ identity: this.#identity, note: encodeState(this.#state) });
      this.#identity = null;
      this.deps.faultPoint("replay.made");
    }
    const tree = await this.#liveTree();
    await this.#rememberTopic(tree);
    await this.#open(live, { ranges, tree });
    this.#refuseStale(ranges, { recorded, letters });
    this.#state = { ...this.#state, ranges: [...ranges], letters, swap: null };
    await this.dataset.saveNote(encodeState(this.#state));
    await this.#erase(tree);
    this.deps.faultPoint("replay.fixed");
  }

  /** Writes up to the end of the ranges, every partition at its own pace. */
  async extend(what: string): Promise<void> {
    const { progress } = this.deps;
    const ranges = this.#state.ranges.map((range) => ({
      ...range,
      build: this.#builds.get(range.partition)!,
    }));
    const offsets = ranges.reduce((sum, { build, until }) => sum + Math.max(0, until - build.nextOffset), 0);
    progress.begin(what, { records: offsets });
    const counted = await Promise.all(ranges.map(({ build, until }) => build.extend(until)));
    progress.end();
    if (this.#isCounted) {
      for (const { records, letters } of counted) {
        this.records += records;
        this.#lettersInRange += letters;
      }
    }
    this.#isCounted = true;
  }

  /** Takes the letters that live manifests carry into this one's, and keeps the windows for a quick start. */
  async takeOverFrom(live: readonly LivePartition[]): Promise<void> {
    for (const { partition, letters } of live) await this.#builds.get(partition)?.carry(letters);
    for (const build of this.#builds.values()) build.keepWindow();
  }

  /** Notes what is to be done once the new dataset is in place. */
  async saveSwap(swap: NonNullable<ReplayState["swap"]>): Promise<void> {
    this.#state = { ...this.#state, swap };
    await this.dataset.saveNote(encodeState(this.#state));
  }

  get state(): ReplayState {
    return this.#state;
  }

  close(): void {
    for (const build of this.#builds.values()) build.close();
  }

  /** A fixed range stays with the letters that it began with; any other goes by those of this moment. */
  #lettersOf(ranges: readonly PartitionRange[]): Record<string, number[]> {
    if (this.#state.parameters.mode === "to" && this.#identity === null) return this.#state.letters;
    return Object.fromEntries(
      ranges.map(({ partition }) => [String(partition), [...this.#letters.offsets(partition)]]),
    );
  }

  /** Up to the topic's end; the first look counts what there is in the range. */
  async #look(ranges: readonly PartitionRange[]): Promise<void> {
    if (this.#isCounted) return await this.#scan.catchUp();
    const { inTime, letters } = this.#context;
    const { progress } = this.deps;
    const counted = await firstLook(this.#scan, { ranges, inTime, hasLetter: letters.has, progress });
    this.records = counted.records;
    this.#lettersInRange = counted.letters;
  }

  /** The live dataset's, where this one is made from the same positions. */
  async #liveTree(): Promise<DatasetTree | null> {
    const live = this.#state.parameters.mode === "take-over" ? null : await this.deps.home.live();
    return await live?.tree() ?? null;
  }

  /** Which topic it was, and how many partitions it has had: as the live dataset has it, else only the first of both. */
  async #rememberTopic(live: DatasetTree | null): Promise<void> {
    const tree = await this.dataset.tree();
    const now = await this.deps.log.topicId?.(WEBHOOKS_TOPIC) ?? null;
    const before = tree.topicId();
    if (now !== null && before !== null && now !== before) {
      throw new StaleBuildError(`topic "${WEBHOOKS_TOPIC}" has been deleted and made again`);
    }
    if (live) await rememberAs(tree, live);
    if (now !== null) await tree.addTopicId(now);
  }

  async #open(
    live: readonly LivePartition[],
    { ranges, tree }: { readonly ranges: readonly PartitionRange[]; readonly tree: DatasetTree | null },
  ): Promise<void> {
    for (const { partition, from } of ranges) {
      const counts = this.#countsOf(live[partition], tree);
      const build = this.#builds.get(partition);
      if (build) {
        await build.goBy(counts);
        continue;
      }
      const erasures = this.#scan.erasuresIn(partition);
      const elsewhere = this.#elsewhere(partition, tree);
      const opened = { partition, firstOffset: from, erasures, elsewhere, counts, context: this.#context };
      this.#builds.set(partition, await PartitionBuild.openIn(this.dataset, opened));
    }
  }

  /** Read after the manifests: what these have adopted is among what the tree has noted. */
  #countsOf(live: LivePartition | undefined, tree: DatasetTree | null): Counts {
    const counts = tree?.counts() ?? [];
    const adopted = live?.counts ?? [];
    // A range to the topic's end goes on where the live writer will.
    const more = live && this.#state.parameters.mode === "to" ? countsToAdopt(counts, live) : [];
    return { counts, adopted: [...adopted, ...more] };
  }

  /** By the topic, and by what the live dataset has kept of what its retention has taken. */
  #elsewhere(partition: number, tree: DatasetTree | null): ErasedSubjects {
    const found = this.#scan.erasedElsewhere(partition);
    if (tree === null) return found;
    return this.#state.ranges.reduce(
      (all, one) => joinErased(all, elsewhere(tree.erasedIn(one.partition))),
      found,
    );
  }

  /**
   * By the order of things no letter appears below what a replay has built: it ends where the live writer has decided
   * already. Where one does all the same (somebody has moved offsets by hand), its line would be doubled by redriving.
   */
  #refuseStale(
    ranges: readonly PartitionRange[],
    { recorded, letters }: {
      readonly recorded: ReplayState["letters"];
      readonly letters: ReplayState["letters"];
    },
  ): void {
    const before = fixedLetters(recorded);
    for (const { partition, from, until } of ranges) {
      const { store, nextOffset } = this.#builds.get(partition)!;
      const own = new Set(store.manifest.letters.map(({ offset }) => offset));
      const late = letters[partition]!.find((offset) =>
        offset >= from && offset < nextOffset && !before.has(partition, offset) && !own.has(offset)
      );
      if (late !== undefined) throw new StaleBuildError(`${partition}:${late} has got a dead letter since`);
      if (nextOffset > until || store.manifest.firstOffset !== from) {
        throw new StaleBuildError(`partition ${partition} of the dataset is another one by now`);
      }
    }
  }

  /** Erasures that came after this build had begun: all of them lie above what is built. */
  async #erase(tree: DatasetTree | null): Promise<void> {
    const { subject, faultPoint } = this.deps;
    const tools = { subject, faultPoint, heartbeat: () => Promise.resolve() };
    for (const [partition, { store }] of this.#builds) {
      for (const erasure of this.#scan.erasuresIn(partition)) {
        if (isKnown(store.erased, erasure)) continue;
        const { nextOffset } = store.manifest;
        await store.erase({ ...erasure, nextOffset }, tools);
      }
      store.learn(this.#elsewhere(partition, tree));
      await store.sweep(tools);
    }
  }
}

/** Goes on with the build that an interrupted replay has left there. */
export function resumeRebuild(
  deps: ReplayDependencies,
  { dataset, state }: { readonly dataset: StoredDataset; readonly state: ReplayState },
): Rebuild {
  deps.progress.say(`goes on with the interrupted build in "${dataset.place}".`);
  return new Rebuild(deps, { dataset, state, identity: null });
}

/** A build that is made once its range is fixed. */
export function beginRebuild(
  deps: ReplayDependencies,
  { dataset, parameters, identity }: {
    readonly dataset: StoredDataset;
    readonly parameters: ReplayParameters;
    readonly identity: DatasetIdentity;
  },
): Rebuild {
  return new Rebuild(deps, { dataset, state: { parameters, ranges: [], letters: {}, swap: null }, identity });
}

export function newIdentity({ clock, dedupWindow }: ReplayDependencies, id: string): DatasetIdentity {
  return { id, createdAt: new Date(clock.now()).toISOString(), dedupWindow };
}

function isKnown(erased: ErasedSubjects, { subjects, offset, at }: ErasureAt): boolean {
  return subjects.every((subject) => {
    const known = erased.get(subject);
    return known !== undefined && known.offset >= offset && known.at >= at;
  });
}

/** Refuses a range that reaches beyond the topic: waiting there would never end. */
export async function refuseBeyondEnd(log: TopicLog, ranges: readonly PartitionRange[]): Promise<void> {
  const bounds = await log.bounds(WEBHOOKS_TOPIC);
  for (const { partition, until } of ranges) {
    const { endOffset } = bounds[partition]!;
    if (until <= endOffset) continue;
    throw new CommandFailedError(
      `Cannot replay partition ${partition}: the dataset's next offset is ${until} and the topic ends at ` +
        `${endOffset}. It is not the log that this dataset was made from, or it has lost its end: put it back first.`,
    );
  }
}

/** A build whose own files are damaged is of no more use than a stale one. */
export function isStale(error: unknown): error is Error {
  return error instanceof StaleBuildError || error instanceof DatasetStateError;
}
