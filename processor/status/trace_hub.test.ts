import { describe, expect, test } from "vitest";
import type { TraceStep } from "../../contract/trace_step.ts";
import { createTraceHub, TRACE_STEPS_KEPT_MAX } from "./trace_hub.ts";

const step = (id: string): TraceStep => ({
  step: "duplicate",
  id,
  position: "0:1",
  at: "2026-01-01T00:00:00.000Z",
});
const steps = (count: number) => Array.from({ length: count }, (_, i) => step(String(i)));

function listenTo(hub: ReturnType<typeof createTraceHub>, lastEventId: string | null) {
  const ids: string[] = [];
  const stop = hub.listen(
    lastEventId,
    (message) => ids.push(message.step.step === "duplicate" ? message.step.id : ""),
  );
  return { ids, stop };
}

describe("the trace hub", () => {
  test("tells a new listener what it kept, then each new step, in order", () => {
    const hub = createTraceHub("a");
    hub.add(steps(2));
    const { ids } = listenTo(hub, null);
    hub.add([step("2")]);
    expect(ids).toEqual(["0", "1", "2"]);
  });

  test("continues behind the last id of this run, without a gap or a repeat", () => {
    const hub = createTraceHub("a");
    hub.add(steps(5));
    expect(listenTo(hub, "a-3").ids).toEqual(["3", "4"]);
    expect(listenTo(hub, "a-5").ids).toEqual([]);
  });

  test("gives everything that is kept to a listener of another run", () => {
    const hub = createTraceHub("b");
    hub.add(steps(3));
    expect(listenTo(hub, "a-3").ids).toEqual(["0", "1", "2"]);
  });

  test("keeps nothing of before it was told to forget, and goes on with the ids", () => {
    const hub = createTraceHub("a");
    hub.add(steps(2));
    hub.forget();
    hub.add([step("2")]);
    expect(listenTo(hub, null).ids).toEqual(["2"]);
    expect(listenTo(hub, "a-1").ids).toEqual(["2"]);
    expect(listenTo(hub, "a-3").ids).toEqual([]);
  });

  test("keeps the newest thousand", () => {
    const hub = createTraceHub("a");
    hub.add(steps(TRACE_STEPS_KEPT_MAX + 7));
    const { ids } = listenTo(hub, null);
    expect(ids).toHaveLength(TRACE_STEPS_KEPT_MAX);
    expect(ids[0]).toBe("7");
  });

  test("tells a listener that stopped nothing more", () => {
    const hub = createTraceHub("a");
    const { ids, stop } = listenTo(hub, null);
    stop();
    hub.add(steps(1));
    expect(ids).toEqual([]);
  });

  test("cuts a prompt that nobody could read on a page", () => {
    const hub = createTraceHub("a");
    const seen: number[] = [];
    hub.listen(null, ({ step }) => seen.push(step.step === "written" ? step.prompt.length : -1));
    const written = { step: "written", id: "1", file: "f", line: 1, at: "2026-01-01T00:00:00.000Z" } as const;
    hub.add([{ ...written, prompt: "x".repeat(20_000) }, { ...written, prompt: "x".repeat(1_000_000) }]);
    expect(seen).toEqual([20_000, 20_001]);
  });
});
