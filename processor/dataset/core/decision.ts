import {
  idFromBody,
  isErasure,
  type PosthogEnvelope,
  readEnvelope,
  readLabel,
  type RecordLabel,
} from "../../../contract/envelope.ts";
import { type DeadLetterStep, isScrubbed, type ReadRecord } from "../../../contract/dead_letter.ts";
import { formatLine } from "./line.ts";
import { datasetPath, fileNumberOf } from "./path.ts";
import { eventTime, isoTime } from "../../record/event_time.ts";
import { parseTrainingEvent, type TrainingEvent } from "./training_event.ts";
import { sanitise } from "../../sanitise/mod.ts";

/** What a record of the raw topic means for the dataset: a function of the log alone, live and in a replay alike. */

/**
 * `ignored`: valid, and no line: not a training event; its person was erased; a letter of this position is in the topic
 * already (its redriven copy gives the line); emptied by an erasure.
 */
export type RecordOutcome =
  | {
    readonly is: "line";
    /** Below DATASET_DIR. */
    readonly path: string;
    /** With its line feed. */
    readonly line: string;
    /** As they stand in the line. */
    readonly prompt: string;
    readonly reason: string | null;
    /** When the event happened, in milliseconds since 1970. */
    readonly time: number;
    /** One entity per replaced span, repeats included. */
    readonly placeholders: readonly string[];
  }
  | { readonly is: "dead_letter"; readonly step: DeadLetterStep; readonly reason: string }
  | { readonly is: "duplicate" }
  | { readonly is: "ignored"; readonly reason: "other_event" | "erased" | "has_letter" | "scrubbed" };

/** An outcome with what was read on the way; nothing is parsed twice. */
export type Decision = {
  /** The event's uuid, or what stands for it; empty for a scrubbed record. */
  readonly id: string;
  readonly outcome: RecordOutcome;
  /** Of an event that was parsed; `time` is the line's, in milliseconds since 1970. */
  readonly parsed: { readonly envelope: PosthogEnvelope; readonly time: number } | null;
};

/** What a decision depends on beside the record itself. */
export type Rules = {
  readonly trainingEvents: ReadonlySet<string>;
  /** True where the id occurs within the dedup window with the same or a higher number of redrives; remembers it. */
  seen(id: string, at: { readonly offset: number; readonly redrives: number }): boolean;
  /** True where this position has a dead letter: decided once, also if the code is another one now. */
  hasLetter(offset: number): boolean;
  /** See `isErased`. */
  erased(distinctId: string, at: { readonly offset: number; readonly time: number }): boolean;
  /** See `createLineIds`. */
  lineId(distinctId: string): string;
};

/** Decides one record. Records of a partition must come in order, each once: the window remembers them. */
export function decide(record: ReadRecord, rules: Rules): Decision {
  if (isScrubbed(record)) return { id: "", outcome: { is: "ignored", reason: "scrubbed" }, parsed: null };
  const label = readLabel(record.headers);
  const read = label.id === undefined || label.event === undefined ? readEnvelope(record.value) : null;
  const id = label.id ?? (read?.ok ? read.envelope.uuid : null) ?? idFromBody(record.value);
  const repeated = rules.seen(id, { offset: record.offset, redrives: label.redrives });
  const no = (outcome: RecordOutcome): Decision => ({ id, outcome, parsed: null });
  if (repeated && !isErasure(label)) return no({ is: "duplicate" });
  if (isNoTraining(label, rules)) return no({ is: "ignored", reason: "other_event" });
  const envelope = read ?? readEnvelope(record.value);
  if (!envelope.ok) {
    return no(
      rules.hasLetter(record.offset)
        ? { is: "ignored", reason: "has_letter" }
        : { is: "dead_letter", step: "parse", reason: envelope.reason },
    );
  }
  if (!rules.trainingEvents.has(envelope.envelope.event)) return no({ is: "ignored", reason: "other_event" });
  const parsed = {
    envelope: envelope.envelope,
    time: eventTime(envelope.envelope.timestamp, record.timestamp),
  };
  return { id, outcome: decideTraining(record, { parsed, rules }), parsed };
}

/** Our own records carry a training event's name only if somebody made it one; they are no PostHog events. */
function isNoTraining(label: RecordLabel, rules: Rules): boolean {
  if (label.source === "unsubscribe" || label.source === "erase") return true;
  return label.event !== undefined && !rules.trainingEvents.has(label.event);
}

function decideTraining(
  record: ReadRecord,
  { parsed: { envelope, time }, rules }: { parsed: NonNullable<Decision["parsed"]>; rules: Rules },
): RecordOutcome {
  const { offset } = record;
  if (rules.erased(envelope.distinctId, { offset, time })) return { is: "ignored", reason: "erased" };
  if (rules.hasLetter(offset)) return { is: "ignored", reason: "has_letter" };
  const training = parseTrainingEvent(envelope);
  if (!training.ok) return { is: "dead_letter", step: "parse", reason: training.reason };
  const texts = sanitiseTexts(training.event);
  if (!texts.ok) return { is: "dead_letter", step: "sanitise", reason: texts.reason };
  const timestamp = isoTime(time, envelope.timestamp);
  return {
    is: "line",
    path: pathOf(record, { event: envelope.event, time, timestamp }),
    line: formatLine({
      timestamp,
      event: envelope.event,
      failure_reason: texts.reason,
      input_prompt: texts.prompt,
      distinct_id: rules.lineId(envelope.distinctId),
    }),
    prompt: texts.prompt,
    reason: texts.reason,
    time,
    placeholders: texts.placeholders,
  };
}

/** The path made last: neighbours mostly share it, and the same text over again need not be hashed to be found. */
let made = { event: "", day: NaN, partition: -1, fileNumber: -1, path: "" };
const DAY_MS = 86_400_000;

function pathOf(
  { partition, offset }: ReadRecord,
  { event, time, timestamp }: { readonly event: string; readonly time: number; readonly timestamp: string },
): string {
  const fileNumber = fileNumberOf(offset);
  const day = Math.floor(time / DAY_MS);
  const known = made.day === day && made.partition === partition && made.fileNumber === fileNumber &&
    made.event === event;
  if (!known) {
    const path = datasetPath(event, { timestamp, partition, offset });
    made = { event, day, partition, fileNumber, path };
  }
  return made.path;
}

/** Fails closed: whatever the sanitiser throws, nothing of the text goes on. */
function sanitiseTexts({ prompt, reason, known }: TrainingEvent) {
  try {
    const clean = sanitise(prompt, known);
    const placeholders = clean.spans.map((span) => span.entity as string);
    const cleanReason = reason === null ? null : sanitise(reason, known);
    for (const span of cleanReason?.spans ?? []) placeholders.push(span.entity);
    return { ok: true, prompt: clean.text, reason: cleanReason?.text ?? null, placeholders } as const;
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    const codeText = typeof code === "string" && /^[a-z_]{1,40}$/.test(code) ? ` (${code})` : "";
    return { ok: false, reason: `the sanitiser refused the text${codeText}` } as const;
  }
}
