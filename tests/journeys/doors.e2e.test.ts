import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readWebhooks } from "../../ingest/fixtures/test_ingest.ts";
import { post, posthogBody } from "../support/pipeline.ts";
import type { TextStream } from "../support/run_command.ts";
import { until } from "../support/until.ts";

/**
 * Every service that listens, with few file descriptors and more connections than that: nobody who has proved nothing
 * may stop it, or take the descriptors that its own files need. With `Deno.serve` each of the four exited when an accept
 * failed.
 */
const DESCRIPTORS = 150;
const CONNECTIONS = 300;
const ROOT = join(import.meta.dirname!, "../..");

const canLimit = await new Deno.Command("sh", { args: ["-c", `ulimit -n ${DESCRIPTORS}`], stderr: "null" })
  .output().then(({ success }) => success, () => false);

let dataDir: string;
let held: Deno.TcpConn[];
let child: Deno.ChildProcess | null;
let [out, errors] = ["", ""];
let ended = false;

beforeEach(async () => {
  dataDir = await Deno.makeTempDir({ prefix: "doors-" });
  held = [];
  child = null;
  [out, errors, ended] = ["", "", false];
});
afterEach(async () => {
  for (const conn of held) conn.close();
  if (child !== null) {
    if (!ended) child.kill("SIGKILL");
    await child.status;
  }
  await Deno.remove(dataDir, { recursive: true });
});

async function start(main: string, env: Record<string, string>): Promise<string> {
  child = new Deno.Command("sh", {
    args: ["-c", `ulimit -n ${DESCRIPTORS}; exec "$0" run -A --quiet ${main}`, Deno.execPath()],
    cwd: ROOT,
    env: { NO_COLOR: "1", HOST: "127.0.0.1", DATA_DIR: dataDir, ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  void child.status.then(() => ended = true);
  const collect = async (from: ReadableStream<Uint8Array<ArrayBuffer>>, add: (text: string) => void) => {
    for await (const text of from.pipeThrough(new TextDecoderStream() as TextStream)) add(text);
  };
  void collect(child.stdout, (text) => out += text);
  void collect(child.stderr, (text) => errors += text);
  const url = await until("it says where it listens", () => {
    if (ended) throw new Error(`It ended before it listened:\n${out}${errors}`);
    return /http:\/\/\S+/.exec(out)?.[0];
  });
  return url.replace("localhost", "127.0.0.1");
}

/** Connections that say nothing, or half of a head. */
async function crowd(url: string): Promise<void> {
  const { hostname, port } = new URL(url);
  const half = new TextEncoder().encode("POST /api/webhooks HTTP/1.1\r\nhost: 127.0.0.1\r\nx-half: ");
  for (let i = 0; i < CONNECTIONS / 2; i++) {
    const [idle, begun] = await Promise.all([
      Deno.connect({ hostname, port: Number(port) }),
      Deno.connect({ hostname, port: Number(port) }),
    ]);
    held.push(idle, begun);
    await begun.write(half).catch(() => {});
  }
}

async function isServed(ask: () => Promise<boolean>): Promise<void> {
  await until("it answers", async () => {
    if (ended) throw new Error(`It ended:\n${errors}`);
    return await ask();
  });
}

const answers = (url: string) => async () => {
  const response = await fetch(url, { headers: { connection: "close" }, signal: AbortSignal.timeout(5_000) })
    .catch(() => null);
  await response?.body?.cancel();
  return response !== null && response.status < 500;
};

test.skipIf(!canLimit).each([
  ["processor", "processor/main.ts", { PROCESSOR_PORT: "0" }, "/readyz"],
  ["web", "serve_web/main.ts", { WEB_PORT: "0", FRESH: "npm" }, "/"],
  ["posthog-stand-in", "demo/stand_in/main.ts", {
    POSTHOG_STAND_IN_PORT: "0",
    INGEST_URL: "http://127.0.0.1:1",
  }, "/array/phc_key/config"],
])("%s with few descriptors outlives a crowd that asks for nothing", async (_, main, env, path) => {
  const url = await start(main, env);
  await isServed(answers(`${url}${path}`));
  await crowd(url);
  await isServed(answers(`${url}${path}`));
  await crowd(url);
  await isServed(answers(`${url}${path}`));
  for (const conn of held.splice(0)) conn.close();
  await isServed(answers(`${url}${path}`));
  expect(ended).toBe(false);
  expect(errors.match(/a connection cannot be taken/g)?.length ?? 0).toBeLessThanOrEqual(1);
});

test.skipIf(!canLimit)(
  "ingest with few descriptors outlives a crowd that asks for nothing, and a webhook is durable in between",
  async () => {
    const url = await start("ingest/main.ts", { INGEST_PORT: "0" });
    const uuids = Array.from({ length: 3 }, () => crypto.randomUUID());
    const takes = (uuid: string) => async () =>
      await post(url, posthogBody({ uuid }), { connection: "close" }) === 200;
    await isServed(takes(uuids[0]!));
    await crowd(url);
    await isServed(takes(uuids[1]!));
    await crowd(url);
    await isServed(takes(uuids[2]!));
    expect(ended).toBe(false);
    expect(errors.match(/a connection cannot be taken/g)?.length ?? 0).toBeLessThanOrEqual(1);
    await until("all three are in the topic", async () => {
      const ids = (await readWebhooks(dataDir)).map(({ headers }) => headers.id);
      return uuids.every((uuid) => ids.includes(uuid));
    });
  },
);
