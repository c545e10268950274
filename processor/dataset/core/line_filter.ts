import { isObject, orNull } from "../../../contract/envelope.ts";
import { erasedLater, type ErasedSubjects, subjectsOf } from "../../record/erasure.ts";
import type { CountedLine } from "./figures.ts";

/** Which lines an erasure takes out, and what is counted of those that stay: of files and of objects alike. */

const TIMESTAMP_KEY = `{"timestamp":"`;
const DISTINCT_ID_KEY = new TextEncoder().encode(`,"distinct_id":`);

/** Distinct ids whose answer is kept while an erasure reads a file: it has many lines of few people. */
const REMEMBERED_MAX = 100_000;

const ALL_TIMES = { offset: 0, at: Infinity };

/** True for a line's distinct_id and time, in milliseconds since 1970, of someone who was erased. */
export type Theirs = (distinctId: string, time: () => number) => boolean;

/** All lines of `subjects`, and those of the unswept that are not after their erasures. */
export function theirsOf(
  subjects: readonly string[],
  { unswept, subject }: {
    readonly unswept: ErasedSubjects;
    readonly subject: (distinctId: string) => string;
  },
): Theirs {
  const gone = new Set(subjects);
  const swept = erasedLater(unswept, new Map(subjects.map((one) => [one, ALL_TIMES])));
  const remembered = new Map<string, number>();
  const untilOf = (distinctId: string): number => {
    const known = remembered.get(distinctId);
    if (known !== undefined) return known;
    const times = subjectsOf(distinctId, subject).map((one) =>
      gone.has(one) ? Infinity : swept.get(one)?.at ?? -Infinity
    );
    if (remembered.size >= REMEMBERED_MAX) remembered.clear();
    const until = Math.max(...times);
    remembered.set(distinctId, until);
    return until;
  };
  return (distinctId, time) => {
    const at = untilOf(distinctId);
    return at === Infinity || at !== -Infinity && time() <= at;
  };
}

/**
 * Counted anew, so that no reason is left that only the erased had, and those come up that stood behind it. A line that is none
 * of ours does not stop an erasure.
 */
export function countedOf(line: Uint8Array): CountedLine {
  const fields = orNull((): unknown => JSON.parse(new TextDecoder().decode(line)));
  const { failure_reason: reason, input_prompt: prompt } = isObject(fields) ? fields : {};
  return {
    reason: typeof reason === "string" ? reason : null,
    promptLength: typeof prompt === "string" ? prompt.length : 0,
  };
}

/** Whether a line, without its line feed, is of someone who was erased. */
export function isTheirs(line: Uint8Array, theirs: Theirs): boolean {
  return theirs(distinctIdOf(line), () => timeOf(line));
}

/** The first field of a line, which has no other form. */
function timeOf(line: Uint8Array): number {
  const text = new TextDecoder().decode(line.subarray(TIMESTAMP_KEY.length, TIMESTAMP_KEY.length + 40));
  return Date.parse(text.slice(0, text.indexOf('"')));
}

/** The last field of a line, read without parsing the rest: `"` in any field before it is escaped. */
function distinctIdOf(line: Uint8Array): string {
  const at = lastIndexOf(line, DISTINCT_ID_KEY) + DISTINCT_ID_KEY.length;
  return JSON.parse(new TextDecoder().decode(line.subarray(at, -1)));
}

function lastIndexOf(line: Uint8Array, wanted: Uint8Array): number {
  for (let at = line.length - wanted.length; at >= 0; at--) {
    let same = 0;
    while (same < wanted.length && line[at + same] === wanted[same]) same++;
    if (same === wanted.length) return at;
  }
  throw new Error("Cannot read a line of the dataset: it has no distinct_id.");
}

/**
 * Takes a removed line's placeholders off the counts. Counted where they stand as text: a person who typed one
 * themselves is the only way to be off, and a count never falls below 0.
 */
export function subtractPlaceholders(placeholders: Record<string, number>, line: Uint8Array): void {
  for (const [, entity] of new TextDecoder().decode(line).matchAll(/<([A-Z][A-Z0-9_]{1,40})>/g)) {
    const left = placeholders[entity!];
    if (left === undefined) continue;
    if (left > 1) placeholders[entity!] = left - 1;
    else delete placeholders[entity!];
  }
}
