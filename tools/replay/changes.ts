import { createHash, hash } from "node:crypto";
import { join } from "node:path";
import { ifThere } from "../../runtime/durable_file.ts";
import { blocksOf, lineBlocksOf, parseDatasetPath } from "../../processor/dataset/mod.ts";
import type { ReplayResult } from "./tree.ts";

/**
 * What a rebuilt dataset changes, per dataset partition. `changed`: lines that stand in both datasets with other bytes.
 * Lines have no names, so it is counted per file: of the lines that the shorter one has, those that the other lacks.
 */

/** Files of a tree with how much of them is the dataset's. */
export type TreeFiles = {
  readonly root: string;
  readonly files: Readonly<Record<string, { readonly bytes: number; readonly records: number }>>;
};

export type PartitionChange = ReplayResult["partitions"][number];

/** Compares two trees file by file, a file's line hashes in memory at a time. */
export async function compareTrees(
  { before, after }: { readonly before: TreeFiles | null; readonly after: TreeFiles },
): Promise<PartitionChange[]> {
  const comparison = new FileComparison();
  for (const path of new Set([...Object.keys(before?.files ?? {}), ...Object.keys(after.files)])) {
    const [old, now] = [before?.files[path] ?? NOTHING, after.files[path] ?? NOTHING];
    if (old.records === 0 || now.records === 0) {
      comparison.rows.add(path, { before: old.records, after: now.records, changed: 0 });
    } else {
      await comparison.add(path, {
        before: fileSide(join(before!.root, path), old),
        after: fileSide(join(after.root, path), now),
      });
    }
  }
  return comparison.rows.inOrder();
}

const NOTHING = { bytes: 0, records: 0 };

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
    const changed = areEqual || live === null || replayed === null
      ? 0
      : missingLines(await before!.lineHashes(), await after!.lineHashes());
    this.rows.add(path, { before: before?.records ?? 0, after: after?.records ?? 0, changed });
    if (!areEqual) this.differences.push({ path, live, replayed });
  }
}

/** The first `bytes` of a file on disk. */
export function fileSide(
  path: string,
  { bytes, records }: { readonly bytes: number; readonly records: number },
): FileSide {
  return { records, sha256: () => shaOf(path, bytes), lineHashes: () => lineHashesOf(path, bytes) };
}

/** Sums per dataset partition. */
export class PartitionRows {
  readonly #rows = new Map<string, PartitionChange>();

  add(path: string, { before, after, changed }: Pick<PartitionChange, "before" | "after" | "changed">): void {
    if (before === 0 && after === 0) return;
    const { event, date } = parseDatasetPath(path)!;
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

async function lineHashesOf(path: string, bytes: number): Promise<BigUint64Array> {
  const hashes: bigint[] = [];
  for await (const { lines } of lineBlocksOf(Deno.openSync(path, { read: true }), bytes)) {
    for (const line of lines) hashes.push(lineHash(line));
  }
  return BigUint64Array.from(hashes);
}

async function shaOf(path: string, bytes: number): Promise<string | null> {
  const file = ifThere(() => Deno.openSync(path, { read: true }));
  // The old dataset may lack what it was rebuilt for.
  if (file === null) return null;
  const sha = createHash("sha256");
  for await (const block of blocksOf(file, bytes)) sha.update(block);
  return sha.digest("hex");
}
