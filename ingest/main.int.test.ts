import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { until } from "../tests/support/until.ts";
import { readWebhooks, webhookBody } from "./fixtures/test_ingest.ts";
import { type IngestProcess, spawnIngest } from "./fixtures/test_process.ts";

let dataDir: string;
let running: IngestProcess[];
beforeEach(async () => {
  dataDir = await Deno.makeTempDir({ prefix: "ingest-process-" });
  running = [];
});
afterEach(async () => {
  for (const process of running) await process.kill();
  await Deno.remove(dataDir, { recursive: true });
});

describe("starting", () => {
  test("says in one line where it listens and on which log, and stops with 0 when asked", async () => {
    const ingest = spawn();
    const url = await ingest.url();
    expect(ingest.stdout()).toMatch(/^\S+Z info {2}ingest: http:\/\/127\.0\.0\.1:\d+ \(embedded log\)\n$/);
    expect((await fetch(`${url}/healthz`).then(drained)).status).toBe(200);
    ingest.signal("SIGTERM");
    expect(await ingest.exited).toBe(0);
    expect(ingest.stderr()).toBe("");
  });

  test("a second one on the same DATA_DIR is refused with what to do, and the first one goes on", async () => {
    const first = spawn();
    const url = await first.url();
    const second = spawn();
    expect(await second.exited).toBe(1);
    expect(second.stderr()).toContain(`DATA_DIR "${dataDir}": another ingest already works there`);
    expect(await post(url, "1")).toBe(200);
  });

  test("a taken port is refused with what to do", async () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const ingest = spawn({ INGEST_PORT: String((listener.addr as Deno.NetAddr).port) });
    expect(await ingest.exited).toBe(1);
    expect(ingest.stderr()).toContain("INGEST_PORT");
    listener.close();
  });

  test("every problem of the configuration is named, without secrets, exit code 2", async () => {
    const ingest = spawn({
      INGEST_PORT: "x",
      WEBHOOK_SIGNING_SECRET: "whsec_hunter2",
      SPOOL_MAX_BYTES: "none",
    });
    expect(await ingest.exited).toBe(2);
    for (const name of ["INGEST_PORT", "WEBHOOK_SIGNING_SECRET", "SPOOL_MAX_BYTES"]) {
      expect(ingest.stderr()).toContain(name);
    }
    expect(ingest.stderr()).not.toContain("hunter2");
    expect(ingest.stdout()).toBe("");
  });

  test("ALLOW_ANONYMOUS=1 warns at the start", async () => {
    const ingest = spawn({ ALLOW_ANONYMOUS: "1" });
    await ingest.url();
    expect(ingest.stderr()).toContain("ALLOW_ANONYMOUS");
  });

  test.each([[["--help"], 0], [["--port", "3000"], 2]])("%j exits with %i", async (args, code) => {
    const ingest = spawnIngest({ dataDir, args });
    running.push(ingest);
    expect(await ingest.exited).toBe(code);
    expect(code === 0 ? ingest.stdout() : ingest.stderr()).toContain("ingest");
  });
});

describe("stopping", () => {
  test.each(["SIGTERM", "SIGINT"] as const)(
    "%s, twice in a row: what is in flight is answered and durable",
    async (signal) => {
      const ingest = spawn();
      const url = await ingest.url();
      // A body that comes in two parts is certainly in flight when the signals come.
      const slow = await slowPost(url, webhookBody(id("in-flight")));
      await until(
        "it is in flight",
        async () => (await metrics(url)).includes("ingest_in_flight_requests 1"),
      );
      ingest.signal(signal);
      ingest.signal(signal);
      await until("it takes nothing new", async () => await post(url, "too late") === 503);
      ingest.signal(signal);
      expect(await slow.finish()).toBe(200);
      expect(await ingest.exited).toBe(0);
      expect(await storedIds()).toContain(id("in-flight"));
    },
  );

  test("connections that are kept open without a request do not hold it up", async () => {
    const ingest = spawn();
    const { hostname, port } = new URL(await ingest.url());
    const idle = await Deno.connect({ hostname, port: Number(port) });
    await post(await ingest.url(), "1");
    ingest.signal("SIGTERM");
    expect(await ingest.exited).toBe(0);
    idle.close();
  });
});

