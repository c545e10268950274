import { join } from "node:path";
import { hasIdentity, identityPath, manifestPartitions, readErased, readIdentity } from "./manifest.ts";
import { entriesIn, entryBeforeIn, entryIn, type PartitionSnapshot, SnapshotReader } from "./snapshot.ts";
import { ifThere } from "../../../runtime/durable_file.ts";
import { parseDatasetPath } from "../core/path.ts";
import { DatasetReadError } from "../core/read_error.ts";
import type { DatasetIdentity, FileEntries, FileEntry } from "../store.ts";

/**
 * The dataset's files for a command that reads beside live writers: no lock, and never a byte beyond a manifest.
 *
 * Writers only append to a file, or put another one in its place (an erasure). So a file is opened first and its
 * manifest read afterwards: while the name still leads to what was opened, the manifest speaks of just these bytes.
 */
export class DatasetFiles {
  /** The tree that DATASET_DIR led to when this was made. */
  readonly root: string;
  readonly #datasetDir: string;
  /** A dataset has many files of one manifest. */
  readonly #snapshots: SnapshotReader;

  /** Throws {@link DatasetReadError} where there is no dataset. */
  constructor(datasetDir: string) {
    const root = datasetRoot(datasetDir);
    if (root === null || !hasIdentity(root)) {
      fail(
        `Cannot find a dataset at "${datasetDir}": none has been written there. Set DATA_DIR or DATASET_DIR to where ` +
          `it is, or start the processor, which makes it.`,
      );
    }
    this.#datasetDir = datasetDir;
    this.root = root;
    this.#snapshots = new SnapshotReader(root);
  }

  /** What the dataset is called. Throws `DatasetStateError` where that is damaged. */
  identity(): DatasetIdentity {
    const identity = readIdentity(this.root);
    if (identity !== null) return identity;
    if (this.isReplaced()) throw new DatasetReplacedError();
    fail(`Cannot read "${identityPath(this.root)}": it is missing. ${LOOK}`);
  }

  /** True once a replay has put another tree in the place of this one. */
  isReplaced(): boolean {
    return datasetRoot(this.#datasetDir) !== this.root;
  }

  /** Partitions that have a manifest, ascending. */
  partitions(): readonly number[] {
    try {
      return manifestPartitions(this.root);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound && this.isReplaced()) throw new DatasetReplacedError();
      throw error;
    }
  }

  /** A text that is another one with every erasure on which a writer begins. */
  erasures(): string {
    return JSON.stringify(this.partitions().map((partition) => [...readErased(this.root, partition)]));
  }

  /** True where a writer has begun on an erasure and its manifest is not behind it. */
  isErasing(): boolean {
    return this.partitions().some((partition) => {
      const erased = readErased(this.root, partition);
      const nextOffset = this.#snapshotOf(partition).manifest?.nextOffset ?? 0;
      return erased.values().some(({ offset }) => offset >= nextOffset);
    });
  }

  /** Every file that the manifests name, by event, date, partition and file number. */
  paths(): readonly string[] {
    return inOrder(this.partitions().flatMap((partition) => Object.keys(this.entriesOf(partition))));
  }

  /** What the manifests of one partition say now, sealed entries too; while an erasure is under way: what it leads to. */
  entriesOf(partition: number): FileEntries {
    return entriesIn(this.#snapshotOf(partition));
  }

  /** Whether the manifests name it. */
  has(path: string): boolean {
    const parsed = parseDatasetPath(path);
    return parsed !== null && entryIn(this.#snapshotOf(parsed.partition), path) !== undefined;
  }

  /**
   * A file with what its manifest says of it: the first `entry.bytes` of `file` are the dataset's, unless `size` is
   * less. Null where the manifest names no bytes of it: a writer is about to make it. The caller closes it.
   *
   * Throws {@link DatasetReplacedError} where another tree has taken this one's place, `NotFound` where a file is gone.
   */
  open(path: string): OpenedFile | null {
    const { partition } = parseDatasetPath(path)!;
    for (let wasMissing = false;;) {
      const file = this.#openFile(path);
      const snapshot = this.#snapshotOf(partition);
      const entry = entryBeforeIn(snapshot, path);
      if (file === null) {
        if (entry === undefined || entry.bytes === 0) return null;
        // A writer may have made it between the two looks.
        if (!wasMissing) {
          wasMissing = true;
          continue;
        }
        throw new Deno.errors.NotFound(`Cannot open "${join(this.root, path)}": it is missing.`);
      }
      const { size, ino } = file.statSync();
      const now = ifThere(() => Deno.statSync(join(this.root, path)));
      if (entry !== undefined && now?.ino === ino) {
        return {
          file,
          size,
          entry: entryThatFits(entry, { size, erased: snapshot.manifest?.erasing?.files[path] }),
        };
      }
      // An erasure has put another file here between the two looks, or the manifest has gone with its tree.
      file.close();
      if (entry === undefined) {
        if (this.isReplaced()) throw new DatasetReplacedError();
        fail(`Cannot read "${join(this.root, path)}": its manifest names it no more. Run the command again.`);
      }
    }
  }

  #openFile(path: string): Deno.FsFile | null {
    const file = ifThere(() => Deno.openSync(join(this.root, path), { read: true }));
    if (file === null && this.isReplaced()) throw new DatasetReplacedError();
    return file;
  }

  #snapshotOf(partition: number): PartitionSnapshot {
    try {
      return this.#snapshots.read(partition);
    } catch (error) {
      // A tree that is being removed loses its files one by one.
      if (this.isReplaced()) throw new DatasetReplacedError();
      throw error;
    }
  }
}

