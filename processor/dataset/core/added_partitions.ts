/**
 * How many partitions the topic had, and where each ended when that was noted: from there on a key lies where `count`
 * sends it. The first one of a tree says only what was there when it was begun.
 */
export type PartitionCount = { readonly count: number; readonly ends: readonly number[] };

/** How a partition of the topic has counted since `from`: see {@link PartitionCount}. */
export type AdoptedCount = { readonly count: number; readonly from: number };

/**
 * Where a uuid is looked for beside its own partition, once the topic has more partitions than before: a record at offset
 * o is dropped, too, if its id occurs in another partition where its key lay before the change.
 *
 * By which counts a partition goes stands in its manifest (`from`, its next offset at that moment), where the others
 * ended in the tree: so it is the same after a restart and in a replay.
 */
export type LookBack = PartitionCount & {
  /** The offsets of this partition whose records are looked for: from ≤ offset < until. */
  readonly from: number;
  readonly until: number;
};

/**
 * Of two records that share an id one stays, whatever the counts: a record gives way by a count only to what lies below
 * that count's ends, and only from the ends of the count before it on, so that no two can give way to each other.
 */
export function lookBacks(
  partition: number,
  { counts, adopted, dedupWindow }: {
    readonly counts: readonly PartitionCount[];
    readonly adopted: readonly AdoptedCount[];
    readonly dedupWindow: number;
  },
): readonly LookBack[] {
  return adopted.flatMap(({ count, from }) => {
    const at = counts.findIndex((one) => one.count === count);
    if (at < 1) return [];
    const change = counts[at]!;
    const until = Math.max(from, change.ends[partition] ?? 0) + dedupWindow;
    return [{ ...change, from: Math.max(from, counts[at - 1]!.ends[partition] ?? 0), until }];
  });
}

/** What a partition adopts at its next offset: every count after the first that it does not go by yet. */
export function countsToAdopt(
  counts: readonly PartitionCount[],
  { counts: adopted = [], nextOffset: from }: {
    readonly counts?: readonly AdoptedCount[] | undefined;
    readonly nextOffset: number;
  },
): readonly AdoptedCount[] {
  return counts.slice(1)
    .filter(({ count }) => !adopted.some((one) => one.count === count))
    .map(({ count }) => ({ count, from }));
}
