/** Asks each service how it is, all at once and with a short limit, so that the strip is never late because one is away. */
import { passwordHeaders } from "../../contract/door.ts";
import type { RecentWebhooksAnswer } from "../../contract/ingest_api.ts";
import type { PipelineStatus } from "../../contract/processor_api.ts";
import type { Services } from "../core/stations.ts";
import { type Settings, settings, type State } from "../utils.ts";
import { ask, askProcessor, processorHeaders, REFUSED_WORDS } from "./upstream.ts";

const LIMIT_MS = 800;

/** When each service last answered this process, ISO 8601; under the address that it was asked at. */
const lastAnswers = new Map<string, string>();

/** Never throws: what does not answer is `away`. */
export async function services(config: Settings): Promise<Services> {
  const [posthog, ingest, processor, status] = await Promise.all([
    askPosthog(config),
    askIngest(config),
    readinessOf(config),
    askProcessor<PipelineStatus>("/api/status", { processor: config, limitMs: LIMIT_MS }),
  ]);
  const seen = {
    posthog: seenBy(config.posthogUrl, posthog.state !== "away"),
    ingest: seenBy(config.ingestUrl, ingest.state !== "away"),
    processor: seenBy(config.processorUrl, processor.state !== "away"),
  };
  if (status.ok) return { posthog, ingest, processor, status: status.value, seen };
  // Its health may be open to web where its console is not.
  const refused = status.message.includes(REFUSED_WORDS);
  return {
    posthog,
    ingest,
    processor: refused ? { ...processor, state: "not ready", says: REFUSED_WORDS } : processor,
    status: null,
    seen,
  };
}

/** Notes that who is at an address answers, and tells when it last did, ISO 8601. */
export function seenBy(url: string, isThere: boolean): string | null {
  if (isThere) lastAnswers.set(url, new Date().toISOString());
  return lastAnswers.get(url) ?? null;
}

/** What a page asks for itself, while the services are asked for the frame around it. */
export async function framed<T>(state: State, title: string, asked: Promise<T>): Promise<T> {
  const [answer, found] = await Promise.all([asked, services(settings())]);
  Object.assign(state, { title, services: found });
  return answer;
}

async function askPosthog({ posthogUrl }: Settings): Promise<Services["posthog"]> {
  const { hostname, port } = new URL(posthogUrl);
  if (hostname.endsWith(".posthog.com")) {
    return { name: "PostHog", state: "remote", port: null, delivered: null };
  }
  const answer = await ask<{ delivered?: unknown }>(`${posthogUrl}/healthz`, { limitMs: LIMIT_MS });
  const delivered = answer.ok && typeof answer.value.delivered === "number" ? answer.value.delivered : null;
  // A self-hosted PostHog knows no /healthz: whatever answers, lives.
  const state = answer.ok || answer.status !== null ? "ready" : "away";
  return { name: answer.ok ? "PostHog stand-in" : "PostHog", state, port: port || null, delivered };
}

async function askIngest({ ingestUrl, console }: Settings): Promise<Services["ingest"]> {
  const port = portOf(ingestUrl);
  type Ready = { durable?: unknown; spooled?: unknown };
  const [answer, recent] = await Promise.all([
    ask<Ready>(`${ingestUrl}/readyz`, { limitMs: LIMIT_MS }),
    ask<RecentWebhooksAnswer>(`${ingestUrl}/api/recent`, {
      limitMs: LIMIT_MS,
      headers: passwordHeaders(console.password),
    }),
  ]);
  const topic = recent.ok ? topicIn(recent.value) : null;
  if (!answer.ok) return { state: answer.status === null ? "away" : "refusing", port, spooled: null, topic };
  const spooled = typeof answer.value.spooled === "number" ? answer.value.spooled : null;
  return { state: answer.value.durable === "spool" ? "spooling" : "ready", port, spooled, topic };
}

function topicIn({ topic }: Partial<RecentWebhooksAnswer>): Services["ingest"]["topic"] {
  if (!topic || topic.at === null) return null;
  return { records: topic.partitions.reduce((sum, { endOffset }) => sum + endOffset, 0), at: topic.at };
}

async function readinessOf({ processorUrl, ...config }: Settings): Promise<Services["processor"]> {
  const port = portOf(processorUrl);
  const answer = await ask<unknown>(`${processorUrl}/readyz`, {
    limitMs: LIMIT_MS,
    headers: processorHeaders(config),
  });
  if (answer.ok) return { state: "ready", port, says: null };
  return answer.status === null
    ? { state: "away", port, says: null }
    : { state: "not ready", port, says: answer.message };
}

function portOf(url: string): string {
  const { port, protocol } = new URL(url);
  return port || (protocol === "https:" ? "443" : "80");
}
