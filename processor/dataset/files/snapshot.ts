import { Buffer } from "node:buffer";
import { readIfThere } from "../../../runtime/durable_file.ts";
import type { FileEntries } from "../store.ts";
import {
  manifestPartitions,
  manifestPaths,
  readManifest,
  readSealed,
  type StoredManifest,
} from "./manifest.ts";

/** What the manifest of a partition, its sealed entries and an erasure under way say together at one moment. */
export type PartitionSnapshot = {
  /** Null where there is none: then nothing of the partition is the dataset's. */
  readonly manifest: StoredManifest | null;
  /** Of every file. While an erasure puts its files in place: what it leads to. */
  readonly entries: FileEntries;
  /** The same as it was before that erasure. */
  readonly entriesBefore: FileEntries;
};

/** Of two that name a file the manifest goes before the sealed entries, and an erasure before both. */
export function readSnapshot(root: string, partition: number): PartitionSnapshot {
  const path = manifestPaths(root, partition).sealed;
  for (let before = readIfThere(path);;) {
    const manifest = readManifest(root, partition);
    if (manifest === null) return { manifest, entries: {}, entriesBefore: {} };
    const sealed = readSealed(root, partition);
    const after = readIfThere(path);
    if (areEqual(before, after)) {
      const entriesBefore = { ...sealed, ...manifest.files };
      return { manifest, entriesBefore, entries: { ...entriesBefore, ...manifest.erasing?.files } };
    }
    // Entries that were sealed between the two looks may speak of files that the manifest has never known.
    before = after;
  }
}

/** Every file of a tree. */
export function readEntries(root: string): FileEntries {
  return Object.assign(
    {},
    ...manifestPartitions(root).map((partition) => readSnapshot(root, partition).entries),
  );
}

/** The same bytes, or neither there. */
export function areEqual(a: Uint8Array | null, b: Uint8Array | null): boolean {
  return a === b || (a !== null && b !== null && Buffer.compare(a, b) === 0);
}
