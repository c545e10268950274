/** The way of one event as stops, and the stations of the strip that it has reached. Pure. */
import { EMAIL_UNSUBSCRIBED, FEATURE_USED, GENERATION_FAILED } from "../../contract/product_events.ts";
import type { Noted } from "../../contract/trace_step.ts";
import { duration, fileStem, positionText } from "./format.ts";
import type { EventRow } from "./trace.ts";

export type Stop = {
  /** What is there, or what is expected there. */
  readonly label: string;
  /** ISO 8601; null: not measured. */
  readonly at: string | null;
  readonly state: "done" | "awaited" | "failed";
  readonly title?: string;
  /** The station of the strip that it is at, from 0. */
  readonly station: number;
};

/** Stations of the strip, in the order of the flow. */
export const STATIONS = ["Browser", "PostHog", "Ingest", "Topic", "Processor"] as const;
const [BROWSER, , INGEST, TOPIC, PROCESSOR] = [0, 1, 2, 3, 4] as const;

/** A stop for each place that an event of this kind passes; what does not exist for it is not there as missing. */
export function stopsOf(row: EventRow): Stop[] {
  const stops = [...untilIngest(row), ...(row.dropped ? [] : [topicStop(row)])];
  const end = row.dropped ? null : endOf(row);
  const all = end ? [...stops, end] : stops;
  if (!row.fromLog) return all;
  // Where it lies was read from the log; the times of its way went with the process that saw it pass.
  return all.map((stop) =>
    stop.station < TOPIC
      ? stop
      : { ...stop, at: null, title: `${stop.title ?? stop.label}, read from the log` }
  );
}

function untilIngest(row: EventRow): Stop[] {
  const { capturedAt, receivedAt, dropped } = row;
  const isReceived = receivedAt !== null || hasArrived(row);
  const captured: Stop = {
    label: "captured",
    at: capturedAt,
    // What was received has been captured, also where its own time is not told.
    state: capturedAt !== null || isReceived ? "done" : "awaited",
    title: capturedAt ?? "its own time is not known here",
    station: BROWSER,
  };
  const webhook: Stop = dropped
    ? { label: "dropped by PostHog", at: dropped.at, state: "failed", title: dropped.words, station: INGEST }
    : {
      label: isCaptured(row) ? "webhook" : "received",
      at: receivedAt,
      state: isReceived ? "done" : "awaited",
      station: INGEST,
    };
  return isCaptured(row) ? [captured, webhook] : [webhook];
}

/** Not so what is no event, and an opt-out by the link in a mail, which ingest itself publishes under a keyed hash. */
function isCaptured(row: EventRow): boolean {
  if (row.own || row.capturedAt !== null) return true;
  if (row.event === null) return !hasArrived(row);
  return !(row.event === EMAIL_UNSUBSCRIBED && row.distinctId?.startsWith("person-"));
}

/** Also where only its end was told. */
function hasArrived({ durable, ending, noted }: EventRow): boolean {
  return durable !== null || ending !== null || noted !== null;
}

/** Known from ingest before the processor has read it. */
function topicStop(row: EventRow): Stop {
  const { position, durable, polledAt } = row;
  if (position !== null) {
    const [partition, offset] = position.split(":");
    const where = `partition ${partition}, offset ${offset}`;
    const title = polledAt
      ? `${where}, polled ${polledAt}`
      : row.ending
      ? where
      : `${where}: durable; the processor has not told of it yet`;
    return { label: positionText(position), at: polledAt, state: "done", title, station: TOPIC };
  }
  if (durable === "spool") {
    const title = "on ingest's disk until the log is back";
    return { label: "spool", at: null, state: "done", title, station: INGEST };
  }
  return { label: "topic", at: null, state: hasArrived(row) ? "done" : "awaited", station: TOPIC };
}

const IGNORED = {
  other_event: "nothing is made of it",
  has_letter: "dead letter before",
  no_line: "no line any more",
} as const;

function endOf(row: EventRow): Stop | null {
  const { ending, noted } = row;
  const done = (label: string, at: string | null, title?: string): Stop => ({
    label,
    at,
    state: "done",
    ...(title === undefined ? {} : { title }),
    station: PROCESSOR,
  });
  switch (ending?.kind) {
    case "written": {
      const { file, line, at } = ending;
      return done(`${fileStem(file)}:${line}`, at, `${file}, line ${line}, ${at}`);
    }
    case "counted":
      return done(`counted ${ending.uses} of ${ending.threshold}`, ending.at);
    case "dead_lettered":
      return { ...done("dead letter", ending.at, ending.reason), state: "failed" };
    case "ignored":
      return done(IGNORED[ending.reason], ending.at);
    case undefined:
      if (row.position !== null && row.repeats.includes(row.position)) {
        return done("there already", null, "the first delivery of it is older than this list");
      }
      return endToCome(row, done) ??
        (noted && row.event !== GENERATION_FAILED ? done(notedText(noted.what), noted.at) : null);
  }
}

/** What nobody has told of: it is expected, or was before this processor started. Null where nothing is expected. */
function endToCome(
  { event, fromLog, noted }: EventRow,
  done: (label: string, at: null, title: string) => Stop,
): Stop | null {
  const awaited = (label: string): Stop => ({ label, at: null, state: "awaited", station: PROCESSOR });
  if (event === GENERATION_FAILED) {
    const title = "a line further from its file's end than was looked";
    return fromLog ? done("dataset", null, title) : awaited("dataset");
  }
  if (event === FEATURE_USED && noted === null) {
    return fromLog ? done("use handled before", null, "before this processor started") : awaited("count");
  }
  return null;
}

const NOTED: Readonly<Record<Noted, string>> = {
  address: "address known",
  join: "ids joined",
  opt_out: "opted out",
  unproven: "unproven, counts for nothing",
  not_counted: "counts no further",
};
const NOTED_ORDER = Object.keys(NOTED) as Noted[];

/** What the offers made of an event, in words. */
export function notedText(what: readonly Noted[]): string {
  if (what.length === 0) return "nothing new";
  return NOTED_ORDER.filter((one) => what.includes(one)).map((one) => NOTED[one]).join(", ");
}

/** How many of the strip's stations an event has passed, in their order. */
export function stationsReached(row: EventRow): number {
  if (row.ending !== null || row.polledAt !== null || row.noted !== null) return PROCESSOR + 1;
  if (row.durable === "log") return TOPIC + 1;
  if (row.durable === "spool" || row.receivedAt !== null) return INGEST + 1;
  return row.capturedAt !== null ? BROWSER + 1 : 0;
}

/** The time that was measured from the stop before to a station, as `9 ms`; null where none was. */
export function tookTo(station: number, row: EventRow): string | null {
  const stops = stopsOf(row);
  const i = stops.findIndex((stop) => stop.station === station);
  return i > 0 ? legOf(stops[i - 1]!, stops[i]!) : null;
}

/**
 * The time between two stops; null where one of them was not measured. The processor's groups read each by itself: what the
 * offers did before the dataset's reader had polled the record says nothing of a way between the two.
 */
export function legOf(from: Stop, to: Stop): string | null {
  if (from.at === null || to.at === null) return null;
  const ms = Date.parse(to.at) - Date.parse(from.at);
  return ms < 0 && from.station === TOPIC && to.station === PROCESSOR ? null : duration(ms);
}
