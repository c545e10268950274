import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { manualClock } from "../tests/support/manual_clock.ts";
import { type Deadline, Deadlines } from "./deadlines.ts";

test("each deadline comes due at its own moment, in their order, and only if it was not met", async () => {
  const clock = manualClock();
  const deadlines = new Deadlines(clock, 1_000);
  const late: string[] = [];
  const begin = (name: string) => deadlines.begin(() => late.push(`${name} at ${clock.monotonic()}`));

  begin("first");
  await clock.advance(400);
  const met = begin("met");
  begin("second");
  await clock.advance(500);
  expect(late).toEqual([]);
  expect(deadlines.met(met)).toBe(true);
  await clock.advance(100);
  expect(late).toEqual(["first at 1000"]);
  await clock.advance(1_000);
  expect(late).toEqual(["first at 1000", "second at 1400"]);
});

test("a deadline that came due cannot be met any more", async () => {
  const clock = manualClock();
  const deadlines = new Deadlines(clock, 1_000);
  const deadline = deadlines.begin(() => {});
  await clock.advance(1_000);
  expect(deadlines.met(deadline)).toBe(false);
});

test("it goes on after it ran empty, with one timer for all", async () => {
  const clock = manualClock();
  const deadlines = new Deadlines(clock, 1_000);
  let late = 0;
  deadlines.met(deadlines.begin(() => late++));
  await clock.advance(5_000);
  for (let i = 0; i < 100; i++) deadlines.begin(() => late++);
  expect(clock.pending).toBe(1);
  await clock.advance(1_000);
  expect(late).toBe(100);
});

test("what a deadline holds is let go of when it was met, while the time of the first one still runs", async () => {
  setFlagsFromString("--expose-gc");
  const collectGarbage: () => void = runInNewContext("gc");
  const deadlines = new Deadlines(manualClock(), 1_000);
  const bodies: WeakRef<Uint8Array>[] = [];
  const open: Deadline[] = [];
  for (let i = 0; i < 1_000; i++) {
    const body = new Uint8Array(100);
    bodies.push(new WeakRef(body));
    open.push(deadlines.begin(() => body.fill(0)));
    if (open.length > 10) deadlines.met(open.shift()!);
  }
  for (const deadline of open.splice(0)) deadlines.met(deadline);
  // A WeakRef keeps what it refers to until the task that made it is over.
  await new Promise(setImmediate);
  collectGarbage();
  expect(bodies.filter((body) => body.deref() !== undefined).length).toBeLessThan(10);
});
