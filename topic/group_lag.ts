import type { GroupLag } from "../contract/processor_api.ts";
import type { PartitionBounds, TopicLog } from "./topic.ts";

/** Records add up over partitions; seconds are those of the partition that is furthest behind. */
export async function groupLag(
  log: TopicLog,
  { topic, group, now }: { readonly topic: string; readonly group: string; readonly now: number },
): Promise<GroupLag> {
  const partitions = (await log.lag(topic, group, now)).map((one) => ({ ...one }));
  return {
    group,
    topic,
    lag: partitions.reduce((sum, one) => sum + one.lag, 0),
    lagSeconds: Math.max(0, ...partitions.map((one) => one.lagSeconds)),
    partitions,
  };
}

/** Where a group stands in a partition, for who knows the time of the record at `from`, the next one to be handled. */
export function behindIn({ partition, startOffset, endOffset }: PartitionBounds, nextOffset: number | null) {
  const from = Math.max(nextOffset ?? startOffset, startOffset);
  return { partition, nextOffset, endOffset, lag: Math.max(0, endOffset - from), from };
}

/** Age of a record in seconds, never below 0; 0 where there is none. */
export function secondsSince(timestamp: number | undefined, now: number): number {
  return timestamp === undefined ? 0 : Math.max(0, (now - timestamp) / 1_000);
}
