import { afterEach, describe, expect, test } from "vitest";
import { breakBy, proofOf } from "../../web/server/demo.ts";

const CONSOLE = { publicHost: "shop.example", allowedHosts: [], password: null, anonymous: false };
const LOCAL = { remoteAddr: { hostname: "127.0.0.1" } };
const OWN = { host: "localhost:8000", origin: "http://localhost:8000" };
const servers: Deno.HttpServer<Deno.NetAddr>[] = [];
const asked: { path: string; authorization: string | null; body: string }[] = [];
afterEach(async () => {
  asked.length = 0;
  for (const server of servers.splice(0)) await server.shutdown();
});

/** The demo itself, as far as web sees it. */
function demo(answer: () => Response = () => Response.json({ agree: true })) {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const { pathname: path } = new URL(request.url);
    asked.push({ path, authorization: request.headers.get("authorization"), body: await request.text() });
    return answer();
  });
  servers.push(server);
  return { url: `http://127.0.0.1:${server.addr.port}`, token: "a token" };
}

type Asking = {
  demoControl: { url: string; token: string } | null;
  name?: string;
  headers?: Record<string, string>;
  info?: unknown;
  body?: string;
};
function throwSwitch(
  { demoControl, name = "deliver-twice", headers = OWN, info = LOCAL, body = '{"on":true}' }: Asking,
) {
  const req = new Request("http://localhost:8000/", { method: "POST", headers, body });
  return breakBy(name, { req, info, demoControl, console: CONSOLE });
}

function proof({ demoControl, headers = { host: "localhost:8000" }, info = LOCAL }: Asking) {
  const req = new Request("http://localhost:8000/api/proof", { headers });
  return proofOf({ req, info }, { demoControl, console: CONSOLE });
}

describe("the demo's switches and its proof", () => {
  test("are nowhere outside the demo", async () => {
    expect((await proof({ demoControl: null })).status).toBe(404);
    expect((await throwSwitch({ demoControl: null })).status).toBe(404);
  });

  test("are handed on to the demo with its token, and its answer back", async () => {
    const demoControl = demo(() => Response.json({ agree: false, words: "3 on their way" }));
    expect(await (await proof({ demoControl })).json()).toEqual({ agree: false, words: "3 on their way" });
    expect((await throwSwitch({ demoControl })).status).toBe(200);
    expect(asked).toEqual([
      { path: "/proof", authorization: "Bearer a token", body: "" },
      { path: "/break/deliver-twice", authorization: "Bearer a token", body: '{"on":true}' },
    ]);
    await throwSwitch({ demoControl, body: "" });
    expect(asked.at(-1)!.body).toBe("{}");
    await throwSwitch({ demoControl, name: "../proof" });
    expect(asked.at(-1)!.path).toBe("/break/..%2Fproof");
  });

  test("what the demo refuses is refused with its words, and 502 where it does not answer", async () => {
    const no = { error: { code: "not_now", message: "ingest does not run now" } };
    const refused = await throwSwitch({ demoControl: demo(() => Response.json(no, { status: 409 })) });
    expect([refused.status, await refused.json()]).toEqual([409, no]);
    const nobody = { url: "http://127.0.0.1:1", token: "a token" };
    expect((await throwSwitch({ demoControl: nobody })).status).toBe(502);
  });

  test("are this machine's alone, and the switches its own page's", async () => {
    const demoControl = demo();
    const foreign: Partial<Asking>[] = [
      { info: { remoteAddr: { hostname: "10.0.0.1" } } },
      { headers: { ...OWN, "x-forwarded-for": "10.0.0.1" } },
      { headers: { host: "shop.example", origin: "http://shop.example" } },
    ];
    for (const from of foreign) {
      expect((await throwSwitch({ demoControl, ...from })).status).toBe(403);
      expect((await proof({ demoControl, ...from })).status).toBe(403);
    }
    for (const headers of [{ host: OWN.host }, { ...OWN, origin: "http://elsewhere.example" }]) {
      expect((await throwSwitch({ demoControl, headers })).status).toBe(403);
    }
    expect(asked).toEqual([]);
  });

  test("take no body that is too long or no JSON", async () => {
    const demoControl = demo();
    expect((await throwSwitch({ demoControl, body: "x".repeat(2_000) })).status).toBe(413);
    expect((await throwSwitch({ demoControl, body: "{" })).status).toBe(400);
    expect(asked).toEqual([]);
  });
});
