import fc from "fast-check";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { idFromBody } from "../contract/envelope.ts";
import { manualClock } from "../tests/support/manual_clock.ts";
import { until } from "../tests/support/until.ts";
import { fakeLog } from "./fixtures/fake_log.ts";
import { startTestIngest, type TestIngest, webhookBody } from "./fixtures/test_ingest.ts";

let ingest: TestIngest;
let good = 0;
beforeAll(async () => {
  ingest = await startTestIngest({ limits: { bodyReadMsMax: 300 } });
});
afterAll(() => ingest.remove());

/** The proof that whatever came before harmed nobody: a good event is taken and lies on the topic. */
async function aGoodEventStillArrives(): Promise<void> {
  const id = `0190a000-0000-7000-8000-${String(++good).padStart(12, "0")}`;
  const response = await ingest.post(webhookBody(id));
  expect([response.status, await response.json()]).toEqual([200, { status: "ok", id }]);
  expect((await ingest.webhooks()).filter((record) => record.headers.id === id)).toHaveLength(1);
}

describe("a good event", () => {
  test.each([
    ["wrapped", {
      event: { event: "a", distinct_id: "u" },
      person: { properties: { email: "a@example.test" } },
    }],
    ["bare", { event: "b", distinct_id: "u" }],
    ["legacy", { hook: { id: "h", event: "action_performed" }, data: { event: "c", distinctId: "u" } }],
  ])("is published byte for byte: %s", async (_, body) => {
    const text = `\n${JSON.stringify(body, null, 4)}  `;
    const before = Date.now();
    const response = await ingest.post(text, { "webhook-id": "msg_1" });
    const id = idFromBody(new TextEncoder().encode(text));
    expect(response.headers.get("content-type")).toBe("application/json");
    expect([response.status, await response.json()]).toEqual([200, { status: "ok", id }]);
    const record = (await ingest.webhooks()).find((record) => record.headers.id === id)!;
    expect(new TextDecoder().decode(record.value)).toBe(text);
    expect(new TextDecoder().decode(record.key!)).toBe("u");
    expect(record.headers).toMatchObject({ id, "webhook-id": "msg_1" });
    expect(record.timestamp).toBeGreaterThanOrEqual(before);
    expect(record.timestamp).toBeLessThanOrEqual(Date.now());
  });

  test("is taken with a slash behind the address, without a redirect", async () => {
    const response = await fetch(`${ingest.url}/api/webhooks/`, {
      method: "POST",
      headers: { "content-type": "application/cloudevents+json; charset=utf-8" },
      body: webhookBody("0190a000-0000-7000-8000-aaaaaaaaaaaa"),
      redirect: "error",
    });
    expect([response.status, await response.json()])
      .toEqual([200, { status: "ok", id: "0190a000-0000-7000-8000-aaaaaaaaaaaa" }]);
  });

  test("of exactly 1 MiB is taken, in one piece and in chunks", async () => {
    const text = sized(1024 * 1024);
    expect((await ingest.post(text)).status).toBe(200);
    expect((await ingest.post(new Blob([text]).stream())).status).toBe(200);
    const values = (await ingest.webhooks()).filter(({ value }) => value.length === 1024 * 1024);
    expect(values.map(({ value }) => new TextDecoder().decode(value) === text)).toEqual([true, true]);
  });
});

test("a webhook that comes whole is answered without a Request, a Response, Headers or a stream being made", async () => {
  const made: string[] = [];
  const names = ["Request", "Response", "Headers", "ReadableStream"] as const;
  for (const name of names) {
    vi.stubGlobal(
      name,
      new Proxy(globalThis[name], {
        construct: (target, args, self) => (made.push(name), Reflect.construct(target, args, self)),
      }),
    );
  }
  try {
    const id = "0190a000-0000-7000-8000-bbbbbbbbbbbb";
    const body = webhookBody(id);
    const { hostname, port } = new URL(ingest.url);
    using connection = await Deno.connect({ hostname, port: Number(port) });
    const head = `POST /api/webhooks HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json\r\n`;
    await connection.write(new TextEncoder().encode(`${head}content-length: ${body.length}\r\n\r\n${body}`));
    const answer = new Uint8Array(1024);
    const length = await connection.read(answer);
    expect(new TextDecoder().decode(answer.subarray(0, length!))).toContain(`{"status":"ok","id":"${id}"}`);
    expect(made).toEqual([]);
  } finally {
    vi.unstubAllGlobals();
  }
});

