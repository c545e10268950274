import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { until } from "../tests/support/until.ts";
import { readWebhooks, webhookBody } from "./fixtures/test_ingest.ts";
import { type IngestProcess, spawnIngest } from "./fixtures/test_process.ts";

let dataDir: string;
let running: IngestProcess[];
beforeEach(async () => {
  dataDir = await Deno.makeTempDir({ prefix: "ingest-recent-" });
  running = [];
});
afterEach(async () => {
  for (const process of running) await process.kill();
  await Deno.remove(dataDir, { recursive: true });
});

type Recent = {
  recent: {
    id: string;
    event: string;
    receivedAt: string;
    durable: string;
    partition: number | null;
    offset: number | null;
  }[];
  published: number;
  spooled: number;
  spoolBytes: number;
  refused: number;
  topic: { at: string | null; partitions: { partition: number; endOffset: number }[] };
};

function spawn(env: Record<string, string> = {}): IngestProcess {
  const ingest = spawnIngest({ dataDir, env });
  running.push(ingest);
  return ingest;
}

const idOf = (n: number) => `0190a000-0000-7000-8000-${String(n).padStart(12, "0")}`;

async function post(url: string, n: number): Promise<void> {
  const response = await fetch(`${url}/api/webhooks`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: webhookBody(idOf(n), { distinct_id: `user-${n % 7}` }),
  });
  await response.body?.cancel();
  expect(response.status).toBe(200);
}

const recentOf = async (url: string) => await (await fetch(`${url}/api/recent`)).json() as Recent;
const ends = ({ topic }: Recent) => topic.partitions.reduce((sum, { endOffset }) => sum + endOffset, 0);

/** The log's own word for where each of them lies. */
async function stored(): Promise<Recent["recent"]> {
  return (await readWebhooks(dataDir)).map(({ headers, timestamp, partition, offset }) => ({
    id: headers.id!,
    event: headers.event!,
    receivedAt: new Date(timestamp).toISOString(),
    durable: "log",
    partition,
    offset,
  }));
}

const byId = (all: Recent["recent"]) => all.toSorted((a, b) => a.id < b.id ? -1 : 1);

describe("GET /api/recent", () => {
  test("says where each webhook is durable, the newest first, and is the same after a kill -9", async () => {
    const first = spawn();
    const url = await first.url();
    expect(await recentOf(url)).toMatchObject({
      recent: [],
      published: 0,
      spooled: 0,
      spoolBytes: 0,
      refused: 0,
    });
    for (let n = 0; n < 20; n++) await post(url, n);
    const before = await recentOf(url);
    expect(before.recent[0]!.id).toBe(idOf(19));
    expect(byId(before.recent)).toEqual(byId(await stored()));
    expect(before.published).toBe(20);
    await until("the ends are known", async () => ends(await recentOf(url)) === 20);
    await first.kill();

    const second = await spawn().url();
    const after = await until("it has read the topic's end", async () => {
      const now = await recentOf(second);
      return now.recent.length === 20 ? now : null;
    });
    expect(byId(after.recent)).toEqual(byId(before.recent));
    expect(ends(after)).toBe(20);
    await post(second, 20);
    expect((await recentOf(second)).recent[0]).toMatchObject({ id: idOf(20), durable: "log" });
  });

  test("keeps the last 200, also after a restart", async () => {
    const first = spawn();
    const url = await first.url();
    for (let n = 0; n < 450; n += 10) {
      await Promise.all(Array.from({ length: 10 }, (_, i) => post(url, n + i)));
    }
    const newest = async (at: string) => {
      const { recent } = await recentOf(at);
      return recent.length === 200 && recent.every(({ id }) => id >= idOf(240)) ? recent : null;
    };
    expect(await newest(url)).not.toBeNull();
    await first.kill();
    const second = await spawn().url();
    await until("it has read the topic's end", () => newest(second));
  });

  test("what lies in the spool says so, over a kill -9 too, until the log has it", async () => {
    const first = spawn();
    const url = await first.url();
    await post(url, 1);
    const log = takeLogAway();
    await post(url, 2);
    const spooled = { id: idOf(2), durable: "spool", partition: null, offset: null };
    const now = await recentOf(url);
    expect(now.recent).toMatchObject([spooled, { id: idOf(1), durable: "log" }]);
    expect(now.spooled).toBe(1);
    expect(now.spoolBytes).toBeGreaterThan(100);
    await first.kill();
    log.giveBack();

    const second = await spawn().url();
    const drained = await until("it is on the log", async () => {
      const { recent } = await recentOf(second);
      return recent.length === 2 && recent.every(({ durable }) => durable === "log") ? recent : null;
    });
    expect(byId(drained)).toEqual(byId(await stored()));
  });

  test("tells nothing of who did it, and answers the operator alone", async () => {
    const url = await spawn({ CONSOLE_PASSWORD: "secret" }).url();
    await post(url, 1);
    expect((await fetch(`${url}/api/recent`)).status).toBe(401);
    const answer = await fetch(`${url}/api/recent`, {
      headers: { authorization: `Basic ${btoa(":secret")}` },
    });
    expect(answer.status).toBe(200);
    expect(await answer.text()).not.toContain("user-1");
    const open = await (async () => {
      await running[0]!.kill();
      return await spawn().url();
    })();
    expect((await fetch(`${open}/api/recent`, { headers: { "x-forwarded-for": "10.0.0.1" } })).status).toBe(
      403,
    );
    expect((await fetch(`${open}/api/recent`, { method: "POST" })).status).toBe(405);
  });
});

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
