/**
 * What became of each event, folded from the processor's steps and from this browser's own captures: one row per event
 * one per offer, and one per mail that went out. Pure: a step that comes twice, or before the step it follows, gives the same row.
 */
import { FEATURE_USED, GENERATION_FAILED, isTold } from "../../contract/product_events.ts";
import type { RecentWebhook } from "../../contract/ingest_api.ts";
import type { Noted, TraceStep } from "../../contract/trace_step.ts";

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

/** What ingest itself says of a delivery: on which disk it is, without anybody having read it. */
export type Durable = {
  readonly step: "durable";
  readonly id: string;
  readonly event: string | null;
  readonly receivedAt: string;
  /** `partition:offset`; null: in ingest's spool, where it has none yet. */
  readonly position: string | null;
};

/** What PostHog's stand-in says of a delivery that it tries no more. */
export type Dropped = {
  readonly step: "dropped";
  readonly id: string;
  readonly event: string | null;
  readonly at: string;
  readonly attempts: number;
  readonly words: string;
};

/** All that a trace is folded from. */
export type Told = TraceStep | Capture | Durable | Dropped;

/** How the way of an event ended. */
export type Ending =
  | { readonly kind: "written"; readonly file: string; readonly line: number; readonly at: string }
  | { readonly kind: "counted"; readonly uses: number; readonly threshold: number; readonly at: string }
  | { readonly kind: "dead_lettered"; readonly reason: string; readonly at: string }
  | {
    readonly kind: "ignored";
    readonly reason: Extract<TraceStep, { step: "ignored" }>["reason"];
    readonly at: string;
  };

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
  /** Where a delivery of it is durable, as ingest or the processor says; null where neither has said so. */
  readonly durable: "log" | "spool" | null;
  readonly position: string | null;
  readonly polledAt: string | null;
  /** PostHog gave it up. A later delivery of the same event makes that untrue. */
  readonly dropped: { readonly at: string; readonly attempts: number; readonly words: string } | null;
  /** Told by a processor that has started since: when it was polled and ended is not known any more. */
  readonly fromLog: boolean;
  readonly ending: Ending | null;
  /** What the offers note of it beside a counted use; null while they have said nothing. */
  readonly noted: { readonly what: readonly Noted[]; readonly at: string } | null;
  /** Deliveries of the same event that were dropped, by position. */
  readonly repeats: readonly string[];
  /** The prompt as typed, and as it stands in the dataset. */
  readonly before: string | null;
  readonly after: string | null;
  readonly properties: Readonly<Record<string, string>> | null;
};

/**
 * One offer: that it was earned, and what happened last with its mail. How it stands now is what the processor answers of
 * its person (`GET /api/offers/:distinct_id`), for rows and panel alike: an address may come, ids may be joined, an attempt
 * may be due, and no step says so.
 */
export type OfferRow = {
  readonly kind: "offer";
  readonly key: string;
  readonly offer: string;
  readonly distinctId: string | null;
  readonly earnedAt: string | null;
  /** Read from the facts by a processor that has started since; its times are the facts'. */
  readonly fromLog: boolean;
  readonly last: {
    readonly outcome: "accepted" | "deferred" | "refused" | "unknown" | "closed";
    readonly words: string;
    readonly at: string;
  } | null;
};

/** A mail that the mail server took, or that was written as a file. */
export type MailRow = {
  readonly kind: "mail";
  readonly key: string;
  readonly offer: string;
  readonly distinctId: string | null;
  readonly messageId: string | null;
  readonly words: string;
  readonly at: string;
  /** As of an offer. */
  readonly fromLog: boolean;
};

/** A row of the trace: an event on its way, a person's offer, or a mail. */
export type TraceRow = EventRow | OfferRow | MailRow;

/** Rows by key, in the order in which they came. */
export type Trace = ReadonlyMap<string, TraceRow>;

/** Adds steps to a trace; rows that they do not touch stay the same objects. */
export function follow(trace: Trace, steps: readonly Told[]): Trace {
  const rows = new Map(trace);
  for (const step of steps) {
    const row = grow(rows, step);
    rows.set(row.key, row);
    if (step.step === "earned") noteFifthUse(rows, step);
    if (step.step === "mail" && step.outcome === "accepted") {
      const mail = mailRow(rows, step);
      rows.set(mail.key, mail);
    }
  }
  const ordered = inOrder(trace, rows);
  for (const key of ordered.keys()) {
    if (ordered.size <= ROWS_MAX) break;
    ordered.delete(key);
  }
  return ordered;
}

/** New rows stand where they came: what ingest told, or this tab recalled, is often newer than the history that follows. */
function inOrder(before: Trace, rows: Map<string, TraceRow>): Map<string, TraceRow> {
  const order = [...before.keys()].map((key) => rows.get(key)!);
  let moved = false;
  for (const row of rows.values()) {
    if (before.has(row.key)) continue;
    const came = cameAt(row);
    let at = order.length;
    while (came !== null && at > 0 && (cameAt(order[at - 1]!) ?? "") > came) at--;
    if (at < order.length) moved = true;
    order.splice(at, 0, row);
  }
  return moved ? new Map(order.map((row) => [row.key, row])) : rows;
}

