import type { GroupLag } from "../contract/processor_api.ts";
import type { TopicLog } from "./topic.ts";

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
