import * as z from "zod";
import type { StoredDataset } from "../../processor/dataset/mod.ts";

/** What a replay notes in the dataset that it builds, until it is done: whatever has such a note is unfinished. */

const offset = z.int().min(0);
/** What the bytes of a rebuilt dataset depend on beside the topic: another value of any of them begins anew. */
const parameters = z.object({
  mode: z.enum(["swap", "take-over", "to"]),
  /** Which log, as far as its name tells: `embedded`, or Kafka's topic. */
  log: z.string(),
  /** The live dataset's id; null where a replay needs none. */
  dataset: z.string().nullable(),
  sanitiserVersion: z.string(),
  dedupWindow: z.int(),
  trainingEvents: z.array(z.string()).readonly(),
  /** Of the secret. */
  fingerprint: z.string(),
  /** Milliseconds since 1970; null for no bound. */
  fromTime: z.int().nullable(),
  untilTime: z.int().nullable(),
}).readonly();
const size = z.object({ bytes: offset, records: offset });
const partitionRow = z.object({
  event: z.string(),
  date: z.string(),
  before: offset,
  after: offset,
  changed: offset,
});
const result = z.object({
  records: offset,
  lines: offset,
  deadLetters: offset,
  partitions: z.array(partitionRow),
});
const state = z.object({
  parameters,
  /** Where the new dataset begins, and up to where it was to be built when that was last fixed. */
  ranges: z.array(z.object({ partition: offset, from: offset, until: offset })),
  /** Positions by partition that had a letter at that moment. */
  letters: z.record(z.string(), z.array(offset)),
  /** Set right before the new dataset takes the old one's place; there it says what is left to do. */
  swap: z.object({
    /** The tree that has been replaced; null where there was none. */
    old: z.string().nullable(),
    /** The files of the new one at that moment, by path. */
    after: z.record(z.string(), size),
    records: offset,
    deadLetters: offset,
    /** Set before the old tree is removed. */
    result: result.nullable(),
  }).nullable(),
});

/** What an unfinished replay remembers in its tree, so that it can go on after a crash. */
export type ReplayParameters = z.infer<typeof parameters>;
export type ReplayState = z.infer<typeof state>;
export type ReplayResult = z.infer<typeof result>;

/** What an unfinished replay remembers in this dataset; null where there is none, or one that cannot be read. */
export async function readState(dataset: StoredDataset): Promise<ReplayState | null> {
  const bytes = await dataset.note();
  return bytes && parseState(bytes);
}

/** Null for anything that is no state of a replay. */
export function parseState(bytes: Uint8Array): ReplayState | null {
  try {
    return state.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    return null;
  }
}

/** As it is noted. */
export function encodeState(value: ReplayState): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value) + "\n");
}

/**
 * True where both would build the same bytes from the same topic, so that one replay may go on with the other's tree.
 */
export function sameParameters(a: ReplayParameters, b: ReplayParameters): boolean {
  const text = (one: ReplayParameters) =>
    JSON.stringify([
      [one.mode, one.log, one.dataset, one.sanitiserVersion, one.dedupWindow, one.fingerprint],
      [one.fromTime, one.untilTime, [...one.trainingEvents].sort()],
    ]);
  return text(a) === text(b);
}
