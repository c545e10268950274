/** Who gets in at web: a process of its own, asked over real connections; tests/web/fakes.ts stands for the services. */
import { afterEach, describe, expect, test } from "vitest";
import { passwordHeaders } from "../../contract/door.ts";
import { askAs, ownAddress } from "../support/ask_as.ts";
import { firstUrl } from "../support/pipeline.ts";
import { spawnProgram } from "../support/run_command.ts";
import { type Fakes, startFakes } from "./fakes.ts";

const PROMPT = "call +44 7911 123456";
const CONSOLE = [
  "/",
  "/dataset",
  "/mail",
  "/offers",
  "/api/offers",
  "/dead-letters",
  "/api/status",
  "/api/events",
  "/api/services",
];
/** Files of the page, an address that is nowhere, and spellings that a router might take for a public one. */
const REST = [
  "/styles.css",
  "/favicon.svg",
  "/nowhere",
  "/%",
  "//unsubscribe/..//",
  "/unsubscribe/x",
  "/relay",
  "/relay/../api/status",
  "/relay/%2e%2e/api/status",
  "/unsubscribe%2f..%2fapi",
];
const PUBLIC_URL = "https://shop.example";
const own = ownAddress();

const started: { fakes: Fakes; web: Deno.ChildProcess }[] = [];
afterEach(async () => {
  for (const { fakes, web } of started.splice(0)) {
    web.kill("SIGKILL");
    await web.status;
    await fakes.stop();
  }
});

async function start(environment: Record<string, string> = {}, given: Parameters<typeof startFakes>[0] = {}) {
  const fakes = startFakes(given);
  const env = { FRESH: "npm", WEB_PORT: "0", PUBLIC_URL, ...fakes.environment, ...environment };
  const web = spawnProgram("serve_web/main.ts", { env });
  started.push({ fakes, web });
  let errors = "";
  (async () => {
    for await (const text of web.stderr.pipeThrough(new TextDecoderStream())) errors += text;
  })();
  const { port } = new URL(await firstUrl(web.stdout, () => errors));
  fakes.take({
    uuid: crypto.randomUUID(),
    event: "generation_failed",
    timestamp: new Date().toISOString(),
    properties: { distinct_id: "user-1", input_prompt: PROMPT, failure_reason: "timeout" },
  });
  const url = `http://127.0.0.1:${port}`;
  const enough = (text: string) => /<\/html>|"written"|"error"/.test(text);
  const ask = (host: string | null, path: string, more: Partial<Parameters<typeof askAs>[1]> = {}) =>
    askAs(url, { host, path, enough, ...more });
  const statusOf = async (...asked: Parameters<typeof ask>) => (await ask(...asked)).status;
  return { fakes, ask, statusOf, errors: () => errors };
}

describe("without a password", () => {
  test("PUBLIC_URL's name, which is everybody's, has the public door and nothing else", async () => {
    const { fakes, ask, statusOf } = await start();
    for (const path of [...CONSOLE, ...REST]) {
      const answer = await ask("shop.example", path);
      expect([path, answer.status]).toEqual([path, 403]);
      expect(answer.body).toContain("CONSOLE_PASSWORD");
    }
    for (const path of ["/dead-letters", "/api/dead-letters/redrive"]) {
      const headers = { origin: "http://shop.example" };
      expect(await statusOf("shop.example", path, { method: "POST", headers, body: "letter=all" })).toBe(403);
    }
    expect(await statusOf("shop.example", "/unsubscribe?token=x")).toBe(200);
    const post = { method: "POST", body: "" };
    expect(await statusOf("SHOP.example.:443", "/unsubscribe?token=x", post)).toBe(200);
    expect(fakes.unsubscribed.map(({ method, search }) => [method, search])).toEqual([
      ["GET", "?token=x"],
      ["POST", "?token=x"],
    ]);
    expect(
      await statusOf("shop.example", "/relay/e/", { method: "POST", headers: { "content-length": "0" } }),
    )
      .not.toBe(403);
  });

  test("a name that somebody turned to this machine is answered nowhere, and none at all is no Host", async () => {
    const { statusOf } = await start();
    for (const path of [...CONSOLE, "/unsubscribe?token=x", "/relay/e/", "/styles.css"]) {
      expect([path, await statusOf("rebound.example", path)]).toEqual([path, 421]);
    }
    expect(await statusOf(null, "/", { version: "1.0" })).toBe(400);
    expect(await statusOf("a b", "/unsubscribe?token=x")).toBe(400);
    expect(await statusOf("localhost", "/", { version: "1.0" })).toBe(200);
  });

  test("this machine has the console with its raw prompts, unless a proxy hands the request on", async () => {
    const { ask } = await start();
    for (const host of ["localhost", "127.0.0.1:8000", "[::1]"]) {
      for (const path of ["/", "/api/events"]) {
        const { status, body } = await ask(host, path);
        expect([host, path, status, body.includes(PROMPT)]).toEqual([host, path, 200, true]);
      }
      const forwarded = await ask(host, "/", { headers: { "x-forwarded-for": "203.0.113.7" } });
      expect(forwarded.status).toBe(403);
    }
  });

  test.skipIf(own === null)("another machine gets nothing by sending Host: localhost", async () => {
    const { ask, errors } = await start({ HOST: "0.0.0.0", ALLOW_ANONYMOUS: "1" });
    expect(errors()).toMatch(/ warn {2}web: ALLOW_ANONYMOUS: everybody who reaches 0\.0\.0\.0/m);
    for (const path of ["/", "/api/events"]) {
      // The console is everybody's, as somebody said; the raw prompt is not.
      const there = await ask("localhost", path, { hostname: own! });
      expect([path, there.status, there.body.includes(PROMPT)]).toEqual([path, 200, false]);
      expect(there.body).toContain("PHONE_NUMBER");
      expect((await ask("localhost", path)).body).toContain(PROMPT);
    }
    expect((await ask("shop.example", "/", { hostname: own! })).status).toBe(403);
    expect((await ask("rebound.example", "/", { hostname: own! })).status).toBe(421);
    expect((await ask(own, "/", { hostname: own! })).status).toBe(421);
  });
});

