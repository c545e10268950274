import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { passwordHeaders } from "../../contract/door.ts";
import { events } from "../../web/server/events.ts";
import { until } from "../support/until.ts";

/** A processor whose event stream never ends and says no more than a test does; anything else of it is not imitated. */
let open = 0;
let asked: Headers[] = [];
let say: ((text: string) => void)[] = [];
let processor: Deno.HttpServer<Deno.NetAddr>;

beforeEach(() => {
  [open, asked, say] = [0, [], []];
  processor = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, ({ headers }) => {
    asked.push(headers);
    open++;
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        say.push((text) => controller.enqueue(new TextEncoder().encode(text)));
        say.at(-1)!("retry: 1000\n\n");
      },
      cancel: () => void open--,
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  });
});
afterEach(async () => {
  vi.useRealTimers();
  await processor.shutdown();
});

const listen = (password: string | null = null) =>
  events({
    processor: {
      processorUrl: `http://127.0.0.1:${processor.addr.port}`,
      console: { publicHost: "localhost", allowedHosts: [], password, anonymous: false },
    },
    lastEventId: null,
    withRaw: false,
  });

describe("the event stream that web hands on", () => {
  test("is asked for with the console's password", async () => {
    const response = await listen("secret");
    await response.body!.cancel();
    expect(asked[0]!.get("authorization")).toBe(passwordHeaders("secret").authorization);
    await until("the processor is let go of", () => open === 0);
  });

  test("ends for a page that takes nothing for a minute, at the processor too, and for no other page", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const paused = (await listen()).body!;
    const reader = (await listen()).body!.pipeThrough(new TextDecoderStream()).getReader();
    const read = async () => (await reader.read()).value;
    expect(await read()).toContain("event: here");
    expect(await read()).toBe("retry: 1000\n\n");
    const next = read();
    vi.advanceTimersByTime(60_000);
    vi.useRealTimers();
    await until("only the page that reads is left at the processor", () => open === 1);
    await expect(new Response(paused).text()).rejects.toThrow("took nothing");
    say[1]!(": still here\n\n");
    expect(await next).toBe(": still here\n\n");
    await reader.cancel();
    await until("nobody is left", () => open === 0);
  });

  test("is for 100 pages at once, and for another one when one has left", async () => {
    const pages = await Promise.all(Array.from({ length: 100 }, () => listen()));
    expect(new Set(pages.map(({ status }) => status))).toEqual(new Set([200]));
    const more = await listen();
    expect([more.status, (await more.json()).error.code]).toEqual([503, "too_many_listeners"]);
    await pages[0]!.body!.cancel();
    const next = await listen();
    expect(next.status).toBe(200);
    for (const { body } of [...pages.slice(1), next]) await body!.cancel();
    await until("nobody is left", () => open === 0);
  });

  test("holds no place for a page that came while the processor was away", async () => {
    await processor.shutdown();
    for (let i = 0; i < 120; i++) expect(await (await listen()).text()).toContain("event: away");
  });
});
