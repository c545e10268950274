import type { PartitionBounds, TopicLog, TopicRecord } from "./topic.ts";

export type TailOptions = {
  readonly topic: string;
  readonly bounds: PartitionBounds;
  /** Offsets below the end that are looked at, at most. */
  readonly recordsMax: number;
  /** Bytes of values after which it goes no further back; what was read until then may be one step more. */
  readonly bytesMax: number;
  readonly signal?: AbortSignal;
};

/** Offsets read in one step back. */
const STEP_RECORDS = 50;

/**
 * The newest records of a partition in their order, read step by step backwards, and from which offset on they are all that
 * can be read. Ends before an open transaction; passes over what cannot be read.
 */
export async function tailOf(
  log: TopicLog,
  { topic, bounds, recordsMax, bytesMax, signal }: TailOptions,
): Promise<{ readonly records: readonly TopicRecord[]; readonly from: number }> {
  const { partition, startOffset, endOffset } = bounds;
  const least = Math.max(startOffset, endOffset - recordsMax);
  const steps: TopicRecord[][] = [];
  let from = endOffset;
  for (let bytes = 0; from > least && bytes < bytesMax && !signal?.aborted;) {
    const until = from;
    from = Math.max(least, until - STEP_RECORDS);
    const step: TopicRecord[] = [];
    const reading = log.read(topic, {
      partition,
      from,
      until,
      ...(signal ? { signal } : {}),
      endsAtOpenTransaction: true,
      unreadable: () => Promise.resolve("skip"),
    });
    for await (const { records } of reading) {
      for (const record of records) bytes += record.value.length;
      step.push(...records);
    }
    steps.unshift(step);
  }
  return { records: steps.flat(), from };
}
