import { createHash, hash } from "node:crypto";
import {
  type FileSizes,
  inOrder,
  lineBlocksOf,
  parseDatasetPath,
  partitionPrefix,
  type StoredDataset,
} from "../../processor/dataset/mod.ts";
import type { ReplayResult } from "./tree.ts";

/**
 * What a rebuilt dataset changes, per dataset partition. `changed`: lines that stand in both datasets with other bytes.
 * Lines have no names, so it is counted per file: of the lines that the shorter one has, those that the other lacks.
 */

/** Files of a dataset with how much of them is its own. */
export type DatasetFilesNow = { readonly dataset: StoredDataset; readonly files: FileSizes };

export type PartitionChange = ReplayResult["partitions"][number];

/**
 * Compares two datasets file by file, a file's line hashes in memory at a time. Objects end where their writer was at that
 * moment: where one of the two has such, it is all lines of a partition, day and event that are compared together.
 */
export async function compareDatasets(
  { before, after }: { readonly before: DatasetFilesNow | null; readonly after: DatasetFilesNow },
): Promise<PartitionChange[]> {
  const comparison = new FileComparison();
  const nameOf = [before, after].some(hasObjects) ? groupOf : (path: string) => path;
  const [olds, nows] = [before, after].map((one) => grouped(one, nameOf));
  for (const name of new Set([...olds!.keys(), ...nows!.keys()])) {
    const [old, now] = [olds!.get(name) ?? null, nows!.get(name) ?? null];
    if ((old?.records ?? 0) === 0 || (now?.records ?? 0) === 0) {
      comparison.rows.add(name, { before: old?.records ?? 0, after: now?.records ?? 0, changed: 0 });
    } else await comparison.add(name, { before: old, after: now });
  }
  return comparison.rows.inOrder();
}

/** The sides of one dataset by name; the files that share one are read in their order. */
export function grouped(
  one: DatasetFilesNow | null,
  nameOf: (path: string) => string,
): ReadonlyMap<string, FileSide> {
  const paths = Map.groupBy(inOrder(Object.keys(one?.files ?? {})), nameOf);
  return new Map([...paths].map(([name, paths]) => [name, sideOf(one!, paths)]));
}

/** Partition, day and event of a path: what is compared together where one of two datasets has objects. */
export function groupOf(path: string): string {
  return `${path.slice(0, path.lastIndexOf("/"))}/${partitionPrefix(parseDatasetPath(path)!.partition)}`;
}

/** True where it lies on object storage. */
export function hasObjects(one: DatasetFilesNow | null): boolean {
  return Object.keys(one?.files ?? {}).some((path) => parseDatasetPath(path)?.commit !== undefined);
}

/** One file as one of two datasets has it. */
export type FileSide = {
  readonly records: number;
  /** Hex; null where the file is missing. */
  sha256(): Promise<string | null>;
  lineHashes(): Promise<BigUint64Array>;
};

/** A file that is not the same in both; null where one of them has none of it. */
export type FileDifference = {
  readonly path: string;
  readonly live: string | null;
  readonly replayed: string | null;
};

/** Takes two datasets file by file: what differs, and the sums of it. */
export class FileComparison {
  readonly rows = new PartitionRows();
  readonly differences: FileDifference[] = [];

  /** `before` is the live one's side. */
  async add(
    path: string,
    { before, after }: { readonly before: FileSide | null; readonly after: FileSide | null },
  ): Promise<void> {
    const [live, replayed] = [await before?.sha256() ?? null, await after?.sha256() ?? null];
    const areEqual = live !== null && live === replayed;
    const changed = areEqual || live === null || replayed === null ? 0 : await changedLines(before!, after!);
    this.rows.add(path, { before: before?.records ?? 0, after: after?.records ?? 0, changed });
    if (!areEqual) this.differences.push({ path, live, replayed });
  }
}

/** None where a file has gone since its sum was taken: an erasure or a compaction comes between. */
async function changedLines(before: FileSide, after: FileSide): Promise<number> {
  try {
    return missingLines(await before.lineHashes(), await after.lineHashes());
  } catch (error) {
    if (error instanceof FileMissingError) return 0;
    throw error;
  }
}

/** Files of one dataset, one behind the other. */
function sideOf({ dataset, files }: DatasetFilesNow, paths: readonly string[]): FileSide {
  const blocks = () => blocksIn(dataset, paths.map((path) => ({ path, bytes: files[path]!.bytes })));
  return {
    records: paths.reduce((sum, path) => sum + files[path]!.records, 0),
    async sha256() {
      const sha = createHash("sha256");
      try {
        for await (const block of blocks()) sha.update(block);
      } catch (error) {
        // The old dataset may lack what it was rebuilt for.
        if (error instanceof FileMissingError) return null;
        throw error;
      }
      return sha.digest("hex");
    },
    async lineHashes() {
      const hashes: bigint[] = [];
      for await (const { lines } of lineBlocksOf(blocks())) {
        for (const line of lines) hashes.push(lineHash(line));
      }
      return BigUint64Array.from(hashes);
    },
  };
}

class FileMissingError extends Error {
  override name = "FileMissingError";
}

async function* blocksIn(
  dataset: StoredDataset,
  files: readonly { readonly path: string; readonly bytes: number }[],
): AsyncGenerator<Uint8Array> {
  for (const { path, bytes } of files) {
    const blocks = await dataset.blocks(path, bytes);
    if (blocks === null) throw new FileMissingError(path);
    yield* blocks;
  }
}

/** Sums per dataset partition. */
export class PartitionRows {
  readonly #rows = new Map<string, PartitionChange>();

  add(path: string, { before, after, changed }: Pick<PartitionChange, "before" | "after" | "changed">): void {
    if (before === 0 && after === 0) return;
    const { event, date } = (parseDatasetPath(path) ?? parseDatasetPath(`${path}-0000.jsonl`))!;
    const key = `${date}/${event}`;
    const row = this.#rows.get(key) ?? { event, date, before: 0, after: 0, changed: 0 };
    this.#rows.set(key, row);
    row.before += before;
    row.after += after;
    row.changed += changed;
  }

  inOrder(): PartitionChange[] {
    return [...this.#rows.keys()].sort().map((key) => this.#rows.get(key)!);
  }
}

/** Lines of the file with fewer of them that the other one lacks, each counted as often as it is missing. */
export function missingLines(a: BigUint64Array, b: BigUint64Array): number {
  const [left, right] = [a.toSorted(), b.toSorted()];
  let common = 0;
  for (let i = 0, j = 0; i < left.length && j < right.length;) {
    if (left[i]! < right[j]!) i++;
    else if (left[i]! > right[j]!) j++;
    else {
      common++;
      i++;
      j++;
    }
  }
  return Math.min(left.length, right.length) - common;
}

/** 64 bits that tell one line from another. */
export function lineHash(line: string | Uint8Array): bigint {
  return hash("sha256", line, "buffer").readBigUInt64LE();
}
