import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DedupWindow } from "./dedup_window.ts";

const id = (n: number) => `019ad56c-0000-7000-8000-${n.toString(16).padStart(12, "0")}`;
type Entry = { readonly id: string; readonly offset: number; readonly redrives: number };

/** The rule as CONTRACT has it, by looking at everything before. */
function plainly(entries: readonly Entry[], { at, size }: { at: number; size: number }): boolean {
  const { id, offset, redrives } = entries[at]!;
  return entries.slice(0, at).some((one) =>
    one.id === id && one.redrives >= redrives && one.offset >= offset - size && one.offset < offset
  );
}

describe("DedupWindow", () => {
  it("tells where an id occurs, the newest first, and nothing of what lies below", () => {
    fc.assert(fc.property(
      fc.array(fc.record({ id: fc.nat(4), step: fc.integer({ min: 1, max: 5 }), redrives: fc.nat(2) }), {
        maxLength: 60,
      }),
      fc.integer({ min: 1, max: 40 }),
      (steps, size) => {
        const window = new DedupWindow(size, 1);
        let offset = -1;
        const entries = steps.map((one) => ({
          id: id(one.id),
          offset: offset += one.step,
          redrives: one.redrives,
        }));
        for (const entry of entries) window.seen(entry.id, entry);
        for (let n = 0; n <= 5; n++) {
          const wanted = entries.filter((one) => one.id === id(n) && one.offset >= window.fedTo - size)
            .reverse();
          expect(window.offsetsOf(id(n))).toEqual(
            wanted.map(({ offset, redrives }) => ({ offset, redrives })),
          );
        }
      },
    ));
  });

  it("holds exactly the last W offsets", () => {
    const window = new DedupWindow(3, 1);
    expect(window.seen(id(1), { offset: 0, redrives: 0 })).toBe(false);
    expect(window.seen(id(1), { offset: 3, redrives: 0 })).toBe(true);
    expect(window.seen(id(1), { offset: 7, redrives: 0 })).toBe(false);
    expect(window.seen(id(1), { offset: 10, redrives: 0 })).toBe(true);
  });

  it("doesn't take a redriven copy for a repeat of the record that failed, but the record for one of the copy", () => {
    const window = new DedupWindow(100, 1);
    expect(window.seen(id(1), { offset: 0, redrives: 0 })).toBe(false);
    expect(window.seen(id(1), { offset: 1, redrives: 1 })).toBe(false);
    expect(window.seen(id(1), { offset: 2, redrives: 0 })).toBe(true);
    expect(window.seen(id(1), { offset: 3, redrives: 1 })).toBe(true);
    expect(window.seen(id(1), { offset: 4, redrives: 2 })).toBe(false);
  });

  it("knows a UUID in either case, and any other text by its hash", () => {
    const window = new DedupWindow(100, 1);
    expect(window.seen("ABCDEF01-2345-6789-ABCD-EF0123456789", { offset: 0, redrives: 0 })).toBe(false);
    expect(window.seen("abcdef01-2345-6789-abcd-ef0123456789", { offset: 1, redrives: 0 })).toBe(true);
    expect(window.seen("abcdef01x2345-6789-abcd-ef0123456789", { offset: 2, redrives: 0 })).toBe(false);
    expect(window.seen("order 17", { offset: 3, redrives: 0 })).toBe(false);
    expect(window.seen("order 17", { offset: 4, redrives: 0 })).toBe(true);
  });

  it("agrees with the plain rule over any row of ids, redrives and gaps, and after a restart at any place", () => {
    const rows = fc.array(
      fc.record({
        id: fc.nat(12),
        redrives: fc.constantFrom(0, 0, 0, 1, 2),
        gap: fc.constantFrom(1, 1, 1, 2, 5),
      }),
      { maxLength: 200 },
    );
    fc.assert(
      fc.property(rows, fc.integer({ min: 1, max: 30 }), fc.nat(200), fc.nat(), (row, size, cut, seed) => {
        let offset = 0;
        const entries = row.map((one) => ({
          id: id(one.id),
          redrives: one.redrives,
          offset: offset += one.gap,
        }));
        let window = new DedupWindow(size, seed);
        entries.forEach((entry, at) => {
          if (at === cut) {
            const again = new DedupWindow(size, seed + 1);
            again.restore(window.entries());
            window = again;
          }
          expect(window.seen(entry.id, entry)).toBe(plainly(entries, { at, size }));
        });
      }),
    );
  });

  it("stays right when it grows and when its ring has gone round several times", () => {
    const size = 3_000;
    const window = new DedupWindow(size, 7);
    const last = new Map<number, number>();
    let state = 1;
    for (let offset = 0; offset < 20_000; offset++) {
      state = (state * 48_271) % 2_147_483_647;
      const n = state % 4_000;
      expect(window.seen(id(n), { offset, redrives: 0 })).toBe(offset - (last.get(n) ?? -Infinity) <= size);
      last.set(n, offset);
      expect(window.count).toBeLessThanOrEqual(size + 1);
    }
  });
});