/** The dataset as it is at each look, for who looks again and again: what does not change is not read anew. */
export class CurrentFiles {
  #files: DatasetFiles | null = null;

  constructor(private readonly datasetDir: string) {}

  /** Null where there is no dataset yet. */
  now(): DatasetFiles | null {
    if (this.#files !== null && !this.#files.isReplaced()) return this.#files;
    const root = datasetRoot(this.datasetDir);
    this.#files = root === null || !hasIdentity(root) ? null : new DatasetFiles(this.datasetDir);
    return this.#files;
  }

  /** As {@link DatasetFiles.paths}; empty where there is no dataset. */
  paths(): readonly string[] {
    return this.now()?.paths() ?? [];
  }

  /** As {@link DatasetFiles.open}; null also for what is no path of the dataset. */
  open(path: string): OpenedFile | null {
    const files = this.now();
    return parseDatasetPath(path) !== null && files?.has(path) ? files.open(path) : null;
  }
}

/**
 * As {@link DatasetFiles.open}, of a file that has everything its manifest says. Throws {@link DatasetReadError} where it is missing or too short.
 */
export function openWhole(files: DatasetFiles, path: string): OpenedFile | null {
  let opened: OpenedFile | null;
  try {
    opened = files.open(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) fail(`${error.message} ${LOOK}`);
    throw error;
  }
  if (opened === null) return null;
  const { file, size, entry: { bytes } } = opened;
  if (size >= bytes) return opened;
  file.close();
  fail(
    `Cannot read "${join(files.root, path)}": it has ${size} bytes and its manifest says ${bytes}. ${LOOK}`,
  );
}

/** What to do where the dataset is not as its manifests say. */
export const LOOK = "See `deno task dataset verify`; `deno task replay` rebuilds the dataset.";

/** What stands at the place of a file, and what its manifest says of it. */
export type OpenedFile = { readonly file: Deno.FsFile; readonly size: number; readonly entry: FileEntry };

/** A replay has put another tree in the place of the one that was being read. */
export class DatasetReplacedError extends DatasetReadError {
  override name = "DatasetReplacedError";
  constructor() {
    super(
      "Cannot go on: another dataset has been put in the place of the one being read. Run the command again.",
    );
  }
}

const EMPTY = new Uint8Array();
/** Bytes read at once. */
const BLOCK_BYTES = 1024 * 1024;
/** Far above what ingest takes (1 MiB), so that a damaged file cannot fill the memory. */
const LINE_BYTES_MAX = 16 * 1024 * 1024;

/** The first `bytes` of a file, block by block; a block is good until the next one. Closes the file. */
export async function* blocksOf(file: Deno.FsFile, bytes: number): AsyncGenerator<Uint8Array> {
  try {
    const block = new Uint8Array(Math.min(BLOCK_BYTES, bytes));
    for (let left = bytes; left > 0;) {
      const read = await file.read(block.subarray(0, Math.min(left, block.length)));
      if (read === null) return;
      left -= read;
      yield block.subarray(0, read);
    }
  } finally {
    file.close();
  }
}

/** The lines in the first `bytes` of a file, without their line feeds, several at a time. Closes the file. */
export async function* lineBlocksOf(
  file: Deno.FsFile,
  bytes: number,
  { lineBytesMax = LINE_BYTES_MAX } = {},
): AsyncGenerator<LineBlock> {
  let rest: Uint8Array = EMPTY;
  for await (const block of blocksOf(file, bytes)) {
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

/** Paths by event, date, partition and file number. */
export function inOrder(paths: readonly string[]): readonly string[] {
  return paths.map((path) => ({ path, key: sortKey(path) }))
    .sort((a, b) => a.key < b.key ? -1 : a.key > b.key ? 1 : 0)
    .map(({ path }) => path);
}

/** Text that sorts as event, date, partition and file number do. */
function sortKey(path: string): string {
  const { date, partition, fileNumber } = parseDatasetPath(path)!;
  return [
    path.slice(0, path.indexOf("/")),
    date,
    ...[partition, fileNumber].map((n) => String(n).padStart(16, "0")),
  ].join("\0");
}

/** Between an erasure's manifest and its rename the old file stands there still; the new one is always shorter. */
function entryThatFits(
  entry: FileEntry,
  { size, erased }: { readonly size: number; readonly erased: FileEntry | undefined },
): FileEntry {
  return erased === undefined || size >= entry.bytes ? entry : erased;
}

/** Where DATASET_DIR leads; null where that is nowhere. */
export function datasetRoot(datasetDir: string): string | null {
  return ifThere(() => Deno.realPathSync(datasetDir));
}

function fail(message: string): never {
  throw new DatasetReadError(message);
}
