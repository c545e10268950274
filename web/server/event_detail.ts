/** One event by its uuid: what the processor knows of it, and where that one is away or silent what ingest says. */
import type { RecentWebhook } from "../../contract/ingest_api.ts";
import type { EventDetail, NoEvent } from "../../contract/processor_api.ts";
import type { Dropped } from "../core/trace.ts";
import type { Settings } from "../utils.ts";
import { recentEvents } from "./recent.ts";
import { passThrough, type Processor } from "./upstream.ts";

/** The ends of all partitions may have to be read for it. */
const LIMIT_MS = 15_000;

/** The processor's answer; without envelopes unless `withRaw`. */
export async function eventAnswer(
  uuid: string,
  { withRaw, ...processor }: Processor & { readonly withRaw: boolean },
): Promise<Response> {
  const path = `/api/events/${encodeURIComponent(uuid)}`;
  const answer = await passThrough(path, processor, { limitMs: LIMIT_MS });
  if (withRaw || !answer.ok) return answer;
  const detail = await answer.json() as EventDetail;
  const deliveries = detail.deliveries.map(({ raw: _, ...delivery }) => delivery);
  return Response.json({ ...detail, deliveries }, { headers: { "cache-control": "no-store" } });
}

/** What a page can say of an event. `detail` null and `isAway` false: the processor has found nothing. */
export type KnownOfEvent = {
  readonly detail: EventDetail | null;
  readonly isAway: boolean;
  /** Where it was looked for in vain. */
  readonly lookedAt: NoEvent["lookedAt"] | null;
  /** Ingest's own words, oldest first, without what the processor has found too. */
  readonly durable: readonly RecentWebhook[];
  readonly dropped: Omit<Dropped, "step"> | null;
};

export async function knownOfEvent(
  uuid: string,
  options: Settings & { readonly withRaw: boolean },
): Promise<KnownOfEvent> {
  const [answer, { recent, dropped }] = await Promise.all([
    eventAnswer(uuid, options),
    recentEvents(options),
  ]);
  const body = await answer.json().catch(() => ({}));
  const detail = answer.ok ? body as EventDetail : null;
  const found = new Set(detail?.deliveries.map(({ partition, offset }) => `${partition}:${offset}`));
  return {
    detail,
    isAway: !answer.ok && answer.status !== 404 && answer.status !== 400,
    lookedAt: detail === null ? (body as Partial<NoEvent>).lookedAt ?? null : null,
    durable: recent.filter(({ id, partition, offset }) => id === uuid && !found.has(`${partition}:${offset}`))
      .toReversed(),
    dropped: dropped.find(({ id }) => id === uuid) ?? null,
  };
}
