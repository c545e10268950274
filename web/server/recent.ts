/** What ingest says is durable where, and what PostHog's stand-in has given up: true without the processor. */
import { passwordHeaders } from "../../contract/door.ts";
import type { RecentWebhooksAnswer } from "../../contract/ingest_api.ts";
import type { RecentEvents } from "../core/trace.ts";
import type { Settings } from "../utils.ts";
import { ask } from "./upstream.ts";

/** A page's first paint waits for it. */
const LIMIT_MS = 800;

type GivenUp = RecentEvents["dropped"][number] & { readonly uuid: string };

/** Newest first; empty where nobody answers. */
export async function recentEvents(config: Settings): Promise<RecentEvents> {
  const { posthogUrl, ingestUrl, console } = config;
  const isRemote = new URL(posthogUrl).hostname.endsWith(".posthog.com");
  const [ingest, standIn] = await Promise.all([
    ask<Partial<RecentWebhooksAnswer>>(`${ingestUrl}/api/recent`, {
      limitMs: LIMIT_MS,
      headers: passwordHeaders(console.password),
    }),
    isRemote ? null : ask<{ lastErrors?: GivenUp[] }>(`${posthogUrl}/api/deliveries`, { limitMs: LIMIT_MS }),
  ]);
  // A self-hosted PostHog has an answer of its own here, or none.
  const errors = standIn?.ok && Array.isArray(standIn.value.lastErrors) ? standIn.value.lastErrors : [];
  return {
    recent: ingest.ok ? ingest.value.recent ?? [] : [],
    dropped: errors.map(({ uuid, event, at, attempts, words }) => ({ id: uuid, event, at, attempts, words })),
  };
}
