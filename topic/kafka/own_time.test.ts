import { describe, expect, test } from "vitest";
import { atTakenTimes, OWN_TIME_HEADER, ownTimeIn, takenTimesBy, takenTimesIn } from "./own_time.ts";

const record = (timestamp: number, headers: Record<string, string> = {}) => ({
  key: null,
  value: new Uint8Array(),
  headers,
  timestamp,
});

describe("takenTimesIn()", () => {
  test("reads the range out of a broker's refusal", () => {
    const words = (from: string, until: string) =>
      `Timestamp 9 of message with offset 1 is out of range. The timestamp should be within [${from}, ${until}]`;
    expect(takenTimesIn(words("1000", "2000"))).toEqual({ from: 1000, until: 2000 });
    expect(takenTimesIn(words("-9223370000000000000", "2000"))?.from).toBeLessThan(-9e18);
    expect(takenTimesIn(words("1000", "-9223370000000000000"))).toEqual({ from: 1000, until: Infinity });
  });
  test("finds none in other words", () => {
    expect(takenTimesIn("The timestamp of the message is out of acceptable range")).toBeNull();
  });
});

test("takenTimesBy() reckons from this machine's clock by the topic's settings, an hour ahead where they are silent", () => {
  expect(takenTimesBy(new Map(), 1e12)).toEqual({ from: -Infinity, until: 1e12 + 3_600_000 });
  const settings = { "message.timestamp.before.max.ms": "5", "message.timestamp.after.max.ms": "7" };
  expect(takenTimesBy(new Map(Object.entries(settings)), 100)).toEqual({ from: 95, until: 107 });
  expect(takenTimesBy(new Map([["message.timestamp.difference.max.ms", "5"]]), 100)).toEqual({
    from: 95,
    until: 105,
  });
});

describe("atTakenTimes() and ownTimeIn()", () => {
  test("move what is refused to the nearest edge, and bring it back as it was", () => {
    const taken = { from: 1e12, until: 2e12 };
    const [early, inside, late] = atTakenTimes([record(5), record(1.5e12), record(3e12, { id: "x" })], taken);
    expect([early!.timestamp, inside, late!.timestamp]).toEqual([
      1e12 + 10_000,
      record(1.5e12),
      2e12 - 10_000,
    ]);
    expect(late!.headers).toEqual({ id: "x", [OWN_TIME_HEADER]: "2065-01-24T05:20:00.000Z" });
    expect(ownTimeIn(early!.headers)).toEqual({ timestamp: 5, headers: {} });
    expect(ownTimeIn(late!.headers)).toEqual({ timestamp: 3e12, headers: { id: "x" } });
  });

  test.each(["", "soon", "2025-11-30", "2025-02-31T00:00:00.000Z", "2025-11-30T16:38:21Z"])(
    "leave a record whose header is %j, which nobody wrote here",
    (text) => {
      expect(ownTimeIn({ [OWN_TIME_HEADER]: text })).toBeNull();
    },
  );
});
