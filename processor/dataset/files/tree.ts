import { dirname, join } from "node:path";
import {
  GROUP_READS,
  ifThere,
  PRIVATE,
  readIfThere,
  replaceFile,
  syncDirectory,
} from "../../../runtime/durable_file.ts";
import { joinErased } from "../../record/erasure.ts";
import { DatasetStateError } from "../core/state_error.ts";
import type { FileEntries } from "../store.ts";
import type { FileSizes, StoredDataset } from "../reading/stored_dataset.ts";
import {
  manifestPartitions,
  readErased,
  readIdentity,
  readManifest,
  saveErased,
  saveIdentity,
} from "./manifest.ts";
import { JsonlPartition } from "./partition.ts";
import { blocksOf } from "./reader.ts";
import { readEntries, readSnapshot } from "./snapshot.ts";
import { treeAt } from "./topic_memory.ts";

/** Where whoever builds a tree keeps its note: `_manifest/replay.json`. */
export function notePath(root: string): string {
  return join(root, "_manifest", "replay.json");
}

/** The dataset in one directory, for a replay. */
export function storedTree(root: string): StoredDataset {
  return {
    place: root,
    identity: () => settled(() => readIdentity(root)),
    partitions: () => settled(() => manifestPartitions(root)),
    manifest: (partition) => settled(() => readManifest(root, partition)),
    snapshot: (partition) =>
      settled(() => {
        const { manifest, entries } = readSnapshot(root, partition);
        return manifest && { manifest, files: sizesOf(entries) };
      }),
    tree: () => settled(() => treeAt(root)),
    sizes: () => settled(() => sizesIn(root)),
    blocks: (path, bytes) =>
      settled(() => {
        // The old dataset may lack what it was rebuilt for.
        const file = ifThere(() => Deno.openSync(join(root, path), { read: true }));
        return file && blocksOf(file, bytes);
      }),
    note: () => settled(() => readIfThere(notePath(root))),
    saveNote: (bytes) => replaceFile(notePath(root), bytes, PRIVATE),
    async removeNote() {
      Deno.removeSync(notePath(root));
      await syncDirectory(dirname(notePath(root)));
    },
    async make({ identity, note }) {
      Deno.mkdirSync(join(root, "_manifest"), { recursive: true, mode: GROUP_READS.directory });
      await replaceFile(notePath(root), note, PRIVATE);
      await saveIdentity(root, identity);
      await syncDirectory(root);
      await syncDirectory(dirname(root));
    },
    async build(partition, { firstOffset, erased }) {
      const begun = readManifest(root, partition);
      if (!begun) {
        // Known before the first line: nothing of the erased is written, not even for a moment.
        const value = joinErased(readErased(root, partition), erased);
        if (value.size > 0) await saveErased(root, { partition, value });
      }
      const manifest = begun ?? { firstOffset, nextOffset: firstOffset, files: {}, letters: [] };
      return new JsonlPartition(root, { partition, manifest, keepsLetters: true });
    },
    remove: () => settled(() => ifThere(() => Deno.removeSync(root, { recursive: true }))).then(() => {}),
  };
}

function sizesIn(root: string) {
  try {
    return sizesOf(readEntries(root));
  } catch (error) {
    if (error instanceof DatasetStateError || error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

function sizesOf(entries: FileEntries): FileSizes {
  return Object.fromEntries(
    Object.entries(entries).map(([path, { bytes, records }]) => [path, { bytes, records }]),
  );
}

/** What is thrown becomes a rejection. */
function settled<T>(read: () => T): Promise<T> {
  return Promise.resolve().then(read);
}