describe("killed with -9", () => {
  test("before the publish: nobody was promised anything, and the retry is taken", async () => {
    const ingest = spawn({ FAULT_POINT: "ingest.received" });
    const answer = post(await ingest.url(), "1").catch(() => null);
    await ingest.untilStoppedAt("ingest.received");
    await ingest.kill();
    expect(await answer).toBeNull();
    const again = spawn();
    expect(await post(await again.url(), "1")).toBe(200);
    expect(await storedIds()).toEqual([id("1")]);
  });

  test("between the log's acknowledgement and the answer: it is there, and the retry may double it", async () => {
    const ingest = spawn({ FAULT_POINT: "ingest.published:3" });
    const url = await ingest.url();
    expect([await post(url, "1"), await post(url, "2")]).toEqual([200, 200]);
    const answer = post(url, "3").catch(() => null);
    await ingest.untilStoppedAt("ingest.published");
    await ingest.kill();
    expect(await answer).toBeNull();
    expect(await storedIds()).toEqual([id("1"), id("2"), id("3")]);
    const again = spawn();
    expect(await post(await again.url(), "3")).toBe(200);
    expect(await storedIds()).toEqual([id("1"), id("2"), id("3"), id("3")]);
  });

  test("under load, again and again: every 200 is on the log", async () => {
    const promised: string[] = [];
    for (let round = 0; round < 3; round++) {
      const ingest = spawn();
      const url = await ingest.url();
      let killed: Promise<void> | null = null;
      await Promise.all(Array.from({ length: 16 }, async (_, client) => {
        for (let n = 0; n < 10_000; n++) {
          const name = `${round}-${client}-${n}`;
          const status = await post(url, name).catch(() => 0);
          if (status !== 200) return;
          promised.push(id(name));
          if (promised.length >= 300 * (round + 1)) killed ??= ingest.kill();
        }
      }));
      await killed;
    }
    const stored = new Set(await storedIds());
    expect(promised.length).toBeGreaterThanOrEqual(900);
    expect(promised.filter((one) => !stored.has(one))).toEqual([]);
  });
});

describe("killed with -9 while the log is away", () => {
  test("between the spool's fsync and the answer: the next start publishes it", async () => {
    const ingest = spawn({ FAULT_POINT: "spool.appended:2" });
    const url = await ingest.url();
    const log = takeLogAway();
    expect(await post(url, "1")).toBe(200);
    const answer = post(url, "2").catch(() => null);
    await ingest.untilStoppedAt("spool.appended");
    await ingest.kill();
    expect(await answer).toBeNull();
    log.giveBack();
    await tearSpool();

    const again = spawn();
    await untilDrained(await again.url());
    expect(await storedIds()).toEqual([id("1"), id("2")]);
    expect(again.stderr()).toContain("cut 5 bytes");
  });

  test("between the log's acknowledgement and the drainer's mark: repeats, no loss, in order", async () => {
    const log = await spooled(["1", "2", "3"]);
    log.giveBack();
    const stopped = spawn({ FAULT_POINT: "spool.drained" });
    await stopped.url();
    await stopped.untilStoppedAt("spool.drained");
    await stopped.kill();
    const times = (await readWebhooks(dataDir)).map(({ timestamp }) => timestamp);

    const again = spawn();
    await untilDrained(await again.url());
    expect(await storedIds()).toEqual(["1", "2", "3", "1", "2", "3"].map(id));
    expect((await readWebhooks(dataDir)).map(({ timestamp }) => timestamp)).toEqual([...times, ...times]);
    expect(await spoolFiles()).toEqual(["mark.json"]);
  });

  test("it starts while the log is still away, takes webhooks, and drains all of them in order", async () => {
    const log = await spooled(["1", "2"]);
    const again = spawn();
    const url = await again.url();
    expect(await post(url, "3")).toBe(200);
    expect(await (await fetch(`${url}/readyz`)).json()).toEqual({
      status: "ready",
      durable: "spool",
      spooled: 3,
    });
    log.giveBack();
    await untilDrained(url);
    expect(await storedIds()).toEqual(["1", "2", "3"].map(id));
    again.signal("SIGTERM");
    expect(await again.exited).toBe(0);
  });
});

