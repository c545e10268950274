import * as z from "zod";
import { orNull } from "../../../contract/envelope.ts";
import { adoptedCounts, count, letters, minutes, recordMark } from "./manifest_shapes.ts";
import { digits, parseDatasetPath, partitionPrefix } from "./path.ts";
import { DatasetStateError } from "./state_error.ts";

/**
 * One commit of a partition on object storage, `<build>/_log/p00003/<number>.json`: created once and never changed. What
 * all commits of a partition come to, in their order, is its manifest.
 */

const figures = z.object({
  reasons: z.array(z.tuple([z.string().nullable(), count])),
  otherReasons: count,
  promptLengths: z.array(count),
});
export const commitObject = z.object({
  /** Below the build. */
  path: z.string().refine((text) => parseDatasetPath(text)?.commit !== undefined, {
    error: "is no object's path",
  }),
  /** Of the stored object, as is `sha256`. */
  bytes: count,
  /** Of its lines, where it is packed. */
  lineBytes: count.optional(),
  records: count,
  sha256: z.string(),
  placeholders: z.record(z.string(), count),
  sanitiserVersion: z.string(),
  figures: figures.optional(),
});
export const erasedSubjects = z.array(z.object({ subject: z.string(), at: z.string(), offset: count }));
const commit = z.object({
  number: z.int().min(1),
  kind: z.enum(["lines", "fence", "compact", "erase", "seal"]),
  /** One opening of a partition by one process, or one command. */
  writer: z.string(),
  /** Of this attempt alone: by it whoever got no answer knows its own commit. */
  nonce: z.string(),
  /** By the writer's clock: what a compaction removed stays an hour longer, nothing else rests on it. */
  at: z.string(),
  /** Where the build begins in this partition. */
  firstOffset: count,
  nextOffset: count,
  added: z.array(commitObject).default([]),
  removed: z.array(z.string()).default([]),
  letters: letters.default([]),
  /** The letters of every commit up to this number have been published. */
  lettersPublished: count.default(0),
  erased: erasedSubjects.default([]),
  /** Of a seal: the number in `_builds` that it was made against. Once there is a higher one it holds no more. */
  builds: count.optional(),
  last: recordMark.optional(),
  /** Of this commit's records; `lines` falls where an erasure takes some, and `taken` says how many. */
  outcomes: z.object({
    lines: z.int(),
    duplicates: count,
    deadLetters: count,
    others: count,
    taken: count.optional(),
  }).optional(),
  minutes: minutes.optional(),
  counts: adoptedCounts.optional(),
});

/** An object that a commit names. */
export type CommitObject = z.infer<typeof commitObject>;
export type Commit = z.infer<typeof commit>;
export type CommitKind = Commit["kind"];

/** Commits from one checkpoint to the next. */
export const CHECKPOINT_EVERY = 100;

export function logPrefix(build: string, partition: number): string {
  return `${build}/_log/${partitionPrefix(partition)}/`;
}

export function commitKey(
  at: { readonly build: string; readonly partition: number },
  number: number,
): string {
  return `${logPrefix(at.build, at.partition)}${digits(number, 20)}.json`;
}

export function checkpointKey(
  at: { readonly build: string; readonly partition: number },
  number: number,
): string {
  return `${logPrefix(at.build, at.partition)}${digits(number, 20)}.checkpoint.json`;
}

/** As everything on object storage that is JSON is written. */
export function encodeJson(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value) + "\n");
}

/** Throws {@link DatasetStateError}: a commit that cannot be read is never passed over. */
export function parseCommit(key: string, bytes: Uint8Array): Commit {
  return parseJson(key, { bytes, schema: commit });
}

/** An object's bytes as what they say; `key` is for the words of an error. Throws {@link DatasetStateError}. */
export function parseJson<T>(
  key: string,
  { bytes, schema }: { readonly bytes: Uint8Array; readonly schema: z.ZodType<T> },
): T {
  const parsed = schema.safeParse(
    orNull((): unknown => JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes))),
  );
  if (parsed.success) return parsed.data;
  throw damaged(key, z.prettifyError(parsed.error).split("\n")[0]!);
}

/** The error of an object that cannot be used; `state` says what is wrong with it. */
export function damaged(key: string, state: string): DatasetStateError {
  return new DatasetStateError(
    "dataset_damaged",
    `Cannot read "${key}": it is damaged (${state}). Put this object back from a backup or an earlier version, or ` +
      `rebuild the dataset with \`deno task replay\`.`,
  );
}
