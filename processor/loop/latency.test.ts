import { describe, expect, test } from "vitest";
import { addLatencies, countLatencies, LATENCY_BOUNDS_MS, latencyQuantile, NO_LATENCIES } from "./latency.ts";

describe("times in buckets", () => {
  test("belong to the first whose end they do not pass; those of a clock that is behind to the first of all", () => {
    const { counts, sumMs } = countLatencies([-20, 5, 5.1, 3_600_000, 3_600_001]);
    expect(Object.entries(counts).filter(([, count]) => count > 0)).toEqual([["0", 2], ["1", 1], ["14", 1], [
      "15",
      1,
    ]]);
    expect(sumMs).toBeCloseTo(7_200_011.1);
  });

  test("add up", () => {
    const { counts } = countLatencies([1, 10_000]);
    expect(addLatencies(counts, addLatencies(counts, NO_LATENCIES))).toEqual(
      counts.map((count) => 2 * count),
    );
  });
});

describe("a quantile", () => {
  test("lies within the bucket of its time", () => {
    const { counts } = countLatencies(Array.from({ length: 100 }, (_, n) => n < 98 ? 30 : 700));
    const [p50, p99] = [latencyQuantile(counts, 0.5)!, latencyQuantile(counts, 0.99)!];
    expect([p50 > 25, p50 <= 50, p99 > 500, p99 <= 1_000]).toEqual([true, true, true, true]);
  });

  test("of no time at all is none, and neither is one beyond the last bound", () => {
    expect(latencyQuantile(NO_LATENCIES, 0.5)).toBe(null);
    const { counts } = countLatencies([1, LATENCY_BOUNDS_MS.at(-1)! + 1]);
    expect([latencyQuantile(counts, 0.5), latencyQuantile(counts, 0.99)]).toEqual([5, null]);
  });
});
