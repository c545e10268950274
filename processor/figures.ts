import { DATASET_WRITER_GROUP, DISCOUNT_OFFERS_GROUP, WEBHOOKS_TOPIC } from "../contract/names.ts";
import type { Figures } from "../contract/processor_api.ts";
import { type Clock, within } from "../runtime/clock.ts";
import { NoLeaderError, type PartitionBounds, type TopicLog } from "../topic/topic.ts";
import { type MinuteCount, receivedOf } from "./dataset/core/received.ts";
import type { DatasetView, HandledPartition } from "./dataset/reading/listing.ts";
import { addLatencies, LATENCY_BOUNDS_MS, latencyQuantile, NO_LATENCIES } from "./loop/latency.ts";
import { type LastHour, minuteOf, MINUTES_SHOWN } from "./status/last_hour.ts";

/** Days that have lines, the newest. */
const DAYS_MAX = 90;
/** Records of a partition that wait for the writer and are read to be counted; of more nobody says when they came. */
const WAITING_RECORDS_MAX = 2_000;
const WAITING_BYTES_MAX = 4 * 1024 * 1024;
/** So long the log may take for all partitions, in ms. */
const ASKED_MS_MAX = 2_000;

const NOT_KNOWN = () => null;

/** `GET /api/figures`: see {@link Figures}. What is counted of records and lines is the manifests', so that it survives a restart. */
export async function readFigures(
  { log, dataset, lastHour, clock }: {
    readonly log: TopicLog;
    readonly dataset: DatasetView;
    readonly lastHour: LastHour;
    readonly clock: Clock;
  },
): Promise<Figures> {
  // What cannot be asked now is not known; all else is told all the same.
  const asked = receivedByMinute(log, dataset).catch(() => NOT_KNOWN);
  const answer = await within(asked, { ms: ASKED_MS_MAX });
  const received = answer === "late" ? NOT_KNOWN : answer;
  const seen = lastHour.minutes();
  const now = minuteOf(clock.now());
  const groups = [DATASET_WRITER_GROUP, DISCOUNT_OFFERS_GROUP];
  const minutes = Array.from({ length: MINUTES_SHOWN }, (_, i) => now - MINUTES_SHOWN + 1 + i);
  const { placeholders: _, ever: __, ...figures } = await dataset.figures();
  return {
    minutes: minutes.map((minute) => ({
      at: new Date(minute * 60_000).toISOString(),
      records: received(minute),
      lagSeconds: Object.fromEntries(
        groups.map((group) => [group, seen.get(minute)?.lagSeconds[group] ?? null]),
      ),
    })),
    latency: latencyOf(
      [...seen.values()].map(({ latencies }) => latencies).reduce(addLatencies, NO_LATENCIES),
    ),
    days: (await dataset.days(DAYS_MAX)).map(({ date, records, placeholders }) => ({
      date,
      lines: records,
      placeholders,
    })),
    ...figures,
  };
}

function latencyOf(counts: readonly number[]): Figures["latency"] {
  return {
    count: counts.reduce((sum, count) => sum + count, 0),
    p50Ms: latencyQuantile(counts, 0.5),
    p99Ms: latencyQuantile(counts, 0.99),
    buckets: counts.map((count, i) => ({ upToMs: LATENCY_BOUNDS_MS[i] ?? null, count })),
  };
}

/** What is known of when a partition's records were received: nothing of the minutes up to `after`, and from `until` on. */
type Known = { readonly after: number; readonly until: number; readonly counts: ReadonlyMap<number, number> };

/** How many records were received in a minute since 1970; null where a partition does not know. */
async function receivedByMinute(
  log: TopicLog,
  dataset: DatasetView,
): Promise<(minute: number) => number | null> {
  const bounds = await boundsByPartition(log);
  // Behind the bounds: then no record lies between the two that neither has.
  const handled = await dataset.handled();
  const known = await Promise.all(
    bounds.map((one, partition) => knownOf(log, { bounds: one, handled: handled.get(partition) })),
  );
  return (minute) => {
    let sum = 0;
    for (const { after, until, counts } of known) {
      if (minute <= after || minute >= until) return null;
      sum += counts.get(minute) ?? 0;
    }
    return sum;
  };
}

/** Null where no broker leads the partition. */
async function boundsByPartition(log: TopicLog): Promise<readonly (PartitionBounds | null)[]> {
  const count = await log.partitions(WEBHOOKS_TOPIC);
  return await Promise.all(
    Array.from({ length: count }, (_, partition) =>
      log.boundsOf(WEBHOOKS_TOPIC, partition).catch((error) => {
        if (error instanceof NoLeaderError) return null;
        throw error;
      })),
  );
}

async function knownOf(
  log: TopicLog,
  { bounds, handled }: {
    readonly bounds: PartitionBounds | null;
    readonly handled: HandledPartition | undefined;
  },
): Promise<Known> {
  const lastMinute = handled?.last ? minuteOf(handled.last.timestamp) : -Infinity;
  const after = handled ? knownAfter(handled, lastMinute) : -Infinity;
  const counts = new Map<number, number>(handled?.minutes ?? []);
  if (bounds === null) return { after, until: lastMinute, counts };
  const waiting = await waitingRecords(log, { bounds, nextOffset: handled?.nextOffset ?? 0 });
  if (waiting === null) return { after, until: lastMinute, counts };
  for (const [minute, records] of waiting) counts.set(minute, records + (counts.get(minute) ?? 0));
  return { after, until: Infinity, counts };
}

/** An earlier version counted nothing: of the minute in which the counting began some may be missing. */
function knownAfter({ isWhole, minutes }: HandledPartition, lastMinute: number): number {
  if (isWhole) return -Infinity;
  return minutes.length > 0 ? Math.min(...minutes.map(([minute]) => minute)) : lastMinute;
}

/** Those that the dataset's writer has not handled; null where they are too many, or not all of them can be read. */
async function waitingRecords(
  log: TopicLog,
  { bounds: { partition, startOffset, endOffset: until }, nextOffset }: {
    readonly bounds: PartitionBounds;
    readonly nextOffset: number;
  },
): Promise<readonly MinuteCount[] | null> {
  const from = Math.max(startOffset, nextOffset);
  if (until - from > WAITING_RECORDS_MAX) return null;
  if (from >= until) return [];
  const minutes: MinuteCount[] = [];
  let bytes = 0;
  let isWhole = true;
  const unreadable = () => {
    isWhole = false;
    return Promise.resolve("skip" as const);
  };
  const range = { partition, from, until, endsAtOpenTransaction: true, unreadable };
  let reached = from;
  for await (const { records, nextOffset } of log.read(WEBHOOKS_TOPIC, range)) {
    minutes.push(...receivedOf(records));
    bytes += records.reduce((sum, { value }) => sum + value.length, 0);
    if (!isWhole || bytes > WAITING_BYTES_MAX) return null;
    reached = nextOffset;
  }
  // It ends before an open transaction.
  return isWhole && reached >= until ? minutes : null;
}
