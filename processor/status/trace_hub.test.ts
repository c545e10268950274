import { describe, expect, test } from "vitest";
import type { TraceStep } from "../../contract/trace_step.ts";
import {
  BYTES_KEPT_MAX,
  createTraceHub,
  LISTENERS_MAX,
  REPLAY_STEPS_MAX,
  STEPS_KEPT_MAX,
  type TraceHub,
} from "./trace_hub.ts";

const AT = "2026-01-01T00:00:00.000Z";
const step = (id: string): TraceStep => ({ step: "duplicate", id, position: "0:1", at: AT });
const steps = (count: number, from = 0) => Array.from({ length: count }, (_, i) => step(String(from + i)));
const written = (prompt: string): TraceStep => ({
  step: "written",
  id: "1",
  file: "f",
  line: 1,
  prompt,
  at: AT,
});

/** Everything that is there for a listener at `number`, as the ids of the steps. */
function readAll(hub: TraceHub, number: number): { ids: string[]; next: number; lost: boolean } {
  const ids: string[] = [];
  for (let next = number;;) {
    const piece = hub.read(next);
    if (piece.is !== "steps") return { ids, next, lost: piece.is === "lost" };
    next = piece.next;
    const text = new TextDecoder().decode(piece.bytes);
    ids.push(...[...text.matchAll(/^data: (.*)$/gm)].map(([, json]) => JSON.parse(json!).id));
  }
}

describe("the trace hub", () => {
  test("tells a new listener what it kept, then each new step, in order", () => {
    const hub = createTraceHub("a");
    hub.add(steps(2));
    const first = readAll(hub, hub.startFor(null));
    hub.add([step("2")]);
    expect([...first.ids, ...readAll(hub, first.next).ids]).toEqual(["0", "1", "2"]);
  });

  test("continues behind the last id of this run, without a gap or a repeat", () => {
    const hub = createTraceHub("a");
    hub.add(steps(5));
    expect(readAll(hub, hub.startFor("a-3")).ids).toEqual(["3", "4"]);
    expect(readAll(hub, hub.startFor("a-5")).ids).toEqual([]);
  });

  test.each(["b-3", "a-", "a-x", "a-99", "a--1", "a-1.5", ""])(
    "gives what is kept to a listener that comes with the id %j",
    (id) => {
      const hub = createTraceHub("a");
      hub.add(steps(3));
      expect(readAll(hub, hub.startFor(id)).ids).toEqual(["0", "1", "2"]);
    },
  );

  test("keeps nothing of before it was told to forget, and goes on with the ids", () => {
    const hub = createTraceHub("a");
    hub.add(steps(2));
    const before = hub.startFor(null);
    hub.forget();
    hub.add([step("2")]);
    expect(readAll(hub, hub.startFor(null)).ids).toEqual(["2"]);
    expect(readAll(hub, hub.startFor("a-1")).ids).toEqual(["2"]);
    expect(readAll(hub, hub.startFor("a-3")).ids).toEqual([]);
    expect(readAll(hub, before)).toMatchObject({ ids: [], lost: true });
  });

  test("gives a new listener the newest thousand, and one that comes back all that it missed", () => {
    const hub = createTraceHub("a");
    hub.add(steps(REPLAY_STEPS_MAX + 7));
    const { ids } = readAll(hub, hub.startFor(null));
    expect(ids).toHaveLength(REPLAY_STEPS_MAX);
    expect(ids[0]).toBe("7");
    expect(readAll(hub, hub.startFor("a-2")).ids[0]).toBe("2");
  });

  test("keeps a listener's place through many chunks at once, and no more steps than it says", () => {
    const hub = createTraceHub("a");
    hub.add(steps(1));
    const { next } = readAll(hub, 1);
    hub.add(steps(STEPS_KEPT_MAX, 1));
    expect(readAll(hub, next).ids).toHaveLength(STEPS_KEPT_MAX);
    hub.add([step("more")]);
    expect(readAll(hub, next)).toMatchObject({ ids: [], lost: true });
  });

  test("keeps so many bytes and no more, however long the prompts are", () => {
    const hub = createTraceHub("a");
    for (let i = 0; i < 500; i++) hub.add([written("x".repeat(20_000)), written("ä".repeat(20_000))]);
    let bytes = 0;
    for (let next = hub.startFor(null);;) {
      const piece = hub.read(next);
      if (piece.is !== "steps") break;
      expect(piece.bytes.length).toBeLessThanOrEqual(64 * 1024);
      bytes += piece.bytes.length;
      next = piece.next;
    }
    expect(bytes).toBeLessThanOrEqual(BYTES_KEPT_MAX);
    expect(bytes).toBeGreaterThan(BYTES_KEPT_MAX - 100_000);
  });

  test("makes a step's bytes once, for however many listeners", () => {
    const hub = createTraceHub("a");
    hub.add([written("x".repeat(20_000))]);
    const pieces = Array.from({ length: 60 }, () => hub.read(1));
    expect(new Set(pieces.map((piece) => piece.is === "steps" && piece.bytes)).size).toBe(1);
  });

  test("cuts a prompt that nobody could read on a page", () => {
    const hub = createTraceHub("a");
    hub.add([written("x".repeat(20_000)), written("x".repeat(1_000_000))]);
    const piece = hub.read(1);
    const text = new TextDecoder().decode(piece.is === "steps" ? piece.bytes : undefined);
    const prompts = [...text.matchAll(/"prompt":"(x+…?)"/g)].map(([, prompt]) => prompt!.length);
    expect(prompts).toEqual([20_000, 20_001]);
  });

  test("takes so many listeners, and another one for each that leaves", () => {
    const hub = createTraceHub("a");
    const leaves = Array.from({ length: LISTENERS_MAX }, () => hub.join());
    expect(leaves).not.toContain(null);
    expect(hub.join()).toBeNull();
    leaves[0]!();
    leaves[0]!();
    expect(hub.join()).not.toBeNull();
    expect(hub.join()).toBeNull();
  });
});
