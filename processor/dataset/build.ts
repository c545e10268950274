import type { FaultPoint } from "../../runtime/fault_point.ts";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { fileNumberOf } from "./core/path.ts";
import {
  type ErasedSubjects,
  type Erasure,
  joinErased,
  NOBODY,
  readErasure,
  UNREADABLE_ERASURE_REASON,
  withErasure,
} from "../record/erasure.ts";
import { decide, type RecordOutcome, type Rules } from "./core/decision.ts";
import { SANITISER_VERSION } from "../sanitise/mod.ts";
import { erases, Gathered } from "./chunk.ts";
import { remember, type RulesContext, rulesOf, warmWindow } from "./opening.ts";
import { type MovedIds, type MovedIdsReader, NO_MOVED_IDS } from "./moved_ids.ts";
import type { AdoptedCount, PartitionCount } from "./core/added_partitions.ts";
import type { PartitionStore, PendingLetter } from "./store.ts";
import type { StoredDataset } from "./reading/stored_dataset.ts";
import type { DedupWindow } from "./core/dedup_window.ts";
import type { TopicLog, TopicRecord } from "../../topic/topic.ts";
import type { DeadLetterIndex } from "../dead_letters/positions.ts";
import { DatasetReadError } from "./core/read_error.ts";

/** What all partitions of a replay share. */
export type BuildContext = Omit<RulesContext, "letters"> & {
  readonly log: TopicLog;
  readonly letters: RulesContext["letters"] & Pick<DeadLetterIndex, "unreadable">;
  readonly dedupWindow: number;
  readonly movedIds: MovedIdsReader;
  /** False for records outside `--from-time` and `--until-time`: they feed the window and give nothing. */
  readonly inTime: (record: TopicRecord) => boolean;
  /** True where the topic's start may lie above what is wanted next: `--to` takes what there is. */
  readonly gapsAllowed: boolean;
  readonly faultPoint: FaultPoint;
  readonly handled: (records: readonly TopicRecord[]) => void;
};

/** By which counts of partitions a dataset goes: what its tree has noted, and what one partition has adopted. */
export type Counts = {
  readonly counts: readonly PartitionCount[];
  readonly adopted: readonly AdoptedCount[];
};

/** Records and UTF-16 units of lines after which a chunk is written. */
const CHUNK_RECORDS = 10_000;
const CHUNK_UNITS = 8 * 1024 * 1024;

/**
 * One partition of a dataset that is being rebuilt, by the live writer's own parts: the same cutting, the same window,
 * the same decision, the same files. What differs is what a replay knows beforehand (letters, erasures), that nobody is
 * told, and that its chunks are larger. Its manifest is the checkpoint: an interrupted build goes on from there.
 */
export class PartitionBuild {
  /** What is decided and not written yet. */
  #pending = new Gathered();
  #moved: MovedIds = NO_MOVED_IDS;
  /** Next offset of what has been decided; the manifest's is what has been written. */
  #next: number;

  private constructor(
    readonly partition: number,
    readonly store: PartitionStore,
    private readonly parts: {
      readonly window: DedupWindow;
      readonly rules: Rules;
      readonly context: BuildContext;
    },
  ) {
    this.#next = store.manifest.nextOffset;
  }

  /**
   * In a dataset that nobody else writes; begun at `firstOffset`, without a line of those who are erased by then: by records
   * of this partition and, as `elsewhere` says, of others.
   */
  static async openIn(
    dataset: StoredDataset,
    { partition, firstOffset, erasures, elsewhere, counts, context }: {
      readonly partition: number;
      readonly firstOffset: number;
      readonly erasures: readonly (Erasure & { readonly offset: number })[];
      readonly elsewhere: ErasedSubjects;
      readonly counts: Counts;
      readonly context: BuildContext;
    },
  ): Promise<PartitionBuild> {
    const erased = joinErased(erasures.reduce<ErasedSubjects>(withErasure, NOBODY), elsewhere);
    const store = await dataset.build(partition, { firstOffset, erased });
    return await PartitionBuild.open(partition, { store, counts, context });
  }

  /** Cuts back what an interrupted run left beyond the manifest, and reads the window's records. */
  static async open(
    partition: number,
    { store, counts, context }: {
      readonly store: PartitionStore;
      readonly counts: Counts;
      readonly context: BuildContext;
    },
  ): Promise<PartitionBuild> {
    await store.recover();
    const { window } = await warmWindow(store, { partition, known: null, context });
    const moved = () => build.#moved;
    const rules = rulesOf({ partition, store, window, moved, context });
    const build: PartitionBuild = new PartitionBuild(partition, store, { window, rules, context });
    await build.goBy(counts);
    return build;
  }

