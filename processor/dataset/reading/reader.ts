import type { Buffer } from "node:buffer";
import type { ErasedSubjects } from "../../record/erasure.ts";
import { parseDatasetPath } from "../core/path.ts";
import { DatasetReadError } from "../core/read_error.ts";
import type { DatasetIdentity, FileEntry } from "../store.ts";
import { entriesIn, entryIn, type PartitionSnapshot } from "./snapshot.ts";

/**
 * The port of whoever reads the dataset beside its writers: a local directory (`files/`) or a bucket (`objects/`). No lock,
 * and never a byte beyond what manifests or commits name. What is asked without a promise costs no more than the manifests
 * of a disk; of a bucket it is as of the last {@link refresh}, while erasures and replays that this has met count at once.
 */
export interface DatasetReader {
  /** The tree of one build: an absolute path, or `s3://bucket/prefix/build`. */
  readonly place: string;
  /** What says how many bytes and lines a file has. */
  readonly namedBy: "manifest" | "commit";
  /** What of a file's lines is called as others find it: an absolute path, or `s3://bucket/key`. */
  placeOf(path: string): string;
  /** Looks again, where that costs a question to somebody else. Throws {@link DatasetReadError} where nobody answers. */
  refresh(): Promise<void>;
  /** True once another build has taken this one's place. */
  isReplaced(): boolean;
  /** What the dataset is called. Throws `DatasetStateError` where that is damaged. */
  identity(): DatasetIdentity;
  /** Partitions that have written, ascending. Throws {@link DatasetReplacedError}. */
  partitions(): readonly number[];
  /** The same object while nothing of the partition has changed. Throws as {@link partitions}, and where it is damaged. */
  snapshot(partition: number): PartitionSnapshot;
  /** Subjects on whose erasure the partition's writer has begun. */
  erasedIn(partition: number): ErasedSubjects;
  /** Paths that may hold the line of a record; whether they are there is not said. */
  pathsOf(event: string, record: RecordOfLine): readonly string[];
  /** When a file was written last, to put the newest first: milliseconds; 0 where nothing tells. */
  writtenAt(path: string): number;
  /**
   * The lines of a file with what is said of them; null where no byte of it is named. Throws {@link DatasetReplacedError}
   * where another build has taken this one's place, {@link DatasetFileError} where it is missing; of a bucket its first
   * block throws that.
   */
  open(path: string): Promise<OpenedLines | null>;
  /** The same to be read at any place; null also for what no manifest names. A file is sought in, an object read whole. */
  seekIn(path: string): Promise<SeekableLines | null>;
  /** Whether what names the files is whole, and what lies beside them. */
  audit(): Promise<Audit>;
  close(): void;
}

/** The dataset as it is at each look, for who looks again and again: what does not change is not read anew. */
export interface CurrentDataset {
  /** For people: DATASET_DIR, or `s3://bucket/prefix`. */
  readonly place: string;
  /**
   * Null where there is no dataset yet. Of a bucket at most 2 s old, and where that is away as it was known last, also when
   * nothing is known: {@link problem} has the words.
   */
  now(): Promise<DatasetReader | null>;
  /** Why the last look is old; null where it is not. */
  problem(): string | null;
  close(): void;
}

export type RecordOfLine = {
  /** Of the line, ISO 8601 in UTC. */
  readonly timestamp: string;
  readonly partition: number;
  readonly offset: number;
};

export type OpenedLines = {
  readonly entry: FileEntry;
  /** Bytes that are there; less than the entry's where the file was cut. */
  readonly size: number;
  /** Of what is stored, in hex; null where nobody has noted it. */
  readonly sha256: string | null;
  /**
   * The lines' bytes, unpacked; a block is good until the next one. Closes it.
   *
   * `bytes`: so many of a file that grows, default the entry's. `stored` is told every block as it is stored.
   */
  blocks(
    options?: { readonly bytes?: number | undefined; readonly stored?: (block: Uint8Array) => void },
  ): AsyncGenerator<Uint8Array>;
  /** The entry's bytes as they are stored. Closes it. */
  stored(): AsyncGenerator<Uint8Array>;
  close(): void;
};

export type SeekableLines = Disposable & {
  readonly entry: FileEntry;
  /** Another number where other lines stand under the same path. */
  readonly version: number;
  /** Bytes of the lines that are there. */
  readonly bytes: number;
  /** What lies there, less at the end. */
  read(range: { readonly from: number; readonly bytes: number }): Promise<Buffer>;
};

export type Audit = {
  /** Whose lines are to be looked at. */
  readonly paths: readonly string[];
  readonly findings: readonly { readonly file: string; readonly finding: string }[];
  /** What nothing names, and is no fault: it is about to be named, or goes by itself. */
  readonly beside: readonly { readonly file: string; readonly bytes: number }[];
};

/** What to do where the dataset is not as its manifests say. */
export const LOOK = "See `deno task dataset verify`; `deno task replay` rebuilds the dataset.";

/** Another build has taken the place of the one that was being read. */
export class DatasetReplacedError extends DatasetReadError {
  override name = "DatasetReplacedError";
  constructor() {
    super(
      "Cannot go on: another dataset has been put in the place of the one being read. Run the command again.",
    );
  }
}

