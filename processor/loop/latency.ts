/** How long something took, counted in buckets: the same ones for the page and for `/metrics`, so that both say the same. */

/** Upper ends, in ms; names of series hang on them (`le`). */
export const LATENCY_BOUNDS_MS: readonly number[] = [
  ...[5, 10, 25, 50, 100, 250, 500],
  ...[1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 3_600_000],
];

/** Counts by bucket, the last of them of all that lies above {@link LATENCY_BOUNDS_MS}. */
export type LatencyCounts = readonly number[];

export const NO_LATENCIES: LatencyCounts = Array.from({ length: LATENCY_BOUNDS_MS.length + 1 }, () => 0);

/** Counts times in ms; one below 0 is 0, since clocks differ. */
export function countLatencies(
  times: Iterable<number>,
): { readonly counts: LatencyCounts; readonly sumMs: number } {
  const counts = [...NO_LATENCIES];
  let sumMs = 0;
  for (const time of times) {
    const index = LATENCY_BOUNDS_MS.findIndex((bound) => time <= bound);
    counts[index < 0 ? LATENCY_BOUNDS_MS.length : index]!++;
    sumMs += Math.max(0, time);
  }
  return { counts, sumMs };
}

/** Both together. */
export function addLatencies(a: LatencyCounts, b: LatencyCounts): LatencyCounts {
  return a.map((count, i) => count + b[i]!);
}

/** Ms below which this share of the times lies, estimated within its bucket; null where there is none, or it lies in the last. */
export function latencyQuantile(counts: LatencyCounts, share: number): number | null {
  const wanted = counts.reduce((sum, count) => sum + count, 0) * share;
  let below = 0;
  for (const [i, bound] of LATENCY_BOUNDS_MS.entries()) {
    const count = counts[i]!;
    if (count > 0 && below + count >= wanted) {
      const from = i === 0 ? 0 : LATENCY_BOUNDS_MS[i - 1]!;
      return Math.round(from + (bound - from) * (wanted - below) / count);
    }
    below += count;
  }
  return null;
}