describe("with a password", () => {
  const SECRET = { CONSOLE_PASSWORD: "pässword" };
  const headers = passwordHeaders("pässword");

  test("who sends it has the console under every name, without raw prompts unless this machine asks itself", async () => {
    const { ask, statusOf } = await start({ ...SECRET, ALLOWED_HOSTS: "10.0.0.7" }, { password: "pässword" });
    for (const path of [...CONSOLE, "/styles.css"]) {
      for (const host of ["localhost", "shop.example", "10.0.0.7:8000"]) {
        expect([path, host, await statusOf(host, path)]).toEqual([path, host, 401]);
        expect([path, host, await statusOf(host, path, { headers })]).toEqual([path, host, 200]);
      }
      expect(await statusOf("rebound.example", path, { headers })).toBe(421);
    }
    const behindProxy = { ...headers, "x-forwarded-for": "203.0.113.7" };
    expect((await ask("shop.example", "/", { headers: behindProxy })).body).not.toContain(PROMPT);
    expect((await ask("localhost", "/", { headers: behindProxy })).body).not.toContain(PROMPT);
    expect((await ask("localhost", "/", { headers })).body).toContain(PROMPT);
    expect(await statusOf("shop.example", "/unsubscribe?token=x")).toBe(200);
    const asksFor = await ask("shop.example", "/");
    expect(asksFor.head).toMatch(/^www-authenticate: Basic realm="console", charset="UTF-8"\r?$/im);
  });

  test("another site's page cannot use the password that the browser keeps", async () => {
    const { statusOf } = await start(SECRET, { password: "pässword" });
    const redrive = (origin: string) =>
      statusOf("shop.example", "/dead-letters", {
        method: "POST",
        headers: { ...headers, origin },
        body: "",
      });
    expect(await redrive("https://evil.example")).toBe(403);
    expect(await redrive("https://shop.example")).toBe(400);
  });

  test("after 8 wrong ones it waits, and the public door stays open", async () => {
    const { ask, statusOf } = await start(SECRET);
    const wrong = { headers: passwordHeaders("wrong") };
    for (let i = 0; i < 8; i++) expect(await statusOf("shop.example", "/", wrong)).toBe(401);
    const ninth = await ask("shop.example", "/", { headers });
    expect(ninth.status).toBe(429);
    expect(ninth.head).toMatch(/^retry-after: \d+\r?$/im);
    expect(await statusOf("shop.example", "/unsubscribe?token=x")).toBe(200);
  });

  test("that is not the processor's, the page says what to set, and its answers are no question for one", async () => {
    const { ask } = await start({}, { password: "another" });
    const { body } = await ask("localhost", "/api/services", { enough: () => false });
    expect(JSON.parse(body).processor).toMatchObject({
      state: "not ready",
      says: expect.stringContaining("CONSOLE_PASSWORD"),
    });
    for (const path of ["/api/status", "/api/mails", "/api/dead-letters", "/api/dataset"]) {
      const answer = await ask("localhost", path, { enough: () => false });
      expect([path, answer.status]).toEqual([path, 502]);
      expect(answer.body).toContain("CONSOLE_PASSWORD");
    }
  });
});
