/**
 * The status strip: five stations in the order of the flow, each with a word, a port and one number. Pure: made from
 * what the services answered, by the server for the first paint and by the browser from then on.
 */
import type { PipelineStatus } from "../../contract/processor_api.ts";
import { ago, count, plural } from "./format.ts";

/** What web's server found when it asked each service (`GET /api/services`). */
export type Services = {
  readonly posthog: {
    readonly name: string;
    /** `remote`: PostHog's own, which is not asked. */
    readonly state: "ready" | "away" | "remote";
    readonly port: string | null;
    readonly delivered: number | null;
  };
  readonly ingest: {
    readonly state: "ready" | "spooling" | "refusing" | "away";
    readonly port: string;
    readonly spooled: number | null;
    /** The topic's end offsets together, and when the log said so; null where ingest does not tell. */
    readonly topic: { readonly records: number; readonly at: string } | null;
  };
  readonly processor: {
    readonly state: "ready" | "not ready" | "away";
    readonly port: string;
    /** Its own words on why it is not ready. */
    readonly says: string | null;
  };
  /** The processor's `GET /api/status`; null where it could not be had. */
  readonly status: PipelineStatus | null;
  /** When each last answered this web, ISO 8601; null: not since web began. */
  readonly seen: Readonly<Record<"posthog" | "ingest" | "processor", string | null>>;
};

/** Tone decides colour and shape; the word says it. */
export type Station = {
  readonly name: string;
  readonly tone: "ok" | "warn" | "bad" | "quiet";
  readonly word: string;
  readonly number: string | null;
  readonly port: string | null;
  /** The whole story, for `title`. */
  readonly detail: string;
};

/** How this page itself is connected, and how many events it handed to posthog-js. */
export type BrowserState = {
  readonly sent: number;
  readonly connection: "connecting" | "live" | "away" | "lost";
  /** Milliseconds since 1970. */
  readonly now: number;
  /** When web last answered this page, ISO 8601; null: it has not yet. */
  readonly heardAt?: string | null;
  /** The same where it was asked since and did not answer: nothing that it said is known to be true then. */
  readonly webSeenAt?: string | null;
};

/** Ms for which what web said is taken for what is so now: a page that slept has heard nothing meanwhile. */
const HEARD_TRUE_MS = 8_000;

/** Since when nothing is known to be so still, ISO 8601 (null: since ever); undefined while web is heard. */
export function silentSince(
  { heardAt, webSeenAt, now }: Pick<BrowserState, "heardAt" | "webSeenAt" | "now">,
): string | null | undefined {
  if (webSeenAt !== undefined) return webSeenAt;
  return heardAt && now - Date.parse(heardAt) > HEARD_TRUE_MS ? heardAt : undefined;
}

/** Lag below this many seconds is the ordinary breath of a running pipeline. */
const BEHIND_SECONDS = 5;
const RAW_TOPIC = "posthog.webhooks";

/** Ms for which what the log said of the topic's ends is its state now. */
const ENDS_TRUE_MS = 10_000;

/** The five stations; before anything is known all but the first are `not asked`. */
export function stations(services: Services | null, browser: BrowserState): Station[] {
  if (silentSince(browser) !== undefined) return silent(services, browser);
  const { now } = browser;
  const others = services
    ? [posthog(services, now), ingest(services, now), topic(services, now), processor(services, now)]
    : ["PostHog", "Ingest", "Topic", "Processor"].map((name) => ({ name, ...NOT_ASKED }));
  return [browserStation(browser), ...others];
}

/** Web told of all of them: what it said last may have changed since. */
function silent(services: Services | null, browser: BrowserState): Station[] {
  const { sent, webSeenAt, now } = browser;
  const isAsked = webSeenAt === undefined;
  const seen = lastSeen(silentSince(browser) ?? null, now);
  const detail = isAsked
    ? "This page has not heard from web for a while, and asks it now."
    : "Web does not answer, and it tells of all the others. This page tries again by itself.";
  const grey = { tone: "quiet", port: null, detail } as const;
  const names = [services?.posthog.name ?? "PostHog", "Ingest", "Topic", "Processor"];
  return [
    { name: "Browser", word: isAsked ? "asking" : "offline", number: `web ${seen}`, ...grey },
    ...names.map((name) => ({ name, word: "unknown", number: seen, ...grey })),
  ].map((station, i) =>
    i === 0 ? { ...station, detail: `${detail} ${count(sent)} captured in this page.` } : station
  );
}

/** `at`: ISO 8601, null where it has not been seen at all. */
export function lastSeen(at: string | null, now: number): string {
  return at === null ? "not seen yet" : `last seen ${ago(at, now)}`;
}

/** A service that is started again in a moment is not worth a line that moves the page. */
const AWAY_MS_MIN = 4_000;

/** Why what the page shows may have changed since, and since when; null while it is as it is shown. */
export function staleWords(services: Services | null, { webSeenAt, now }: BrowserState): string | null {
  if (webSeenAt !== undefined) {
    return `Web does not answer, ${lastSeen(webSeenAt, now)}: nothing on this page is newer.`;
  }
  const seen = services?.seen.processor ?? null;
  if (services?.processor.state !== "away" || seen !== null && now - Date.parse(seen) < AWAY_MS_MIN) {
    return null;
  }
  const told = seen === null
    ? "it has told nothing of this page"
    : "nothing on this page that it told is newer";
  return `The processor is away, ${lastSeen(seen, now)}: ${told}.`;
}

