import { expect, it } from "vitest";
import { Gathered, GatheredText } from "./gathering.ts";
import { added } from "../fixtures/added.ts";

const encoder = new TextEncoder();

it("text comes out as it went in, however it is cut, and its room is at most twice its bytes and a piece", () => {
  const text = new GatheredText();
  const parts = Array.from({ length: 3_000 }, (_, i) => `${i}:${"x".repeat(i % 1_700)}\n`);
  for (const part of parts) {
    text.add(encoder.encode(part));
    expect(text.room).toBeLessThanOrEqual(2 * text.bytes + 1024 * 1024);
  }
  expect(text.bytes).toBe(parts.join("").length);
  expect(new TextDecoder().decode(text.take())).toBe(parts.join(""));
});

it("objects whose lines came in turns have each their own, in order, as often as they are asked for", () => {
  const gathered = new Gathered(0);
  const days = Array.from(
    { length: 7 },
    (_, day) => ({ path: `event=a/date=${day}/p00000-0000.jsonl`, text: "" }),
  );
  for (let i = 0; i < 900; i++) {
    const day = days[i * i % 7]!;
    const lines = Array.from({ length: 1 + i % 3 }, (_, n) => `${i}.${n}:${"ü".repeat(i % 1_700)}\n`);
    day.text += lines.join("");
    const additions = new Map([[day.path, added(lines)]]);
    gathered.advance({ nextOffset: i + 1, additions, letters: [], sanitiserVersion: "s" });
  }
  const texts = () =>
    [...gathered.objects.values()].map((one) => new TextDecoder().decode(one.lines())).sort();
  const expected = days.map(({ text }) => text).filter((text) => text !== "").sort();
  expect(texts()).toEqual(expected);
  expect(texts()).toEqual(expected);
  expect(gathered.room).toBeLessThan(2 * encoder.encode(expected.join("")).length + 1024 * 1024);
});

it("a line a day of 2,000 days takes less than two kilobytes each", () => {
  const gathered = new Gathered(0);
  const additions = new Map(
    Array.from(
      { length: 2_000 },
      (_, i) => [`event=a/date=${i}/p00000-0000.jsonl`, added(["x".repeat(300) + "\n"])],
    ),
  );
  gathered.advance({ nextOffset: 2_000, additions, letters: [], sanitiserVersion: "s" });
  expect(gathered.objects.size).toBe(2_000);
  expect(gathered.room).toBeLessThan(2_000 * 2 * 1024);
});
