import { describe, expect, test } from "vitest";
import type { TraceStep } from "../../contract/trace_step.ts";
import { createStatusApi, type StatusSources } from "./api.ts";
import { deadLetterApi } from "../dead_letters/api.ts";
import { createDeadLettersContext } from "../dead_letters/fixtures/dead_letters.ts";
import { createTraceHub } from "./trace_hub.ts";

const step = (id: string): TraceStep => ({
  step: "duplicate",
  id,
  position: "0:1",
  at: "2026-01-01T00:00:00.000Z",
});

/** Sources that know nothing, but for what a test gives them. */
function sources(given: Partial<StatusSources> = {}): StatusSources {
  return {
    hub: createTraceHub("run"),
    notReady: () => [],
    staysOut: () => [],
    status: () => Promise.reject(new Error("the log is away")),
    offerOf: () => Promise.resolve(null),
    codeIsValid: () => false,
    dataset: () => ({
      records: 0,
      bytes: 0,
      files: 0,
      sanitiserVersion: "1",
      partitions: [],
      older: null,
      newer: null,
    }),
    tail: () => null,
    mails: () => Promise.resolve({ mailer: "maildir", mails: [] }),
    mailSource: () => null,
    metrics: () => Promise.resolve("processor_lines_total 1\n"),
    deadLetters: deadLetterApi({
      letters: createDeadLettersContext().letters,
      showsRaw: given.showsRaw ?? false,
      onLoopback: true,
    }),
    showsRaw: false,
    ...given,
  };
}

const get = (given: Partial<StatusSources>, path: string, headers: Record<string, string> = {}) =>
  createStatusApi(sources(given)).request(path, { headers });

async function firstMessages(response: Response, count: number): Promise<string[]> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (text.split("\n\n").length <= count) {
    const { value, done } = await reader.read();
    if (done) break;
    text += value;
  }
  await reader.cancel();
  return text.split("\n\n").slice(0, count);
}

describe("/readyz", () => {
  test("is ready once every loop is, and names a group that it stays out of", async () => {
    const response = await get({ staysOut: () => ["dataset-writer: another dataset"] }, "/readyz");
    expect([response.status, await response.json()]).toEqual([
      200,
      { status: "ready", staysOut: ["dataset-writer: another dataset"] },
    ]);
  });

  test("says what it waits for", async () => {
    const response = await get({ notReady: () => ["dataset-writer: waiting for lock"] }, "/readyz");
    expect([response.status, await response.json()]).toEqual([
      503,
      { status: "not_ready", waitsFor: ["dataset-writer: waiting for lock"], staysOut: [] },
    ]);
  });
});

describe("/api/events", () => {
  test("sends steps with ids, and goes on behind Last-Event-ID", async () => {
    const hub = createTraceHub("run");
    hub.add([step("a"), step("b")]);
    const response = await get({ hub }, "/api/events", { "last-event-id": "run-1" });
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    expect(await firstMessages(response, 2)).toEqual([
      "retry: 1000",
      `id: run-2\ndata: ${JSON.stringify(step("b"))}`,
    ]);
  });

  test.each([["pipeline.example:3001", 403], ["127.0.0.1:3001", 200], ["localhost", 200]])(
    "with raw prompts, a request to the name %s gets %i",
    async (host, status) => {
      const response = await get({ showsRaw: true }, "/api/events", { host });
      await response.body?.cancel();
      expect(response.status).toBe(status);
      expect(response.headers.get("access-control-allow-origin")).toBeNull();
    },
  );

  test("lets a listener go that does not read, and keeps telling the others", async () => {
    const hub = createTraceHub("run");
    const slow = await get({ hub }, "/api/events");
    hub.add(Array.from({ length: 4 }, () => ({ ...step("x"), id: "x".repeat(3_000_000) })));
    const quick = await get({ hub }, "/api/events", { "last-event-id": "run-4" });
    hub.add([step("after")]);
    expect((await firstMessages(quick, 2))[1]).toContain('"after"');
    const read = await slow.text();
    expect(read).not.toContain('"after"');
  });
});

describe("answers of the status API", () => {
  test.each([
    ["/api/offers/nobody", 404, { error: { code: "not_found", message: expect.any(String) } }],
    ["/api/discounts/NONE", 404, { valid: false }],
    ["/api/dataset?file=../../etc/passwd", 404, {
      error: { code: "not_found", message: expect.any(String) },
    }],
    ["/api/dataset?file=a&lines=0", 400, { error: { code: "bad_request", message: expect.any(String) } }],
    ["/api/dataset?limit=0", 400, { error: { code: "bad_request", message: expect.any(String) } }],
    ["/api/dataset?limit=501", 400, { error: { code: "bad_request", message: expect.any(String) } }],
    ["/api/dataset?before=x", 400, { error: { code: "bad_request", message: expect.any(String) } }],
    ["/api/dataset?before=2025-11-30/a&after=2025-11-30/a", 400, {
      error: { code: "bad_request", message: expect.any(String) },
    }],
    ["/api/mails/none", 404, { error: { code: "not_found", message: expect.any(String) } }],
    ["/api/dead-letters", 200, expect.objectContaining({ total: 0, letters: [] })],
    ["/api/dead-letters/0:0", 404, { error: { code: "not_found", message: expect.any(String) } }],
    ["/nothing", 404, { error: { code: "not_found", message: expect.any(String) } }],
    ["/api/status", 503, { error: { code: "unavailable", message: "the log is away" } }],
    ["/healthz", 200, { status: "ok" }],
  ])("GET %s is %i", async (path, status, body) => {
    const response = await get({}, path);
    expect([response.status, await response.json()]).toEqual([status, body]);
  });

  test("the dataset comes in pages of 50, or as many as were asked for, from where a page ended", async () => {
    const asked: unknown[] = [];
    const dataset: StatusSources["dataset"] = (query) => {
      asked.push(query);
      return sources().dataset(query);
    };
    await get({ dataset }, "/api/dataset");
    await get({ dataset }, "/api/dataset?limit=500&before=2025-11-30%2Fgeneration_failed");
    await get({ dataset }, "/api/dataset?after=2025-11-30%2Fa%2520b");
    expect(asked).toEqual([
      { limit: 50, before: null, after: null },
      { limit: 500, before: "2025-11-30/generation_failed", after: null },
      { limit: 50, before: null, after: "2025-11-30/a%20b" },
    ]);
  });

  test("a valid code is valid", async () => {
    const response = await get({ codeIsValid: (code) => code === "SAVE" }, "/api/discounts/SAVE");
    expect([response.status, await response.json()]).toEqual([200, { valid: true }]);
  });

  test("an offer's id may hold escaped signs", async () => {
    let asked = "";
    await get({ offerOf: (id) => (asked = id, Promise.resolve(null)) }, "/api/offers/ada%40example.org%2Fx");
    expect(asked).toBe("ada@example.org/x");
  });
});