function spawn(env: Record<string, string> = {}): IngestProcess {
  const ingest = spawnIngest({ dataDir, env });
  running.push(ingest);
  return ingest;
}

/** A DATA_DIR whose log is away, whose spool holds these events, and whose ingest was killed. */
async function spooled(names: readonly string[]) {
  const ingest = spawn();
  const url = await ingest.url();
  const log = takeLogAway();
  for (const name of names) expect(await post(url, name)).toBe(200);
  await ingest.kill();
  return log;
}

/** Another writer that does not let go makes the embedded log as unavailable as a broker that is away. */
function takeLogAway(): { giveBack(): void } {
  const database = new DatabaseSync(join(dataDir, "log", "ingest.db"));
  database.exec("pragma busy_timeout=5000; begin immediate");
  return {
    giveBack() {
      database.exec("rollback");
      database.close();
    },
  };
}

/** What a write cut short by a power loss leaves behind. */
async function tearSpool(): Promise<void> {
  const name = (await spoolFiles()).find((name) => name.endsWith(".spool"))!;
  const file = await Deno.open(join(dataDir, "spool", name), { append: true });
  await file.write(new Uint8Array([200, 0, 0, 0, 1]));
  file.close();
}

async function spoolFiles(): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(join(dataDir, "spool")), ({ name }) => name)).sort();
}

async function untilDrained(url: string): Promise<void> {
  await until("the spool is drained", async () => (await metrics(url)).includes("ingest_spool_records 0"));
}

async function metrics(url: string): Promise<string> {
  return await (await fetch(`${url}/metrics`)).text();
}

/** The same for the same name. */
function id(name: string): string {
  const hex = [...name].map((character) => character.charCodeAt(0).toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8).padStart(8, "0")}-0000-7000-8000-${hex.slice(8).padStart(12, "0").slice(0, 12)}`;
}

async function post(url: string, name: string): Promise<number> {
  const response = await fetch(`${url}/api/webhooks`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: webhookBody(id(name)),
  });
  return (await drained(response)).status;
}

/** Makes much that dies soon, as a busy ingest does, and says how large the space for it has grown, in MiB. */
const BUSY = `
  import v8 from "node:v8";
  let kept = [];
  for (let i = 0; i < 5_000_000; i++) {
    kept.push({ i });
    if (kept.length > 200_000) kept = [];
  }
  const space = v8.getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space");
  console.log(space.space_size / 1024 ** 2);`;

test("V8 keeps to the bounds that the task's file gives it: without them the young space alone takes 64 MiB", async () => {
  const file = new URL("../runtime/telemetry/ingest.env", import.meta.url).pathname;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", `--env-file=${file}`, BUSY],
    env: { NO_COLOR: "1" },
  }).output();
  const mebibytes = Number(new TextDecoder().decode(stdout));
  expect(mebibytes).toBeGreaterThan(0);
  expect(mebibytes).toBeLessThanOrEqual(16);
});

async function drained(response: Response): Promise<Response> {
  await response.body?.cancel();
  return response;
}

/** The ids on the log, of one user, so in the order in which they were appended. */
async function storedIds(): Promise<(string | undefined)[]> {
  return (await readWebhooks(dataDir)).map(({ headers }) => headers.id);
}

async function slowPost(url: string, body: string) {
  const { hostname, port } = new URL(url);
  const connection = await Deno.connect({ hostname, port: Number(port) });
  const bytes = new TextEncoder().encode(
    `POST /api/webhooks HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  await connection.write(bytes.subarray(0, bytes.length - 10));
  return {
    async finish(): Promise<number> {
      await connection.write(bytes.subarray(bytes.length - 10));
      const buffer = new Uint8Array(4096);
      const read = await connection.read(buffer);
      connection.close();
      return Number(new TextDecoder().decode(buffer.subarray(0, read ?? 0)).slice("HTTP/1.1 ".length, 12));
    },
  };
}
