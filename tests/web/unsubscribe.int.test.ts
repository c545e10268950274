import { afterEach, beforeEach, expect, test } from "vitest";
import { unsubscribe } from "../../web/server/unsubscribe.ts";

/** An ingest that notes what it is asked; not imitated: what it would do with it. */
let asked: { method: string; search: string; body: string; headers: Headers }[] = [];
let ingest: Deno.HttpServer<Deno.NetAddr>;
let web: Deno.HttpServer<Deno.NetAddr>;

beforeEach(() => {
  asked = [];
  ingest = serve(async (request) => {
    const { method, headers } = request;
    asked.push({ method, search: new URL(request.url).search, body: await request.text(), headers });
    return new Response("done", { headers: { "content-type": "text/html", "set-cookie": "a=1" } });
  });
  web = serve((request) =>
    unsubscribe(request, { ingestUrl: `http://127.0.0.1:${ingest.addr.port}`, bodyMsMax: 100 })
  );
});
afterEach(async () => {
  await Promise.all([web.shutdown(), ingest.shutdown()]);
});

test("a body that does not come is given up, asks ingest nothing and keeps no reader out", async () => {
  const head = "POST /unsubscribe?token=x HTTP/1.1\r\nhost: web.test\r\n";
  const idle = await Promise.all(
    ["content-length: 26\r\n\r\n", "content-length: 26\r\n\r\nList", "transfer-encoding: chunked\r\n\r\n"]
      .map(
        async (rest) => {
          const connection = await Deno.connect({ hostname: "127.0.0.1", port: web.addr.port });
          await connection.write(new TextEncoder().encode(head + rest));
          return connection;
        },
      ),
  );
  const reader = await post("List-Unsubscribe=One-Click");
  expect([reader.status, await reader.text(), asked.length]).toEqual([200, "done", 1]);
  for (const connection of idle) {
    const buffer = new Uint8Array(4096);
    const text = new TextDecoder().decode(buffer.subarray(0, await connection.read(buffer) ?? 0));
    expect(text).toMatch(/^HTTP\/1.1 408 /);
    connection.close();
  }
  expect(asked.length).toBe(1);
});

test("a body over 16 KiB is refused", async () => {
  const response = await post("x".repeat(16 * 1024 + 1));
  await response.body?.cancel();
  expect([response.status, asked.length]).toEqual([413, 0]);
});

test("no header goes on that speaks of who came before, and no cookie comes back", async () => {
  const response = await post("", {
    "x-forwarded-for": "198.51.100.1",
    cookie: "a=1",
    authorization: "Basic x",
  });
  await response.body?.cancel();
  expect(response.headers.get("set-cookie")).toBeNull();
  const { headers, search } = asked[0]!;
  expect([headers.get("x-forwarded-for"), headers.get("cookie"), headers.get("authorization")])
    .toEqual([null, null, null]);
  expect(search).toBe("?token=x");
});

function post(body: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`http://127.0.0.1:${web.addr.port}/unsubscribe?token=x`, {
    method: "POST",
    body,
    headers: { "content-type": "application/x-www-form-urlencoded", ...headers },
  });
}

function serve(handler: (request: Request) => Promise<Response>): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, handler);
}
