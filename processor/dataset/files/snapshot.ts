import { Buffer } from "node:buffer";
import { ifThere, readIfThere } from "../../../runtime/durable_file.ts";
import { entriesIn, type PartitionSnapshot } from "../reading/snapshot.ts";
import type { FileEntries } from "../store.ts";
import {
  damaged,
  manifestPartitions,
  manifestPaths,
  parseManifest,
  readSealed,
  type StoredManifest,
} from "./manifest.ts";

/** Reads the manifests of a tree once and again: parsed anew is only what has been replaced meanwhile. */
export class SnapshotReader {
  readonly #kept = new Map<number, Kept>();
  /** Sealed files of a partition as they were read last, by path. */
  readonly #files = new Map<number, ReadonlyMap<string, SealedFile>>();

  constructor(readonly root: string) {}

  /** The same object as before while nothing has changed. Throws `DatasetStateError` where something is damaged. */
  read(partition: number): StoredSnapshot {
    const path = manifestPaths(this.root, partition).manifest;
    for (;;) {
      const bytes = readIfThere(path);
      if (bytes === null) {
        this.#kept.delete(partition);
        return { partition, manifest: null, sealed: {} };
      }
      const kept = this.#kept.get(partition);
      const isSame = kept !== undefined && areEqual(bytes, kept.bytes);
      const manifest = isSame ? kept.snapshot.manifest : parseManifest(path, bytes);
      const ids = this.#idsOf(partition, manifest);
      if (kept && ids === kept.ids) {
        if (isSame) return kept.snapshot;
        return this.#keep(partition, {
          bytes,
          ids,
          snapshot: { partition, manifest, sealed: kept.snapshot.sealed },
        });
      }
      const sealed = this.#sealedOf(partition, manifest);
      // Entries that were sealed between the two looks may speak of files that this manifest has never known.
      if (!areEqual(bytes, readIfThere(path)) || ids !== this.#idsOf(partition, manifest)) continue;
      if (typeof sealed === "string") throw damaged(sealed, "it is missing");
      return this.#keep(partition, { bytes, ids, snapshot: { partition, manifest, sealed } });
    }
  }

  #keep(partition: number, kept: Kept): StoredSnapshot {
    this.#kept.set(partition, kept);
    return kept.snapshot;
  }

  /** What tells a state of the sealed files from every other one. */
  #idsOf(partition: number, manifest: StoredManifest): string {
    return sealedPaths(this.root, { partition, manifest }).map((path) => `${path} ${idOf(path)}`).join("\n");
  }

  /** The path of one that is missing where a manifest names it. */
  #sealedOf(partition: number, manifest: StoredManifest): FileEntries | string {
    const before = this.#files.get(partition);
    const now = new Map<string, SealedFile>();
    this.#files.set(partition, now);
    for (const path of sealedPaths(this.root, { partition, manifest })) {
      const id = idOf(path);
      const known = before?.get(path);
      const files = known?.id === id ? known.files : readSealed(path);
      if (files === null && manifest.sealed) return path;
      now.set(path, { id, files: files ?? {} });
    }
    return Object.assign({}, ...now.values().map(({ files }) => files));
  }
}

type SealedFile = { readonly id: string; readonly files: FileEntries };

type Kept = {
  readonly bytes: Uint8Array;
  readonly ids: string;
  readonly snapshot: StoredSnapshot & { readonly manifest: StoredManifest };
};

type StoredSnapshot = PartitionSnapshot & { readonly manifest: StoredManifest | null };

/** The earlier first. */
function sealedPaths(
  root: string,
  { partition, manifest }: { readonly partition: number; readonly manifest: StoredManifest },
): readonly string[] {
  const { closed, open } = manifest.sealed ?? { closed: [0], open: [] };
  return [...closed, ...open].map(manifestPaths(root, partition).sealed);
}

/** They are never written in place: one that has been replaced is another file. */
function idOf(path: string): string {
  const found = ifThere(() => Deno.statSync(path));
  return found === null ? "missing" : `${found.ino} ${found.size} ${found.mtime?.getTime()}`;
}

/** A partition's manifest and every file of it, read once. */
export function readSnapshot(
  root: string,
  partition: number,
): { readonly manifest: StoredManifest | null; readonly entries: FileEntries } {
  const snapshot = new SnapshotReader(root).read(partition);
  return { manifest: snapshot.manifest, entries: entriesIn(snapshot) };
}

/** Every file of a tree. */
export function readEntries(root: string): FileEntries {
  const reader = new SnapshotReader(root);
  return Object.assign(
    {},
    ...manifestPartitions(root).map((partition) => entriesIn(reader.read(partition))),
  );
}

/** The same bytes, or neither there. */
function areEqual(a: Uint8Array | null, b: Uint8Array | null): boolean {
  return a === b || (a !== null && b !== null && Buffer.compare(a, b) === 0);
}