function browserStation({ sent, connection }: BrowserState): Station {
  const [tone, word, detail] = {
    // True without script too.
    connecting: ["quiet", "not live", "Script opens the event stream, which brings every step."],
    live: ["ok", "live", "This page hears every step as it happens."],
    away: ["warn", "waiting", "The processor is away; this page reconnects by itself and misses nothing."],
    lost: ["warn", "reconnecting", "The event stream has ended; this page opens it again by itself."],
  }[connection] as [Station["tone"], string, string];
  return { name: "Browser", tone, word, number: `${count(sent)} captured`, port: null, detail };
}

const NOT_ASKED = {
  tone: "quiet",
  word: "not asked",
  number: null,
  port: null,
  detail: "Not asked yet.",
} as const;

function posthog(services: Services, now: number): Station {
  const { name, state, port, delivered } = services.posthog;
  const isAway = state === "away";
  return {
    name,
    tone: isAway ? "quiet" : "ok",
    word: state,
    number: isAway
      ? lastSeen(services.seen.posthog, now)
      : delivered === null
      ? null
      : `${count(delivered)} delivered`,
    port,
    detail: isAway
      ? "It does not answer. posthog-js keeps events and tries again while this page is open."
      : "Takes events from posthog-js and delivers them as webhooks.",
  };
}

function ingest(services: Services, now: number): Station {
  const { state, port, spooled } = services.ingest;
  const detail = {
    ready: "Answers 200 once an event is durable in the log.",
    spooling: "The log is away: events are kept on disk and published when it is back.",
    refusing: "It can make nothing durable now and answers 503, so that PostHog tries again.",
    away: "It does not answer. PostHog tries a delivery three times.",
  }[state];
  return {
    name: "Ingest",
    tone: ({ ready: "ok", spooling: "warn", refusing: "bad", away: "quiet" } as const)[state],
    word: state,
    number: state === "away"
      ? lastSeen(services.seen.ingest, now)
      : spooled === null
      ? null
      : `${count(spooled)} spooled`,
    port,
    detail,
  };
}

/** Ingest asks the log itself; where ingest is away the processor tells. */
function topic({ ingest, status }: Services, now: number): Station {
  const said = ingest.topic;
  const isNow = said !== null && now - Date.parse(said.at) < ENDS_TRUE_MS;
  const records = isNow ? said.records : status ? recordsOf(status) : said?.records ?? null;
  if (records === null) {
    const detail = "Only ingest and the processor can tell, and both are away.";
    return { name: "Topic", tone: "quiet", word: "unknown", number: null, port: null, detail };
  }
  // Ingest spools because the log does not take what it publishes, whatever the processor has read of it.
  const isKnown = isNow || status !== null && ingest.state !== "spooling";
  return {
    name: "Topic",
    tone: isKnown ? "ok" : "quiet",
    word: isKnown ? "ready" : said === null ? "not known" : lastSeen(said.at, now),
    number: `${count(records)} ${plural(records, "record")}`,
    port: null,
    detail: `${RAW_TOPIC}: one record per webhook delivery, as it came.`,
  };
}

/** End offsets of the raw topic together: it is kept for ever unless set otherwise. */
function recordsOf(status: PipelineStatus): number {
  const group = status.groups.find((group) => group.topic.endsWith(RAW_TOPIC));
  return group?.partitions.reduce((sum, partition) => sum + partition.endOffset, 0) ?? 0;
}

function processor(services: Services, now: number): Station {
  const { state, port, says } = services.processor;
  const lag = lagOf(services.status);
  if (state === "away") {
    const detail = "It does not answer. Events wait in the topic; nothing is lost.";
    const number = lastSeen(services.seen.processor, now);
    return { name: "Processor", tone: "quiet", word: state, number, port, detail };
  }
  const number = lag ? `lag ${count(lag.records)} · ${count(Math.round(lag.seconds))} s` : null;
  if (state === "not ready") {
    const detail = says ?? "Its groups have not joined yet.";
    return { name: "Processor", tone: "warn", word: state, number, port, detail };
  }
  if (lag?.stands) {
    const detail = `A partition stands at what cannot be read. ${lag.groups.join("; ")}`;
    return { name: "Processor", tone: "bad", word: "stands", number, port, detail };
  }
  const behind = lag !== null && lag.records > 0 && lag.seconds >= BEHIND_SECONDS;
  return {
    name: "Processor",
    tone: behind ? "warn" : "ok",
    word: behind ? "behind" : "ready",
    number,
    port,
    detail: lag ? lag.groups.join("; ") : "Writes the dataset and sends the offers.",
  };
}

function lagOf(status: PipelineStatus | null) {
  if (!status || status.groups.length === 0) return null;
  return {
    records: Math.max(...status.groups.map((group) => group.lag)),
    seconds: Math.max(...status.groups.map((group) => group.lagSeconds)),
    stands: status.groups.some(({ partitions }) => partitions.some(({ standing }) => standing !== undefined)),
    groups: status.groups.map((group) =>
      `${group.group}: lag ${count(group.lag)}, ${Math.round(group.lagSeconds)} s`
    ),
  };
}
