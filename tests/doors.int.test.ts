/**
 * Who is answered by ingest, the processor and the stand-in: real processes that listen on all addresses of this machine,
 * asked by its own one as another machine would ask. web's door: tests/web/door.int.test.ts.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { passwordHeaders } from "../contract/door.ts";
import { askAs, ownAddress } from "./support/ask_as.ts";
import { firstUrl, posthogBody, type Service, startService } from "./support/pipeline.ts";
import { runProgram, spawnProgram } from "./support/run_command.ts";

const own = ownAddress();
const HOSTS = { HOST: "0.0.0.0", PUBLIC_URL: "https://shop.example", ALLOWED_HOSTS: "hooks.example" };
const SECRET = { WEBHOOK_SECRET: "a-secret-of-a-test" };
const headers = passwordHeaders("secret");

let dataDir: string;
let ingest: Service;
let processor: Service;
let standIn: { url: string; child: Deno.ChildProcess };

beforeAll(async () => {
  dataDir = await Deno.makeTempDir({ prefix: "doors-" });
  const env = { ...HOSTS, ...SECRET, CONSOLE_PASSWORD: "secret", DATA_DIR: dataDir };
  ingest = await startService("ingest", env);
  processor = await startService("processor", env);
  const more = { POSTHOG_STAND_IN_PORT: "0", INGEST_URL: ingest.url };
  const child = spawnProgram("demo/stand_in/main.ts", { env: { ...env, ...more } });
  standIn = { child, url: await firstUrl(child.stdout, () => "") };
}, 60_000);
afterAll(async () => {
  standIn.child.kill("SIGTERM");
  await Promise.all([standIn.child.status, ingest.stop(), processor.stop()]);
  await Deno.remove(dataDir, { recursive: true });
});

const SERVICES = [
  ["ingest", () => ingest.url, "/readyz"],
  ["the processor", () => processor.url, "/healthz"],
  ["the stand-in", () => standIn.url, "/healthz"],
] as const;

describe.each(SERVICES)("%s", (_, url, path) => {
  test.each([
    ["localhost", 200],
    ["127.0.0.1", 200],
    ["[::1]:80", 200],
    ["SHOP.example.", 200],
    ["hooks.example:443", 200],
    ["rebound.example", 421],
    ["localhost.rebound.example", 421],
    ["a b", 400],
  ])("called %s answers %i", async (host, status) => {
    const answer = await askAs(url(), { host, path, headers });
    expect([answer.status, answer.body]).toEqual([status, expect.any(String)]);
    if (status !== 200) expect(JSON.parse(answer.body)).toEqual({ error: expect.anything() });
  });

  test("called by no name at all answers 400", async () => {
    expect((await askAs(url(), { host: null, path, version: "1.0", headers })).status).toBe(400);
  });
});

test("ingest takes a webhook under the names that it answers to, and under no other", async () => {
  const body = posthogBody();
  const post = (host: string) =>
    askAs(ingest.url, {
      host,
      path: "/api/webhooks",
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${SECRET.WEBHOOK_SECRET}` },
      body,
    });
  expect((await post("rebound.example")).status).toBe(421);
  expect((await post("hooks.example")).status).toBe(200);
});

describe("the processor", () => {
  const ask = (path: string, more: Partial<Parameters<typeof askAs>[1]> = {}) =>
    askAs(processor.url, { host: "localhost", path, ...more });

  test("tells how it is to this machine without a password, and nothing else", async () => {
    for (const path of ["/healthz", "/metrics"]) expect((await ask(path)).status).toBe(200);
    for (const path of ["/api/status", "/api/mails", "/api/dead-letters"]) {
      expect((await ask(path)).status).toBe(401);
      expect((await ask(path, { headers })).status).toBe(200);
    }
    expect((await ask("/api/offers")).status).toBe(401);
    // Its view may not be made yet.
    expect([200, 503]).toContain((await ask("/api/offers", { headers })).status);
  });

  test.skipIf(own === null)(
    "tells another machine nothing without it, whatever Host that sends",
    async () => {
      for (const path of ["/healthz", "/metrics", "/api/status", "/api/events", "/api/dead-letters/0:0"]) {
        for (const host of ["localhost", "127.0.0.1", "hooks.example"]) {
          expect((await ask(path, { host, hostname: own! })).status).toBe(401);
        }
      }
      expect((await ask("/api/status", { headers, hostname: own! })).status).toBe(200);
      const wrong = { headers: passwordHeaders("wrong"), hostname: own! };
      for (let i = 0; i < 8; i++) expect((await ask("/api/status", wrong)).status).toBe(401);
      expect((await ask("/api/status", { headers, hostname: own! })).status).toBe(429);
      expect((await ask("/api/status", { headers })).status).toBe(200);
    },
  );

  test("refuses to open its console to everybody unless somebody says so", async () => {
    const run = await runProgram("processor/main.ts", { env: { HOST: "0.0.0.0", DATA_DIR: dataDir } });
    expect(run.code).toBe(2);
    expect(run.stderr).toMatch(/CONSOLE_PASSWORD, or ALLOW_ANONYMOUS=1/);
  });
});
