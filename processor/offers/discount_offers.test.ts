import { expect, test } from "vitest";
import type { Consumption } from "../../topic/topic.ts";
import { manualClock } from "../../tests/support/manual_clock.ts";
import { reportHealth } from "../loop/health.ts";
import { reportMembership } from "./discount_offers.ts";

/** A start waits for the group: a processor was ready half a second late, since its membership was looked at twice a second. */
test("a group that has joined is ready at the next look, which comes within 10 ms, and later ones twice a second", async () => {
  const clock = manualClock();
  const stopping = new AbortController();
  let state: ReturnType<Consumption["state"]> = { is: "joining", partitions: [] };
  let looks = 0;
  const told: string[] = [];
  const health = reportHealth((message) => {
    if (message.kind === "health") told.push(message.health.is);
  });
  const ports = { clock, signal: stopping.signal, report: () => {} };
  const counted = { state: () => (looks++, state) };
  const reporting = reportMembership(counted, { ports, health });
  expect(told).toEqual(["waiting"]);
  state = { is: "joined", partitions: [0] };
  await clock.advance(10);
  expect(told).toEqual(["waiting", "ready"]);
  looks = 0;
  await clock.advance(499);
  expect(looks).toBe(0);
  await clock.advance(1);
  expect(looks).toBe(1);
  stopping.abort();
  await reporting;
});
