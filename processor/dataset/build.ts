import type { FaultPoint } from "../../runtime/fault_point.ts";
import { isErasure, readLabel } from "../../contract/envelope.ts";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { fileNumberOf } from "./core/path.ts";
import {
  type ErasedSubjects,
  type Erasure,
  joinErased,
  readErasure,
  UNREADABLE_ERASURE_REASON,
  withErasure,
} from "../record/erasure.ts";
import { decide, type Rules } from "./core/decision.ts";
import { SANITISER_VERSION } from "../sanitise/mod.ts";
import {
  type Additions,
  additionsOf,
  addOutcomes,
  chunksOf,
  type Decided,
  NO_OUTCOMES,
  outcomesOf,
  pendingLettersOf,
} from "./chunk.ts";
import { remember, type RulesContext, rulesOf, warmWindow } from "./opening.ts";
import { type MovedIds, type MovedIdsReader, NO_MOVED_IDS } from "./moved_ids.ts";
import { markOf } from "./core/record_mark.ts";
import type { AdoptedCount, PartitionCount } from "./core/added_partitions.ts";
import type { RecordMark } from "./core/record_mark.ts";
import type { OutcomeCounts, PartitionStore, PendingLetter } from "./store.ts";
import type { DedupWindow } from "./core/dedup_window.ts";
import { type MinuteCount, receivedOf } from "./core/received.ts";
import type { TopicLog, TopicRecord } from "../../topic/topic.ts";
import type { DeadLetterIndex } from "../dead_letters/positions.ts";
import { DatasetReadError } from "./core/read_error.ts";
import { readErased, readManifest, saveErased } from "./files/manifest.ts";
import { JsonlPartition } from "./files/partition.ts";

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

/** What is decided and not written yet. */
type Pending = {
  records: number;
  bytes: number;
  readonly additions: Additions;
  readonly letters: PendingLetter[];
  outcomes: OutcomeCounts;
  readonly minutes: MinuteCount[];
};

/** By which counts of partitions a dataset goes: what its tree has noted, and what one partition has adopted. */
export type Counts = {
  readonly counts: readonly PartitionCount[];
  readonly adopted: readonly AdoptedCount[];
};

/** Records and bytes of lines after which a chunk is written. */
const CHUNK_RECORDS = 10_000;
const CHUNK_BYTES = 8 * 1024 * 1024;

/**
 * One partition of a dataset that is being rebuilt, by the live writer's own parts: the same cutting, the same window,
 * the same decision, the same files. What differs is what a replay knows beforehand (letters, erasures), that nobody is
 * told, and that its chunks are larger. Its manifest is the checkpoint: an interrupted build goes on from there.
 */
export class PartitionBuild {
  #pending = emptyChunk();
  #moved: MovedIds = NO_MOVED_IDS;
  #last: RecordMark | undefined;
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
   * In a tree that nobody else writes; begun at `firstOffset`, without a line of those who are erased by then: by records
   * of this partition and, as `elsewhere` says, of others.
   */
  static async openIn(
    root: string,
    { partition, firstOffset, erasures, elsewhere, counts, context }: {
      readonly partition: number;
      readonly firstOffset: number;
      readonly erasures: readonly (Erasure & { readonly offset: number })[];
      readonly elsewhere: ErasedSubjects;
      readonly counts: Counts;
      readonly context: BuildContext;
    },
  ): Promise<PartitionBuild> {
    const begun = readManifest(root, partition);
    if (!begun) {
      // Known before the first line: nothing of the erased is written, not even for a moment.
      const own = erasures.reduce<ErasedSubjects>(withErasure, readErased(root, partition));
      const value = joinErased(own, elsewhere);
      if (value.size > 0) await saveErased(root, { partition, value });
    }
    const manifest = begun ?? { firstOffset, nextOffset: firstOffset, files: {}, letters: [] };
    const store = new JsonlPartition(root, { partition, manifest, keepsLetters: true });
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
      for (const chunk of chunksOf(batch.records, { nextOffset: batch.nextOffset, recordsMax: Infinity })) {
        await this.#take(chunk.records);
        this.#next = chunk.nextOffset;
      }
      if (this.#pending.records >= CHUNK_RECORDS || this.#pending.bytes >= CHUNK_BYTES) await this.#write();
      for (const record of batch.records) {
        if (!inTime(record)) continue;
        counted.records++;
        if (letters.has(partition, record.offset)) counted.letters++;
      }
      handled(batch.records);
    }
    this.#next = until;
    await this.#write();
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
  }

  /** Keeps the window beside the manifest, so that the live writer need not read the log for it. */
  keepWindow(): void {
    this.store.saveWindow(this.parts.window);
  }

  close(): void {
    this.store.close();
  }

  /** One chunk of the live writer's cutting: either one erasure or none, and of one file's range. */
  async #take(records: readonly TopicRecord[]): Promise<void> {
    const [first] = records;
    if (!first) return;
    if (fileNumberOf(first.offset) !== fileNumberOf(Math.max(0, this.#next - 1))) await this.#write();
    this.#add(isErasure(readLabel(first.headers)) ? [this.#decideErasure(first)] : this.#decide(records));
    this.#pending.records += records.length;
    this.#pending.minutes.push(...receivedOf(records));
    this.#last = markOf(records.at(-1)!);
  }

  #decide(records: readonly TopicRecord[]): readonly Decided[] {
    const { window, rules, context } = this.parts;
    return records.flatMap((record) => {
      if (context.inTime(record)) return [{ record, decision: decide(record, rules) }];
      remember(window, record);
      return [];
    });
  }

  /** Its persons' lines were never written: every erasure was known before. One that cannot be read is set aside. */
  #decideErasure(record: TopicRecord): Decided {
    const { window, context } = this.parts;
    const id = remember(window, record);
    const isLetter = readErasure(record.value) === null &&
      !context.letters.has(this.partition, record.offset) &&
      context.inTime(record);
    const outcome = isLetter
      ? { is: "dead_letter", step: "erase", reason: UNREADABLE_ERASURE_REASON } as const
      : { is: "ignored", reason: "other_event" } as const;
    return { record, decision: { id, outcome, parsed: null } };
  }

  #add(decided: readonly Decided[]): void {
    const { additions, letters } = this.#pending;
    letters.push(...pendingLettersOf(decided));
    additionsOf(decided, additions);
    this.#pending.outcomes = addOutcomes(this.#pending.outcomes, outcomesOf(decided));
    for (const { decision: { outcome } } of decided) {
      if (outcome.is === "line") this.#pending.bytes += outcome.line.length;
    }
  }

  async #write(): Promise<void> {
    const { store } = this;
    const { additions, letters } = this.#pending;
    if (this.#next === store.manifest.nextOffset) return;
    await store.intend([...additions.keys()], this.parts.context.faultPoint);
    store.append(additions);
    await store.sync();
    await store.advance({
      nextOffset: this.#next,
      additions,
      letters: letters.length > 0 ? [...store.manifest.letters, ...letters] : store.manifest.letters,
      sanitiserVersion: SANITISER_VERSION,
      last: this.#last,
      outcomes: this.#pending.outcomes,
      minutes: this.#pending.minutes,
    });
    this.parts.window.fedTo = this.#next;
    this.#pending = emptyChunk();
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

function emptyChunk(): Pending {
  return { records: 0, bytes: 0, additions: new Map(), letters: [], outcomes: NO_OUTCOMES, minutes: [] };
}