const deep = (depth: number) =>
  `{"event":"x","distinct_id":"u","properties":{"a":${"[".repeat(depth)}${"]".repeat(depth)}}}`;

/** Body, headers, and the answer that the contract names. */
const inputs: [string, BodyInit, Record<string, string>, number, string | null][] = [
  ["no JSON", "not json", {}, 400, "not_json"],
  ["an empty body", "", {}, 400, "not_json"],
  ["JSON cut short", `{"event":`, {}, 400, "not_json"],
  ["two JSON values", `{}{}`, {}, 400, "not_json"],
  ["NaN", `{"event":NaN}`, {}, 400, "not_json"],
  ["a NUL byte between tokens", `{"event":\0"x"}`, {}, 400, "not_json"],
  ["bytes that are no UTF-8", new Uint8Array([0x22, 0xc3, 0x28, 0x22]), {}, 400, "not_utf8"],
  ["a lone surrogate in UTF-8", new Uint8Array([0x22, 0xed, 0xa0, 0x80, 0x22]), {}, 400, "not_utf8"],
  ["UTF-16", new Uint8Array([0xff, 0xfe, 0x7b, 0x00, 0x7d, 0x00]), {}, 400, "not_utf8"],
  ["gzip bytes without saying so", new Uint8Array([0x1f, 0x8b, 0x08, 0x00]), {}, 400, "not_utf8"],
  ["a content encoding", "{}", { "content-encoding": "gzip" }, 415, "content_encoding"],
  ["a form", "a=b", { "content-type": "application/x-www-form-urlencoded" }, 415, "content_type"],
  ["another charset", "{}", { "content-type": "application/json; charset=latin1" }, 415, "content_type"],
  ["2 MiB", sized(2 * 1024 * 1024), {}, 413, "body_too_large"],
  ["1 MiB and a byte", sized(1024 * 1024 + 1), {}, 413, "body_too_large"],
  ["2 MiB in chunks", new Blob([sized(2 * 1024 * 1024)]).stream(), {}, 413, "body_too_large"],
  ["null", "null", {}, 202, null],
  ["a number", "1e999", {}, 202, null],
  ["an array", `[{"event":"x","distinct_id":"u"}]`, {}, 202, null],
  ["an empty object", "{}", {}, 202, null],
  ["an event without a name", `{"event":{"distinct_id":"u"}}`, {}, 202, null],
  ["an event without distinct_id", `{"event":{"event":"x"}}`, {}, 202, null],
  ["a uuid that is none", `{"event":"x","distinct_id":"u","uuid":"../../etc"}`, {}, 202, null],
  ["a distinct_id of 1,001 bytes", `{"event":"x","distinct_id":"${"u".repeat(1001)}"}`, {}, 202, null],
  ["a text-only action webhook", `{"text":"[x](https://y) was triggered"}`, {}, 202, null],
  ["__proto__ in place of an event", `{"__proto__":{"event":"x","distinct_id":"u"}}`, {}, 202, null],
  ["nothing but depth", "[".repeat(500_000) + "]".repeat(500_000), {}, 202, null],
  ["no uuid", `{"event":"x","distinct_id":"u"}`, {}, 200, null],
  ["a BOM", `\ufeff{"event":"x","distinct_id":"u"}`, {}, 200, null],
  ["duplicate keys", `{"event":"a","event":"b","distinct_id":"u"}`, {}, 200, null],
  [
    "__proto__ and constructor as keys",
    `{"event":"x","distinct_id":"u","__proto__":{"a":1},"properties":{"__proto__":{"admin":true},"constructor":{"prototype":{}}}}`,
    {},
    200,
    null,
  ],
  ["depth 10,000", deep(10_000), {}, 200, null],
  ["the year 9999", `{"event":"x","distinct_id":"u","timestamp":"9999-12-31T23:59:59.999Z"}`, {}, 200, null],
  ["the year 0001", `{"event":"x","distinct_id":"u","timestamp":"0001-01-01T00:00:00Z"}`, {}, 200, null],
  ["a timestamp that is none", `{"event":"x","distinct_id":"u","timestamp":{"a":1}}`, {}, 200, null],
  [
    "NUL and lone surrogates in texts",
    `{"event":"x\\u0000","distinct_id":"u\\ud800","properties":{"input_prompt":"\\udc00\\u0000"}}`,
    {},
    200,
    null,
  ],
  ["an event name that is a path", `{"event":"../../../etc/passwd","distinct_id":"u"}`, {}, 200, null],
  ["an event name with line breaks", `{"event":"a\\r\\nx-injected: 1","distinct_id":"u"}`, {}, 200, null],
  ["the name of an erasure", `{"event":"$erase","distinct_id":"u"}`, {}, 200, null],
];

