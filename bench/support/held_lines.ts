import { createHash } from "node:crypto";
import type { DatasetPlace } from "../../processor/dataset/open.ts";
import { openReader } from "../../processor/dataset/reading/open.ts";
import { entriesIn } from "../../processor/dataset/reading/snapshot.ts";

/** What a dataset holds of one partition and one day of one event: the SHA-256 of its lines in their order. */
export type HeldLines = ReadonlyMap<string, string>;

/** Of a directory or a bucket: the same lines in the same order give the same, whatever files they lie in. */
export async function heldLines(place: DatasetPlace): Promise<{ lines: number; held: HeldLines }> {
  const reader = await openReader(place);
  try {
    const snapshots = reader.partitions().map((partition) => reader.snapshot(partition));
    const all = snapshots.flatMap((one) => Object.entries(entriesIn(one)))
      .map(([path, { records }]) => ({ path, records, ...placeOf(path) }))
      .sort((a, b) => a.number - b.number);
    const hashes = new Map<string, ReturnType<typeof createHash>>();
    for (const { path, name } of all) {
      const hash = hashes.get(name) ?? createHash("sha256");
      hashes.set(name, hash);
      for await (const block of (await reader.open(path))?.blocks() ?? []) hash.update(block);
    }
    return {
      lines: all.reduce((sum, { records }) => sum + records, 0),
      held: new Map([...hashes].map(([name, hash]) => [name, hash.digest("hex")])),
    };
  } finally {
    reader.close();
  }
}

export function holdTheSame(a: HeldLines, b: HeldLines): boolean {
  return a.size === b.size && [...a].every(([name, sha256]) => b.get(name) === sha256);
}

/** Directory and partition, and the number behind that by which a file's lines, or an object's, come after another's. */
function placeOf(path: string) {
  const [, name, number] = /^(.+\/p\d+)-(\d+)/.exec(path)!;
  return { name: name!, number: Number(number) };
}
