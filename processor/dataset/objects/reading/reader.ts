import type { ErasedSubjects } from "../../../record/erasure.ts";
import { NOBODY } from "../../../record/erasure.ts";
import { datasetPath, directoryOf, parseDatasetPath } from "../../core/path.ts";
import { DatasetReadError } from "../../core/read_error.ts";
import {
  type Audit,
  DatasetFileError,
  type DatasetReader,
  DatasetReplacedError,
  type OpenedLines,
  type RecordOfLine,
  type SeekableLines,
} from "../../reading/reader.ts";
import { entriesIn, entryIn, type PartitionSnapshot } from "../../reading/snapshot.ts";
import type { DatasetIdentity } from "../../store.ts";
import { unpacked } from "../lines.ts";
import { auditObjects } from "./audit.ts";
import { asReadError, type Following, type ObjectEntry, type SeenBuild } from "./followed.ts";

/**
 * The objects that the commits of one moment name. What is committed later is not in it; what an erasure or a compaction
 * has taken out since may be gone when it is read.
 */
export class ObjectsReader implements DatasetReader {
  readonly place: string;
  readonly namedBy = "commit";
  #seen: SeenBuild;
  readonly #places = new Map<number, ReadonlyMap<string, readonly string[]>>();

  constructor(private readonly current: Following, seen: SeenBuild) {
    this.#seen = seen;
    this.place = `${current.place}/${seen.build}`;
  }

  get seen(): SeenBuild {
    return this.#seen;
  }

  placeOf(path: string): string {
    return `${this.place}/${path}`;
  }

  refresh(): Promise<void> {
    return this.current.refresh();
  }

  isReplaced(): boolean {
    return this.current.seen?.build !== this.#seen.build;
  }

  identity(): DatasetIdentity {
    return this.#seen.identity;
  }

  partitions(): readonly number[] {
    return [...this.#seen.partitions.keys()];
  }

  snapshot(partition: number): PartitionSnapshot {
    const seen = this.#seen.partitions.get(partition);
    if (seen?.damage) throw seen.damage;
    return seen?.snapshot ?? { partition, manifest: null, sealed: {} };
  }

  /** Of the last look, however old what it is asked about: an erasure counts from the moment that it is known. */
  erasedIn(partition: number): ErasedSubjects {
    const latest = this.isReplaced() ? this.#seen : this.current.seen!;
    return latest.partitions.get(partition)?.erased ?? NOBODY;
  }

  /** The object with the highest first offset that is not above the record's, and others that begin there too. */
  pathsOf(event: string, record: RecordOfLine): readonly string[] {
    const paths = this.#pathsIn(record.partition).get(directoryOf(datasetPath(event, record))) ?? [];
    const first = (path: string) => parseDatasetPath(path)!.fileNumber;
    const below = paths.filter((path) => first(path) <= record.offset);
    return below.filter((path) => first(path) === first(below[0]!));
  }

  writtenAt(): number {
    return 0;
  }

  // deno-lint-ignore require-await -- what cannot be read is a rejection
  async open(path: string): Promise<OpenedLines | null> {
    const entry = this.#entryOf(path);
    if (entry === null) return null;
    return {
      entry,
      // Whether they are there is asked with the first block: a list of many objects asks for none.
      size: entry.bytes,
      sha256: entry.sha256,
      blocks: ({ stored } = {}) => this.#blocks(path, { entry, stored, packed: false }),
      stored: () => this.#blocks(path, { entry, packed: true }),
      close: () => {},
    };
  }

  async seekIn(path: string): Promise<SeekableLines | null> {
    const entry = this.#entryOf(path);
    if (entry === null) return null;
    const key = `${this.#seen.build}/${path}`;
    const lines = await this.current.lines.of(key, () => this.#blocks(path, { entry, packed: false }));
    return {
      entry,
      version: 1,
      bytes: lines.length,
      read: ({ from, bytes }) => Promise.resolve(lines.subarray(from, from + bytes)),
      [Symbol.dispose]: () => {},
    };
  }

  async audit(): Promise<Audit> {
    const { audit, seen } = await auditObjects(this.current, this.#seen.build);
    this.#seen = seen;
    return audit;
  }

  close(): void {
    this.current.close();
  }

  #entryOf(path: string): ObjectEntry | null {
    const partition = parseDatasetPath(path)?.partition;
    const entry = partition === undefined ? undefined : entryIn(this.snapshot(partition), path);
    return entry === undefined ? null : entry as ObjectEntry;
  }

  async *#blocks(
    path: string,
    { entry, stored, packed }: {
      readonly entry: ObjectEntry;
      readonly stored?: ((block: Uint8Array) => void) | undefined;
      /** As they are stored. */
      readonly packed: boolean;
    },
  ): AsyncGenerator<Uint8Array> {
    const { store } = this.current;
    const leaving = new AbortController();
    let bytes = 0;
    const counted = async function* (blocks: AsyncIterable<Uint8Array>) {
      for await (const block of blocks) {
        bytes += block.length;
        stored?.(block);
        yield block;
      }
    };
    try {
      const body = await store.read(`${this.#seen.build}/${path}`, { signal: leaving.signal });
      if (body === null) throw await this.#gone(path);
      const compression = parseDatasetPath(path)!.compression ?? "none";
      yield* unpacked(counted(body.blocks), packed ? "none" : compression);
      if (bytes === entry.bytes) return;
      throw new DatasetFileError(
        this.placeOf(path),
        `has ${bytes} bytes, and its commit says ${entry.bytes}`,
      );
    } catch (error) {
      if (isUnpacking(error)) {
        throw new DatasetFileError(
          this.placeOf(path),
          "cannot be unpacked, and holds other bytes than were put there",
        );
      }
      throw asReadError(error, this.current.place);
    } finally {
      leaving.abort();
    }
  }

  /** An object is missing that was named: whether it still is says what has happened. */
  async #gone(path: string): Promise<Error> {
    await this.refresh();
    if (this.isReplaced()) return new DatasetReplacedError();
    const { partition } = parseDatasetPath(path)!;
    const now = this.current.seen!.partitions.get(partition)?.snapshot;
    if (now && entryIn(now, path)) return new DatasetFileError(this.placeOf(path), "is missing");
    return new DatasetReadError(
      `Cannot go on: an erasure or a compaction has taken "${
        this.placeOf(path)
      }" out of the dataset since it was listed. ` +
        "Run the command again.",
    );
  }

  /** Of each directory, that with the highest first offset first. */
  #pathsIn(partition: number): ReadonlyMap<string, readonly string[]> {
    const known = this.#places.get(partition);
    if (known) return known;
    const first = (path: string) => parseDatasetPath(path)!.fileNumber;
    const paths = Object.keys(entriesIn(this.snapshot(partition))).sort((a, b) => first(b) - first(a));
    const found = Map.groupBy(paths, directoryOf);
    this.#places.set(partition, found);
    return found;
  }
}

/** Of zlib: what was stored is not what packing has made. */
function isUnpacking(error: unknown): boolean {
  return /^(Z_|ZSTD_|ERR_ZSTD)/.test(String((error as { code?: unknown }).code ?? ""));
}
