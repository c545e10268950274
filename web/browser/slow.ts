import type { TraceRow } from "../core/trace.ts";
import { now } from "./now.ts";

const SLOW_MS = 8_000;

/** Captured in this browser, and nothing heard of it for a while. */
export function isSlow(row: TraceRow): boolean {
  return row.kind === "event" && row.own && row.durable === null && row.dropped === null &&
    row.capturedAt !== null && now() - Date.parse(row.capturedAt) > SLOW_MS;
}
