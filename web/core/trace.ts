/**
 * What became of each event, folded from the processor's steps and from this browser's own captures: one row per event
 * and one per offer. Pure: a step that comes twice, or before the step it follows, gives the same row.
 */
import { FEATURE_USED, GENERATION_FAILED } from "../../contract/product_events.ts";
import type { TraceStep } from "../../contract/trace_step.ts";

/** Rows kept; the oldest go first. */
export const ROWS_MAX = 1_000;

/** An event that this browser handed to posthog-js. */
export type Capture = {
  readonly step: "captured";
  readonly id: string;
  readonly event: string;
  readonly distinctId: string;
  /** The event's own time, ISO 8601. */
  readonly at: string;
  readonly properties: Readonly<Record<string, string>>;
};

/** How the way of an event ended. */
export type Ending =
  | { readonly kind: "written"; readonly file: string; readonly line: number; readonly at: string }
  | { readonly kind: "counted"; readonly uses: number; readonly threshold: number; readonly at: string }
  | { readonly kind: "dead_lettered"; readonly reason: string; readonly at: string };

/** One event's way. What has not come yet is null. */
export type EventRow = {
  readonly kind: "event";
  readonly key: string;
  readonly id: string;
  readonly event: string | null;
  readonly distinctId: string | null;
  /** Captured in this browser. */
  readonly own: boolean;
  readonly capturedAt: string | null;
  readonly receivedAt: string | null;
  readonly position: string | null;
  readonly polledAt: string | null;
  /** Told by a processor that has started since: when it was polled and ended is not known any more. */
  readonly fromLog: boolean;
  readonly ending: Ending | null;
  /** Deliveries of the same event that were dropped, by position. */
  readonly repeats: readonly string[];
  /** The prompt as typed, and as it stands in the dataset. */
  readonly before: string | null;
  readonly after: string | null;
  readonly properties: Readonly<Record<string, string>> | null;
};

/** One offer: earned, then due, then what came of its mail. */
export type OfferRow = {
  readonly kind: "offer";
  readonly key: string;
  readonly offer: string;
  readonly distinctId: string | null;
  readonly earnedAt: string | null;
  readonly dueAt: string | null;
  readonly addressKnown: boolean | null;
  readonly mail: {
    readonly outcome: "accepted" | "deferred" | "refused" | "unknown" | "closed";
    readonly words: string;
    readonly messageId: string | null;
    readonly nextAttemptAt: string | null;
    readonly at: string;
  } | null;
};

/** A row of the trace: an event on its way, or a person's offer. */
export type TraceRow = EventRow | OfferRow;

/** Rows by key, in the order in which they began. */
export type Trace = ReadonlyMap<string, TraceRow>;

/** Adds steps to a trace; rows that they do not touch stay the same objects. */
export function follow(trace: Trace, steps: readonly (TraceStep | Capture)[]): Trace {
  const rows = new Map(trace);
  for (const step of steps) {
    const row = grow(rows, step);
    rows.set(row.key, row);
    if (step.step === "earned") noteFifthUse(rows, step);
  }
  for (const key of rows.keys()) {
    if (rows.size <= ROWS_MAX) break;
    rows.delete(key);
  }
  return rows;
}

function grow(rows: Trace, step: TraceStep | Capture): TraceRow {
  switch (step.step) {
    case "captured":
      return {
        ...eventRow(rows, step.id),
        event: step.event,
        distinctId: step.distinctId,
        own: true,
        capturedAt: step.at,
        before: step.properties.input_prompt ?? null,
        properties: step.properties,
      };
    case "polled":
      return polled(eventRow(rows, step.id), step);
    case "written": {
      const row = eventRow(rows, step.id);
      const { file, line, at } = step;
      return {
        ...row,
        event: row.event ?? GENERATION_FAILED,
        after: step.prompt,
        ending: { kind: "written", file, line, at },
      };
    }
    case "counted": {
      const row = eventRow(rows, step.id);
      const { uses, threshold, at } = step;
      return { ...row, event: row.event ?? FEATURE_USED, ending: { kind: "counted", uses, threshold, at } };
    }
    case "dead_lettered":
      return {
        ...eventRow(rows, step.id),
        ending: { kind: "dead_lettered", reason: step.reason, at: step.at },
      };
    case "duplicate": {
      const row = eventRow(rows, step.id);
      return row.repeats.includes(step.position) ? row : { ...row, repeats: [...row.repeats, step.position] };
    }
    case "earned": {
      const { distinctId, dueAt, addressKnown, at } = step;
      const row = offerRow(rows, step.offer);
      return { ...row, distinctId: distinctId ?? row.distinctId, dueAt, addressKnown, earnedAt: at };
    }
    case "mail": {
      const { outcome, words, messageId, nextAttemptAt, at } = step;
      const row = offerRow(rows, step.offer);
      return {
        ...row,
        distinctId: step.distinctId ?? row.distinctId,
        mail: { outcome, words, messageId, nextAttemptAt, at },
      };
    }
    default:
      return step satisfies never;
  }
}

