import { describe, expect, test } from "vitest";
import type { TraceStep } from "../contract/trace_step.ts";
import { manualClock, settle } from "../tests/support/manual_clock.ts";
import type { TraceHub } from "./status/trace_hub.ts";
import { TraceStart } from "./trace_start.ts";

const step = (id: string): TraceStep => ({ step: "duplicate", id, position: `0:${id}`, at: "t" });
const polled = (position: string): TraceStep => ({
  step: "polled",
  id: position,
  event: "e",
  distinctId: "d",
  position,
  eventAt: null,
  receivedAt: "t",
  at: "t",
});

/** A hub that only remembers what it was told. */
function start() {
  const told: string[] = [];
  const hub = {
    add: (steps: readonly TraceStep[]) => void told.push(...steps.map((one) => "id" in one ? one.id : "")),
    forget: () => void told.push("forgotten"),
  } as unknown as TraceHub;
  const trace = new TraceStart(hub);
  const clock = manualClock();
  const reading = Promise.withResolvers<TraceStep[]>();
  const again = Promise.withResolvers<TraceStep[]>();
  const readings = [reading, again];
  let isLive: () => ReadonlySet<string> = () => new Set();
  let isReady = false;
  const begun = trace.begin({
    newestSteps: (live) => {
      isLive = live;
      return readings.shift()!.promise;
    },
  }, { clock, signal: new AbortController().signal, isReady: () => isReady });
  return { told, trace, clock, reading, again, begun, live: () => isLive(), ready: () => isReady = true };
}

describe("the trace of a start", () => {
  test("begins with what is read, and live steps follow in their order", async () => {
    const { told, trace, clock, reading, begun, live, ready } = start();
    trace.add([step("3"), polled("0:4")]);
    ready();
    await clock.advance(50);
    expect(told).toEqual([]);
    expect([...live()]).toEqual(["0:4"]);
    reading.resolve([step("1"), step("2")]);
    await begun;
    trace.add([step("5")]);
    expect(told).toEqual(["1", "2", "3", "0:4", "5"]);
  });

  test("waits neither for windows that do not open nor for a log that does not answer", async () => {
    const { told, trace, clock, begun } = start();
    trace.add([step("1")]);
    await clock.advance(10_000);
    expect(told).toEqual([]);
    await clock.advance(10_000);
    await begun;
    expect(told).toEqual(["1"]);
  });

  test("begins empty where reading fails, and at once where there is enough to see", async () => {
    const failing = start();
    failing.ready();
    failing.reading.reject(new Error("the log is away"));
    await failing.clock.advance(50);
    await failing.begun;
    failing.trace.add([step("1")]);
    expect(failing.told).toEqual(["1"]);

    const busy = start();
    busy.trace.add(Array.from({ length: 2_001 }, (_, i) => step(String(i))));
    expect(busy.told).toHaveLength(2_001);
  });

  test("tells of an offer once what was told live while it was read", async () => {
    const hub: TraceStep[] = [];
    const trace = new TraceStart(
      { add: (steps: readonly TraceStep[]) => void hub.push(...steps) } as TraceHub,
    );
    const of = (offer: string, more: { fromLog?: true } = {}): TraceStep[] => [
      { step: "earned", id: "e", offer, distinctId: "d", dueAt: "t", addressKnown: true, at: "t", ...more },
      {
        step: "mail",
        offer,
        distinctId: "d",
        outcome: "accepted",
        words: "250 ok",
        messageId: `m${offer}`,
        nextAttemptAt: null,
        at: "t",
        ...more,
      },
    ];
    const [earned, mail] = of("1", { fromLog: true });
    trace.add([of("1")[1]!, ...of("2")]);
    const newestSteps = () => Promise.resolve([earned!, mail!, ...of("2", { fromLog: true })]);
    const signal = new AbortController().signal;
    await trace.begin({ newestSteps }, { clock: manualClock(), signal, isReady: () => true });
    expect(hub).toEqual([earned, of("1")[1], ...of("2")]);
  });

  test("tells nothing that was read before an erasure, and reads once more", async () => {
    const { told, trace, clock, reading, again, begun, ready } = start();
    trace.add([step("1")]);
    ready();
    await clock.advance(50);
    trace.forget();
    trace.add([step("3")]);
    reading.resolve([step("2")]);
    await settle();
    expect(told).toEqual(["forgotten"]);
    again.resolve([step("0")]);
    await begun;
    expect(told).toEqual(["forgotten", "0", "3"]);
  });
});