  /** Takes in what the live dataset has adopted since; nothing of it lies below what is built. */
  async goBy({ counts, adopted }: Counts): Promise<void> {
    const { store, partition } = this;
    const known = store.manifest.counts ?? [];
    await store.adopt(adopted.filter(({ count }) => !known.some((one) => one.count === count)));
    const { nextOffset, counts: now } = store.manifest;
    this.#moved = await this.parts.context.movedIds.of(partition, { counts, adopted: now, nextOffset });
  }

  get nextOffset(): number {
    return this.store.manifest.nextOffset;
  }

  /** Writes everything below `until`; answers how many records that were, and how many of them have a letter already. */
  async extend(until: number): Promise<{ readonly records: number; readonly letters: number }> {
    const { log, handled, inTime, letters } = this.parts.context;
    const { partition } = this;
    const counted = { records: 0, letters: 0 };
    if (until <= this.#next) return counted;
    const { unreadable } = letters;
    for await (const batch of log.read(WEBHOOKS_TOPIC, { partition, from: this.#next, until, unreadable })) {
      await this.#refuseGap(batch.records[0]?.offset ?? batch.nextOffset);
      for (const record of batch.records) {
        if (fileNumberOf(record.offset) !== fileNumberOf(Math.max(0, this.#next - 1))) await this.#write();
        this.#take(record);
        this.#next = record.offset + 1;
      }
      this.#next = batch.nextOffset;
      if (this.#pending.records >= CHUNK_RECORDS || this.#pending.units >= CHUNK_UNITS) await this.#write();
      for (const record of batch.records) {
        if (!inTime(record)) continue;
        counted.records++;
        if (letters.has(partition, record.offset)) counted.letters++;
      }
      handled(batch.records);
    }
    this.#next = until;
    await this.#write();
    await this.store.flush("now");
    return counted;
  }

  /** Takes letters into the manifest that others have decided and may not have published; it is there afterwards. */
  async carry(letters: readonly PendingLetter[]): Promise<void> {
    const { store } = this;
    const { nextOffset, letters: known } = store.manifest;
    const own = new Set(known.map(({ offset }) => offset));
    await store.advance({
      nextOffset,
      additions: new Map(),
      letters: [...known, ...letters.filter(({ offset }) => !own.has(offset))],
      sanitiserVersion: SANITISER_VERSION,
    });
    await store.flush("now");
  }

  /** Keeps the window beside the manifest, so that the live writer need not read the log for it. */
  keepWindow(): void {
    this.store.saveWindow(this.parts.window);
  }

  close(): void {
    this.store.close();
  }

  #take(record: TopicRecord): void {
    const { window, rules, context } = this.parts;
    if (erases(record)) this.#takeErasure(record);
    else if (context.inTime(record)) this.#pending.add(record, decide(record, rules));
    else {
      remember(window, record);
      this.#pending.pass(record);
    }
  }

  /** Its persons' lines were never written: every erasure was known before. One that cannot be read is set aside. */
  #takeErasure(record: TopicRecord): void {
    const { window, context } = this.parts;
    const id = remember(window, record);
    const isLetter = readErasure(record.value) === null &&
      !context.letters.has(this.partition, record.offset) &&
      context.inTime(record);
    const outcome: RecordOutcome = isLetter
      ? { is: "dead_letter", step: "erase", reason: UNREADABLE_ERASURE_REASON }
      : { is: "ignored", reason: "other_event" };
    this.#pending.add(record, { id, outcome });
  }

  async #write(): Promise<void> {
    const { store } = this;
    if (this.#next === store.manifest.nextOffset) return;
    const advance = this.#pending.advanceTo(this.#next, SANITISER_VERSION);
    const { additions, letters } = advance;
    await store.intend([...additions.keys()], this.parts.context.faultPoint);
    store.append(additions);
    await store.sync();
    await store.advance({
      ...advance,
      letters: letters.length > 0 ? [...store.manifest.letters, ...letters] : store.manifest.letters,
    });
    await store.flush("due");
    this.parts.window.fedTo = this.#next;
    this.#pending = new Gathered();
    this.parts.context.faultPoint("replay.chunk");
  }

  /** Records that the log dropped while it was being read would be missing for ever. */
  async #refuseGap(first: number): Promise<void> {
    const { log, gapsAllowed } = this.parts.context;
    if (gapsAllowed || first <= this.#next) return;
    const { startOffset } = await log.boundsOf(WEBHOOKS_TOPIC, this.partition);
    if (startOffset <= this.#next) return;
    throw new DatasetReadError(
      `Cannot go on with partition ${this.partition}: the topic begins at offset ${startOffset} by now, and ` +
        `${this.#next} was to be read next; its retention has dropped what lay between. The dataset stays as it is: ` +
        `raise the retention, or rebuild what is left with --to DIR.`,
    );
  }
}
