import { FEATURE_USED, GENERATION_FAILED } from "../../contract/product_events.ts";
import { duration, fileStem, positionText } from "../core/format.ts";
import type { EventRow } from "../core/trace.ts";

type Stop = {
  /** What is there, or what is expected there. */
  readonly label: string;
  readonly at: string | null;
  readonly state: "done" | "awaited" | "failed";
  readonly title?: string;
};

/**
 * The way of one event: a stop for each place it passes, with the measured time between them. `earned`: its person has
 * an offer already, so that a use that is not counted is no use that is missing.
 */
export function EventPath({ row, earned }: { row: EventRow; earned: boolean }) {
  const stops = stopsOf(row, earned);
  return (
    <ol class="path">
      {stops.map((stop, i) => (
        <li key={i} class={`stop ${stop.state}`} title={stop.title ?? stop.at ?? "not there yet"}>
          {i > 0 && <Leg from={stops[i - 1]!.at} to={stop.at} />}
          <span class="place">{stop.label}</span>
          {stop.state === "awaited" && <span class="hidden">not there yet</span>}
        </li>
      ))}
    </ol>
  );
}

/** The line between two stops; its time is shown once both are known. */
function Leg({ from, to }: { from: string | null; to: string | null }) {
  const took = from !== null && to !== null ? duration(Date.parse(to) - Date.parse(from)) : null;
  return <span class="leg">{took}</span>;
}

function stopsOf(row: EventRow, earned: boolean): Stop[] {
  const stops: Stop[] = [
    {
      label: "captured",
      at: row.capturedAt,
      // What was received has been captured, also where its own time is not told.
      state: row.capturedAt ?? row.receivedAt ? "done" : "awaited",
      title: row.capturedAt ?? "its own time is not known here",
    },
    row.dropped
      ? { label: "dropped by PostHog", at: row.dropped.at, state: "failed", title: row.dropped.words }
      : { label: "webhook", at: row.receivedAt, state: row.receivedAt ? "done" : "awaited" },
    topicStop(row),
  ];
  const end = endOf(row, earned);
  const all = end ? [...stops, end] : stops;
  // Where it lies was read from the log; the times of its way went with the process that saw it pass.
  return row.fromLog
    ? all.map((stop, i) => i < 2 ? stop : { ...stop, at: null, title: `${stop.label}, read from the log` })
    : all;
}

/** Known from ingest before the processor has read it. */
function topicStop({ position, durable, polledAt }: EventRow): Stop {
  if (position !== null) {
    const [partition, offset] = position.split(":");
    const where = `partition ${partition}, offset ${offset}`;
    return {
      label: positionText(position),
      at: polledAt,
      state: "done",
      title: polledAt
        ? `${where}, polled ${polledAt}`
        : `${where}: durable, and not read by the processor yet`,
    };
  }
  if (durable === "spool") {
    return { label: "spool", at: null, state: "done", title: "on ingest's disk until the log is back" };
  }
  return { label: "topic", at: null, state: "awaited" };
}

/** Only the two product events are expected to end somewhere; PostHog's own ones pass through the topic. */
function endOf({ ending, event, polledAt, fromLog }: EventRow, earned: boolean): Stop | null {
  switch (ending?.kind) {
    case "written": {
      const { file, line, at } = ending;
      return { label: `${fileStem(file)}:${line}`, at, state: "done", title: `${file}, line ${line}, ${at}` };
    }
    case "counted":
      return { label: `counted ${ending.uses} of ${ending.threshold}`, at: ending.at, state: "done" };
    case "dead_lettered":
      return { label: "dead letter", at: ending.at, state: "failed", title: ending.reason };
    case undefined:
      if (event === GENERATION_FAILED) return { label: "dataset", at: null, state: "awaited" };
      if (event === FEATURE_USED && earned && polledAt) {
        return { label: "offer earned before", at: null, state: "done" };
      }
      if (event === FEATURE_USED && fromLog) return { label: "counted before", at: null, state: "done" };
      if (event === FEATURE_USED) return { label: "count", at: null, state: "awaited" };
      return null;
  }
}
