/** What the topic's page shows: asked of both, all at once and with a short limit, so that one that is away holds nothing up. */
import { passwordHeaders } from "../../contract/door.ts";
import type { RecentWebhooksAnswer } from "../../contract/ingest_api.ts";
import type { Figures, PipelineStatus, TopicConsumers } from "../../contract/processor_api.ts";
import type { SpoolKnown, TopicAnswer } from "../core/topic.ts";
import type { Settings } from "../utils.ts";
import { seenBy } from "./services.ts";
import { ask, askProcessor } from "./upstream.ts";

/** A page's first paint waits for it. */
const LIMIT_MS = 800;

/** Never throws: what does not answer is null. */
export async function topicNow(config: Settings): Promise<TopicAnswer> {
  const asks = { processor: config, limitMs: LIMIT_MS };
  const [status, consumers, figures, ingest] = await Promise.all([
    askProcessor<PipelineStatus>("/api/status", asks),
    askProcessor<TopicConsumers>("/api/topic", asks),
    askProcessor<Figures>("/api/figures", asks),
    ask<Partial<RecentWebhooksAnswer>>(`${config.ingestUrl}/api/recent`, {
      limitMs: LIMIT_MS,
      headers: passwordHeaders(config.console.password),
    }),
  ]);
  return {
    groups: status.ok ? status.value.groups : null,
    consumers: consumers.ok ? consumers.value.groups : null,
    figures: figures.ok ? figures.value : null,
    ingest: ingest.ok ? spoolIn(ingest.value) : null,
    seen: {
      ingest: seenBy(config.ingestUrl, ingest.ok),
      processor: seenBy(config.processorUrl, status.ok),
    },
  };
}

function spoolIn(answer: Partial<RecentWebhooksAnswer>): SpoolKnown {
  const { published = null, spooled = null, spoolBytes = null, refused = null, topic = null } = answer;
  return { published, spooled, bytes: spoolBytes, refused, ends: topic };
}
