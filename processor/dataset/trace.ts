import { readLabel } from "../../contract/envelope.ts";
import { EMAIL_UNSUBSCRIBED, FEATURE_USED, isTold, saysWho } from "../../contract/product_events.ts";
import type { RecordBatch } from "../../topic/topic.ts";
import type { TraceStep } from "../../contract/trace_step.ts";
import { PERSON_PREFIX } from "../record/erasure.ts";
import { isoTime } from "../record/event_time.ts";
import { namedIn, ownTimeIn } from "../record/known_id.ts";
import type { Decided } from "./chunk.ts";
import { isNearTheEnd, TRACE_STEPS_PER_CHUNK_MAX } from "../loop/loop.ts";

/** What the dataset writer tells about the newest records of a chunk; see `contract/trace_step.ts`. */

export type TraceOptions = {
  /** ISO 8601, UTC: when it is told. */
  readonly at: string;
  readonly lineId: (distinctId: string) => string;
  /** `SHOW_RAW`: prompts before sanitising too. */
  readonly showRaw: boolean;
};

/** Index of the first record of a batch whose steps are told, two each: only the newest are, and none far from the end. */
export function toldFrom({ records, ...batch }: RecordBatch): number {
  if (!isNearTheEnd(batch)) return records.length;
  return Math.max(0, records.length - Math.floor(TRACE_STEPS_PER_CHUNK_MAX / 2));
}

/** Before the chunk is written: polled, and what ends there as a repeat or because nothing is made of it. */
export function polledSteps(told: readonly Decided[], options: TraceOptions): readonly TraceStep[] {
  const steps: TraceStep[] = [];
  for (const { record, decision } of told) {
    const position = `${record.partition}:${record.offset}`;
    const polled = polledStep({ record, decision }, options);
    if (polled) steps.push(polled);
    const { id, outcome } = decision;
    if (outcome.is === "duplicate" && isTold(readLabel(record.headers).event ?? "")) {
      steps.push({ step: "duplicate", id, position, at: options.at });
    }
    if (polled && outcome.is === "ignored") {
      const reason = ignoredBecause(outcome.reason, polled.event);
      if (reason) steps.push({ step: "ignored", id, reason, at: options.at });
    }
  }
  return steps;
}

/** Null where it does not end here: a use and what says who somebody is are the offers' to tell of. */
export function ignoredBecause(
  reason: "other_event" | "has_letter" | "erased" | "scrubbed",
  event: string,
): "other_event" | "has_letter" | null {
  if (reason === "has_letter") return reason;
  const isOffers = event === FEATURE_USED || event === EMAIL_UNSUBSCRIBED || saysWho(event);
  return reason === "other_event" && !isOffers ? reason : null;
}

/** After the manifest says so: written, with its line's number, or set aside. `recordsBefore` is the file's count without the chunk. */
export function writtenSteps(
  told: readonly Decided[],
  { at, recordsBefore }: { readonly at: string; readonly recordsBefore: (path: string) => number },
): readonly TraceStep[] {
  return told.flatMap(({ record, decision: { id, outcome }, line }): readonly TraceStep[] => {
    if (outcome.is === "line") {
      const { path, prompt } = outcome;
      return [{ step: "written", id, file: path, line: recordsBefore(path) + line, prompt, at }];
    }
    if (outcome.is !== "dead_letter") return [];
    const position = `${record.partition}:${record.offset}`;
    return [{ step: "dead_lettered", id, position, reason: outcome.reason, at }];
  });
}

/** Of a training event what was parsed; of others what key and headers say, and their own time. */
function polledStep(
  { record, decision }: Omit<Decided, "line">,
  options: TraceOptions,
): Extract<TraceStep, { step: "polled" }> | null {
  const who = whoIn({ record, decision }, options);
  if (!who) return null;
  const { parsed } = decision;
  const prompt = parsed?.envelope.properties.input_prompt;
  return {
    step: "polled",
    id: decision.id,
    event: who.event,
    distinctId: who.distinctId,
    position: `${record.partition}:${record.offset}`,
    eventAt: parsed ? isoTime(parsed.time, parsed.envelope.timestamp) : ownTimeIn(record),
    receivedAt: isoOf(record.timestamp),
    at: options.at,
    ...(options.showRaw && typeof prompt === "string" ? { rawPrompt: prompt } : {}),
  };
}

function whoIn(
  { record, decision: { outcome, parsed } }: Omit<Decided, "line">,
  { lineId }: TraceOptions,
): { readonly event: string; readonly distinctId: string } | null {
  if (outcome.is === "ignored" && outcome.reason === "erased") return null;
  if (parsed) return { event: parsed.envelope.event, distinctId: lineId(parsed.envelope.distinctId) };
  const { event, source } = readLabel(record.headers);
  if (event === undefined || !isTold(event)) return null;
  const key = namedIn(record);
  if (key === null) return null;
  return { event, distinctId: source === "unsubscribe" ? `${PERSON_PREFIX}${key}` : lineId(key) };
}

function isoOf(timestamp: number): string {
  return new Date(Math.abs(timestamp) <= 8.64e15 ? timestamp : 0).toISOString();
}
