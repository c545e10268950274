import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createRelay, type RelayLimits, relayTarget } from "../../web/server/relay.ts";
import { until } from "../support/until.ts";

/** A PostHog that notes what it is sent; not imitated: anything it would do with it. */
let seen: { method: string; path: string; headers: Headers; body: Uint8Array; bytesSoFar: number }[] = [];
let answer: () => Response = () => new Response("ok");
let posthog: Deno.HttpServer<Deno.NetAddr>;
/** What stands for web: the relay on a socket of its own. */
let web: Deno.HttpServer<Deno.NetAddr>;
let posthogUrl: string;
let connections: Deno.Conn[] = [];

beforeEach(() => {
  seen = [];
  answer = () => new Response("ok");
  // Bodies that are broken off are what these tests are about.
  const onError = () => new Response(null, { status: 500 });
  posthog = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {}, onError }, async (request) => {
    const { pathname, search } = new URL(request.url);
    const { method, headers } = request;
    const one = { method, path: pathname + search, headers, body: new Uint8Array(), bytesSoFar: 0 };
    seen.push(one);
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    for await (const piece of request.body ?? []) {
      one.bytesSoFar += piece.length;
      pieces.push(piece);
    }
    one.body = await new Blob(pieces).bytes();
    return answer();
  });
  posthogUrl = `http://127.0.0.1:${posthog.addr.port}`;
  serve();
});
afterEach(async () => {
  for (const connection of connections) connection.close();
  connections = [];
  await Promise.all([web.shutdown(), posthog.shutdown()]);
});

function serve(limits: Partial<RelayLimits> = {}): void {
  const old: Deno.HttpServer | undefined = web;
  old?.shutdown();
  const relay = createRelay({ limits });
  web = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    (request) => relay(request, { posthogUrl, clientAddress: "203.0.113.7" }),
  );
}

const ask = (path: string, init: RequestInit = {}) =>
  fetch(`http://127.0.0.1:${web.addr.port}${path}`, { method: "POST", ...init });

/** A post by hand, of which `begun` is sent. */
async function begin(headers: string, begun: string | Uint8Array<ArrayBuffer> = ""): Promise<Deno.Conn> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: web.addr.port });
  connections.push(connection);
  const bytes = await new Blob([`POST /relay/e/ HTTP/1.1\r\nhost: web.test\r\n${headers}\r\n`, begun])
    .bytes();
  await send(connection, bytes);
  return connection;
}

async function send(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
}

async function statusOf(connection: Deno.Conn): Promise<number> {
  const buffer = new Uint8Array(4096);
  const read = await connection.read(buffer);
  return Number(new TextDecoder().decode(buffer.subarray(0, read ?? 0)).slice("HTTP/1.1 ".length, 12));
}

