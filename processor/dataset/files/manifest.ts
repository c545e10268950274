import { join } from "node:path";
import * as z from "zod";
import { type ErasedSubjects } from "../../record/erasure.ts";
import { adoptedCounts, count, letters, outcomes, received, recordMark } from "../core/manifest_shapes.ts";
import { parseDatasetPath, partitionPrefix } from "../core/path.ts";
import { DatasetStateError } from "../core/state_error.ts";
import { PROMPT_LENGTHS } from "../core/figures.ts";
import type { DatasetIdentity, FileEntries, Outcomes, PartitionManifest, Received } from "../store.ts";
import { GROUP_READS, readIfThere, replaceFile } from "../../../runtime/durable_file.ts";

/**
 * The files below `_manifest/`: `dataset.json`, and per partition `p00003.json` (the manifest), `p00003.sealed.json` and
 * `p00003.sealed-<n>.json` (entries that have left the manifest), `p00003.erased.json` (erased subjects, for late
 * events). Each is replaced whole. What `topic_memory.ts` keeps there is written once.
 */

/**
 * A manifest as it lies on disk; `erasing` stands there while an erasure puts its files in place. Without `sealed`
 * (earlier versions) the one sealed file is `p00003.sealed.json`, where it is there.
 */
export type StoredManifest = PartitionManifest & {
  readonly erasing?: Erasing | undefined;
  readonly sealed?: SealedNumbers | undefined;
};

/**
 * Numbers of the sealed files, 0 being `p00003.sealed.json` and n `p00003.sealed-<n>.json`: of closed offset ranges, and
 * of the one that is being written. Of two that name a file the later goes before the earlier, an open one before a
 * closed one.
 */
export type SealedNumbers = { readonly closed: readonly number[]; readonly open: readonly number[] };

/** Where an erasure leads: the entries of the rewritten files, and the offset behind its record. */
export type Erasing = {
  readonly nextOffset: number;
  readonly files: FileEntries;
  readonly outcomes?: Outcomes | undefined;
  readonly received?: Received | undefined;
};

const path = z.string().refine((text) => parseDatasetPath(text) !== null, { error: "is no dataset path" });
const files = z.record(
  path,
  z.strictObject({
    bytes: count,
    records: count,
    placeholders: z.record(z.string(), count),
    sanitiserVersions: z.array(z.string()),
    figures: z.strictObject({
      reasons: z.array(z.tuple([z.string().nullable(), count])),
      otherReasons: count,
      promptLengths: z.array(count).length(PROMPT_LENGTHS.length + 1),
    }).optional(),
  }),
);
const manifest = z.looseObject({
  firstOffset: count,
  nextOffset: count,
  files,
  letters: letters.default([]),
  erasing: z.object({
    nextOffset: count,
    files,
    outcomes: outcomes.optional(),
    received: received.optional(),
  })
    .optional(),
  counts: adoptedCounts.optional(),
  last: recordMark.optional(),
  outcomes: outcomes.optional(),
  received: received.optional(),
  sealed: z.object({ closed: z.array(count), open: z.array(count) }).optional(),
});
const sealed = z.looseObject({ files });
const erased = z.record(z.string(), z.object({ offset: count, at: z.int() }));
const identity = z.looseObject({ id: z.string().min(1), createdAt: z.string(), dedupWindow: z.int().min(1) });

/** Whoever reads the dataset reads what belongs to it. */
const SHARED = { mode: GROUP_READS.file };

/** Where everything of the manifest of a tree lies. */
export function manifestPaths(root: string, partition: number) {
  const directory = join(root, "_manifest");
  const prefix = join(directory, partitionPrefix(partition));
  return {
    directory,
    manifest: `${prefix}.json`,
    sealed: (number: number) => number === 0 ? `${prefix}.sealed.json` : `${prefix}.sealed-${number}.json`,
    erased: `${prefix}.erased.json`,
    window: `${prefix}.window`,
    /** Directory of files that an erasure has rewritten and not put in place yet. */
    erasing: `${prefix}.erasing`,
  };
}

