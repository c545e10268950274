import { isErasure, readLabel } from "../../contract/envelope.ts";
import { fileNumberOf } from "./core/path.ts";
import type { Decision } from "./core/decision.ts";
import type { CountedLine } from "./core/figures.ts";
import type { OutcomeCounts, PendingLetter } from "./store.ts";
import type { TopicRecord } from "../../topic/topic.ts";

/** Records that are written in one go. A chunk is either one erasure or holds none, and never crosses a file's range. */
export type Chunk = {
  readonly records: readonly TopicRecord[];
  readonly nextOffset: number;
  readonly erases: boolean;
};

/** Cuts records into chunks; the last one ends at `nextOffset`, above gaps behind its last record. */
export function chunksOf(
  records: readonly TopicRecord[],
  { nextOffset, recordsMax }: { readonly nextOffset: number; readonly recordsMax: number },
): readonly Chunk[] {
  const chunks: Chunk[] = [];
  let begin = 0;
  for (let end = 1; end <= records.length; end++) {
    if (end < records.length && end - begin < recordsMax && !isCut(records[end - 1]!, records[end]!)) {
      continue;
    }
    const part = records.slice(begin, end);
    chunks.push({
      records: part,
      nextOffset: end === records.length ? nextOffset : part.at(-1)!.offset + 1,
      erases: erases(part[0]!),
    });
    begin = end;
  }
  return records.length > 0 ? chunks : [{ records, nextOffset, erases: false }];
}

function isCut(left: TopicRecord, right: TopicRecord): boolean {
  return fileNumberOf(left.offset) !== fileNumberOf(right.offset) || erases(left) || erases(right);
}

function erases({ headers }: TopicRecord): boolean {
  return headers.source !== undefined && isErasure(readLabel(headers));
}

/** A record with what was decided about it. */
export type Decided = { readonly record: TopicRecord; readonly decision: Decision };

/** What chunks add to each file, while they are gathered. */
export type Additions = Map<
  string,
  { lines: string[]; placeholders: Record<string, number>; counted: CountedLine[] }
>;

/** What a chunk adds to each file, in the order of its records, behind what earlier ones have added to `additions`. */
export function additionsOf(decided: readonly Decided[], additions: Additions = new Map()): Additions {
  for (const { decision: { outcome } } of decided) {
    if (outcome.is !== "line") continue;
    let addition = additions.get(outcome.path);
    if (!addition) additions.set(outcome.path, addition = { lines: [], placeholders: {}, counted: [] });
    addition.lines.push(outcome.line);
    addition.counted.push({ reason: outcome.reason, promptLength: outcome.prompt.length });
    for (const entity of outcome.placeholders) {
      addition.placeholders[entity] = (addition.placeholders[entity] ?? 0) + 1;
    }
  }
  return additions;
}

/** The letters of a chunk as its manifest keeps them. */
export function pendingLettersOf(decided: readonly Decided[]): readonly PendingLetter[] {
  return decided.flatMap(({ record, decision: { outcome } }) =>
    outcome.is === "dead_letter"
      ? [{ offset: record.offset, step: outcome.step, reason: outcome.reason }]
      : []
  );
}

/** How many of these records became what. */
export function outcomesOf(decided: readonly Decided[]): OutcomeCounts {
  const counts = { lines: 0, duplicates: 0, deadLetters: 0, others: 0 };
  for (const { decision: { outcome } } of decided) counts[COUNTED_AS[outcome.is]]++;
  return counts;
}

const COUNTED_AS = {
  line: "lines",
  duplicate: "duplicates",
  dead_letter: "deadLetters",
  ignored: "others",
} as const;

/** Both together. */
export function addOutcomes(a: OutcomeCounts, b: OutcomeCounts): OutcomeCounts {
  return {
    lines: a.lines + b.lines,
    duplicates: a.duplicates + b.duplicates,
    deadLetters: a.deadLetters + b.deadLetters,
    others: a.others + b.others,
  };
}

export const NO_OUTCOMES: OutcomeCounts = { lines: 0, duplicates: 0, deadLetters: 0, others: 0 };
