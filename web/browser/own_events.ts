/**
 * What this tab knows of its own events, kept over a reload: the times of an event's way go with the page and with the
 * processor that saw it pass. A row is taken up again only once somebody tells of the event: alone it would say that it is
 * still on its way.
 */
import type { EventRow, Trace } from "../core/trace.ts";

const KEY = "pipeline.own_events";
export const EVENTS_MAX = 100;
/** Together, in UTF-16 units; longer prompts are left out first. */
const CHARACTERS_MAX = 500_000;
const PROMPT_MAX = 5_000;

/** By uuid; empty where nothing is kept, or nothing can be read. */
export function recall(): Map<string, EventRow> {
  try {
    const rows: EventRow[] = JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
    return new Map(rows.map((row) => [row.id, row]));
  } catch {
    return new Map();
  }
}

/** Keeps the newest of one's own. */
export function remember(trace: Trace): void {
  const own = [...trace.values()].filter((row) => row.kind === "event" && row.own).slice(-EVENTS_MAX)
    .map((row) => JSON.stringify(short(row as EventRow)));
  while (own.reduce((sum, text) => sum + text.length, 0) > CHARACTERS_MAX) own.shift();
  try {
    sessionStorage.setItem(KEY, `[${own.join()}]`);
  } catch {
    // No storage, or no room in it: these rows will lack their times after a reload.
  }
}

function short(row: EventRow): EventRow {
  const isLong = [row.before, row.after].some((text) => text !== null && text.length > PROMPT_MAX);
  return isLong ? { ...row, before: null, after: null, properties: null } : row;
}