/**
 * ISO 8601, by the services' clocks; null: one's own click, which nobody has received yet and nothing passes. A copy that is
 * redriven comes when it is read; what was read from the log came when ingest received it.
 */
function cameAt(row: TraceRow): string | null {
  if (row.kind !== "event") return beganAt(row);
  const read = row.fromLog ? null : row.polledAt;
  return read ?? row.receivedAt ?? row.dropped?.at ?? row.ending?.at ?? null;
}

function grow(rows: Trace, step: Told): TraceRow {
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
    case "durable":
      return durable(eventRow(rows, step.id), step);
    case "dropped": {
      const row = eventRow(rows, step.id);
      const { at, attempts, words } = step;
      return row.durable !== null || row.dropped?.at === at
        ? row
        : { ...row, event: row.event ?? step.event, dropped: { at, attempts, words } };
    }
    case "polled":
      return polled(eventRow(rows, step.id), step);
    case "written": {
      const row = eventRow(rows, step.id);
      const { file, line } = step;
      return {
        ...row,
        event: row.event ?? GENERATION_FAILED,
        after: step.prompt,
        ending: { kind: "written", file, line, at: endedAt(row, step) },
      };
    }
    case "counted": {
      const row = eventRow(rows, step.id);
      const { uses, threshold, at } = step;
      return { ...row, event: row.event ?? FEATURE_USED, ending: { kind: "counted", uses, threshold, at } };
    }
    case "dead_lettered": {
      const row = eventRow(rows, step.id);
      return {
        ...row,
        // Of what is no event at all nothing else is told.
        durable: row.durable ?? "log",
        position: row.position ?? step.position,
        fromLog: row.fromLog || row.polledAt === null && step.fromLog === true,
        ending: { kind: "dead_lettered", reason: step.reason, at: endedAt(row, step) },
      };
    }
    case "ignored": {
      const row = eventRow(rows, step.id);
      return { ...row, ending: { kind: "ignored", reason: step.reason, at: endedAt(row, step) } };
    }
    case "noted": {
      const row = eventRow(rows, step.id);
      const before = row.noted?.what ?? [];
      const isNew = row.noted === null || step.what.some((one) => !before.includes(one));
      return isNew
        ? { ...row, noted: { what: [...new Set([...before, ...step.what])].sort(), at: step.at } }
        : row;
    }
    case "duplicate": {
      const row = eventRow(rows, step.id);
      return row.repeats.includes(step.position) ? row : { ...row, repeats: [...row.repeats, step.position] };
    }
    case "earned": {
      const row = offerRow(rows, step);
      const earnedAt = step.fromLog ? row.earnedAt ?? step.at : step.at;
      return { ...row, distinctId: step.distinctId ?? row.distinctId, earnedAt };
    }
    case "mail": {
      const { outcome, words, at } = step;
      const row = offerRow(rows, step);
      const isOlder = step.fromLog && row.last !== null && row.last.at >= at;
      const last = isOlder ? row.last : { outcome, words, at };
      return { ...row, distinctId: step.distinctId ?? row.distinctId, last };
    }
    default:
      return step satisfies never;
  }
}

/** When the same end was first told: one that is read from the log again has the time of that reading. */
function endedAt(row: EventRow, step: Extract<TraceStep, { step: "written" | "dead_lettered" | "ignored" }>) {
  const kind = step.step;
  return step.fromLog && row.ending?.kind === kind ? row.ending.at : step.at;
}

/** What the processor has read says more than what ingest says; of several deliveries the first one counts. */
function durable(row: EventRow, { event, receivedAt, position }: Durable): EventRow {
  if (row.polledAt !== null) return row;
  const isFirst = row.receivedAt === null || receivedAt < row.receivedAt;
  const moved = row.receivedAt === receivedAt && position !== null && row.position === null;
  if (!isFirst && !moved) return row;
  return {
    ...row,
    event: row.event ?? event,
    receivedAt,
    durable: position === null ? "spool" : "log",
    position,
    dropped: null,
  };
}

/** A second delivery of an event is polled too; the row keeps the place of the first one. */
function polled(row: EventRow, step: Extract<TraceStep, { step: "polled" }>): EventRow {
  if (row.polledAt !== null) return row;
  return {
    ...row,
    event: step.event,
    distinctId: row.distinctId ?? step.distinctId,
    capturedAt: row.capturedAt ?? step.eventAt,
    receivedAt: step.receivedAt,
    durable: "log",
    position: step.position,
    polledAt: step.at,
    dropped: null,
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
    durable: null,
    position: null,
    polledAt: null,
    dropped: null,
    fromLog: false,
    ending: null,
    noted: null,
    repeats: [],
    before: null,
    after: null,
    properties: null,
  };
}