/** A file is not what is said of it; `state` follows "it". */
export class DatasetFileError extends DatasetReadError {
  override name = "DatasetFileError";
  constructor(place: string, readonly state: string) {
    super(`Cannot read "${place}": it ${state}. ${LOOK}`);
  }
}

/** The dataset as it is now, null where there is none. Throws {@link DatasetReadError} where nobody knows whether there is. */
export async function known(dataset: CurrentDataset): Promise<DatasetReader | null> {
  const reader = await dataset.now();
  if (reader === null && dataset.problem() !== null) throw new DatasetReadError(dataset.problem()!);
  return reader;
}

/** The dataset as it is now. Throws {@link DatasetReadError} where there is none. */
export async function existing(dataset: CurrentDataset): Promise<DatasetReader> {
  const reader = await known(dataset);
  if (reader !== null) return reader;
  throw missing(dataset.place);
}

/** The error of a place where there is no dataset. */
export function missing(place: string): DatasetReadError {
  const settings = place.includes("://") ? "DATASET_URL" : "DATA_DIR or DATASET_DIR";
  return new DatasetReadError(
    `Cannot find a dataset at "${place}": none has been written there. Set ${settings} to where it is, or start the ` +
      "processor, which makes it.",
  );
}

/** Of every partition. */
export function snapshotsOf(reader: DatasetReader): readonly PartitionSnapshot[] {
  return reader.partitions().map((partition) => reader.snapshot(partition));
}

/** Every file that is named, by event, date, partition and its place in that. */
export function pathsOf(reader: DatasetReader): readonly string[] {
  return inOrder(snapshotsOf(reader).flatMap((snapshot) => Object.keys(entriesIn(snapshot))));
}

/** Whether a file is named. */
export function hasPath(reader: DatasetReader, path: string): boolean {
  const parsed = parseDatasetPath(path);
  return parsed !== null && entryIn(reader.snapshot(parsed.partition), path) !== undefined;
}

/** A text that is another one with every erasure on which a writer begins. */
export function erasuresOf(reader: DatasetReader): string {
  return JSON.stringify(reader.partitions().map((partition) => [...reader.erasedIn(partition)]));
}

/** An erasure that had begun before could end while we read, and nothing would show it afterwards. */
export function refuseWhileErasing(reader: DatasetReader): void {
  const isErasing = reader.partitions().some((partition) => {
    const erased = reader.erasedIn(partition);
    const nextOffset = reader.snapshot(partition).manifest?.nextOffset ?? 0;
    return erased.values().some(({ offset }) => offset >= nextOffset);
  });
  if (!isErasing) return;
  throw new DatasetReadError(
    "Cannot export now: somebody is being erased from the dataset. Try again when that is done; where it was cut short, " +
      "the processor ends it when it starts.",
  );
}

/** As {@link DatasetReader.open}, of a file that has everything its manifest says. Throws {@link DatasetFileError}. */
export async function openWhole(reader: DatasetReader, path: string): Promise<OpenedLines | null> {
  const opened = await reader.open(path);
  if (opened === null) return null;
  const { size, entry: { bytes } } = opened;
  if (size >= bytes) return opened;
  opened.close();
  throw new DatasetFileError(
    reader.placeOf(path),
    `has ${size} bytes and its ${reader.namedBy} says ${bytes}`,
  );
}

const EMPTY = new Uint8Array();
/** Far above what ingest takes (1 MiB), so that a damaged file cannot fill the memory. */
const LINE_BYTES_MAX = 16 * 1024 * 1024;

/** The lines in blocks of a file, without their line feeds, several at a time. */
export async function* lineBlocksOf(
  blocks: AsyncIterable<Uint8Array>,
  { lineBytesMax = LINE_BYTES_MAX } = {},
): AsyncGenerator<LineBlock> {
  let rest: Uint8Array = EMPTY;
  for await (const block of blocks) {
    const whole = new Uint8Array(rest.length + block.length);
    whole.set(rest);
    whole.set(block, rest.length);
    const lines: Uint8Array[] = [];
    let from = 0;
    // The carried rest holds no line feed: a line of many blocks is not searched again and again.
    for (let end = whole.indexOf(10, rest.length); end >= 0; end = whole.indexOf(10, from)) {
      lines.push(whole.subarray(from, end));
      from = end + 1;
    }
    rest = whole.subarray(from);
    if (lines.length > 0) yield { lines, rest: 0 };
    if (rest.length > lineBytesMax) break;
  }
  if (rest.length > 0) yield { lines: [], rest: rest.length };
}

/** `rest`: bytes that no line feed ends, or not within `lineBytesMax` (default 16 MiB); then this is the last block. */
export type LineBlock = { readonly lines: readonly Uint8Array[]; readonly rest: number };

/** Paths by event, date, partition and file number; objects by first offset and commit. */
export function inOrder(paths: readonly string[]): readonly string[] {
  return paths.map((path) => ({ path, key: sortKey(path) }))
    .sort((a, b) => a.key < b.key ? -1 : a.key > b.key ? 1 : 0)
    .map(({ path }) => path);
}

/** Text that sorts as {@link inOrder} has it. */
function sortKey(path: string): string {
  const { date, partition, fileNumber, commit = 0 } = parseDatasetPath(path)!;
  return [
    path.slice(0, path.indexOf("/")),
    date,
    ...[partition, fileNumber, commit].map((n) => String(n).padStart(16, "0")),
  ].join("\0");
}
