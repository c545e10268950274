/**
 * What the page hears: one event source and one look at the services, shared by every island of the page. Signals are
 * written in the browser only; on the server they stay empty.
 */
import { signal } from "@preact/signals";
import type { TraceStep } from "../../contract/trace_step.ts";
import type { Services } from "../core/stations.ts";
import { follow, isOnItsWay, type RecentEvents, type Told, toldByIngest, type Trace } from "../core/trace.ts";
import { tick } from "./now.ts";

/** `away`: web answers, the processor does not. `lost`: web itself does not answer. The browser tries again by itself. */
export type Connection = "connecting" | "live" | "away" | "lost";

export const connection = signal<Connection>("connecting");
export const trace = signal<Trace>(new Map());
export const services = signal<Services | null>(null);
/** When web last answered, ISO 8601, where it answers no more; undefined while it does. */
export const webSeenAt = signal<string | null | undefined>(undefined);
/** Events that this page handed to posthog-js. */
export const sent = signal(0);

/** Steps that come together are shown together. */
const GATHER_MS = 16;
const SERVICES_GAP_MS_MIN = 500;
const SERVICES_EVERY_MS = 2_000;
/** A web that is stopped rather than dead takes a question and never answers it. */
const ANSWER_MS_MAX = 5_000;

let started = false;

/** Opens the event source and begins to ask the services; later calls do nothing. */
export function startFeed(): void {
  if (started) return;
  started = true;
  // The page itself came from web.
  answeredAt = new Date().toISOString();
  listen();
  setInterval(() => {
    if (document.hidden) return;
    lookAtServices();
    lookAtIngest();
  }, SERVICES_EVERY_MS);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) lookAtServices();
  });
}

function listen(): void {
  const source = new EventSource("/api/events");
  source.addEventListener("here", () => connection.value = "live");
  source.addEventListener("away", () => {
    connection.value = "away";
    lookAtIngest();
  });
  source.addEventListener("message", ({ data }) => add([JSON.parse(data) as TraceStep]));
  source.addEventListener("error", () => {
    if (connection.value !== "away") connection.value = "lost";
    // An EventSource that has given up (web answered with an error) is opened again; otherwise it does so itself.
    if (source.readyState !== EventSource.CLOSED) return;
    source.close();
    setTimeout(listen, 2_000);
  });
}

let gathered: Told[] = [];

/** Adds steps to the trace, within a frame. */
export function add(steps: readonly Told[]): void {
  if (steps.length === 0) return;
  if (gathered.length === 0) setTimeout(flush, GATHER_MS);
  gathered.push(...steps);
}

function flush(): void {
  tick();
  trace.value = follow(trace.value, gathered);
  gathered = [];
  lookAtServices();
}

let askedAt = -Infinity;
let due: ReturnType<typeof setTimeout> | undefined;

/** Asks the services, at most every {@link SERVICES_GAP_MS_MIN}; a call in between is made up for at its end. */
function lookAtServices(): void {
  if (due !== undefined) return;
  const wait = Math.max(0, askedAt + SERVICES_GAP_MS_MIN - performance.now());
  due = setTimeout(async () => {
    askedAt = performance.now();
    due = undefined;
    const answer = await getJson<Services>("/api/services");
    if (answer === null) {
      webSeenAt.value ??= answeredAt;
      return;
    }
    answeredAt = new Date().toISOString();
    services.value = answer;
    webSeenAt.value = undefined;
  }, wait);
}

let answeredAt: string | null = null;

/** What ingest says, while the processor is away or has not read what was captured here; it would say the same later. */
async function lookAtIngest(): Promise<void> {
  const isAway = connection.value === "away";
  const own = trace.value.values().some((row) => row.kind === "event" && row.own && isOnItsWay(row));
  if (!isAway && !own) return;
  const answer = await getJson<RecentEvents>("/api/recent");
  if (answer !== null) add(toldByIngest(answer, { known: trace.value, all: isAway }));
}

/** JSON of one of web's own answers, with `order` to a POST of it; null where web does not answer, or answers with an error. */
export async function getJson<T>(
  path: string,
  { limitMs = ANSWER_MS_MAX, order }: { limitMs?: number; order?: unknown } = {},
): Promise<T | null> {
  try {
    const response = await fetch(path, {
      headers: { accept: "application/json" },
      ...(order === undefined ? {} : { method: "POST", body: JSON.stringify(order) }),
      signal: AbortSignal.timeout(limitMs),
    });
    return response.ok ? await response.json() as T : null;
  } catch {
    return null;
  }
}
