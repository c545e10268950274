import type { EnvelopeRecord } from "../contract/envelope.ts";
import { readLabel } from "../contract/envelope.ts";
import type { RecentWebhook, TopicEnds } from "../contract/ingest_api.ts";
import type { Clock } from "../runtime/clock.ts";
import { within } from "../runtime/clock.ts";
import { tailOf } from "../topic/tail.ts";
import type { RecordPosition, TopicLog } from "../topic/topic.ts";

/** What ingest itself knows of the newest webhooks: made durable where. No body, no distinct_id. */

/** Webhooks kept. */
export const RECENT_MAX = 200;
/** Of a topic's end at a start: bytes of one partition after which it is read no further back. */
const PARTITION_BYTES_MAX = 4 * 1024 * 1024;
/** Records looked at in all partitions together, however many there are. */
const LOOKED_AT_MAX = 2_400;
/** Milliseconds for which the topic's ends are taken as they are. */
const ENDS_FRESH_MS = 250;

/** As it is kept: its time in milliseconds, which most of them take along without ever being shown. */
type KeptWebhook = Omit<RecentWebhook, "receivedAt"> & { readonly receivedAt: number };

/** Keeps the last {@link RECENT_MAX}; what went from the spool to the log is one and the same entry. */
export class RecentWebhooks {
  #newestLast: KeptWebhook[] = [];
  /** Entries that say spool, or a few more that are kept no longer: where there is none, a published record needs no search. */
  #spooled = 0;

  /** The log has acknowledged it, by way of the spool or not. */
  published(
    record: Pick<EnvelopeRecord, "timestamp" | "headers">,
    position: RecordPosition | undefined,
  ): void {
    if (position === undefined) return;
    const { partition, offset } = position;
    const entry = entryOf(record, { durable: "log", partition, offset });
    const waits = this.#spooled === 0
      ? -1
      : this.#newestLast.findLastIndex((one) =>
        one.durable === "spool" && one.id === entry.id && one.receivedAt === entry.receivedAt
      );
    if (waits < 0) return this.#add(entry);
    this.#newestLast[waits] = entry;
    this.#spooled--;
  }

  /** It is on the spool's disk. */
  spooled(record: Pick<EnvelopeRecord, "timestamp" | "headers">): void {
    this.#spooled++;
    this.#add(entryOf(record, { durable: "spool", partition: null, offset: null }));
  }

  /** The last ones, newest first. */
  list(): readonly RecentWebhook[] {
    return this.#newestLast.slice(-RECENT_MAX).reverse()
      .map((entry) => ({ ...entry, receivedAt: isoOf(entry.receivedAt) }));
  }

  /**
   * Takes in what the topic's end holds of before this start: of each partition the newest, until their bytes are 4 MiB.
   * Rejects where the log is away.
   */
  async refill(log: TopicLog, topic: string, signal: AbortSignal): Promise<void> {
    const bounds = await log.bounds(topic);
    const perPartition = Math.min(RECENT_MAX, Math.ceil(LOOKED_AT_MAX / Math.max(1, bounds.length)));
    const known = new Set(this.#newestLast.map(positionText));
    const found: KeptWebhook[] = [];
    for (const one of bounds) {
      const looking = { topic, bounds: one, recordsMax: perPartition, bytesMax: PARTITION_BYTES_MAX, signal };
      for (const record of (await tailOf(log, looking)).records) {
        const { partition, offset } = record;
        const entry = entryOf(record, { durable: "log", partition, offset });
        if (!known.has(positionText(entry))) found.push(entry);
      }
    }
    // Published while this was read: it stands there already.
    const now = new Set(this.#newestLast.map(positionText));
    this.#newestLast = [...found.filter((entry) => !now.has(positionText(entry))), ...this.#newestLast]
      .sort((a, b) => a.receivedAt - b.receivedAt)
      .slice(-RECENT_MAX);
  }

  #add(entry: KeptWebhook): void {
    this.#newestLast.push(entry);
    // Not one by one: that would move all of them for each webhook.
    if (this.#newestLast.length < 2 * RECENT_MAX) return;
    this.#newestLast = this.#newestLast.slice(-RECENT_MAX);
    this.#spooled = this.#newestLast.filter(({ durable }) => durable === "spool").length;
  }
}

function entryOf(
  { timestamp, headers }: Pick<EnvelopeRecord, "timestamp" | "headers">,
  where: Pick<RecentWebhook, "durable" | "partition" | "offset">,
): KeptWebhook {
  const { id, event } = readLabel(headers);
  return { id: id ?? null, event: event ?? null, receivedAt: timestamp, ...where };
}

function isoOf(timestamp: number): string {
  return new Date(Math.abs(timestamp) <= 8.64e15 ? timestamp : 0).toISOString();
}

function positionText({ partition, offset, id, receivedAt }: KeptWebhook): string {
  return partition === null ? `${id} ${receivedAt}` : `${partition}:${offset}`;
}

/** Asks the log at most four times a second; while it is away the last answer stands, with its time. */
export function createTopicEnds(
  log: TopicLog,
  { topic, clock, msMax }: { readonly topic: string; readonly clock: Clock; readonly msMax: number },
): () => Promise<TopicEnds> {
  let ends: TopicEnds = { at: null, partitions: [] };
  let asked: { readonly at: number; readonly answer: Promise<TopicEnds> } | null = null;
  const ask = async () => {
    const at = new Date(clock.now()).toISOString();
    const bounds = await within(log.bounds(topic).catch(() => null), { ms: msMax, clock });
    if (bounds !== "late" && bounds !== null) {
      ends = { at, partitions: bounds.map(({ partition, endOffset }) => ({ partition, endOffset })) };
    }
    return ends;
  };
  return () => {
    if (asked === null || clock.monotonic() - asked.at > ENDS_FRESH_MS) {
      asked = { at: clock.monotonic(), answer: ask() };
    }
    return asked.answer;
  };
}
