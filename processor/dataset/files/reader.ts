import { Buffer } from "node:buffer";
import { join } from "node:path";
import { ifThere, isThere } from "../../../runtime/durable_file.ts";
import type { ErasedSubjects } from "../../record/erasure.ts";
import { datasetPath, parseDatasetPath } from "../core/path.ts";
import { DatasetReadError } from "../core/read_error.ts";
import {
  type Audit,
  type CurrentDataset,
  DatasetFileError,
  type DatasetReader,
  DatasetReplacedError,
  LOOK,
  missing,
  type OpenedLines,
  type RecordOfLine,
  type SeekableLines,
} from "../reading/reader.ts";
import { entryBeforeIn, entryIn, type PartitionSnapshot } from "../reading/snapshot.ts";
import type { DatasetIdentity, FileEntry } from "../store.ts";
import { auditFiles } from "./audit.ts";
import { hasIdentity, identityPath, manifestPartitions, readErased, readIdentity } from "./manifest.ts";
import { SnapshotReader } from "./snapshot.ts";

/**
 * The dataset's files beside live writers.
 *
 * Writers only append to a file, or put another one in its place (an erasure). So a file is opened first and its
 * manifest read afterwards: while the name still leads to what was opened, the manifest speaks of just these bytes.
 */
export class DatasetFiles implements DatasetReader {
  readonly namedBy = "manifest";
  readonly #datasetDir: string;
  /** A dataset has many files of one manifest. */
  readonly #snapshots: SnapshotReader;

  /**
   * @param place The tree that DATASET_DIR leads to now. Throws {@link DatasetReadError} where there is no dataset.
   */
  constructor(datasetDir: string, readonly place: string = treeOf(datasetDir)) {
    this.#datasetDir = datasetDir;
    this.#snapshots = new SnapshotReader(place);
  }

  placeOf(path: string): string {
    return join(this.place, path);
  }

  refresh(): Promise<void> {
    return Promise.resolve();
  }

  identity(): DatasetIdentity {
    const identity = readIdentity(this.place);
    if (identity !== null) return identity;
    if (this.isReplaced()) throw new DatasetReplacedError();
    throw new DatasetReadError(`Cannot read "${identityPath(this.place)}": it is missing. ${LOOK}`);
  }

  isReplaced(): boolean {
    return datasetRoot(this.#datasetDir) !== this.place;
  }

  partitions(): readonly number[] {
    try {
      return manifestPartitions(this.place);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound && this.isReplaced()) throw new DatasetReplacedError();
      throw error;
    }
  }

  snapshot(partition: number): PartitionSnapshot {
    try {
      return this.#snapshots.read(partition);
    } catch (error) {
      // A tree that is being removed loses its files one by one.
      if (this.isReplaced()) throw new DatasetReplacedError();
      throw error;
    }
  }

  erasedIn(partition: number): ErasedSubjects {
    return readErased(this.place, partition);
  }

  pathsOf(event: string, record: RecordOfLine): readonly string[] {
    return [datasetPath(event, record)];
  }

  writtenAt(path: string): number {
    return ifThere(() => Deno.statSync(this.placeOf(path)))?.mtime?.getTime() ?? 0;
  }

  // deno-lint-ignore require-await -- what cannot be opened is a rejection
  async open(path: string): Promise<OpenedLines | null> {
    const opened = this.openFile(path);
    if (opened === null) return null;
    const { file, entry, size } = opened;
    return {
      entry,
      size,
      sha256: null,
      blocks: ({ bytes = entry.bytes } = {}) => blocksOf(file, bytes),
      stored: () => blocksOf(file, entry.bytes),
      close: () => file.close(),
    };
  }

  // deno-lint-ignore require-await -- what cannot be opened is a rejection
  async seekIn(path: string): Promise<SeekableLines | null> {
    const partition = parseDatasetPath(path)?.partition;
    if (partition === undefined || entryIn(this.snapshot(partition), path) === undefined) return null;
    const opened = this.openFile(path);
    if (opened === null) return null;
    const { file, entry, size } = opened;
    return {
      entry,
      version: file.statSync().ino ?? 0,
      // An erasure may be about to put a shorter file here, or has just done it.
      bytes: Math.min(entry.bytes, size),
      read: (range) => readRange(file, range),
      [Symbol.dispose]: () => file.close(),
    };
  }

  audit(): Promise<Audit> {
    return Promise.resolve(auditFiles(this));
  }

  close(): void {}

  /**
   * As {@link open}: the first `entry.bytes` of `file` are the dataset's, unless `size` is less. The caller closes it.
   */
  openFile(path: string): OpenedFile | null {
    const { partition } = parseDatasetPath(path)!;
    for (let wasMissing = false;;) {
      const file = this.#openFile(path);
      const snapshot = this.snapshot(partition);
      const entry = entryBeforeIn(snapshot, path);
      if (file === null) {
        if (entry === undefined || entry.bytes === 0) return null;
        // A writer may have made it between the two looks.
        if (!wasMissing) {
          wasMissing = true;
          continue;
        }
        throw new DatasetFileError(this.placeOf(path), "is missing");
      }
      const { size, ino } = file.statSync();
      const now = ifThere(() => Deno.statSync(this.placeOf(path)));
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
        throw new DatasetReadError(
          `Cannot read "${this.placeOf(path)}": its manifest names it no more. Run the command again.`,
        );
      }
    }
  }

  #openFile(path: string): Deno.FsFile | null {
    const file = ifThere(() => Deno.openSync(this.placeOf(path), { read: true }));
    if (file === null && this.isReplaced()) throw new DatasetReplacedError();
    return file;
  }
}

/** The dataset on this disk as it is at each look. */
export class CurrentFiles implements CurrentDataset {
  #files: DatasetFiles | null = null;

  constructor(readonly place: string) {}

  // deno-lint-ignore require-await -- what cannot be read is a rejection
  async now(): Promise<DatasetFiles | null> {
    if (this.#files !== null && !this.#files.isReplaced()) return this.#files;
    const root = datasetRoot(this.place);
    this.#files = root === null || !isThere(join(root, "_manifest"))
      ? null
      : new DatasetFiles(this.place, root);
    return this.#files;
  }

  problem(): null {
    return null;
  }

  close(): void {}
}

type OpenedFile = { readonly file: Deno.FsFile; readonly size: number; readonly entry: FileEntry };

/** Bytes read at once. */
const BLOCK_BYTES = 1024 * 1024;

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

/** What lies there, less at the file's end. */
async function readRange(
  file: Deno.FsFile,
  { from, bytes }: { from: number; bytes: number },
): Promise<Buffer> {
  const block = Buffer.alloc(bytes);
  file.seekSync(from, Deno.SeekMode.Start);
  let filled = 0;
  while (filled < bytes) {
    const read = await file.read(block.subarray(filled));
    if (read === null) break;
    filled += read;
  }
  return block.subarray(0, filled);
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

function treeOf(datasetDir: string): string {
  const root = datasetRoot(datasetDir);
  if (root !== null && hasIdentity(root)) return root;
  throw missing(datasetDir);
}