/** A second delivery of an event is polled too; the row keeps the place of the first one. */
function polled(row: EventRow, step: Extract<TraceStep, { step: "polled" }>): EventRow {
  if (row.position !== null) return row;
  return {
    ...row,
    event: step.event,
    distinctId: row.distinctId ?? step.distinctId,
    capturedAt: row.capturedAt ?? step.eventAt,
    receivedAt: step.receivedAt,
    position: step.position,
    polledAt: step.at,
    fromLog: step.fromLog === true,
    before: row.before ?? step.rawPrompt ?? null,
  };
}

/** Who earned an offer is known from the use that earned it, also where the step itself does not say. */
function noteFifthUse(rows: Map<string, TraceRow>, step: Extract<TraceStep, { step: "earned" }>): void {
  const use = rows.get(step.id);
  const offer = rows.get(`offer ${step.offer}`);
  if (
    use?.kind === "event" && offer?.kind === "offer" && offer.distinctId === null && use.distinctId !== null
  ) {
    rows.set(offer.key, { ...offer, distinctId: use.distinctId });
  }
}

function eventRow(rows: Trace, id: string): EventRow {
  const row = rows.get(id);
  if (row?.kind === "event") return row;
  return {
    kind: "event",
    key: id,
    id,
    event: null,
    distinctId: null,
    own: false,
    capturedAt: null,
    receivedAt: null,
    position: null,
    polledAt: null,
    fromLog: false,
    ending: null,
    repeats: [],
    before: null,
    after: null,
    properties: null,
  };
}

function offerRow(rows: Trace, offer: string): OfferRow {
  const key = `offer ${offer}`;
  const row = rows.get(key);
  if (row?.kind === "offer") return row;
  return {
    kind: "offer",
    key,
    offer,
    distinctId: null,
    earnedAt: null,
    dueAt: null,
    addressKnown: null,
    mail: null,
  };
}

/** When a row began, ISO 8601; null while nothing with a time has come. */
export function beganAt(row: TraceRow): string | null {
  if (row.kind === "offer") return row.earnedAt ?? row.mail?.at ?? null;
  return row.capturedAt ?? row.receivedAt ?? row.ending?.at ?? null;
}

/** One sentence for a screen reader, once the row has ended; null before. */
export function announcement(row: TraceRow): string | null {
  if (row.kind === "offer") {
    if (row.mail?.outcome === "accepted") return "Discount mail sent.";
    return row.mail ? `Discount mail ${row.mail.outcome}: ${row.mail.words}` : null;
  }
  switch (row.ending?.kind) {
    case "written":
      return `${row.event} written to line ${row.ending.line} of ${row.ending.file}.`;
    case "counted":
      return `${row.event} counted, ${row.ending.uses} of ${row.ending.threshold}.`;
    case "dead_lettered":
      return `${row.event ?? "Event"} set aside as a dead letter: ${row.ending.reason}`;
    case undefined:
      return null;
  }
}

/** A shell command that posts the same event, with the same id, to ingest once more. */
export function asCurl(row: EventRow, { url, withSecret }: { url: string; withSecret: boolean }): string {
  const properties = row.properties ?? (row.after === null ? {} : { input_prompt: row.before ?? row.after });
  const event = {
    uuid: row.id,
    event: row.event,
    distinct_id: row.distinctId,
    timestamp: row.capturedAt ?? row.receivedAt,
    properties,
  };
  const secret = withSecret ? ` \\\n  -H "Authorization: Bearer $WEBHOOK_SECRET"` : "";
  return `curl -sS ${
    shellQuoted(`${url}/api/webhooks`)
  } \\\n  -H 'Content-Type: application/json'${secret} \\\n  -d ${shellQuoted(JSON.stringify({ event }))}`;
}

function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
