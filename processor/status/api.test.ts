import { describe, expect, test, vi } from "vitest";
import { passwordHeaders } from "../../contract/door.ts";
import type { EventDetail } from "../../contract/processor_api.ts";
import type { TraceStep } from "../../contract/trace_step.ts";
import { createStatusApi, type StatusSources } from "./api.ts";
import { datasetApi, type DatasetSources } from "../dataset/api.ts";
import { deadLetterApi } from "../dead_letters/api.ts";
import { createDeadLettersContext } from "../dead_letters/fixtures/dead_letters.ts";
import { systemClock } from "../../runtime/clock.ts";
import { manualClock } from "../../tests/support/manual_clock.ts";
import { createTraceHub } from "./trace_hub.ts";

const step = (id: string): TraceStep => ({
  step: "duplicate",
  id,
  position: "0:1",
  at: "2026-01-01T00:00:00.000Z",
});

/** Sources that know nothing, but for what a test gives them. */
const NO_DATASET: DatasetSources = {
  page: () =>
    Promise.resolve({
      records: 0,
      bytes: 0,
      files: 0,
      sanitiserVersion: "1",
      partitions: [],
      older: null,
      newer: null,
    }),
  lines: () => Promise.resolve(null),
  search: () => Promise.resolve(null),
  file: () => Promise.resolve(null),
  export: async function* () {},
};

function sources(given: Partial<StatusSources> = {}): StatusSources {
  return {
    hub: createTraceHub("run"),
    notReady: () => [],
    staysOut: () => [],
    standing: () => [],
    warnings: () => [],
    consumers: () => Promise.resolve({ groups: [] }),
    status: () => Promise.reject(new Error("the log is away")),
    figures: () => Promise.reject(new Error("the log is away")),
    eventOf: () => Promise.resolve({ lookedAt: { partitions: [], facts: null } }),
    offers: () => Promise.resolve(null),
    offerOf: () => Promise.resolve(null),
    codeIsValid: () => false,
    dataset: datasetApi(NO_DATASET),
    mails: () => Promise.resolve({ mailer: "maildir", mails: [], total: 0, lookedAt: 0, older: null }),
    mailSource: () => null,
    metrics: () => Promise.resolve("processor_lines_total 1\n"),
    deadLetters: deadLetterApi({
      letters: createDeadLettersContext().letters,
      showsRaw: given.showsRaw ?? false,
    }),
    showsRaw: false,
    console: CONSOLE,
    clock: systemClock,
    ...given,
  };
}

const CONSOLE = { publicHost: "shop.example", allowedHosts: ["processor"], password: null, anonymous: false };

