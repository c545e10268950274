import type { Clock } from "../../runtime/clock.ts";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { partitionOf } from "../../topic/partitioner.ts";
import type { TopicLog, TopicRecord } from "../../topic/topic.ts";
import { DatasetStateError } from "./core/state_error.ts";
import type { DatasetTree } from "./store.ts";
import { BEGIN_ANEW } from "./topic_check.ts";

/**
 * Default of how long a writer that sees more partitions on Kafka waits before it notes where they end, in ms: every
 * publisher knows of them by then (it looks every 5 s), and what still went to where its key lay before lies below.
 */
export const SETTLE_MS = 10_000;

/**
 * How many partitions the topic has, once the tree has noted it; null where `signal` aborted first. Only what is new is
 * noted with where all of them end, and waits until each has a leader. Throws
 * {@link DatasetStateError} where there are fewer than before: no log takes partitions away.
 */
export async function countAsNoted(
  tree: DatasetTree,
  { log, clock, settleMs, signal }: {
    readonly log: TopicLog;
    readonly clock: Clock;
    readonly settleMs: number;
    readonly signal: AbortSignal;
  },
): Promise<number | null> {
  const count = await log.partitions(WEBHOOKS_TOPIC);
  const known = tree.counts().at(-1)?.count;
  if (known === count) return count;
  if (known !== undefined && known > count) {
    throw new DatasetStateError(
      "dataset_other_topic",
      `Cannot go on with topic "${WEBHOOKS_TOPIC}": it has ${count} partitions, and this dataset was made from ` +
        `one with ${known}. ${BEGIN_ANEW}`,
    );
  }
  if (known !== undefined && log.kind === "kafka") {
    await clock.wait(settleMs, signal);
    if (signal.aborted) return null;
  }
  const bounds = await log.bounds(WEBHOOKS_TOPIC);
  await tree.addCount({ count: bounds.length, ends: bounds.map(({ endOffset }) => endOffset) });
  return bounds.length;
}

/** True where a record's key goes elsewhere by this count: the topic may have more partitions by now. */
export function isMisplaced(record: TopicRecord, count: number): boolean {
  const { key, partition } = record;
  // Headers last: they are decoded when somebody looks.
  return key !== null && partitionOf(key, count) !== partition && record.headers.source !== "erase";
}
