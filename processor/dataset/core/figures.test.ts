import { describe, expect, test } from "vitest";
import { countedIn, type CountedLine, FigureCounter, PROMPT_LENGTHS, REASON_LENGTH_MAX } from "./figures.ts";

const figuresOf = (lines: readonly CountedLine[], before?: FigureCounter) => {
  const counter = before ?? new FigureCounter();
  for (const line of lines) counter.add(line);
  return counter.figures();
};
const because = (reason: string | null) => ({ reason, promptLength: 1 });

describe("reasons", () => {
  test("are told apart up to 20, beside lines without one; all others are counted together", () => {
    const lines = Array.from({ length: 25 }, (_, n) => because(`reason ${n}`));
    const { reasons, otherReasons } = figuresOf([...lines, because(null), because(null), ...lines]);
    expect(reasons).toEqual([...Array.from({ length: 20 }, (_, n) => [`reason ${n}`, 2]), [null, 2]]);
    expect(otherReasons).toBe(10);
  });

  test("may be any text", () => {
    const texts = ["__proto__", "constructor", "10", "9", "", "null"];
    expect(figuresOf(texts.map(because)).reasons).toEqual(texts.map((text) => [text, 1]));
  });

  test("are cut where they are long, and never within a character", () => {
    const [a, b] = ["a", "b"].map((end) => "r".repeat(REASON_LENGTH_MAX) + end);
    expect(figuresOf([because(a!), because(b!)]).reasons).toEqual([[
      `${"r".repeat(REASON_LENGTH_MAX - 1)}…`,
      2,
    ]]);
    const [[cut]] = figuresOf([because("r".repeat(REASON_LENGTH_MAX - 2) + "😀😀")]).reasons as [
      [string, number],
    ];
    expect([cut!.isWellFormed(), cut!.length]).toEqual([true, REASON_LENGTH_MAX - 1]);
    expect(figuresOf([because("r".repeat(REASON_LENGTH_MAX))]).reasons[0]![0]).toHaveLength(
      REASON_LENGTH_MAX,
    );
  });
});

test("prompts are counted by length, each up to and with its bound", () => {
  const bounds = PROMPT_LENGTHS.flatMap((bound) => [bound, bound + 1]);
  const { promptLengths } = figuresOf([0, ...bounds].map((promptLength) => ({ reason: null, promptLength })));
  expect(promptLengths).toEqual([2, ...Array(12).fill(2), 1]);
  expect([PROMPT_LENGTHS[0], PROMPT_LENGTHS.at(-1)]).toEqual([16, 65_536]);
});

test("figures are the same in whatever pieces the lines are counted", () => {
  const lines = Array.from({ length: 90 }, (_, n) => ({
    reason: n % 7 === 0 ? null : `reason ${n * 31 % 40}`,
    promptLength: n * n,
  }));
  const whole = figuresOf(lines);
  expect(countedIn(whole)).toBe(90);
  for (const cut of [1, 20, 45, 89]) {
    const first = figuresOf(lines.slice(0, cut));
    expect(figuresOf(lines.slice(cut), new FigureCounter(JSON.parse(JSON.stringify(first))))).toEqual(whole);
    const chunks = [lines.slice(0, cut), lines.slice(cut)].map((some) =>
      figuresOf(some, new FigureCounter(undefined, Infinity))
    );
    const together = new FigureCounter();
    for (const chunk of chunks) together.addAll(chunk);
    expect(together.figures()).toEqual(whole);
  }
});
