import { Buffer } from "node:buffer";
import { hash } from "node:crypto";
import { join } from "node:path";
import { parseDatasetPath } from "../../processor/dataset/core/path.ts";
import { blocksOf, lineBlocksOf } from "../../processor/dataset/files/reader.ts";
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
  const rows = new PartitionRows();
  const paths = new Set([...Object.keys(before?.files ?? {}), ...Object.keys(after.files)]);
  for (const path of paths) {
    const old = before?.files[path] ?? NOTHING;
    const now = after.files[path] ?? NOTHING;
    const changed = old.records === 0 || now.records === 0
      ? 0
      : await changedLines(join(before!.root, path), join(after.root, path), [old.bytes, now.bytes]);
    rows.add(path, { before: old.records, after: now.records, changed });
  }
  return rows.inOrder();
}

const NOTHING = { bytes: 0, records: 0 };

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

/** The hashes of a file's lines. */
export async function lineHashesOf(path: string, bytes: number): Promise<BigUint64Array> {
  const hashes: bigint[] = [];
  for await (const { lines } of lineBlocksOf(Deno.openSync(path, { read: true }), bytes)) {
    for (const line of lines) hashes.push(lineHash(line));
  }
  return BigUint64Array.from(hashes);
}

async function changedLines(before: string, after: string, [oldBytes, bytes]: [number, number]) {
  try {
    if (oldBytes === bytes && await areEqual(before, after, bytes)) return 0;
    return missingLines(await lineHashesOf(before, oldBytes), await lineHashesOf(after, bytes));
  } catch (error) {
    // The old dataset may lack what it was rebuilt for.
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

async function areEqual(left: string, right: string, bytes: number): Promise<boolean> {
  const others = blocksOf(Deno.openSync(right, { read: true }), bytes);
  try {
    for await (const block of blocksOf(Deno.openSync(left, { read: true }), bytes)) {
      const other = (await others.next()).value;
      if (!other || block.length !== other.length || Buffer.compare(block, other) !== 0) return false;
    }
    return true;
  } finally {
    await others.return(undefined);
  }
}
