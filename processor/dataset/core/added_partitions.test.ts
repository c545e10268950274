import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AdoptedCount, countsToAdopt, lookBacks, type PartitionCount } from "./added_partitions.ts";

const W = 5;
const counts: readonly PartitionCount[] = [
  { count: 2, ends: [10, 20] },
  { count: 3, ends: [12, 24, 1] },
];

describe("a partition that adopts a count", () => {
  it("looks back from its next offset on, up to the window behind where it ended", () => {
    const adopted = [{ count: 3, from: 11 }];
    expect(lookBacks(0, { counts, adopted, dedupWindow: W })).toEqual([{
      ...counts[1],
      from: 11,
      until: 17,
    }]);
    expect(lookBacks(2, { counts, adopted: [{ count: 3, from: 0 }], dedupWindow: W })[0])
      .toMatchObject({ from: 0, until: 6 });
  });

  it("looks for nothing below where it ended at the count before, however far behind it is", () => {
    const adopted = [{ count: 3, from: 4 }];
    expect(lookBacks(0, { counts, adopted, dedupWindow: W })).toMatchObject([{ from: 10, until: 17 }]);
  });

  it("adopts every count but the first, each once", () => {
    expect(countsToAdopt(counts, { nextOffset: 7 })).toEqual([{ count: 3, from: 7 }]);
    expect(countsToAdopt(counts, { nextOffset: 9, counts: [{ count: 3, from: 7 }] })).toEqual([]);
    expect(countsToAdopt(counts.slice(0, 1), { nextOffset: 7 })).toEqual([]);
  });
});

/** Ids whose copies lie in any of their homes, ends and adoptions as they may come, lagging partitions too. */
const LEVELS = [2, 3, 5];
const world = fc.record({
  /** Of each id, its partition by each count. */
  homes: fc.array(fc.tuple(fc.nat(1), fc.nat(2), fc.nat(4)), { minLength: 1, maxLength: 2 }),
  copies: fc.array(fc.record({ id: fc.nat(1), level: fc.nat(2) }), { minLength: 1, maxLength: 8 }),
  ends: fc.array(fc.nat(4), { minLength: 15, maxLength: 15 }),
  froms: fc.array(fc.nat(2), { minLength: 15, maxLength: 15 }),
});

describe("whatever is adopted when", () => {
  it("one of an id's records stays", () => {
    fc.assert(
      fc.property(world, ({ homes, copies, ends, froms }) => {
        const noted: PartitionCount[] = LEVELS.map((count, level) => ({
          count,
          ends: Array.from({ length: count }, (_, partition) =>
            Math.max(
              ...LEVELS.slice(0, level + 1).map((_, below) => ends[below * 5 + partition]!),
            )),
        }));
        const adoptedBy = (partition: number): AdoptedCount[] =>
          LEVELS.slice(1).map((count, level) => ({ count, from: froms[level * 5 + partition]! }));
        const ends5 = [0, 0, 0, 0, 0];
        const records = copies.map(({ id, level }) => {
          const of = id % homes.length;
          const partition = homes[of]![level]!;
          return { id: of, partition, offset: ends5[partition]!++ };
        });
        const isDropped = ({ id, partition, offset }: typeof records[number]) =>
          records.some((one) =>
            one.id === id && one.partition === partition && one.offset < offset && one.offset >= offset - W
          ) ||
          lookBacks(partition, { counts: noted, adopted: adoptedBy(partition), dedupWindow: W }).some((
            look,
          ) =>
            offset >= look.from && offset < look.until &&
            homes[id]![LEVELS.indexOf(look.count)] === partition &&
            records.some((one) =>
              one.id === id && one.partition !== partition && one.partition < look.count &&
              one.offset < look.ends[one.partition]! && one.offset >= look.ends[one.partition]! - W
            )
          );
        for (const { id } of records) {
          expect(records.some((one) => one.id === id && !isDropped(one))).toBe(true);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
