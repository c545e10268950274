/**
 * The way of the newest click, slowed down so that it can be seen: station after station lights up, however fast the event
 * really was; the times beside them are the measured ones. Nothing of it where reduced motion is asked for.
 */
import { signal } from "@preact/signals";
import { STATIONS, stationsReached } from "../core/event_path.ts";
import { trace } from "./feed.ts";

/** `lit`: how many stations of the strip are lit. Null while nothing is on its way, and with reduced motion. */
export const journey = signal<{ readonly id: string; readonly lit: number } | null>(null);

const STEP_MS = 150;
/** All lit, for so long. */
const REST_MS = 2_500;
/** An event that gets no further for so long is no journey any more: its row says where it is. */
const STUCK_STEPS_MAX = 200;

let timer: ReturnType<typeof setTimeout> | undefined;

/** Lights the way of an event just captured; one before it is not lit any more. */
export function beginJourney(id: string): void {
  clearTimeout(timer);
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  journey.value = { id, lit: 0 };
  timer = setTimeout(() => go(id, { lit: 0, stuck: 0 }), STEP_MS);
}

function go(id: string, { lit, stuck }: { lit: number; stuck: number }): void {
  const row = trace.peek().get(id);
  const reached = row?.kind === "event" ? stationsReached(row) : 0;
  const isOver = lit >= STATIONS.length || stuck >= STUCK_STEPS_MAX;
  if (isOver) {
    journey.value = null;
    return;
  }
  const next = lit < reached ? { lit: lit + 1, stuck: 0 } : { lit, stuck: stuck + 1 };
  if (next.lit > lit) journey.value = { id, lit: next.lit };
  timer = setTimeout(() => go(id, next), next.lit >= STATIONS.length ? REST_MS : STEP_MS);
}
