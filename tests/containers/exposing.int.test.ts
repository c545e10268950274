import { Buffer } from "node:buffer";
import {
  createServer,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  request as httpRequest,
} from "node:http";
import { request as httpsRequest } from "node:https";
import { join, resolve } from "node:path";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../support/until.ts";

/**
 * The proxies' examples of docs/exposing.md as they stand there, before small servers in place of ingest and web. Changed
 * are only ports and certificate, and that Caddy, which would get a certificate from the internet, speaks plain http.
 */
const PAGE = Deno.readTextFileSync(resolve(import.meta.dirname!, "../../docs/exposing.md"));
const exampleFor = (language: string) => PAGE.split(`\n\`\`\`${language}\n`)[1]!.split("\n```\n")[0]!;

const NAME = "shop.example";
const INGEST = "127.0.0.1:3000";
const WEB = "127.0.0.1:8000";

type Seen = { readonly at: "ingest" | "web"; readonly line: string; readonly headers: OutgoingHttpHeaders };
type Answer = { readonly status: number; readonly body: string };
type Through = (what: readonly [string, string], more?: Sent) => Promise<Answer>;
type Sent = { readonly headers?: Record<string, string>; readonly body?: Uint8Array };

let work: string;
let seen: Seen[] = [];
const closing: (() => unknown)[] = [];
const upstreams: Record<string, string> = {};

