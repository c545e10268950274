import { describe, expect, test } from "vitest";
import { lineHash, missingLines, PartitionRows } from "./changes.ts";

const hashes = (...lines: string[]) => BigUint64Array.from(lines.map((line) => lineHash(line)));

describe("missingLines()", () => {
  test.each([
    ["the same lines", ["a", "b"], ["b", "a"], 0],
    ["a line with other bytes", ["a", "b", "c"], ["a", "B", "c"], 1],
    ["lines that are gone", ["a", "b", "c"], ["b"], 0],
    ["lines that have come", ["b"], ["a", "b", "c"], 0],
    ["one gone and one changed", ["a", "b", "c"], ["a", "B"], 1],
    ["the same text more often", ["a", "a"], ["a", "b"], 1],
    ["nothing at all", [], ["a"], 0],
  ])(
    "counts as changed, of %s, those that stand on both sides with other bytes",
    (_, before, after, changed) => {
      expect(missingLines(hashes(...before), hashes(...after))).toBe(changed);
    },
  );
});

describe("PartitionRows", () => {
  test("sums the files of a dataset partition, and leaves out what has no line on either side", () => {
    const rows = new PartitionRows();
    const one = { before: 2, after: 3, changed: 1 };
    rows.add("event=b/date=2025-11-30/p00003-0000.jsonl", one);
    rows.add("event=b/date=2025-11-30/p00004-0001.jsonl", one);
    rows.add("event=a%20c/date=2025-11-29/p00003-0000.jsonl", one);
    rows.add("event=x/date=2025-11-29/p00003-0000.jsonl", { before: 0, after: 0, changed: 0 });
    expect(rows.inOrder()).toEqual([
      { event: "a c", date: "2025-11-29", before: 2, after: 3, changed: 1 },
      { event: "b", date: "2025-11-30", before: 4, after: 6, changed: 2 },
    ]);
  });
});
