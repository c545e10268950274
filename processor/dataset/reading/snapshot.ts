import type { FileEntries, FileEntry, PartitionManifest } from "../store.ts";

/** What the manifest of a partition, its sealed entries and an erasure under way say together at one moment. */
export type PartitionSnapshot = {
  readonly partition: number;
  /** Null where there is none: then nothing of the partition is the dataset's. */
  readonly manifest: ReadManifest | null;
  /** Those that the manifest or its erasure names too are of before. The same object while nothing of it has changed. */
  readonly sealed: FileEntries;
};

/** What readers take of a manifest; `erasing`: what a rewriting under way leads to. */
export type ReadManifest =
  & Pick<
    PartitionManifest,
    "firstOffset" | "nextOffset" | "files" | "last" | "outcomes" | "received"
  >
  & { readonly erasing?: { readonly files: FileEntries } | undefined };

/** Every file. While an erasure puts its files in place: what it leads to. */
export function entriesIn({ manifest, sealed }: PartitionSnapshot): FileEntries {
  return { ...sealed, ...manifest?.files, ...manifest?.erasing?.files };
}

/** What {@link entriesIn} says of one file, without making all of them. */
export function entryIn({ manifest, sealed }: PartitionSnapshot, path: string): FileEntry | undefined {
  return manifest?.erasing?.files[path] ?? manifest?.files[path] ?? sealed[path];
}

/** The same as it was before an erasure that is under way. */
export function entryBeforeIn({ manifest, sealed }: PartitionSnapshot, path: string): FileEntry | undefined {
  return manifest?.files[path] ?? sealed[path];
}