/** Answers with the bytes that it was sent. */
async function listenAs(at: Seen["at"]): Promise<string> {
  const server = createServer(async (request, response) => {
    try {
      const body = await bytesOf(request);
      seen.push({ at, line: `${request.method} ${request.url}`, headers: request.headers });
      response.end(`${at} took ${body.length} bytes`);
    } catch {
      response.destroy(); // The proxy has cut the body off.
    }
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  closing.push(() => (server.closeAllConnections(), server.close()));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function bytesOf(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** The path goes out as it is written here, which `fetch` would tidy up. */
function ask(
  port: number,
  [method, path]: readonly [string, string],
  { headers = {}, body, ca }: Sent & { ca?: string } = {},
): Promise<Answer> {
  const options = {
    host: "127.0.0.1",
    port,
    method,
    path,
    agent: false as const,
    headers: {
      host: NAME,
      connection: "close",
      ...(body ? { "content-length": String(body.length) } : {}),
      ...headers,
    },
  };
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const take = async (response: IncomingMessage) =>
    resolve({ status: response.statusCode!, body: (await bytesOf(response)).toString() });
  const taken = (response: IncomingMessage) => void take(response).catch(reject);
  const request = ca === undefined
    ? httpRequest(options, taken)
    : httpsRequest({ ...options, servername: NAME, ca }, taken);
  request.on("error", reject);
  request.end(body);
  return promise;
}

async function whyNot(program: string, ...args: string[]): Promise<string | null> {
  try {
    await new Deno.Command(program, { args, stdout: "null", stderr: "null" }).output();
    return null;
  } catch {
    return `${program} is not installed`;
  }
}

/** Runs the program until the tests are over; rejects with its words where it ends before it answers. */
async function start(program: string, args: string[], port: number): Promise<void> {
  const child = new Deno.Command(program, {
    args,
    stdout: "null",
    stderr: "piped",
    env: { XDG_DATA_HOME: work, XDG_CONFIG_HOME: work },
  }).spawn();
  let ended: number | null = null;
  child.status.then(({ code }) => ended = code);
  const words = new Response(child.stderr).text();
  closing.push(async () => {
    if (ended === null) child.kill("SIGTERM");
    await child.status;
    await words;
  });
  await until(`${program} listens`, async () => {
    if (ended !== null) throw new Error(`${program} ended with ${ended}: ${await words}`);
    return await Deno.connect({ hostname: "127.0.0.1", port }).then(
      (met) => (met.close(), true),
      () => false,
    );
  });
}

async function toItsEnd(program: string, args: string[]): Promise<{ code: number; words: string }> {
  const { code, stderr } = await new Deno.Command(program, {
    args,
    stdout: "null",
    env: { XDG_DATA_HOME: work, XDG_CONFIG_HOME: work },
  }).output();
  return { code, words: new TextDecoder().decode(stderr) };
}

/** Fails where the page has another text than the one that is changed here. */
function withOnes(text: string, changes: Record<string, string>): string {
  for (const [from, to] of Object.entries(changes)) {
    expect(text, `docs/exposing.md has ${from}`).toContain(from);
    text = text.replaceAll(from, to);
  }
  return text;
}

async function startNginx(): Promise<Through> {
  const [port, plain] = [freePort(), freePort()];
  const [cert, key] = [join(work, "cert.pem"), join(work, "key.pem")];
  const made = await toItsEnd("openssl", [
    ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(" "),
    ...["-subj", `/CN=${NAME}`, "-addext", `subjectAltName=DNS:${NAME}`, "-keyout", key, "-out", cert],
  ]);
  expect(made.code, made.words).toBe(0);
  await Deno.writeTextFile(
    join(work, "pipeline.conf"),
    withOnes(exampleFor("nginx"), {
      "listen 80;": `listen 127.0.0.1:${plain};`,
      "listen 443 ssl;": `listen 127.0.0.1:${port} ssl;`,
      "/etc/letsencrypt/live/shop.example/fullchain.pem": cert,
      "/etc/letsencrypt/live/shop.example/privkey.pem": key,
      [INGEST]: upstreams.ingest!,
      [WEB]: upstreams.web!,
    }),
  );
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) =>
    `${name}_temp_path ${work}/${name};`
  );
  const main = join(work, "nginx.conf");
  await Deno.writeTextFile(
    main,
    `${Deno.uid() === 0 ? "user root;" : ""} daemon off; worker_processes 1; pid ${work}/nginx.pid;
     error_log stderr error; events { worker_connections 256; }
     http { access_log off; ${temporary.join(" ")} include ${work}/pipeline.conf; }`,
  );
  const checked = await toItsEnd(NGINX, ["-t", "-p", work, "-c", main]);
  expect(checked.code, checked.words).toBe(0);
  await start(NGINX, ["-p", work, "-c", main], port);
  const ca = await Deno.readTextFile(cert);
  const redirect = await ask(plain, ["GET", "/unsubscribe?token=x"]);
  expect(redirect.status).toBe(301);
  return (what, more) => ask(port, what, { ...more, ca });
}

async function startCaddy(): Promise<Through> {
  const port = freePort();
  const asWritten = join(work, "Caddyfile");
  await Deno.writeTextFile(asWritten, exampleFor("caddy"));
  const checked = await toItsEnd("caddy", ["adapt", "--validate", "--config", asWritten]);
  expect(checked.code, checked.words).toBe(0);
  const config = join(work, "Caddyfile.test");
  await Deno.writeTextFile(
    config,
    withOnes(exampleFor("caddy"), {
      "\tservers {": "\tadmin off\n\tauto_https off\n\tservers {",
      "\nshop.example {": `\nhttp://shop.example:${port} {`,
      [INGEST]: upstreams.ingest!,
      [WEB]: upstreams.web!,
    }),
  );
  await start("caddy", ["run", "--adapter", "caddyfile", "--config", config], port);
  return (what, more) => ask(port, what, more);
}

const NGINX = await whyNot("/usr/sbin/nginx", "-v") === null ? "/usr/sbin/nginx" : "nginx";
const PROXIES = [
  { name: "nginx", start: startNginx, why: await whyNot(NGINX, "-v") ?? await whyNot("openssl", "version") },
  { name: "Caddy", start: startCaddy, why: await whyNot("caddy", "version") },
];

beforeAll(async () => {
  work = await Deno.makeTempDir({ prefix: "exposing-" });
  for (const at of ["ingest", "web"] as const) upstreams[at] = await listenAs(at);
});
afterAll(async () => {
  for (const close of closing.reverse()) await close();
  await Deno.remove(work, { recursive: true });
});

const COMES_THROUGH = [
  ["ingest", "POST", "/api/webhooks"],
  ["ingest", "POST", "/api/webhooks/"],
  ["ingest", "GET", "/unsubscribe?token=0123abcd.4567.A-_b"],
  ["ingest", "POST", "/unsubscribe?token=0123abcd.4567.A-_b"],
  ["web", "POST", "/relay/e/?compression=gzip-js&ip=0&_=1764520701968&ver=1.449.2"],
  ["web", "POST", "/relay/i/v0/e/?ip=0"],
  ["web", "POST", "/relay/flags/?v=2"],
  ["web", "POST", "/relay/s/"],
  ["web", "GET", "/relay/array/phc_demo/config.js"],
  ["web", "GET", "/relay/static/recorder.js?v=1.449.2"],
] as const;

const STAYS_INSIDE = [
  ["GET", "/"],
  ["GET", "/offers/user-1"],
  ["GET", "/mail"],
  ["GET", "/dead-letters"],
  ["GET", "/dataset"],
  ["GET", "/styles.css"],
  ["GET", "/api/status"],
  ["GET", "/api/events"],
  ["GET", "/api/recent"],
  ["POST", "/api/dead-letters/redrive"],
  ["POST", "/api/break/kill-ingest"],
  ["GET", "/metrics"],
  ["GET", "/readyz"],
  ["GET", "/api/webhooks-not"],
  ["GET", "/unsubscribe/"],
  // What a proxy and the server behind it may read differently.
  ["GET", "//api/status"],
  ["GET", "/unsubscribe/../offers"],
  ["GET", "/api/webhooks/../status"],
  ["GET", "/relay/../api/status"],
  ["GET", "/relay/./../api/status"],
  ["GET", "/relay/%2e%2e/api/status"],
  ["GET", "/relay/..%2fapi%2fstatus"],
  ["GET", "/relay/..%5capi%5cstatus"],
  ["GET", "/api/status/..%2f..%2frelay/e/"],
  ["GET", "/api/status/../../relay/e/"],
  ["GET", "/offers/..%2funsubscribe"],
  ["GET", "/%61pi/webhooks"],
  ["GET", `http://${NAME}/api/status`],
] as const;

describe.each(PROXIES)("behind $name", ({ start, why }) => {
  let through: Through;
  beforeAll(async () => {
    if (why === null) through = await start();
  });

  test("webhooks, unsubscribe links and captures come through as they were sent", async (running) => {
    if (why !== null) return running.skip(why);
    for (const [at, method, path] of COMES_THROUGH) {
      seen = [];
      const body = method === "POST" ? Buffer.from("List-Unsubscribe=One-Click") : undefined;
      const headers = { "webhook-signature": "v1,abc=", authorization: "Bearer secret" };
      const answer = await through([method, path], { body, headers });
      expect(answer, path).toEqual({ status: 200, body: `${at} took ${body?.length ?? 0} bytes` });
      expect(seen, path).toMatchObject([
        { at, line: `${method} ${path}`, headers: { host: NAME, ...headers } },
      ]);
    }
  });

  test("nothing else comes through, however it is spelled", async (running) => {
    if (why !== null) return running.skip(why);
    seen = [];
    for (const [method, path] of STAYS_INSIDE) {
      expect([400, 404], path).toContain((await through([method, path])).status);
      expect(seen, path).toEqual([]);
    }
  });

  test("what a client says of its own address is thrown away", async (running) => {
    if (why !== null) return running.skip(why);
    seen = [];
    for (const [, , path] of COMES_THROUGH) {
      await through(["GET", path], { headers: { "x-forwarded-for": "203.0.113.7" } });
    }
    const addresses = seen.map(({ headers }) => headers["x-forwarded-for"]);
    expect(addresses).toEqual(COMES_THROUGH.map(() => "127.0.0.1"));
  });

  test("a body that is too long ends at the proxy", async (running) => {
    if (why !== null) return running.skip(why);
    const bounds = [["/api/webhooks", 1_500_000, 2_200_000], ["/unsubscribe", 1_000, 10_000], [
      "/relay/e/",
      2_000_000,
      22_000_000,
    ]] as const;
    for (const [path, taken, tooLong] of bounds) {
      seen = [];
      expect((await through(["POST", path], { body: new Uint8Array(taken) })).status, path).toBe(200);
      // A proxy may hang up while the rest is still being sent; Caddy 2.6 takes its own cutting off for the server's.
      const refused = await through(["POST", path], { body: new Uint8Array(tooLong) }).catch(() => null);
      expect([413, 502, undefined], path).toContain(refused?.status);
      expect(seen, path).toHaveLength(1);
    }
  });
});
