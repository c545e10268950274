import type { DeadLetterStep } from "../../contract/dead_letter.ts";
import type { FaultPoint } from "../../runtime/fault_point.ts";
import type { ErasedSubjects, Erasure } from "../record/erasure.ts";
import type { AdoptedCount, PartitionCount } from "./core/added_partitions.ts";
import type { DedupWindow, WindowEntries } from "./core/dedup_window.ts";
import type { AddedLines } from "./core/added_lines.ts";
import type { LineFigures } from "./core/figures.ts";
import type { MinuteCount } from "./core/received.ts";
import type { RecordMark } from "./core/record_mark.ts";

/**
 * The port of the dataset: on a local disk (`files/`) or on object storage (`objects/`). Its manifest is the truth: what
 * lies beyond it is no part of the dataset, and goes at the next opening or soon after. After any rejection a
 * `PartitionStore` is good for nothing but `close`: it is opened anew, so that nothing is synced twice on a descriptor that
 * has failed once.
 */

/** What the manifest says of one file. */
export type FileEntry = {
  readonly bytes: number;
  readonly records: number;
  /** Replaced spans by entity. */
  readonly placeholders: Readonly<Record<string, number>>;
  /** Sanitisers that wrote into it, in the order of their first line. */
  readonly sanitiserVersions: readonly string[];
  /** Of the lines that were counted: an earlier version wrote lines without counting them. */
  readonly figures?: LineFigures | undefined;
};

/** Entries by path below DATASET_DIR. */
export type FileEntries = Readonly<Record<string, FileEntry>>;

/** A letter that the manifest decided and that may not be published yet; its bytes lie in the raw topic. */
export type PendingLetter = {
  readonly offset: number;
  readonly step: DeadLetterStep;
  readonly reason: string;
};

/** What became of records. Everything that is no line, no letter and no repeat is `others`: other events, the erased. */
export type OutcomeCounts = {
  readonly lines: number;
  readonly duplicates: number;
  readonly deadLetters: number;
  readonly others: number;
};

/** Of the records at `from` and above, below `to`. */
export type Outcomes = OutcomeCounts & {
  readonly from: number;
  readonly to: number;
  /** Of the others: those that were lines until an erasure took them out. */
  readonly taken?: number | undefined;
};

/**
 * How many records were received in which minute since 1970, of those at `from` and above, below `to`: the last so many minutes
 * in the order in which a record of them came first or again.
 */
export type Received = {
  readonly from: number;
  readonly to: number;
  readonly minutes: readonly MinuteCount[];
};

/** What of one partition's files is the dataset, and where its writer goes on. */
export type PartitionManifest = {
  /** Where this dataset begins in the partition. */
  readonly firstOffset: number;
  readonly nextOffset: number;
  /** Those written to last, of the current 250,000 offsets; the others are sealed. */
  readonly files: FileEntries;
  /** Of the last chunk. */
  readonly letters: readonly PendingLetter[];
  /** Counts of partitions that came after the tree's first, and from which offset this partition goes by them. */
  readonly counts?: readonly AdoptedCount[] | undefined;
  /** Below the next offset; missing in an earlier version's, and where there was no record yet. */
  readonly last?: RecordMark | undefined;
  /** Of use only where `to` is the next offset: an earlier version moves that on and leaves this as it is. */
  readonly outcomes?: Outcomes | undefined;
  /** Likewise. */
  readonly received?: Received | undefined;
};

/** What a chunk adds to a file. */
export type FileAddition = Pick<AddedLines, "records" | "text" | "placeholders" | "figures">;

/** Where a chunk that was appended and synced leads. */
export type Advance = {
  readonly nextOffset: number;
  readonly additions: ReadonlyMap<string, FileAddition>;
  readonly letters: readonly PendingLetter[];
  readonly sanitiserVersion: string;
  /** Of its last record; undefined where it has none: then that of before stays. */
  readonly last?: RecordMark | undefined;
  /** Of its records; undefined where nobody counts them. */
  readonly outcomes?: OutcomeCounts | undefined;
  /** Likewise: by the minute in which they were received. */
  readonly minutes?: readonly MinuteCount[] | undefined;
};

/** An erasure with its record's offset in this partition and the one behind it. */
export type ErasureHere = Erasure & {
  readonly offset: number;
  readonly nextOffset: number;
  readonly minutes?: readonly MinuteCount[] | undefined;
};

export type ErasureTools = {
  subject(distinctId: string): string;
  heartbeat(): Promise<void>;
  readonly faultPoint: FaultPoint;
};

