import { describe, expect, test } from "vitest";
import type { TraceStep } from "../../contract/trace_step.ts";
import { manualClock, settle } from "../../tests/support/manual_clock.ts";
import { eventStream } from "./event_stream.ts";
import { createTraceHub, LISTENERS_MAX } from "./trace_hub.ts";

const AT = "2026-01-01T00:00:00.000Z";
const step = (id: string): TraceStep => ({ step: "duplicate", id, position: "0:1", at: AT });
const longStep = (id: string): TraceStep => ({
  step: "written",
  id,
  file: "f",
  line: 1,
  prompt: "x".repeat(20_000),
  at: AT,
});

function context() {
  const hub = createTraceHub("run");
  const clock = manualClock();
  const listen = (lastEventId: string | null = null) => {
    const response = eventStream(hub, { lastEventId, clock });
    const reader = response.body!.pipeThrough(new TextDecoderStream(), { preventCancel: false }).getReader();
    return { response, reader };
  };
  /** Listens and reads nothing, as the server of a paused client does. */
  const pause = () => eventStream(hub, { lastEventId: null, clock }).body!;
  return { hub, clock, listen, pause };
}

/** What can be read of a stream until it ends. */
async function rest(body: ReadableStream<Uint8Array>): Promise<string> {
  return await new Response(body).text();
}

describe("an event stream", () => {
  test("brings steps as they come, and a word every 15 s in which none does", async () => {
    const { hub, clock, listen } = context();
    const { reader } = listen();
    expect((await reader.read()).value).toBe("retry: 1000\n\n");
    hub.add([step("a")]);
    expect((await reader.read()).value).toContain('"a"');
    const quiet = reader.read();
    await settle();
    await clock.advance(15_000);
    expect((await quiet).value).toBe(": still here\n\n");
    hub.add([step("b")]);
    expect((await reader.read()).value).toBe(`id: run-2\ndata: ${JSON.stringify(step("b"))}\n\n`);
    await reader.cancel();
  });

  test("waits for nothing and holds no place once its listener has left", async () => {
    const { hub, clock, listen } = context();
    for (let i = 0; i < 3 * LISTENERS_MAX; i++) {
      const { response, reader } = listen();
      expect(response.status).toBe(200);
      await reader.cancel();
    }
    await settle();
    expect(clock.pending).toBe(0);
    hub.add([step("a")]);
  });

  test("that nobody reads takes no more than one piece, whatever is added", async () => {
    const { hub, pause } = context();
    let taken = 0;
    const counting = { ...hub, read: (number: number) => (taken++, hub.read(number)) };
    for (let i = 0; i < 300; i++) hub.add([longStep(String(i))]);
    const streams = Array.from(
      { length: 60 },
      () => eventStream(counting, { lastEventId: null, clock: manualClock() }),
    );
    await settle();
    for (let i = 0; i < 1_000; i++) hub.add([longStep(String(i))]);
    await settle();
    expect(taken).toBeLessThanOrEqual(streams.length);
    for (const { body } of [...streams, { body: pause() }]) await body?.cancel();
  });

  test("ends for a listener that comes back to reading behind what is kept; the others hear on", async () => {
    const { hub, listen, pause } = context();
    hub.add([step("first")]);
    const paused = pause();
    const { reader } = listen();
    await reader.read();
    expect((await reader.read()).value).toContain("first");
    for (let i = 0; i < 600; i++) hub.add([longStep(`long-${i}`)]);
    hub.add([step("last")]);
    const text = await rest(paused);
    expect(text).toMatch(/^retry: 1000\n\n/);
    expect(text).not.toContain("last");
    // The other one had taken everything before, and lost its place as well.
    expect((await reader.read()).done).toBe(true);
    const { reader: back } = listen("run-601");
    await back.read();
    expect((await back.read()).value).toContain('"last"');
    await back.cancel();
  });

  test("ends after a minute in which its listener took nothing, and gives its place to another one", async () => {
    const { hub, clock, pause } = context();
    for (let i = 0; i < 10; i++) hub.add([longStep(String(i))]);
    const streams = Array.from({ length: LISTENERS_MAX }, pause);
    expect(eventStream(hub, { lastEventId: null, clock }).status).toBe(503);
    await clock.advance(59_999);
    expect(eventStream(hub, { lastEventId: null, clock }).status).toBe(503);
    await clock.advance(60_001);
    const next = eventStream(hub, { lastEventId: null, clock });
    expect(next.status).toBe(200);
    await expect(rest(streams[0]!)).rejects.toThrow("took nothing");
    await next.body!.cancel();
    expect(clock.pending).toBe(0);
  });

  test("goes on for hours with a listener that takes every word", async () => {
    const { clock, listen } = context();
    const { reader } = listen();
    let words = 0;
    const reading = (async () => {
      for (let piece = await reader.read(); !piece.done; piece = await reader.read()) words++;
    })();
    await settle();
    for (let i = 0; i < 40; i++) await clock.advance(15_000);
    expect(words).toBe(41);
    await reader.cancel();
    await reading;
  });
});
