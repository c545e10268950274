import { describe, expect, test } from "vitest";
import { addReceived, MINUTES_MAX, receivedOf } from "./received.ts";

const at = (minute: number, second = 0) => ({ timestamp: minute * 60_000 + second * 1_000 });

describe("records by the minute in which they were received", () => {
  test("are the same in whatever pieces they are counted", () => {
    const records = Array.from(
      { length: 400 },
      (_, n) => at(Math.floor(n / 3) + (n % 5 === 0 ? 1_000 + n : 0), n % 60),
    );
    const whole = addReceived([], receivedOf(records));
    expect(whole).toHaveLength(MINUTES_MAX);
    for (const size of [1, 7, 133]) {
      let pieces = addReceived([], []);
      for (let from = 0; from < records.length; from += size) {
        pieces = addReceived(pieces, receivedOf(records.slice(from, from + size)));
      }
      expect(pieces).toEqual(whole);
    }
  });

  test("of a clock that was years ahead make room again: what goes is what came longest ago", () => {
    const ahead = Array.from({ length: 200 }, (_, n) => at(1_000_000 + n));
    const now = Array.from({ length: MINUTES_MAX }, (_, n) => at(n));
    expect(addReceived([], receivedOf([...ahead, ...now])).map(([minute]) => minute)).toEqual(
      now.map((_, n) => n),
    );
  });

  test("are not forgotten while their minute goes on, whatever comes in between", () => {
    const records = Array.from({ length: 200 }, (_, n) => [at(7), at(1_000_000 + n)]).flat();
    expect(new Map(addReceived([], receivedOf(records))).get(7)).toBe(200);
  });

  test("keep times from before 1970 apart", () => {
    expect(receivedOf([at(0), at(0, -1), at(-1)])).toEqual([[0, 1], [-1, 2]]);
  });
});