/** One partition of the dataset, opened under its lock. */
export interface PartitionStore {
  /** With everything that {@link advance} was told; what of it is durable lies below {@link durableOffset}. */
  readonly manifest: PartitionManifest;
  /** Next offset of what is durable: the manifest's own on a disk, and behind it on object storage until it is flushed. */
  readonly durableOffset: number;
  /**
   * From here on nobody else's writing counts. A lock has seen to that on a disk; on object storage it fences off whoever
   * wrote before, and the manifest is what that one has left.
   */
  take(): Promise<void>;
  /** By this partition's own records, and what {@link learn} has brought. */
  readonly erased: ErasedSubjects;
  /** Of what {@link learn} has brought: whose lines {@link sweep} has not looked for yet. */
  readonly unswept: ErasedSubjects;
  /** Cuts every file back to its manifest, removes left-over temporary files and finishes an erasure that had begun. */
  recover(): Promise<void>;
  /**
   * Records new paths in the manifest before their first byte. Entries of closed offset ranges are sealed with it, and so
   * are those of this one where the manifest has many: what a chunk costs hangs on what it touches alone.
   */
  intend(paths: readonly string[], faultPoint?: FaultPoint): Promise<void>;
  /** Records of a file of the current offset range; 0 where it is new. */
  recordsIn(path: string): number;
  /** Writes lines behind what the manifest says of each file; not yet durable. */
  append(additions: ReadonlyMap<string, FileAddition>): void;
  /** Makes what was appended durable, with the names of new files and directories. */
  sync(): Promise<void>;
  /**
   * Makes the appended lines part of the dataset, moves the next offset on and notes the letters; durable on a disk, and on
   * object storage once {@link durableOffset} says so.
   */
  advance(to: Advance): Promise<void>;
  /**
   * Makes what was advanced to durable: `now` all of it, before it resolves; `due` what is large or old enough, and goes on
   * with that in the background, so that more can be gathered meanwhile. Rejects, then or at the next call, where it could
   * not; with a {@link PartitionLostError} where another writer has the partition by now or the dataset is another one.
   */
  flush(when: "due" | "now"): Promise<void>;
  /** The letters of everything below this offset have been published. */
  published(below: number): void;
  /** Rewrites every touched file without the lines of the erased subjects, remembers them, moves the next offset on. */
  erase(erasure: ErasureHere, tools: ErasureTools): Promise<void>;
  /** Takes in what other partitions' records have erased: nothing of it gives a line any more. */
  learn(elsewhere: ErasedSubjects): void;
  /** Takes out the lines that were written before an erasure elsewhere was known; nothing where none is unswept. */
  sweep(tools: ErasureTools): Promise<void>;
  /** Notes by which counts this partition goes from now on; durable. */
  adopt(counts: readonly AdoptedCount[]): Promise<void>;
  /** The window as it was kept at or below the next offset; null where there is none that fits. */
  loadWindow(size: number): (WindowEntries & { readonly nextOffset: number }) | null;
  /** Keeps the window for a faster start; may be lost at any time. */
  saveWindow(window: DedupWindow): void;
  close(): void;
}

/** Another writer has the partition, or a replay has put another dataset in the place of this one: open it anew. */
export class PartitionLostError extends Error {
  override name = "PartitionLostError";
  /** `waitMs`: so long nothing is opened again, so that two who think that they own a partition do not fence each other off. */
  constructor(message: string, readonly waitMs: number) {
    super(message);
  }
}

/** A lock that ends with its process. */
export type PartitionLock = { release(): void };

/** The dataset of one host. */
export interface DatasetStore {
  /** True while a replay wants every partition's lock, to put a new tree in the place of this one. */
  swapWanted(): boolean;
  /** Null where another process has the partition. */
  takePartition(partition: number): PartitionLock | null;
  /**
   * Reads a partition's manifest from where DATASET_DIR leads now, on object storage from the build of `tree` where that is
   * named; a new partition begins at `startOffset`.
   */
  open(
    partition: number,
    startOffset: number,
    options?: { readonly tree?: DatasetTree },
  ): Promise<PartitionStore>;
  /** What the partitions know together, where DATASET_DIR leads now. */
  tree(): Promise<DatasetTree>;
  /** What the dataset is called; made at the first start. */
  identity(): Promise<DatasetIdentity>;
  close(): void;
}

/** What one tree knows of its topic, and of the erasures of all its partitions. */
export interface DatasetTree {
  /** Looks again, where that costs a question to somebody else, at most every 5 s; what the others answer is of then. */
  refresh(): Promise<void>;
  /** Ascending. */
  counts(): readonly PartitionCount[];
  /** Durable; where another writer has noted the same count, that one stands. */
  addCount(value: PartitionCount): Promise<void>;
  /** The topic that this tree was made from, where the log tells; null where it was not noted. */
  topicId(): string | null;
  /** Durable; what is noted already stands. */
  addTopicId(id: string): Promise<void>;
  /** What this partition's owner has kept; may be read beside it. */
  erasedIn(partition: number): ErasedSubjects;
  /** By its manifest; null where it has none. */
  nextOffsetOf(partition: number): number | null;
  /** Another text whenever what {@link erasedIn} or {@link counts} answers has changed. */
  state(partitions: number): string;
}

/** `_manifest/dataset.json`. */
export type DatasetIdentity = {
  readonly id: string;
  readonly createdAt: string;
  /** Records of a partition looked back for the same id: the bytes depend on it, so another value needs a replay. */
  readonly dedupWindow: number;
};
