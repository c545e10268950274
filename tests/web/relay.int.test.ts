import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { relay, relayTarget } from "../../web/server/relay.ts";

/** A PostHog that notes what it is sent; not imitated: anything it would do with it. */
let seen: { method: string; path: string; headers: Headers; body: Uint8Array }[] = [];
let answer: () => Response = () => new Response("ok");
let posthog: Deno.HttpServer<Deno.NetAddr>;

beforeEach(() => {
  seen = [];
  answer = () => new Response("ok");
  posthog = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, async (request) => {
    const { pathname, search } = new URL(request.url);
    const body = new Uint8Array(await request.arrayBuffer());
    seen.push({ method: request.method, path: pathname + search, headers: request.headers, body });
    return answer();
  });
});
afterEach(() => posthog.shutdown());

const ask = (path: string, init: RequestInit = {}) =>
  relay(new Request(`http://web.test${path}`, init), {
    posthogUrl: `http://127.0.0.1:${posthog.addr.port}`,
    clientAddress: "203.0.113.7",
  });

describe("relay()", () => {
  test("hands path, query and body on byte for byte", async () => {
    const body = Uint8Array.from({ length: 70_000 }, (_, i) => i * 7 % 256);
    await ask("/relay/e/?ip=0&_=1&x=a%2Bb+c&y=%F0%9F", {
      method: "POST",
      body,
      headers: { "content-type": "text/plain" },
    });
    expect(seen[0]!.path).toBe("/e/?ip=0&_=1&x=a%2Bb+c&y=%F0%9F");
    expect(seen[0]!.body).toEqual(body);
    expect(seen[0]!.headers.get("content-type")).toBe("text/plain");
  });

  test("names the target as host, adds the browser's address, and keeps what is this site's own", async () => {
    await ask("/relay/e/", {
      method: "POST",
      body: "{}",
      headers: {
        cookie: "session=1",
        authorization: "Bearer x",
        "x-forwarded-for": "198.51.100.1",
        "user-agent": "b",
      },
    });
    const { headers } = seen[0]!;
    expect(headers.get("host")).toBe(`127.0.0.1:${posthog.addr.port}`);
    expect(headers.get("x-forwarded-for")).toBe("198.51.100.1, 203.0.113.7");
    expect(headers.get("user-agent")).toBe("b");
    expect([headers.get("cookie"), headers.get("authorization")]).toEqual([null, null]);
  });

  test("hands the answer back without cookies", async () => {
    answer = () =>
      new Response("busy", { status: 503, headers: { "retry-after": "3", "set-cookie": "tracker=1" } });
    const response = await ask("/relay/e/", { method: "POST", body: "{}" });
    expect([response.status, await response.text(), response.headers.get("retry-after")]).toEqual([
      503,
      "busy",
      "3",
    ]);
    expect(response.headers.get("set-cookie")).toBeNull();
  });

  test("follows no redirect", async () => {
    answer = () => new Response(null, { status: 307, headers: { location: "http://192.0.2.1/" } });
    const response = await ask("/relay/e/", { method: "POST", body: "{}" });
    expect([response.status, response.headers.get("location"), seen.length]).toEqual([502, null, 1]);
  });

  test("cuts off a body over 64 MiB while reading it", async () => {
    let sent = 0;
    const chunk = new Uint8Array(1024 * 1024);
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent++;
        controller.enqueue(chunk);
      },
    });
    const response = await ask("/relay/s/", { method: "POST", body });
    expect([response.status, seen.length]).toEqual([413, 0]);
    expect(sent).toBeLessThan(70);
  });

  test("says so where PostHog is away", async () => {
    const gone = Deno.listen({ port: 0, hostname: "127.0.0.1" });
    const posthogUrl = `http://127.0.0.1:${gone.addr.port}`;
    gone.close();
    const response = await relay(new Request("http://web.test/relay/e/"), {
      posthogUrl,
      clientAddress: null,
    });
    expect(response.status).toBe(502);
  });
});

describe("relayTarget()", () => {
  const target = (path: string, posthogUrl: string) =>
    relayTarget(new URL(path, "http://web.test"), { posthogUrl }).href;

  test("takes static assets of PostHog's cloud from its assets host", () => {
    const us = "https://us.i.posthog.com";
    expect(target("/relay/static/array.js", us)).toBe("https://us-assets.i.posthog.com/static/array.js");
    expect(target("/relay/array/phc_x/config.js", us)).toBe(
      "https://us-assets.i.posthog.com/array/phc_x/config.js",
    );
    expect(target("/relay/e/?v=1", us)).toBe("https://us.i.posthog.com/e/?v=1");
    expect(target("/relay/static/x.js", "https://eu.i.posthog.com")).toBe(
      "https://eu-assets.i.posthog.com/static/x.js",
    );
  });

  test("stays with the one host whatever the path tries", () => {
    const own = "http://posthog.test:8010/base";
    for (
      const path of [
        "/relay//evil.test/e/",
        "/relay/@evil.test/",
        "/relay/%2F%2Fevil.test",
        "/relay/\\evil.test",
        "/relay",
      ]
    ) {
      const url = new URL(target(path, own));
      expect(url.host).toBe("posthog.test:8010");
      expect(url.pathname.startsWith("/base/")).toBe(true);
    }
  });
});
