import { isErasure, readLabel } from "../../contract/envelope.ts";
import { AddedLines } from "./core/added_lines.ts";
import { fileNumberOf } from "./core/path.ts";
import type { Decision, RecordOutcome } from "./core/decision.ts";
import { countMinute } from "./core/received.ts";
import { markOf } from "./core/record_mark.ts";
import type { Letter } from "../dead_letters/positions.ts";
import type { Advance, OutcomeCounts } from "./store.ts";
import type { TopicRecord } from "../../topic/topic.ts";

/**
 * True where a chunk ends before this record: one of another file's range begins there, or the erasure that it is, which
 * stands alone.
 */
export function beginsAnew(record: TopicRecord, before: TopicRecord): boolean {
  return fileNumberOf(record.offset) !== fileNumberOf(before.offset) || erases(record);
}

/** True for an erasure's record. */
export function erases({ headers }: TopicRecord): boolean {
  return headers.source !== undefined && isErasure(readLabel(headers));
}

/** A record with what was decided about it, and which of the lines that its chunk adds to a file is its own; 0 where it gives none. */
export type Decided = { readonly record: TopicRecord; readonly decision: Decision; readonly line: number };

/** Why a record that is no line, no letter and no repeat gives nothing. */
export type IgnoredReason = Extract<RecordOutcome, { is: "ignored" }>["reason"];

/**
 * What records come to, one after the other: bytes and numbers, since objects that live until their chunk is durable cost
 * the garbage collector more than all else.
 */
export class Gathered {
  records = 0;
  /** UTF-16 units of the lines. */
  units = 0;
  /** By path below DATASET_DIR, in the order of their first line. */
  readonly additions = new Map<string, AddedLines>();
  readonly letters: (Letter & { readonly id: string })[] = [];
  readonly outcomes = { ...NO_OUTCOMES };
  readonly ignored = new Map<IgnoredReason, number>();
  readonly minutes: [minute: number, records: number][] = [];
  /** When the events of lines happened, in milliseconds since 1970; what a backfill brings says nothing of the pipeline. */
  readonly lineTimes: number[] = [];
  #last: TopicRecord | null = null;

  /** A record of which only its place counts. */
  pass(record: TopicRecord): void {
    this.records++;
    this.#last = record;
    countMinute(this.minutes, record.timestamp);
  }

  /** Answers which of the lines that are added to its file is the record's own; 0 where it gives none. */
  add(record: TopicRecord, { id, outcome }: Pick<Decision, "id" | "outcome">): number {
    this.pass(record);
    switch (outcome.is) {
      case "line":
        this.outcomes.lines++;
        if (record.headers.source !== "backfill") this.lineTimes.push(outcome.time);
        return this.#addLine(outcome);
      case "duplicate":
        this.outcomes.duplicates++;
        return 0;
      case "dead_letter":
        this.outcomes.deadLetters++;
        this.letters.push({ id, record, step: outcome.step, reason: outcome.reason });
        return 0;
      case "ignored":
        this.outcomes.others++;
        this.ignored.set(outcome.reason, (this.ignored.get(outcome.reason) ?? 0) + 1);
        return 0;
    }
  }

  /** Where all of it leads once it is durable. */
  advanceTo(nextOffset: number, sanitiserVersion: string): Advance {
    const { additions, outcomes, minutes } = this;
    return {
      nextOffset,
      additions,
      letters: this.letters.map(({ record: { offset }, step, reason }) => ({ offset, step, reason })),
      sanitiserVersion,
      last: this.#last === null ? undefined : markOf(this.#last),
      outcomes,
      minutes,
    };
  }

  #addLine({ path, line, prompt, reason, placeholders }: Extract<RecordOutcome, { is: "line" }>): number {
    let added = this.additions.get(path);
    if (!added) this.additions.set(path, added = new AddedLines());
    this.units += line.length;
    return added.add(line, { reason, promptLength: prompt.length, placeholders });
  }
}

/** What is told of a chunk once it is durable; without its lines, which others hold until then. */
export type Counted = Pick<Gathered, "records" | "outcomes" | "ignored" | "lineTimes"> & {
  readonly letters: readonly (Letter & { readonly id: string })[];
};

/** Both together. */
export function addOutcomes(a: OutcomeCounts, b: OutcomeCounts): OutcomeCounts {
  return {
    lines: a.lines + b.lines,
    duplicates: a.duplicates + b.duplicates,
    deadLetters: a.deadLetters + b.deadLetters,
    others: a.others + b.others,
  };
}

const NO_OUTCOMES: OutcomeCounts = { lines: 0, duplicates: 0, deadLetters: 0, others: 0 };