function offerRow(
  rows: Trace,
  { offer, fromLog }: Extract<TraceStep, { step: "earned" | "mail" }>,
): OfferRow {
  const key = `offer ${offer}`;
  const row = rows.get(key);
  if (row?.kind === "offer") return row;
  return {
    kind: "offer",
    key,
    offer,
    distinctId: null,
    earnedAt: null,
    fromLog: fromLog === true,
    last: null,
  };
}

/** A mail that is sent once more is another row, unless it is the same message. */
function mailRow(rows: Trace, step: Extract<TraceStep, { step: "mail" }>): MailRow {
  const { offer, messageId, words, at } = step;
  const fromLog = step.fromLog === true;
  const key = `mail ${messageId ?? `of ${offer} ${at}`}`;
  const known = rows.get(`offer ${offer}`);
  const distinctId = step.distinctId ?? known?.distinctId ?? null;
  const row = rows.get(key);
  return row?.kind === "mail" ? row : { kind: "mail", key, offer, distinctId, messageId, words, at, fromLog };
}

/** When a row began, ISO 8601; null while nothing with a time has come. */
export function beganAt(row: TraceRow): string | null {
  if (row.kind === "mail") return row.at;
  if (row.kind === "offer") return row.earnedAt ?? row.last?.at ?? null;
  return row.capturedAt ?? row.receivedAt ?? row.ending?.at ?? null;
}

/** True where something is still to come: told by ingest or by nobody, and not by the processor. */
export function isOnItsWay(row: TraceRow): boolean {
  return row.kind === "event" && row.polledAt === null && row.ending === null && row.noted === null;
}

/** What ingest and PostHog's stand-in answered, as steps, oldest first; of events whose way is told at all. */
export function toldByIngest(
  { recent, dropped }: RecentEvents,
  { known, all }: { readonly known: { has(id: string): boolean }; readonly all: boolean },
): Told[] {
  const isWanted = ({ id, event }: { id: string; event: string | null }) =>
    known.has(id) || all && isTold(event ?? "");
  const durable = recent.toReversed().flatMap(({ id, event, receivedAt, partition, offset }): Durable[] => {
    if (id === null || !isWanted({ id, event })) return [];
    const position = partition === null ? null : `${partition}:${offset}`;
    return [{ step: "durable", id, event, receivedAt, position }];
  });
  return [
    ...dropped.toReversed().filter(isWanted).map((one) => ({ step: "dropped" as const, ...one })),
    ...durable,
  ];
}

/** `GET /api/recent` of web: newest first. */
export type RecentEvents = {
  readonly recent: readonly RecentWebhook[];
  readonly dropped: readonly Omit<Dropped, "step">[];
};

/** One sentence for a screen reader, once the row has ended; null before. */
export function announcement(row: TraceRow): string | null {
  if (row.kind === "mail") return "Discount mail sent.";
  if (row.kind === "offer") {
    if (row.last === null || row.last.outcome === "accepted") return null;
    return `Discount mail ${row.last.outcome}: ${row.last.words}`;
  }
  switch (row.ending?.kind) {
    case "written":
      return `${row.event} written to line ${row.ending.line} of ${row.ending.file}.`;
    case "counted":
      return `${row.event} counted, ${row.ending.uses} of ${row.ending.threshold}.`;
    case "dead_lettered":
      return `${row.event ?? "Event"} set aside as a dead letter: ${row.ending.reason}`;
    case "ignored":
      return `${row.event ?? "Event"} handled: nothing is made of it.`;
    case undefined:
      return row.noted?.what.includes("address") ? `${row.event ?? "Event"}: address known.` : null;
  }
}

/** When what {@link announcement} says was told, ISO 8601; null where it says nothing. */
export function announcedAt(row: TraceRow): string | null {
  if (announcement(row) === null) return null;
  if (row.kind === "mail") return row.at;
  return row.kind === "offer" ? row.last?.at ?? null : row.ending?.at ?? row.noted?.at ?? null;
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
  return curlOf(JSON.stringify({ event }), { url, withSecret });
}

/** A shell command that posts a body to ingest; the secret is named, and never there. */
export function curlOf(body: string, { url, withSecret }: { url: string; withSecret: boolean }): string {
  const secret = withSecret ? ` \\\n  -H "Authorization: Bearer $WEBHOOK_SECRET"` : "";
  return `curl -sS ${
    shellQuoted(`${url}/api/webhooks`)
  } \\\n  -H 'Content-Type: application/json'${secret} \\\n  -d ${shellQuoted(body)}`;
}

/** Brings back what PostHog gave up: the minutes around it. `at`: ISO 8601. */
export function backfillCommand(at: string): string {
  const around = (ms: number) => new Date(Date.parse(at) + ms).toISOString().slice(0, 17) + "00Z";
  return `deno task backfill --from ${around(-60_000)} --until ${around(120_000)}`;
}

function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
