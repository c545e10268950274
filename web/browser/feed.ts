/**
 * What the page hears: one event source and one look at the services, shared by every island of the page. Signals are
 * written in the browser only; on the server they stay empty.
 */
import { signal } from "@preact/signals";
import type { TraceStep } from "../../contract/trace_step.ts";
import { type Services, silentSince } from "../core/stations.ts";
import { follow, isOnItsWay, type RecentEvents, type Told, toldByIngest, type Trace } from "../core/trace.ts";
import { now, onSeenAgain, tick } from "./now.ts";
import { recall, remember } from "./own_events.ts";

/** `away`: web answers, the processor does not. `lost`: web itself does not answer. The browser tries again by itself. */
export type Connection = "connecting" | "live" | "away" | "lost";

export const connection = signal<Connection>("connecting");
export const trace = signal<Trace>(new Map());
export const services = signal<Services | null>(null);
/** When web last answered this page, ISO 8601; null before it was asked. */
export const heardAt = signal<string | null>(null);
/** The same where web answers no more; undefined while it does. */
export const webSeenAt = signal<string | null | undefined>(undefined);
/** Events that this page handed to posthog-js. */
export const sent = signal(0);

/** Since when what the processor told may have changed unheard, ISO 8601 (null: since ever); undefined while it tells. */
export function oldSince(): string | null | undefined {
  // Web may fall silent after the processor has.
  if (services.value?.processor.state === "away") return services.value.seen.processor;
  return silentSince({ heardAt: heardAt.value, webSeenAt: webSeenAt.value, now: now() });
}

/** Ms since 1970 at which what the processor told was so: now, or when it was last heard. */
export function knownAt(): number {
  const since = oldSince();
  return since ? Date.parse(since) : now();
}

/** Steps that come together are shown together. */
const GATHER_MS = 16;
const SERVICES_GAP_MS_MIN = 500;
const SERVICES_EVERY_MS = 2_000;
/** A web that is stopped rather than dead takes a question and never answers it. */
const ANSWER_MS_MAX = 5_000;
/** Who only looks into another tab for a moment loses nothing. */
const HIDDEN_MS = 5_000;

let started = false;

/** Opens the event source and begins to ask the services; later calls do nothing. */
export function startFeed(): void {
  if (started) return;
  started = true;
  // The page itself came from web.
  heardAt.value = new Date().toISOString();
  recalled = recall();
  listen();
  leaveWhileHidden();
  if (recalled.size > 0) lookAtIngest({ alsoRecalled: true });
  setInterval(() => {
    if (document.hidden) return;
    lookAtServices();
    lookAtIngest();
  }, SERVICES_EVERY_MS);
  onSeenAgain(lookAtServices);
}

/** Null while nobody looks, and between two of them. */
let source: EventSource | null = null;
/** Of the last step that came. */
let lastId = "";

function listen(): void {
  const opened = new EventSource(
    lastId === "" ? "/api/events" : `/api/events?after=${encodeURIComponent(lastId)}`,
  );
  source = opened;
  opened.addEventListener("here", () => connection.value = "live");
  opened.addEventListener("away", () => {
    connection.value = "away";
    lookAtIngest();
  });
  opened.addEventListener("message", ({ data, lastEventId }) => {
    lastId = lastEventId;
    add([JSON.parse(data) as TraceStep]);
  });
  opened.addEventListener("error", () => {
    if (connection.value !== "away") connection.value = "lost";
    // An EventSource that has given up (web answered with an error) is opened again; otherwise it does so itself.
    if (opened.readyState !== EventSource.CLOSED) return;
    if (source === opened) source = null;
    setTimeout(listenAgain, 2_000);
  });
}

function listenAgain(): void {
  if (source === null && !document.hidden) listen();
}

/** A browser opens six connections to a host: a tab that nobody looks at leaves its own to others, and goes on where it was. */
function leaveWhileHidden(): void {
  let leaving: ReturnType<typeof setTimeout> | undefined;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(leaving);
    if (!document.hidden) return listenAgain();
    leaving = setTimeout(() => {
      source?.close();
      source = null;
    }, HIDDEN_MS);
  });
}

let gathered: Told[] = [];

/** Adds steps to the trace, within a frame. */
export function add(steps: readonly Told[]): void {
  if (steps.length === 0) return;
  if (gathered.length === 0) setTimeout(flush, GATHER_MS);
  gathered.push(...steps);
}

/** Own events of before a reload that nobody has told of since. */
let recalled: ReturnType<typeof recall> = new Map();

function flush(): void {
  tick();
  const before = takenUp(gathered);
  trace.value = follow(before, gathered);
  gathered = [];
  if (trace.value.values().some((row) => row.kind === "event" && row.own && row !== before.get(row.key))) {
    remember(trace.value);
  }
  lookAtServices();
}

function takenUp(steps: readonly Told[]): Trace {
  const rows = new Map(trace.value);
  for (const step of steps) {
    const row = "id" in step && !rows.has(step.id) ? recalled.get(step.id) : undefined;
    if (row) rows.set(row.key, row);
    if (row) recalled.delete(row.id);
  }
  return rows;
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
      webSeenAt.value ??= heardAt.value;
      return;
    }
    tick();
    heardAt.value = new Date().toISOString();
    services.value = answer;
    webSeenAt.value = undefined;
  }, wait);
}

/** What ingest says, while the processor is away or has not read what was captured here; it would say the same later. */
async function lookAtIngest({ alsoRecalled = false } = {}): Promise<void> {
  const isAway = connection.value === "away";
  const own = trace.value.values().some((row) => row.kind === "event" && row.own && isOnItsWay(row));
  if (!isAway && !own && !alsoRecalled) return;
  const answer = await getJson<RecentEvents>("/api/recent");
  const known = { has: (id: string) => trace.value.has(id) || recalled.has(id) };
  if (answer !== null) add(toldByIngest(answer, { known, all: isAway }));
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