describe("the relay", () => {
  test("hands query and body on byte for byte", async () => {
    const body = Uint8Array.from({ length: 70_000 }, (_, i) => i * 7 % 256);
    const response = await ask("/relay/e/?ip=0&_=1&x=a%2Bb+c&y=%F0%9F", {
      body,
      headers: { "content-type": "text/plain" },
    });
    expect(await response.text()).toBe("ok");
    expect(seen[0]!.path).toBe("/e/?ip=0&_=1&x=a%2Bb+c&y=%F0%9F");
    expect(seen[0]!.body).toEqual(body);
    expect(seen[0]!.headers.get("content-type")).toBe("text/plain");
  });

  test.each([
    ["POST", "/relay/e"],
    ["POST", "/relay/e/?compression=gzip-js&beacon=1"],
    ["POST", "/relay/i/v0/e/"],
  ])("takes what posthog-js captures by: %s %s", async (method, path) => {
    expect([(await ask(path, { method, body: "{}" }).then(drained)).status, seen.length]).toEqual([200, 1]);
  });

  test.each([
    ["GET", "/relay/e/"],
    ["PUT", "/relay/e/"],
    ["DELETE", "/relay/e/"],
    ["OPTIONS", "/relay/e/"],
    ["POST", "/relay"],
    ["POST", "/relay/"],
    ["POST", "/relay/api/projects/"],
    ["POST", "/relay/e/more"],
    ["POST", "/relay//e/"],
    ["POST", "/relay/%65/"],
    ["POST", "/relay/api/../e"],
    ["POST", "/relay/s/"],
    ["POST", "/relay/flags/?v=2"],
    ["POST", "/relay/batch/"],
    ["GET", "/relay/static/array.js"],
    ["GET", "/relay/array/phc_x/config.js"],
    ["GET", "/relay/login"],
  ])("answers 404 to anything else and asks nobody: %s %s", async (method, path) => {
    const url = new URL(path, `http://127.0.0.1:${web.addr.port}`);
    const response = await ask(path, { method, ...(method === "GET" ? {} : { body: "{}" }) }).then(drained);
    // A dotted path is resolved by whoever asks, and is then what it leads to.
    const captures = method === "POST" && /^\/relay\/e\/?$/.test(url.pathname);
    expect([response.status, seen.length]).toEqual(captures ? [200, 1] : [404, 0]);
  });

  test("hands no header on that speaks of who came before, or is this site's own", async () => {
    await ask("/relay/e/", {
      body: "{}",
      headers: {
        authorization: "Bearer x",
        cookie: "session=1",
        "cf-connecting-ip": "198.51.100.1",
        forwarded: "for=198.51.100.1",
        "true-client-ip": "198.51.100.1",
        via: "1.1 elsewhere",
        "x-forwarded-for": "198.51.100.1",
        "x-forwarded-host": "evil.test",
        "x-original-url": "/admin",
        "x-real-ip": "198.51.100.1",
        "user-agent": "b",
      },
    }).then(drained);
    const { headers } = seen[0]!;
    expect(headers.get("host")).toBe(new URL(posthogUrl).host);
    expect(headers.get("x-forwarded-for")).toBe("203.0.113.7");
    expect(headers.get("user-agent")).toBe("b");
    const known =
      /^(accept|accept-encoding|accept-language|content-type|host|transfer-encoding|user-agent|x-forwarded-for)$/;
    expect([...headers.keys()].filter((name) => !known.test(name))).toEqual([]);
  });

  test("hands the answer back with its type, and with no header that could rule our pages", async () => {
    answer = () =>
      new Response("busy", {
        status: 503,
        headers: {
          "retry-after": "3",
          "content-security-policy": "default-src *",
          "service-worker-allowed": "/",
          "access-control-allow-origin": "*",
          "set-cookie": "tracker=1",
          "x-content-type-options": "sniff",
        },
      });
    const response = await ask("/relay/e/", { body: "{}" });
    expect([response.status, await response.text()]).toEqual([503, "busy"]);
    const { date: _, vary: __, ...headers } = Object.fromEntries(response.headers);
    expect(headers).toEqual({
      "cache-control": "no-store",
      "content-length": "4",
      "content-type": "text/plain;charset=UTF-8",
      "retry-after": "3",
    });
  });

  test("follows no redirect", async () => {
    answer = () => new Response(null, { status: 307, headers: { location: "http://192.0.2.1/" } });
    const response = await ask("/relay/e/", { body: "{}" }).then(drained);
    expect([response.status, response.headers.get("location"), seen.length]).toEqual([502, null, 1]);
  });

  test("says so where PostHog is away", async () => {
    const gone = Deno.listen({ port: 0, hostname: "127.0.0.1" });
    posthogUrl = `http://127.0.0.1:${gone.addr.port}`;
    gone.close();
    expect((await ask("/relay/e/", { body: "{}" }).then(drained)).status).toBe(502);
  });
});