/** Where a tree's identity lies: `_manifest/dataset.json`. */
export function identityPath(root: string): string {
  return join(root, "_manifest", "dataset.json");
}

/** True where a tree has a name, damaged or not. */
export function hasIdentity(root: string): boolean {
  return readIfThere(identityPath(root)) !== null;
}

/**
 * The identity of the dataset in this tree; null where it has none. Throws {@link DatasetStateError} where it is
 * damaged.
 */
export function readIdentity(root: string): DatasetIdentity | null {
  return readJson(identityPath(root), identity);
}

/** A partition's manifest; null where none was written. Throws {@link DatasetStateError} where it is damaged. */
export function readManifest(root: string, partition: number): StoredManifest | null {
  return readJson(manifestPaths(root, partition).manifest, manifest);
}

/** A manifest's bytes as what they say; `path` is for the words of an error. Throws {@link DatasetStateError}. */
export function parseManifest(path: string, bytes: Uint8Array): StoredManifest {
  return parseJson(path, { bytes, schema: manifest });
}

/** Entries of one sealed file, as {@link SealedNumbers} names it; null where it is missing. */
export function readSealed(path: string): FileEntries | null {
  return readJson(path, sealed)?.files ?? null;
}

/**
 * A partition's erased subjects; empty where no file lists any. Throws {@link DatasetStateError} where it is damaged.
 */
export function readErased(root: string, partition: number): ErasedSubjects {
  return new Map(Object.entries(readJson(manifestPaths(root, partition).erased, erased) ?? {}));
}

/** Replaces the tree's identity; durable once it resolves. */
export function saveIdentity(root: string, value: DatasetIdentity): Promise<void> {
  return replaceFile(identityPath(root), encode(value), SHARED);
}

/** Replaces a partition's manifest; what it names must be fsynced before. Durable once it resolves. */
export function saveManifest(
  root: string,
  { partition, value }: { partition: number; value: StoredManifest },
) {
  return replaceFile(manifestPaths(root, partition).manifest, encode(value), SHARED);
}

/** Replaces a sealed file, which must be durable before a manifest leaves its entries out. */
export function saveSealed(path: string, files: FileEntries): Promise<void> {
  return replaceFile(path, encode({ files }), SHARED);
}

/** Replaces a partition's erased subjects; durable once it resolves. */
export function saveErased(root: string, { partition, value }: { partition: number; value: ErasedSubjects }) {
  return replaceFile(manifestPaths(root, partition).erased, encode(Object.fromEntries(value)), SHARED);
}

/** Partitions that have a manifest in this tree, ascending. */
export function manifestPartitions(root: string): readonly number[] {
  const found: number[] = [];
  for (const entry of Deno.readDirSync(join(root, "_manifest"))) {
    const match = /^p(\d{5,16})\.json$/.exec(entry.name);
    if (match) found.push(Number(match[1]));
  }
  return found.sort((a, b) => a - b);
}

/** As all of them are written. */
export function encode(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value) + "\n");
}

/** A file of the manifest as what it says; null where it is missing. Throws {@link DatasetStateError}. */
export function readJson<T>(path: string, schema: z.ZodType<T>): T | null {
  const bytes = readIfThere(path);
  return bytes && parseJson(path, { bytes, schema });
}

function parseJson<T>(
  path: string,
  { bytes, schema }: { readonly bytes: Uint8Array; readonly schema: z.ZodType<T> },
): T {
  const parsed = schema.safeParse(parse(bytes));
  if (parsed.success) return parsed.data;
  throw damaged(path, `it is damaged (${z.prettifyError(parsed.error).split("\n")[0]})`);
}

/** The error of a file of the manifest that cannot be used; `state` says what is wrong with it. */
export function damaged(path: string, state: string): DatasetStateError {
  return new DatasetStateError(
    "dataset_damaged",
    `Cannot read "${path}": ${state}. Rebuild the dataset with \`deno task replay\`, or put this file back from a ` +
      `backup.`,
  );
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}
