import { randomBytes } from "node:crypto";
import { join } from "node:path";
import * as z from "zod";
import {
  GROUP_READS,
  ifThere,
  placeOnce,
  syncDirectory,
  writeDurablySync,
} from "../../../runtime/durable_file.ts";
import type { PartitionCount } from "../core/added_partitions.ts";
import type { DatasetTree } from "../store.ts";
import { encode, manifestPaths, readErased, readJson, readManifest } from "./manifest.ts";

/**
 * What a tree remembers of its topic, beside the manifests: `_manifest/topic.json` its id, `_manifest/partitions-00008.json`
 * that it had 8 partitions and where they ended then. Each is written once: of several writers that see the same change
 * the first one's stands, and all of them read that.
 */

const partitionCount = z.looseObject({ count: z.int().min(1), ends: z.array(z.int().min(0)) });
const topic = z.looseObject({ id: z.string().min(1) });
const COUNT = /^partitions-\d{5,16}\.json$/;

/** The partitions of one tree, for what they know together. */
export function treeAt(root: string): DatasetTree {
  const directory = join(root, "_manifest");
  const topicPath = join(directory, "topic.json");
  return {
    refresh: () => Promise.resolve(),
    counts: () => countsIn(directory),
    addCount: (value) => writeOnce(directory, { name: nameOf(value), value }),
    topicId: () => readJson(topicPath, topic)?.id ?? null,
    addTopicId: (id) => writeOnce(directory, { name: "topic.json", value: { id } }),
    erasedIn: (partition) => readErased(root, partition),
    nextOffsetOf: (partition) => readManifest(root, partition)?.nextOffset ?? null,
    state: (partitions) =>
      [
        ...namesOfCounts(directory),
        ...Array.from({ length: partitions }, (_, one) => idOf(manifestPaths(root, one).erased)),
      ].join(" "),
  };
}

/** Takes over what another tree of the same topic remembers. */
export async function rememberAs(tree: DatasetTree, other: DatasetTree): Promise<void> {
  for (const count of other.counts()) await tree.addCount(count);
  const id = other.topicId();
  if (id !== null) await tree.addTopicId(id);
}

function nameOf({ count }: PartitionCount): string {
  return `partitions-${String(count).padStart(5, "0")}.json`;
}

function namesOfCounts(directory: string): readonly string[] {
  return [...Deno.readDirSync(directory)].map(({ name }) => name).filter((name) => COUNT.test(name));
}

function countsIn(directory: string): readonly PartitionCount[] {
  return namesOfCounts(directory)
    .map((name) => readJson(join(directory, name), partitionCount)!)
    .sort((a, b) => a.count - b.count);
}

async function writeOnce(
  directory: string,
  { name, value }: { readonly name: string; readonly value: unknown },
): Promise<void> {
  const path = join(directory, name);
  const temporary = `${path}.${randomBytes(8).toString("hex")}.tmp`;
  writeDurablySync(temporary, encode(value), { mode: GROUP_READS.file });
  placeOnce(temporary, path);
  await syncDirectory(directory);
}

/** They are replaced, never written in place: another one has another inode or time. */
function idOf(path: string): string {
  const found = ifThere(() => Deno.statSync(path));
  return found === null ? "-" : `${found.ino}:${found.size}:${found.mtime?.getTime()}`;
}
