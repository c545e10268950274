import { expect, it } from "vitest";
import { manualClock } from "../tests/support/manual_clock.ts";
import { createUncaught, UNCAUGHT_MAX, UNCAUGHT_MS } from "./uncaught.ts";

function watched() {
  const clock = manualClock();
  const said: string[] = [];
  return { clock, said, uncaught: createUncaught({ clock, report: (text) => void said.push(text) }) };
}
const isDue = async (promise: Promise<string>) => await Promise.race([promise, Promise.resolve(null)]);

it("each is logged with its stack, and counted", () => {
  const { uncaught, said } = watched();
  uncaught.take(new Error("No more ink."));
  uncaught.take("a text that was thrown");
  expect(uncaught.count).toBe(2);
  expect(said[0]).toMatch(/^nobody caught: Error: No more ink\. at /);
  expect(said[1]).toBe("nobody caught: a text that was thrown");
});

it("now and then one stops nothing, however many come in a long life", async () => {
  const { uncaught, clock } = watched();
  for (let i = 0; i < 5 * UNCAUGHT_MAX; i++) {
    uncaught.take(new Error("again"));
    await clock.advance(UNCAUGHT_MS / UNCAUGHT_MAX);
  }
  expect(await isDue(uncaught.tooMany)).toBeNull();
});

it("more than ten within a minute are too many", async () => {
  const { uncaught } = watched();
  for (let i = 0; i < UNCAUGHT_MAX; i++) uncaught.take(new Error("again"));
  expect(await isDue(uncaught.tooMany)).toBeNull();
  uncaught.take(new Error("again"));
  expect(await isDue(uncaught.tooMany)).toContain("it stops");
});