describe("bad and odd input", () => {
  test.each(inputs)("%s", async (_, body, headers, status, code) => {
    const response = await ingest.post(body, headers);
    const answer = await response.json();
    expect(response.status).toBe(status);
    if (status === 200) {
      expect(answer).toEqual({ status: "ok", id: expect.stringMatching(/^[0-9a-f-]{36}$/) });
    } else if (status === 202) {
      expect(answer).toEqual({ status: "dead_letter", reason: expect.stringMatching(/./) });
    } else expect(answer).toEqual({ error: { code, message: expect.stringMatching(/./) } });
    await aGoodEventStillArrives();
  });

  test("the same bytes are the same event, and what is no event lies on the topic all the same", async () => {
    const ids = await Promise.all(
      [1, 2].map(async () => (await (await ingest.post(`{"event":"same","distinct_id":"u"}`)).json()).id),
    );
    expect(ids[0]).toBe(ids[1]);
    await ingest.post(`["set aside"]`);
    const record = (await ingest.webhooks()).find(({ value }) =>
      new TextDecoder().decode(value) === `["set aside"]`
    );
    expect(record?.headers).toEqual({ id: idFromBody(record!.value) });
  });

  test("a webhook cannot call itself an erasure, a backfill or a redriven copy", async () => {
    const response = await ingest.post(`{"event":"$erase","distinct_id":"headers"}`, {
      source: "erase",
      redrives: "2",
    });
    const { id } = await response.json();
    const record = (await ingest.webhooks()).find(({ headers }) => headers.id === id);
    expect(record?.headers).toEqual({ id, event: "$erase" });
  });

  test("no JSON value makes ingest fail", async () => {
    await fc.assert(
      fc.asyncProperty(fc.json({ maxDepth: 5 }), async (text) => {
        const response = await ingest.post(text);
        await response.body?.cancel();
        expect([200, 202]).toContain(response.status);
      }),
      { numRuns: 200 },
    );
    await aGoodEventStillArrives();
  });

  test("no bytes make ingest fail", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 40 }), async (bytes) => {
        const response = await ingest.post(bytes);
        await response.body?.cancel();
        expect([200, 202, 400]).toContain(response.status);
      }),
      { numRuns: 200 },
    );
    await aGoodEventStillArrives();
  });
});

