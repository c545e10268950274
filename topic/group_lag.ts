import type { GroupLag } from "../contract/processor_api.ts";
import {
  LogSetupError,
  type PartitionBounds,
  type PartitionLag,
  type TopicLog,
  type UnreadableRecords,
  UnreadableRecordsError,
} from "./topic.ts";

/** A partition that stands, as far as its lag shows it. */
type Standing = Pick<UnreadableRecords, "partition" | "offset" | "reason">;

export type GroupLagOptions = {
  readonly topic: string;
  readonly group: string;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Which partitions stand at what cannot be read. */
  readonly standing: (lags: readonly PartitionLag[]) => readonly Standing[] | Promise<readonly Standing[]>;
};

/** Records add up over partitions; seconds are those of the partition that is furthest behind. */
export async function groupLag(log: TopicLog, options: GroupLagOptions): Promise<GroupLag> {
  const { topic, group, now } = options;
  const lags = await log.lag(topic, group, now);
  const standing = new Map((await options.standing(lags)).map((one) => [one.partition, one]));
  const partitions = lags.map((one) => {
    const at = standing.get(one.partition);
    return at === undefined ? { ...one } : { ...one, standing: { offset: at.offset, reason: at.reason } };
  });
  return {
    group,
    topic,
    lag: partitions.reduce((sum, one) => sum + one.lag, 0),
    lagSeconds: Math.max(0, ...partitions.map((one) => one.lagSeconds)),
    partitions,
  };
}

/** For who is no member of the group: looks at the next record of each partition that is behind. */
export async function standingFrom(
  log: TopicLog,
  { topic, lags }: { readonly topic: string; readonly lags: readonly PartitionLag[] },
): Promise<readonly Standing[]> {
  const behind = lags.filter(({ lag }) => lag > 0);
  const found = await Promise.all(
    behind.map(({ partition, nextOffset, endOffset }) =>
      firstUnreadable(log, { topic, partition, from: nextOffset ?? 0, until: endOffset })
    ),
  );
  return found.filter((one) => one !== null);
}

/** The first records of a partition that cannot be read and come before any others; null where one can be read first. */
async function firstUnreadable(
  log: TopicLog,
  { topic, partition, from, until }: {
    readonly topic: string;
    readonly partition: number;
    readonly from: number;
    readonly until: number;
  },
): Promise<UnreadableRecords | null> {
  try {
    const range = { partition, from, until, batchRecordsMax: 1 };
    for await (const { records } of log.read(topic, range)) if (records.length > 0) return null;
  } catch (error) {
    if (!(error instanceof UnreadableRecordsError)) throw error;
    return error.records;
  }
  return null;
}

/** One partition's of all bounds; throws {@link LogSetupError} where there is none. */
export function boundsIn(
  all: readonly PartitionBounds[],
  { topic, partition }: { readonly topic: string; readonly partition: number },
): PartitionBounds {
  const bounds = all[partition];
  if (bounds) return bounds;
  throw new LogSetupError(`Cannot read partition ${partition} of "${topic}": there is none.`);
}

/** Where a group stands in a partition, for who knows the time of the record at `from`, the next one to be handled. */
export function behindIn({ partition, startOffset, endOffset }: PartitionBounds, nextOffset: number | null) {
  const from = Math.max(nextOffset ?? startOffset, startOffset);
  return { partition, nextOffset, endOffset, lag: Math.max(0, endOffset - from), from };
}

/** The same where no broker leads the partition, and nobody knows its end. */
export function behindUnknown(partition: number, nextOffset: number | null) {
  const from = nextOffset ?? 0;
  return { partition, nextOffset, endOffset: from, lag: 0, from, noLeader: true as const };
}

/** Age of a record in seconds, never below 0; 0 where there is none. */
export function secondsSince(timestamp: number | undefined, now: number): number {
  return timestamp === undefined ? 0 : Math.max(0, (now - timestamp) / 1_000);
}
