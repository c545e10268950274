import { afterEach, expect, test } from "vitest";
import { fileURLToPath } from "node:url";
import { until } from "../tests/support/until.ts";
import { readWebConfig } from "./config.ts";
import { PAGE_BUTTONS, whatPageLacks } from "./page.ts";

const WEB = fileURLToPath(new URL("./main.ts", import.meta.url));
const running: Deno.ChildProcess[] = [];
const upstreams: Deno.HttpServer[] = [];

afterEach(async () => {
  for (const child of running.splice(0)) {
    try {
      child.kill("SIGKILL");
    } catch { /* It has ended by itself. */ }
    await child.status;
  }
  for (const server of upstreams.splice(0)) await server.shutdown();
});

/** Another service, as web sees it. */
function upstream(handler: () => Response | Promise<Response>): string {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, handler);
  upstreams.push(server);
  return `http://127.0.0.1:${server.addr.port}`;
}

async function start(
  env: Record<string, string>,
): Promise<{ child: Deno.ChildProcess; url: string; line: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", WEB],
    env: { FRESH: "npm", LOG_FORMAT: "text", HOST: "127.0.0.1", WEB_PORT: "0", ...env },
    stdin: "null",
    stdout: "piped",
  }).spawn();
  running.push(child);
  let output = "";
  child.stdout.pipeThrough(new TextDecoderStream()).pipeTo(
    new WritableStream({ write: (text) => void (output += text) }),
  );
  const line = await until("web prints its line", () => /^.*\n/.exec(output)?.[0].trim());
  const port = /localhost:(\d+)/.exec(line)![1];
  return { child, line, url: `http://127.0.0.1:${port}` };
}

test("web says where it is and which Fresh serves it, and serves compressed pages", async () => {
  const { line, url } = await start({});
  expect(line).toMatch(/ web: http:\/\/localhost:\d+ \(FRESH=npm: same app on fresh-npm\)$/);
  const response = await fetch(url, { headers: { "accept-encoding": "gzip" } });
  expect(response.status).toBe(200);
  expect(response.headers.get("vary")).toContain("Accept-Encoding");
  expect(await response.text()).toMatch(/^<!DOCTYPE html>/);
});

test("a page without its buttons is noticed, also with status 200, and the words say what to do", async () => {
  // Fresh from JSR with two copies of preact served 618 bytes with an empty body, status 200, and no error anywhere.
  const empty = upstream(() => new Response("<!DOCTYPE html><html><body></body></html>"));
  expect(await whatPageLacks(empty)).toMatch(
    new RegExp(`${empty} does not show its buttons \\(${PAGE_BUTTONS.join(", ")}\\).*FRESH=npm`),
  );
  const half = upstream(() => new Response(`<button>${PAGE_BUTTONS[0]}</button>`));
  expect(await whatPageLacks(half)).toContain(`(${PAGE_BUTTONS[1]})`);
  expect(await whatPageLacks("http://127.0.0.1:1/")).toMatch(/^Cannot look at the page at /);
  const { url } = await start({});
  expect(await whatPageLacks(url)).toBeNull();
});

test("told to end, web takes nothing new and finishes what is under way, whatever comes twice", async () => {
  const asked = Promise.withResolvers<void>();
  const mayAnswer = Promise.withResolvers<void>();
  const ingest = upstream(async () => {
    asked.resolve();
    await mayAnswer.promise;
    return new Response("<p>a late answer</p>", { headers: { "content-type": "text/html" } });
  });
  const { child, url } = await start({ INGEST_URL: ingest });
  const answer = fetch(`${url}/unsubscribe?token=x`).then((response) => response.text());
  await asked.promise;
  child.kill("SIGTERM");
  await until(
    "nothing new is taken",
    () => fetch(url).then((r) => r.body?.cancel().then(() => false), () => true),
  );
  child.kill("SIGINT");
  mayAnswer.resolve();
  expect(await answer).toContain("a late answer");
  expect((await child.status).code).toBe(0);
});

test("web finds the others on this machine at their ports, and says where a port cannot tell", async () => {
  const asked = Promise.withResolvers<string>();
  const ingest = upstream(() => {
    asked.resolve("ingest");
    return new Response("<p>here</p>", { headers: { "content-type": "text/html" } });
  });
  const { url } = await start({ INGEST_PORT: new URL(ingest).port });
  expect(await (await fetch(`${url}/unsubscribe?token=x`)).text()).toContain("here");
  const processor = upstream(() => Response.json({ letters: [] }));
  const other = await start({ PROCESSOR_PORT: new URL(processor).port });
  const answer = await fetch(`${other.url}/api/dead-letters/0:0`);
  await answer.body?.cancel();
  expect(answer.status).not.toBe(502);
  expect(readWebConfig({ INGEST_PORT: "0" }).warnings).toEqual([
    "INGEST_PORT is 0, any free one, so nobody can know where that is: web asks port 3000. Set INGEST_URL.",
  ]);
  expect(readWebConfig({ INGEST_PORT: "0", INGEST_URL: "http://127.0.0.1:4000" }).warnings).toEqual([]);
  expect(() => readWebConfig({ PROCESSOR_PORT: "x" })).toThrow(/PROCESSOR_PORT/);
});

test("an event stream that never ends does not keep web from ending", async () => {
  const processor = upstream(() => {
    const body = new ReadableStream({ start: (out) => out.enqueue(new TextEncoder().encode(": hello\n\n")) });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  });
  const { child, url } = await start({ PROCESSOR_URL: processor });
  const stream = await fetch(`${url}/api/events`);
  const first = await stream.body!.getReader().read();
  expect(first.done).toBe(false);
  child.kill("SIGTERM");
  expect((await child.status).code).toBe(0);
});

test("web opens its console to other machines only where somebody says so", () => {
  const read = (more: Record<string, string>) => () => readWebConfig({ HOST: "0.0.0.0", ...more });
  expect(read({})).toThrow(/CONSOLE_PASSWORD, or ALLOW_ANONYMOUS=1/);
  expect(read({ CONSOLE_PASSWORD: "secret" })().console).toMatchObject({ password: "secret" });
  expect(read({ ALLOW_ANONYMOUS: "1" })().console).toMatchObject({ anonymous: true });
});

test("every wrong setting is named, with exit code 2", async () => {
  expect(() => readWebConfig({ WEB_PORT: "x", FRESH: "deno" })).toThrow(/WEB_PORT[^]*FRESH/);
  const run = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", WEB],
    env: { FRESH: "deno", LOG_FORMAT: "text" },
  })
    .output();
  expect(run.code).toBe(2);
  expect(new TextDecoder().decode(run.stderr)).toMatch(
    /^\S+Z error web: Cannot read FRESH "deno": expected jsr or npm\.\n$/,
  );
});