describe("what one request may take", () => {
  test("a body goes on while it comes", async () => {
    const connection = await begin("content-length: 40000\r\n", " ".repeat(30_000));
    await until("PostHog has the first part", () => seen[0]?.bytesSoFar === 30_000);
    await send(connection, new TextEncoder().encode(" ".repeat(10_000)));
    expect(await statusOf(connection)).toBe(200);
    expect(seen[0]!.body.length).toBe(40_000);
  });

  test("60 MB that are announced are refused before PostHog hears of it", async () => {
    const connection = await begin("content-length: 60000000\r\n");
    expect([await statusOf(connection), seen.length]).toEqual([413, 0]);
  });

  test("a body in chunks is cut off at 4 MiB", async () => {
    const chunk = new TextEncoder().encode(`10000\r\n${" ".repeat(65_536)}\r\n`);
    const connection = await begin("transfer-encoding: chunked\r\n");
    for (let i = 0; i < 64; i++) await send(connection, chunk);
    await until("all of it is with PostHog", () => seen[0]?.bytesSoFar === 4 * 1024 * 1024);
    await send(connection, chunk);
    expect(await statusOf(connection)).toBe(413);
    expect(seen[0]!.bytesSoFar).toBe(4 * 1024 * 1024);
  });

  test.each(["content-length: 100000\r\n", "transfer-encoding: chunked\r\n"])(
    "one that brings nothing, or dribbles, is answered 408 long before its time is over: %s",
    async (framing) => {
      serve({ paceMs: 50, paceBytes: 60_000, msMax: 3_600_000 });
      const idle = await begin(framing);
      const dribbles = await begin(framing);
      const piece = new TextEncoder().encode(framing.startsWith("t") ? "1\r\n \r\n" : " ");
      const timer = setInterval(() => dribbles.write(piece).catch(() => {}), 10);
      expect([await statusOf(idle), await statusOf(dribbles)]).toEqual([408, 408]);
      clearInterval(timer);
    },
  );

  test("one that PostHog does not answer, or never to the end, is answered 504", async () => {
    serve({ paceMs: 50, paceBytes: 1, msMax: 100 });
    const cancelled = Promise.withResolvers<void>();
    answer = () =>
      new Response(
        new ReadableStream({
          start: (controller) => controller.enqueue(new Uint8Array(10)),
          cancel: () => cancelled.resolve(),
        }),
      );
    expect((await ask("/relay/e/", { body: "{}" }).then(drained)).status).toBe(504);
    await cancelled.promise;
    using silent = Deno.listen({ port: 0, hostname: "127.0.0.1" });
    posthogUrl = `http://127.0.0.1:${silent.addr.port}`;
    expect((await ask("/relay/e/", { body: "{}" }).then(drained)).status).toBe(504);
  });

  test("a PostHog that reads nothing of a long body is waited for no longer, and the client's bytes stay with it", async () => {
    serve({ paceMs: 200, paceBytes: 2 ** 30, msMax: 3_600_000, bodyBytesMax: 2 ** 28 });
    using deaf = Deno.listen({ port: 0, hostname: "127.0.0.1" });
    posthogUrl = `http://127.0.0.1:${deaf.addr.port}`;
    const connection = await begin(`content-length: ${2 ** 28}\r\n`);
    let sent = 0;
    const sending = (async () => {
      const piece = new Uint8Array(64 * 1024);
      while (sent < 2 ** 28) sent += await connection.write(piece);
    })().catch(() => {});
    expect(await statusOf(connection)).toBe(504);
    // What lies in the sockets' buffers on the way, not the body.
    expect(sent).toBeLessThan(2 ** 26);
    connections = [];
    connection.close();
    await sending;
  });

  test("an answer of any length is not read to its end", async () => {
    let sent = 0;
    answer = () => {
      const piece = new Uint8Array(16_384);
      return new Response(
        new ReadableStream({
          pull(controller) {
            sent += piece.length;
            controller.enqueue(piece);
          },
        }),
      );
    };
    expect((await ask("/relay/e/", { body: "{}" }).then(drained)).status).toBe(502);
    expect(sent).toBeLessThan(2 ** 26);
  });

  test("a client that reads nothing of its answer leaves nothing behind", async () => {
    serve({ requestsMax: 1 });
    answer = () => new Response(new Uint8Array(60_000));
    for (let i = 0; i < 10; i++) {
      await begin("content-length: 2\r\n", "{}");
      await until("PostHog was asked", () => seen.length === i + 1);
    }
    expect(seen.length).toBe(10);
  });
});

describe("what all of them may take together", () => {
  test("16 unfinished posts keep no capture out, however few have room", async () => {
    serve({ requestsMax: 16, stalledMs: 0 });
    for (let i = 0; i < 16; i++) await begin("transfer-encoding: chunked\r\n", "10000\r\n");
    for (let i = 0; i < 5; i++) {
      const response = await ask("/relay/e/", { body: "{}" }).then(drained);
      expect(response.status).toBe(200);
    }
  });

  test("bytes are counted as they come, and where they are too many those without progress give way", async () => {
    serve({ bytesMax: 600_000, stalledMs: 0, progressBytes: 2 ** 30 });
    const stuck = await begin("content-length: 600000\r\n", " ".repeat(500_000));
    await until("PostHog has what came", () => seen[0]?.bytesSoFar === 500_000);
    const response = await ask("/relay/e/", { body: " ".repeat(300_000) }).then(drained);
    expect([response.status, await statusOf(stuck)]).toEqual([200, 503]);
  });
});

describe("relayTarget()", () => {
  test("stays with the one host", () => {
    const target = (path: string) =>
      relayTarget(new URL(path, "http://web.test"), { posthogUrl: "http://posthog.test:8010/base/" }).href;
    expect(target("/relay/e/?v=1&x=//evil.test")).toBe("http://posthog.test:8010/base/e/?v=1&x=//evil.test");
    expect(target("/relay/i/v0/e/")).toBe("http://posthog.test:8010/base/i/v0/e/");
  });
});

async function drained(response: Response): Promise<Response> {
  await response.body?.cancel();
  return response;
}
