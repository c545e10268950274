import { expect, test } from "vitest";
import { Waiting } from "./waiting.ts";

const chunk = (nextOffset: number, bytes = 1) => ({ nextOffset, bytes });

test("chunks wait until what is durable reaches their end, and leave in their order", () => {
  const waiting = new Waiting<ReturnType<typeof chunk>>();
  for (const nextOffset of [3, 5, 9]) waiting.add(chunk(nextOffset));
  expect(waiting.takeUpTo(2)).toEqual([]);
  expect(waiting.takeUpTo(8)).toEqual([chunk(3), chunk(5)]);
  expect(waiting.takeUpTo(8)).toEqual([]);
  expect(waiting.isEmpty).toBe(false);
  expect(waiting.takeUpTo(9)).toEqual([chunk(9)]);
  expect(waiting.isEmpty).toBe(true);
});

test("what they hold is counted while they wait", () => {
  const waiting = new Waiting<ReturnType<typeof chunk>>();
  waiting.add(chunk(1, 10));
  waiting.add(chunk(2, 5));
  expect(waiting.bytes).toBe(15);
  waiting.takeUpTo(1);
  expect(waiting.bytes).toBe(5);
});
