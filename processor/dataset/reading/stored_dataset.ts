import type { ErasedSubjects } from "../../record/erasure.ts";
import type { DatasetIdentity, DatasetTree, PartitionManifest, PartitionStore } from "../store.ts";

/**
 * The port of one dataset as a replay reads it and builds it: a tree on a disk, or a build in a bucket. Whoever builds keeps
 * a note in it until it is done, so that an interrupted one is known and can go on.
 */
export interface StoredDataset {
  /** A directory or an `s3://` address. */
  readonly place: string;
  /** Null where it has no name. Throws `DatasetStateError` where that is damaged. */
  identity(): Promise<DatasetIdentity | null>;
  /** Partitions of which there is something, ascending. */
  partitions(): Promise<readonly number[]>;
  /** Null where there is nothing of it. Throws `DatasetStateError` where it is damaged. */
  manifest(partition: number): Promise<ManifestNow | null>;
  /** The same with how much of each file of it is the dataset's, by path, both of one moment. */
  snapshot(partition: number): Promise<{ readonly manifest: ManifestNow; readonly files: FileSizes } | null>;
  tree(): Promise<DatasetTree>;
  /** How much of each file is the dataset's, by path; null where it is gone, or cannot be read. */
  sizes(): Promise<FileSizes | null>;
  /** The first `bytes` of a file, which are whole lines, block by block; null where it is missing. A block is good until the next. */
  blocks(path: string, bytes: number): Promise<AsyncIterable<Uint8Array> | null>;
  /** What whoever builds it has noted; null where there is no note. */
  note(): Promise<Uint8Array | null>;
  saveNote(bytes: Uint8Array): Promise<void>;
  /** From here on it is a dataset like any other. */
  removeNote(): Promise<void>;
  /** Makes it, with the note first: whatever lies there later is known as somebody's who builds. Durable. */
  make(first: { readonly identity: DatasetIdentity; readonly note: Uint8Array }): Promise<void>;
  /**
   * Opens a partition to build it, or to go on with that; a new one begins at `firstOffset` and knows whom it must not have.
   * Its letters stay in its manifest: nobody publishes them until it is the live one.
   */
  build(
    partition: number,
    first: { readonly firstOffset: number; readonly erased: ErasedSubjects },
  ): Promise<PartitionStore>;
  /** All of it goes. */
  remove(): Promise<void>;
}

/** A manifest at one moment; `erasing` while an erasure puts its files in place. */
export type ManifestNow = PartitionManifest & {
  readonly erasing?: { readonly nextOffset: number } | undefined;
};

/** Bytes and records by path. */
export type FileSizes = Readonly<Record<string, { readonly bytes: number; readonly records: number }>>;
