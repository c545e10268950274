import { describe, expect, test } from "vitest";
import { fromNow, painted, showsColours, spanText } from "./terminal.ts";

describe("showsColours()", () => {
  const on = (isTerminal: boolean, settings: Record<string, string> = {}) =>
    showsColours({ isTerminal: () => isTerminal }, (name) => settings[name]);

  test("where a terminal is, and nowhere else", () => {
    expect([on(true), on(false), on(true, { TERM: "dumb" })]).toEqual([true, false, false]);
  });

  test("NO_COLOR takes them away, whatever else is set; an empty one is none", () => {
    expect(on(true, { NO_COLOR: "1" })).toBe(false);
    expect(on(false, { NO_COLOR: "1", FORCE_COLOR: "1" })).toBe(false);
    expect(on(true, { NO_COLOR: "" })).toBe(true);
  });

  test("FORCE_COLOR brings them anywhere, and as 0 nowhere", () => {
    expect([on(false, { FORCE_COLOR: "1" }), on(true, { FORCE_COLOR: "0" })]).toEqual([true, false]);
  });
});

test("painted() ends what it begins, and makes nothing of nothing", () => {
  expect([painted("x", "red"), painted("", "red")]).toEqual(["\x1b[31mx\x1b[0m", ""]);
});

describe("fromNow()", () => {
  const NOW = Date.UTC(2025, 10, 30, 12);
  test.each([
    [0, "now"],
    [-999, "now"],
    [-1_000, "1 s ago"],
    [-59_999, "59 s ago"],
    [-3 * 60_000, "3 min ago"],
    [-59 * 60_000, "59 min ago"],
    [-3_600_000, "1 h ago"],
    [-86_400_000, "1 day ago"],
    [-30 * 86_400_000, "30 days ago"],
    [-31 * 86_400_000, "2025-10-30"],
    [2 * 60_000, "in 2 min"],
    [40 * 86_400_000, "2026-01-09"],
    [NaN, ""],
  ])("%d ms from now is %j", (ms, text) => {
    expect(fromNow(NOW + ms, NOW)).toBe(text);
  });
});

test("spanText() counts whole units", () => {
  expect([0, 59.9, 60, 7_199, 86_400].map(spanText)).toEqual(["0 s", "59 s", "1 min", "1 h", "1 day"]);
});