describe("other addresses and methods", () => {
  test.each([
    ["GET", "/api/webhooks", 405, "POST"],
    ["HEAD", "/api/webhooks", 405, "POST"],
    ["PUT", "/api/webhooks/", 405, "POST"],
    ["OPTIONS", "/api/webhooks", 405, "POST"],
    ["DELETE", "/healthz", 405, "GET, HEAD"],
    ["PUT", "/unsubscribe", 405, "GET, HEAD, POST"],
    ["GET", "/", 404, null],
    ["POST", "/api", 404, null],
    ["POST", "/api/webhooks/more", 404, null],
  ])("%s %s answers %i", async (method, path, status, allow) => {
    const response = await fetch(`${ingest.url}${path}`, {
      method,
      ...(method === "PUT" ? { body: "x" } : {}),
    });
    const text = await response.text();
    expect([response.status, response.headers.get("allow")]).toEqual([status, allow]);
    if (method !== "HEAD") {
      expect(JSON.parse(text)).toEqual({ error: { code: expect.any(String), message: expect.any(String) } });
    }
  });

  test("/healthz, /readyz and /metrics tell how it stands", async () => {
    expect(await (await fetch(`${ingest.url}/healthz`)).json()).toEqual({ status: "ok" });
    const ready = await fetch(`${ingest.url}/readyz`);
    expect([ready.status, await ready.json()]).toEqual([200, {
      status: "ready",
      durable: "log",
      spooled: 0,
    }]);
    const metrics = await (await fetch(`${ingest.url}/metrics`)).text();
    expect(metrics).toMatch(/^ingest_webhooks_total\{status="200"\} \d+$/m);
    expect(metrics).toMatch(/^ingest_in_flight_requests 0$/m);
    expect(metrics).toMatch(/^ingest_in_flight_bytes 0$/m);
  });

  test("two of them in one process count for themselves", async () => {
    const other = await startTestIngest();
    const metrics = await (await fetch(`${other.url}/metrics`)).text();
    expect(metrics).not.toMatch(/^ingest_webhooks_total\{/m);
    await other.remove();
  });
});

describe("who may publish", () => {
  let closed: TestIngest;
  beforeAll(async () => {
    closed = await startTestIngest({ config: { webhookSecret: "s3cret" }, limits: { bodyReadMsMax: 300 } });
  });
  afterAll(() => closed.remove());

  test("a wrong secret is refused before anything else is looked at, and the right one is taken", async () => {
    const wrong: Record<string, string>[] = [{}, { authorization: "Bearer wrong" }, {
      "content-type": "text/plain",
    }];
    for (const headers of wrong) {
      const response = await closed.post("{", headers);
      expect([response.status, response.headers.get("www-authenticate")]).toEqual([401, "Bearer"]);
      expect(await response.json()).toEqual({
        error: { code: expect.stringMatching(/^secret_/), message: expect.any(String) },
      });
    }
    expect((await closed.post("{}", { "x-webhook-secret": "s3cret" })).status).toBe(202);
  });

  test("a stranger's endless body is not read: the answer comes at once and the connection is cut", async () => {
    const sent = await sendEndless(closed.port, "authorization: Bearer wrong\r\n");
    expect(sent.status).toBe(401);
    expect(sent.cut).toBe(true);
  });

  test("a stale signature is refused, a fresh one is taken", async () => {
    const key = new TextEncoder().encode("0123456789abcdef0123456789abcdef");
    const signing = await startTestIngest({ config: { signingKeys: [key] } });
    const body = webhookBody("0190a000-0000-7000-8000-bbbbbbbbbbbb");
    const now = Math.floor(Date.now() / 1000);
    const stale = await signing.post(body, await sign(key, body, now - 600));
    expect([stale.status, (await stale.json()).error.code]).toEqual([401, "timestamp_stale"]);
    const changed = await signing.post(`${body} `, await sign(key, body, now));
    expect([changed.status, (await changed.json()).error.code]).toEqual([401, "signature_wrong"]);
    expect((await signing.post(body, await sign(key, body, now))).status).toBe(200);
    expect((await signing.webhooks()).map(({ headers }) => headers["webhook-id"])).toEqual(["msg_1"]);
    await signing.remove();
  });
});

describe("bodies that do not end", () => {
  test("an endless chunked body is cut off at the limit with 413, and the connection is closed", async () => {
    const sent = await sendEndless(ingest.port, "");
    expect(sent.status).toBe(413);
    expect(sent.cut).toBe(true);
    await aGoodEventStillArrives();
  });

  test("a body that comes too slowly is answered 408, in chunks and with a declared length", async () => {
    for (
      const framing of [
        "transfer-encoding: chunked\r\n",
        "content-length: 100\r\n",
        "content-length: 100000\r\n",
      ]
    ) {
      const connection = await connect(ingest.port, `content-type: application/json\r\n${framing}`);
      expect(await connection.status(), framing).toBe(408);
      connection.close();
    }
    await aGoodEventStillArrives();
  });

  test("a dribbling chunked body is cut too", async () => {
    const connection = await connect(
      ingest.port,
      "content-type: application/json\r\ntransfer-encoding: chunked\r\n",
    );
    const dribble = setInterval(() => connection.write("1\r\n \r\n"), 50);
    expect(await connection.status()).toBe(408);
    await until("the connection is cut", () => connection.ended());
    clearInterval(dribble);
    connection.close();
    await aGoodEventStillArrives();
  });

  test("stopping does not wait for a sender that was answered 408 and says nothing more", async () => {
    const other = await startTestIngest({ limits: { bodyReadMsMax: 50 } });
    const connection = await connect(
      other.port,
      "content-type: application/json\r\ntransfer-encoding: chunked\r\n",
    );
    expect(await connection.status()).toBe(408);
    await other.remove();
    await connection.close();
  });

  test("a sender that goes away in the middle harms nobody", async () => {
    const connection = await connect(
      ingest.port,
      "content-type: application/json\r\ncontent-length: 100\r\n",
    );
    await connection.write(`{"event"`);
    connection.close();
    await until(
      "nothing is in flight",
      async () => /^ingest_in_flight_requests 0$/m.test(await (await fetch(`${ingest.url}/metrics`)).text()),
    );
    await aGoodEventStillArrives();
  });

  test("a body with a declared length and chunks is refused: its length would be a lie", async () => {
    const sent = await sendEndless(ingest.port, "content-length: 10\r\n");
    expect(sent.status).toBe(400);
    await aGoodEventStillArrives();
  });
});

describe("too much in flight", () => {
  test("is answered 503 with Retry-After, and room comes back", async () => {
    const log = fakeLog();
    const small = await startTestIngest({ log, limits: { inFlightRequestsMax: 2, publishMsMax: 60_000 } });
    log.mode = "silent";
    const waiting = [small.post(webhookBody("1")), small.post(webhookBody("2"))];
    await until("both are in flight", () => log.asked === 2);
    const third = await small.post(webhookBody("3"));
    expect([third.status, third.headers.get("retry-after"), (await third.json()).error.code]).toEqual([
      503,
      "1",
      "too_busy",
    ]);
    log.mode = "takes";
    log.land();
    expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([202, 202]);
    expect((await small.post(webhookBody("4"))).status).toBe(202);
    await small.remove();
  });

  test("counts bytes as well, those of chunks too", async () => {
    const log = fakeLog();
    const small = await startTestIngest({ log, limits: { inFlightBytesMax: 200_000, publishMsMax: 60_000 } });
    log.mode = "silent";
    const waiting = small.post(sized(150_000));
    await until("it is in flight", () => log.asked === 1);
    expect((await small.post(sized(60_000))).status).toBe(503);
    expect((await small.post(new Blob([sized(60_000)]).stream())).status).toBe(503);
    log.mode = "takes";
    log.land();
    expect((await waiting).status).toBe(200);
    expect((await small.post(sized(150_000))).status).toBe(200);
    await small.remove();
  });
});

describe("while the log is away", () => {
  test("webhooks are answered 200 from the spool, and are on the log in their order when it is back", async () => {
    const log = fakeLog();
    const away = await startTestIngest({ log });
    log.mode = "away";
    const ids = Array.from({ length: 5 }, (_, n) => `0190a000-0000-7000-8000-00000000000${n}`);
    for (const id of ids) {
      const response = await away.post(webhookBody(id));
      expect([response.status, (await response.json()).id]).toEqual([200, id]);
    }
    const ready = await (await fetch(`${away.url}/readyz`)).json();
    expect(ready).toEqual({ status: "ready", durable: "spool", spooled: 5 });
    log.mode = "takes";
    await until("the spool is drained", () => log.records.length === 5);
    expect(log.records.map(({ headers }) => headers.id)).toEqual(ids);
    await away.remove();
  });

  test("it starts without it, and makes the topic when it is there", async () => {
    const log = fakeLog();
    log.mode = "away";
    const away = await startTestIngest({ log, limits: { publishMsMax: 50 } });
    expect((await away.post(webhookBody("0190a000-0000-7000-8000-000000000000"))).status).toBe(200);
    expect(log.asked).toBe(0);
    log.mode = "takes";
    await until("the spool is drained", () => log.records.length === 1);
    await away.remove();
  });

  test("503 with Retry-After and not ready, once the spool is full too", async () => {
    const log = fakeLog();
    const full = await startTestIngest({ log, config: { spoolBytesMax: 1_000 } });
    log.mode = "away";
    const response = await full.post(sized(2_000));
    expect([response.status, response.headers.get("retry-after"), (await response.json()).error.code])
      .toEqual([503, "1", "unavailable"]);
    while ((await full.post(webhookBody("x"))).status !== 503);
    const ready = await fetch(`${full.url}/readyz`);
    expect([ready.status, (await ready.json()).status]).toEqual([503, "not_ready"]);
    await full.remove();
  });
});

describe("a webhook that the log refuses", () => {
  test("for its size, as no topic of ours does: 503 with Retry-After, and the next one is taken", async () => {
    const log = fakeLog();
    const ingest = await startTestIngest({ log });
    const response = await ingest.post(webhookBody("refuse my size"));
    expect([response.status, response.headers.get("retry-after"), (await response.json()).error.code])
      .toEqual([503, "1", "refused_by_log"]);
    expect((await ingest.post(webhookBody("0190a000-0000-7000-8000-000000000000"))).status).toBe(200);
    await ingest.remove();
  });

  test("for itself: 200, it is kept, and /readyz and /metrics count it until somebody has taken it away", async () => {
    const log = fakeLog();
    const clock = manualClock();
    const ingest = await startTestIngest({ log, clock });
    const body = webhookBody("0190a000-0000-7000-8000-000000000000", { properties: { p: "refuse my time" } });
    expect((await ingest.post(body)).status).toBe(200);
    const ready = async () => await (await fetch(`${ingest.url}/readyz`)).json();
    await until("it is set aside", async () => {
      await clock.advance(2_000);
      const { refused, spooled } = await ready();
      return refused === 1 && spooled === 0;
    });
    const metrics = await (await fetch(`${ingest.url}/metrics`)).text();
    expect(metrics).toMatch(/^ingest_refused_files 1$/m);
    expect(metrics).toMatch(/^ingest_refused_records_total 1$/m);
    await Deno.remove(join(ingest.dataDir, "spool", "refused"), { recursive: true });
    await until("nothing is left", async () => {
      await clock.advance(2_000);
      const { refused, spooled } = await ready();
      return refused === undefined && spooled === 0;
    });
    await Promise.all([ingest.remove(), clock.advance(60_000)]);
  });
});

/** An event as JSON of just so many bytes. */
function sized(bytes: number): string {
  const around = `{"event":"x","distinct_id":"u","properties":{"p":""}}`.length;
  return `{"event":"x","distinct_id":"u","properties":{"p":"${"y".repeat(bytes - around)}"}}`;
}

async function sign(
  key: Uint8Array<ArrayBuffer>,
  body: string,
  timestamp: number,
): Promise<Record<string, string>> {
  const hmac = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const signed = await crypto.subtle.sign(
    "HMAC",
    hmac,
    new TextEncoder().encode(`msg_1.${timestamp}.${body}`),
  );
  const signature = `v1,${btoa(String.fromCharCode(...new Uint8Array(signed)))}`;
  return { "webhook-id": "msg_1", "webhook-timestamp": String(timestamp), "webhook-signature": signature };
}

/** A connection that speaks HTTP by hand, because no client would do what is tested here. */
async function connect(port: number, headers: string) {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  let text = "";
  let ended = false;
  const reading = (async () => {
    const buffer = new Uint8Array(4096);
    for (let read = await connection.read(buffer); read !== null; read = await connection.read(buffer)) {
      text += new TextDecoder().decode(buffer.subarray(0, read));
    }
  })().catch(() => {}).finally(() => ended = true);
  const write = async (part: string) => {
    const bytes = new TextEncoder().encode(part);
    try {
      for (let written = 0; written < bytes.length;) {
        written += await connection.write(bytes.subarray(written));
      }
      return true;
    } catch {
      return false;
    }
  };
  await write(`POST /api/webhooks HTTP/1.1\r\nhost: localhost\r\n${headers}\r\n`);
  return {
    write,
    status: () => until("an answer comes", () => Number(/^HTTP\/1.1 (\d+)/.exec(text)?.[1])),
    ended: () => ended,
    async close() {
      try {
        connection.close();
      } catch { /* The other side was first. */ }
      await reading;
    },
  };
}

/** Sends chunks without end, at most 512 MiB, until the other side cuts the connection. */
async function sendEndless(port: number, headers: string): Promise<{ status: number; cut: boolean }> {
  const connection = await connect(
    port,
    `content-type: application/json\r\ntransfer-encoding: chunked\r\n${headers}`,
  );
  const chunk = `10000\r\n${"x".repeat(65_536)}\r\n`;
  let sent = 0;
  while (sent < 8_192 && await connection.write(chunk)) sent++;
  const status = await connection.status();
  const cut = sent < 8_192 ||
    await until("it is cut", () => connection.ended(), { limitMs: 5_000 }).catch(() => false);
  await connection.close();
  return { status, cut };
}