/** Asks as a client of this machine does, but for what a test says. */
const get = (
  given: Partial<StatusSources>,
  path: string,
  { peer = "127.0.0.1", app = createStatusApi(sources(given)), ...headers }:
    & { readonly peer?: string; readonly app?: ReturnType<typeof createStatusApi> }
    & { readonly [header: string]: unknown } = {},
) =>
  app.request(path, { headers: { host: "127.0.0.1:3001", ...headers as Record<string, string> } }, {
    remoteAddr: { transport: "tcp", hostname: peer, port: 1 },
  });

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
      { status: "ready", staysOut: ["dataset-writer: another dataset"], standing: [], warnings: [] },
    ]);
  });

  test("names settings of topics that break a promise", async () => {
    const warnings = ['topic "discount.facts" has cleanup.policy=compact'];
    const response = await get({ warnings: () => warnings }, "/readyz");
    expect(await response.json()).toMatchObject({ status: "ready", warnings });
  });

  test("is ready where a partition stands, since the others flow, and says where", async () => {
    const standing = ["dataset-writer: partition 3 stands at 3:42"];
    const response = await get({ standing: () => standing }, "/readyz");
    expect([response.status, await response.json()]).toMatchObject([200, { status: "ready", standing }]);
  });

  test("says what it waits for", async () => {
    const response = await get({ notReady: () => ["dataset-writer: waiting for lock"] }, "/readyz");
    expect([response.status, await response.json()]).toEqual([
      503,
      {
        status: "not_ready",
        waitsFor: ["dataset-writer: waiting for lock"],
        staysOut: [],
        standing: [],
        warnings: [],
      },
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

  test.each([
    ["127.0.0.1:3001", "127.0.0.1", {}, 200],
    ["localhost", "::ffff:127.0.0.1", {}, 200],
    ["localhost", "192.0.2.7", {}, 403],
    ["processor:3001", "127.0.0.1", {}, 403],
    ["shop.example", "127.0.0.1", {}, 403],
    ["localhost", "127.0.0.1", { "x-forwarded-for": "127.0.0.1" }, 403],
    ["evil.example", "127.0.0.1", {}, 421],
  ])(
    "with raw prompts, a request to the name %s from %s with %j gets %i, whoever may use the console",
    async (host, peer, headers, status) => {
      const console = { ...CONSOLE, password: "secret" };
      const asks = { host, peer, ...headers, ...passwordHeaders("secret") };
      const response = await get({ showsRaw: true, console }, "/api/events", asks);
      await response.body?.cancel();
      expect(response.status).toBe(status);
      expect(response.headers.get("access-control-allow-origin")).toBeNull();
    },
  );

  test("shows the raw envelope of an event to this machine only, and says where it looked for another", async () => {
    const withRaw: boolean[] = [];
    const event = { uuid: "0190a000-0000-7000-8000-000000000001" } as EventDetail;
    const eventOf: StatusSources["eventOf"] = (_, options) => {
      withRaw.push(options.withRaw);
      return Promise.resolve(event);
    };
    const console = { ...CONSOLE, password: "secret" };
    const asked = { showsRaw: true, console, eventOf };
    const path = `/api/events/${event.uuid}`;
    for (const peer of ["127.0.0.1", "192.0.2.7"]) {
      const response = await get(asked, path, { peer, host: "localhost", ...passwordHeaders("secret") });
      expect(response.status).toBe(200);
    }
    expect(withRaw).toEqual([true, false]);
    const none = await get({}, path);
    expect([none.status, await none.json()]).toMatchObject([404, { lookedAt: { partitions: [] } }]);
    expect((await get({}, "/api/events/..%2fstatus")).status).toBe(400);
  });

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

  /**
   * 500 events with prompts of 20 KB, then a client that opens the stream: the replay alone was over the listener's bound,
   * which ended the stream before its listener and its keep-alive were in place. They stayed, and the keep-alive threw
   * into the closed stream 15 s later, in a timer: the processor died.
   */
  test("survives a replay that is longer than any bound, and every keep-alive after it", async () => {
    vi.useFakeTimers();
    try {
      const hub = createTraceHub("run");
      const prompt = "x".repeat(20_000);
      for (let i = 0; i < 500; i++) {
        hub.add([{
          step: "written",
          id: String(i),
          file: "f",
          line: i,
          prompt,
          at: "2026-01-01T00:00:00.000Z",
        }]);
      }
      const response = await get({ hub }, "/api/events");
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      // As much as the connection's own buffers take of it.
      for (let i = 0; i < 20; i++) await reader.read();
      await vi.advanceTimersByTimeAsync(50_000);
      hub.add([step("after")]);
      let text = "";
      while (!text.includes('"after"')) {
        const { value, done } = await reader.read();
        if (done) break;
        text = (text + value).slice(-200);
      }
      expect(text).toContain('"after"');
      await reader.cancel();
    } finally {
      vi.useRealTimers();
    }
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
    ["/api/offers", 503, { error: { code: "not_ready", message: expect.stringContaining("view") } }],
    ["/api/offers?limit=201", 400, { error: { code: "bad_request", message: expect.any(String) } }],
    ["/api/offers?state=mailed", 400, { error: { code: "bad_request", message: expect.any(String) } }],
    ["/api/offers?before=x", 400, { error: { code: "bad_request", message: expect.any(String) } }],
    ["/api/offers?search=", 400, { error: { code: "bad_request", message: expect.any(String) } }],
    [`/api/offers?search=${"x".repeat(1001)}`, 400, {
      error: { code: "bad_request", message: expect.any(String) },
    }],
    ["/api/mails?limit=0", 400, { error: { code: "bad_request", message: expect.any(String) } }],
    ["/api/mails?before=../x", 400, { error: { code: "bad_request", message: expect.any(String) } }],
    ["/api/mails?search=ada", 400, {
      error: { code: "bad_request", message: expect.stringContaining("POST") },
    }],
    ["/api/dataset?file=a&before=0", 400, { error: { code: "bad_request", message: expect.any(String) } }],
    ["/api/dataset?file=a&before=1&around=1", 400, {
      error: { code: "bad_request", message: expect.any(String) },
    }],
    ["/api/dataset/search", 400, { error: { code: "bad_request", message: expect.any(String) } }],
    [`/api/dataset/search?q=${"x".repeat(201)}`, 400, {
      error: { code: "bad_request", message: expect.any(String) },
    }],
    ["/api/dataset/search?q=x&from=nowhere", 400, {
      error: { code: "bad_request", message: expect.any(String) },
    }],
    ["/api/dataset/download?file=../../etc/passwd", 404, {
      error: { code: "not_found", message: expect.any(String) },
    }],
    ["/api/dataset/export?format=xlsx", 400, { error: { code: "bad_request", message: expect.any(String) } }],
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

  test("who reads the topic is told as it is asked, and a log that fails is a 503", async () => {
    const groups = [{ group: "dataset-writer", complete: true, consumers: [] }];
    const told = await get({ consumers: () => Promise.resolve({ groups }) }, "/api/topic");
    expect([told.status, await told.json()]).toEqual([200, { groups }]);
    const away = await get({ consumers: () => Promise.reject(new Error("away")) }, "/api/topic");
    expect([away.status, (await away.json()).error.code]).toEqual([503, "unavailable"]);
  });

  test("the dataset comes in pages of 50, or as many as were asked for, from where a page ended", async () => {
    const asked: unknown[] = [];
    const page: DatasetSources["page"] = (query) => {
      asked.push(query);
      return NO_DATASET.page(query);
    };
    const dataset = datasetApi({ ...NO_DATASET, page });
    await get({ dataset }, "/api/dataset");
    await get({ dataset }, "/api/dataset?limit=500&before=2025-11-30%2Fgeneration_failed");
    await get({ dataset }, "/api/dataset?after=2025-11-30%2Fa%2520b");
    expect(asked).toEqual([
      { limit: 50, before: null, after: null },
      { limit: 500, before: "2025-11-30/generation_failed", after: null },
      { limit: 50, before: null, after: "2025-11-30/a%20b" },
    ]);
  });

  test("offers come in pages of 50, by state and by whose they are", async () => {
    const asked: unknown[] = [];
    const offers: StatusSources["offers"] = (query) => (asked.push(query), Promise.resolve(null));
    await get({ offers }, "/api/offers");
    await get({ offers }, "/api/offers?state=opted_out&before=12-3&limit=200");
    await get({ offers }, "/api/offers?search=ada%40example.org");
    expect(asked).toEqual([
      { state: null, search: null, before: null, limit: 50 },
      { state: "opted_out", search: null, before: "12-3", limit: 200 },
      { state: null, search: "ada@example.org", before: null, limit: 50 },
    ]);
  });

  test("mails come 200 at once, and are searched by a body, since an address belongs into no URL", async () => {
    const asked: unknown[] = [];
    const mails: StatusSources["mails"] = (query) => (asked.push(query), sources().mails(query));
    const app = createStatusApi(sources({ mails }));
    const search = async (body: string) =>
      (await app.request("/api/mails/search", { method: "POST", headers: { host: "127.0.0.1:3001" }, body }, {
        remoteAddr: { transport: "tcp", hostname: "127.0.0.1", port: 1 },
      })).status;
    await get({ mails }, "/api/mails");
    await get({ mails }, `/api/mails?before=${encodeURIComponent("17/a@b")}&limit=20`);
    expect(await search('{"search":"Ada@example.org"}')).toBe(200);
    expect(await search('{"search":"x","before":"17/a@b","limit":7}')).toBe(200);
    expect(asked).toEqual([
      { search: null, before: null, limit: 200 },
      { search: null, before: "17/a@b", limit: 20 },
      { search: "Ada@example.org", before: null, limit: 200 },
      { search: "x", before: "17/a@b", limit: 7 },
    ]);
    for (
      const wrong of ["", "[]", "null", '{"search":" "}', '{"search":7}', '{"search":"x","limit":"7"}', "{}"]
    ) {
      expect([wrong, await search(wrong)]).toEqual([wrong, 400]);
    }
    expect(await search(JSON.stringify({ search: "x".repeat(201) }))).toBe(400);
    expect(await search(JSON.stringify({ search: "x".repeat(9_000) }))).toBe(413);
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

describe("the status API is the operator's console", () => {
  const PATHS = [
    "/api/dataset/search?q=x",
    "/api/dataset/download?file=x",
    "/api/dataset/export?format=jsonl",
    "/api/dead-letters/at/3:1",
    "/api/status",
    "/api/events",
    "/api/offers",
    "/api/offers/ada",
    "/api/dataset",
    "/api/mails",
    "/nothing",
  ];
  const HEALTH = ["/healthz", "/readyz", "/metrics"];
  const statusOf = async (
    given: Partial<StatusSources>,
    path: string,
    asks: Parameters<typeof get>[2],
  ): Promise<number> => {
    const response = await get({ status: () => new Promise(() => {}), ...given }, path, asks);
    await response.body?.cancel();
    return response.status;
  };

  test.each([...PATHS, ...HEALTH, "/api/dead-letters", "/api/dead-letters/0:0"])(
    "%s is closed to another machine, whatever Host it sends, and to other names",
    async (path) => {
      expect(await statusOf({}, path, { peer: "192.0.2.7" })).toBe(403);
      expect(await statusOf({}, path, { peer: "192.0.2.7", host: "localhost" })).toBe(403);
      expect(await statusOf({}, path, { host: "shop.example" })).toBe(403);
      expect(await statusOf({}, path, { host: "rebound.example:3001" })).toBe(421);
      expect(await statusOf({}, path, { host: "%%%" })).toBe(400);
      const console = { ...CONSOLE, anonymous: true };
      expect(await statusOf({ console }, path, { peer: "192.0.2.7", host: "rebound.example:3001" })).toBe(
        421,
      );
    },
  );

  test("with a password it answers to who sends it, and its health to this machine without one", async () => {
    const console = { ...CONSOLE, password: "secret" };
    for (const path of HEALTH) {
      expect(await statusOf({ console }, path, {})).toBe(200);
      expect(await statusOf({ console }, path, { peer: "192.0.2.7", host: "processor" })).toBe(401);
      const asks = { peer: "192.0.2.7", host: "processor", ...passwordHeaders("secret") };
      expect(await statusOf({ console }, path, asks)).toBe(200);
    }
    expect(await statusOf({ console }, "/api/mails", {})).toBe(401);
    expect(await statusOf({ console }, "/api/mails", passwordHeaders("secret"))).toBe(200);
  });

  test("after 8 wrong passwords an address waits for a minute to pass, and others do not", async () => {
    const clock = manualClock();
    const app = createStatusApi(sources({ console: { ...CONSOLE, password: "secret" }, clock }));
    const ask = (password: string, peer = "192.0.2.7") =>
      get({}, "/api/mails", { app, peer, host: "shop.example", ...passwordHeaders(password) });
    for (let i = 0; i < 8; i++) expect((await ask("wrong")).status).toBe(401);
    const ninth = await ask("secret");
    expect([ninth.status, ninth.headers.get("retry-after")]).toEqual([429, "60"]);
    expect((await ask("secret", "192.0.2.8")).status).toBe(200);
    await clock.advance(60_000);
    expect((await ask("secret")).status).toBe(200);
  });

  test("what it says to whom it turns away is JSON that nobody keeps", async () => {
    const response = await get({ console: { ...CONSOLE, password: "secret" } }, "/api/status");
    expect(response.headers.get("www-authenticate")).toMatch(/^Basic realm=/);
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(await response.json()).toEqual({
      error: { code: "unauthorized", message: expect.stringContaining("CONSOLE_PASSWORD") },
    });
  });
});
