import { Buffer } from "node:buffer";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { isThere } from "../../runtime/durable_file.ts";
import { type CommandRun, runProgram, spawnProgram } from "../../tests/support/run_command.ts";
import { until } from "../../tests/support/until.ts";
import { openTopicLog } from "../../topic/open_topic.ts";
import type { TopicRecord } from "../../topic/topic.ts";
import { ROWS_PER_PAGE } from "./sources.ts";

/**
 * Stands in for PostHog's query API, built from its public documentation: `POST /api/projects/:id/query/` with a
 * HogQLQuery and its values, rows as arrays. It orders and pages as the query asks and does not read HogQL itself.
 */
function startQueryApi(
  events: readonly Row[],
  { failures = [] }: { failures?: { status: number; body: string }[] } = {},
) {
  const asked: { path: string; key: string | null; values: Record<string, unknown> }[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const body = await request.json();
    const { values, query } = body.query;
    asked.push({ path: new URL(request.url).pathname, key: request.headers.get("authorization"), values });
    const failure = failures.shift();
    if (failure) return new Response(failure.body, { status: failure.status });
    if (body.query.kind !== "HogQLQuery" || !/order by timestamp asc, toString\(uuid\) asc/.test(query)) {
      return Response.json({ detail: "unknown query" }, { status: 400 });
    }
    const limit = Number(/limit (\d+)$/.exec(query)![1]);
    const after = /afterTime/.test(query) ? `${values.afterTime} ${values.afterUuid}` : null;
    const rows = events
      .filter(({ event }) => values.events.includes(event))
      .filter(({ timestamp }) => timestamp >= clickhouse(values.from) && timestamp < clickhouse(values.until))
      .sort((a, b) => keyOf(a) < keyOf(b) ? -1 : 1)
      .filter((row) => after === null || keyOf(row) > after)
      .slice(0, limit)
      .map((
        { uuid, event, distinct_id, properties, timestamp, person_id, person_properties },
      ) => [uuid, event, distinct_id, properties, timestamp, person_id, person_properties]);
    return Response.json({ results: rows, hasMore: rows.length === limit });
  });
  return { url: `http://127.0.0.1:${server.addr.port}`, asked, stop: () => server.shutdown() };
}

type Row = {
  uuid: string;
  event: string;
  distinct_id: string;
  properties: string;
  timestamp: string;
  person_id: string;
  person_properties: string;
};

const keyOf = ({ timestamp, uuid }: { timestamp: string; uuid: string }) => `${timestamp} ${uuid}`;
/** ClickHouse writes times so. */
const clickhouse = (iso: string) => iso.replace("T", " ").replace("Z", "000");

function row(n: number, more: Partial<Row> = {}): Row {
  return {
    uuid: `0190a000-0000-7000-8000-${String(n).padStart(12, "0")}`,
    event: "generation_failed",
    distinct_id: `user-${n % 7}`,
    properties: JSON.stringify({ input_prompt: `prompt ${n}`, failure_reason: "timeout" }),
    timestamp: clickhouse(new Date(Date.UTC(2025, 10, 30) + Math.floor(n / 3) * 1_000).toISOString()),
    person_id: "0190a000-0000-7000-8000-0000000000aa",
    person_properties: JSON.stringify({ email: "ada@example.org" }),
    ...more,
  };
}

let dataDir: string;
beforeEach(async () => {
  dataDir = await Deno.makeTempDir({ prefix: "backfill-" });
});
afterEach(() => Deno.remove(dataDir, { recursive: true }));

function backfill(args: string[], env: Record<string, string> = {}): Promise<CommandRun> {
  const api = { POSTHOG_PERSONAL_API_KEY: "phx_test", POSTHOG_PROJECT_ID: "7", ...env };
  return runProgram("tools/backfill/main.ts", {
    args: [...args, "--json"],
    env: { DATA_DIR: dataDir, ...api },
  });
}

async function topic(): Promise<TopicRecord[]> {
  const log = await openTopicLog({ kind: "embedded", dataDir }, "command");
  const found: TopicRecord[] = [];
  for (const { partition, endOffset } of await log.bounds(WEBHOOKS_TOPIC)) {
    for await (const batch of log.read(WEBHOOKS_TOPIC, { partition, from: 0, until: endOffset })) {
      found.push(...batch.records);
    }
  }
  await log.close();
  return found;
}

const RANGE = ["--from", "2025-11-30", "--until", "2025-12-01"];

describe("backfill from the query API", () => {
  test("reads all pages, publishes each event once in a webhook's shape, marked as backfilled", async () => {
    const count = ROWS_PER_PAGE + 12;
    const api = startQueryApi(Array.from({ length: count }, (_, n) => row(n)));
    const first = await backfill(RANGE, { POSTHOG_API_HOST: api.url });
    expect([first.code, JSON.parse(first.stdout)]).toEqual([0, {
      read: count,
      published: count,
      held: 0,
      unused: 0,
      refused: 0,
    }]);
    const records = await topic();
    expect(records).toHaveLength(count);
    expect(new Set(records.map(({ headers }) => headers.id)).size).toBe(count);
    const one = records.find(({ headers }) => headers.id === row(4).uuid)!;
    expect(one.headers).toEqual({ id: row(4).uuid, event: "generation_failed", source: "backfill" });
    expect(JSON.parse(new TextDecoder().decode(one.value))).toEqual({
      event: {
        uuid: row(4).uuid,
        event: "generation_failed",
        distinct_id: "user-4",
        properties: { input_prompt: "prompt 4", failure_reason: "timeout" },
        timestamp: "2025-11-30 00:00:01.000000",
      },
      person: { id: row(4).person_id, properties: { email: "ada@example.org" } },
    });
    const again = await backfill(RANGE, { POSTHOG_API_HOST: api.url });
    expect(JSON.parse(again.stdout)).toEqual({
      read: count,
      published: 0,
      held: count,
      unused: 0,
      refused: 0,
    });
    expect(api.asked[0]).toMatchObject({ path: "/api/projects/7/query/", key: "Bearer phx_test" });
    await api.stop();
  });

  test("asks again after a 5xx and a 429", async () => {
    const api = startQueryApi([row(1)], { failures: [{ status: 502, body: "" }] });
    const { code, stdout } = await backfill(RANGE, { POSTHOG_API_HOST: api.url });
    expect([code, JSON.parse(stdout).published]).toEqual([0, 1]);
    await api.stop();
  });

  test.each([
    [401, /POSTHOG_PERSONAL_API_KEY needs the scope query:read/],
    [404, /there is no project 7/],
    [400, /400: nonsense/],
  ])("a %i is final, with what to do", async (status, message) => {
    const api = startQueryApi([], { failures: [{ status, body: "nonsense" }] });
    const { code, stderr } = await backfill(RANGE, { POSTHOG_API_HOST: api.url });
    expect([code, api.asked.length]).toEqual([1, 1]);
    expect(stderr).toMatch(message);
    await api.stop();
  });

  test("names every missing setting, exit code 2", async () => {
    const { code, stderr } = await backfill(RANGE, { POSTHOG_PERSONAL_API_KEY: "", POSTHOG_PROJECT_ID: "" });
    expect(code).toBe(2);
    expect(stderr).toMatch(/POSTHOG_PERSONAL_API_KEY is not set[^]*POSTHOG_PROJECT_ID is not set/);
  });

  test.each([
    [["--from", "2025-11-30"]],
    [["--from", "x", "--until", "y"]],
    [[
      "--from",
      "2025-12-01",
      "--until",
      "2025-11-30",
    ]],
    [
      [],
    ],
    [["--file", "f", ...RANGE]],
    [["--all-events", ...RANGE]],
  ])("%j is wrong usage", async (args) => {
    expect((await backfill(args)).code).toBe(2);
  });
});

describe("backfill from a batch export", () => {
  test("publishes what the topic lacks, names the lines that are no events, and fails for them alone", async () => {
    const file = join(dataDir, "export.jsonl");
    const event = (n: number) => ({
      ...row(n),
      properties: JSON.parse(row(n).properties),
      person_properties: {},
    });
    await Deno.writeTextFile(
      file,
      [
        JSON.stringify(event(1)),
        "",
        "{no json",
        JSON.stringify(event(2)),
        JSON.stringify(event(1)),
        '{"event":"x"}',
      ].join("\n"),
    );
    const { code, stdout, stderr } = await backfill(["--file", file]);
    expect([code, JSON.parse(stdout)]).toEqual([1, {
      read: 5,
      published: 2,
      held: 1,
      unused: 0,
      refused: 2,
    }]);
    expect(stderr).toContain("line 3: no JSON");
    expect((await topic()).map(({ headers }) => headers.id).sort()).toEqual([row(1).uuid, row(2).uuid]);
  });

  test("of a packed file only what the pipeline uses is published, and everything where all events are wanted", async () => {
    const file = join(dataDir, "export");
    const optOut = row(4, { event: "$pageview" });
    optOut.properties = JSON.stringify({ ...JSON.parse(optOut.properties), $set: { unsubscribed: "yes" } });
    const lines = [row(1), row(2, { event: "$pageview" }), row(3, { event: "feature_used" }), optOut]
      .map((event) => `${JSON.stringify(event)}\r\n`);
    await Deno.writeFile(file, gzipSync(`\ufeff${lines.join("\r\n")}`));
    const used = await backfill(["--file", file]);
    expect([used.code, JSON.parse(used.stdout), used.stderr]).toEqual([
      0,
      { read: 4, published: 3, held: 0, unused: 1, refused: 0 },
      "",
    ]);
    const all = await backfill(["--file", file, "--all-events"]);
    expect(JSON.parse(all.stdout)).toEqual({ read: 4, published: 1, held: 3, unused: 0, refused: 0 });
    expect((await topic()).map(({ headers }) => headers.event).sort()).toEqual([
      "$pageview",
      "$pageview",
      "feature_used",
      "generation_failed",
    ]);
  });

  test("what lies before the end of a file that is cut off is in the topic, and the command fails and says so", async () => {
    const file = join(dataDir, "export.jsonl.zst");
    const lines = Array.from({ length: 250 }, (_, n) => `${JSON.stringify(row(n))}\n`);
    const [whole, cut] = [lines.slice(0, 230), lines.slice(230)].map((part) =>
      zstdCompressSync(part.join(""))
    );
    await Deno.writeFile(file, Buffer.concat([whole!, cut!.subarray(0, -9)]));
    const { code, stdout, stderr } = await backfill(["--file", file]);
    expect([code, JSON.parse(stdout)]).toEqual([
      1,
      { read: 231, published: 230, held: 0, unused: 0, refused: 1 },
    ]);
    expect(stderr).toContain(
      "behind line 230: the file ends in the middle of its Zstandard; all before it was read",
    );
    expect(await topic()).toHaveLength(230);
  });

  test("standard input is a file as well", async () => {
    const { code, stdout } = await runProgram("tools/backfill/main.ts", {
      args: ["--file", "-", "--json"],
      env: { DATA_DIR: dataDir },
      stdin: `${JSON.stringify(row(1))}\n`,
    });
    expect([code, JSON.parse(stdout).published]).toEqual([0, 1]);
  });

  test("beside another one is refused, since each would publish what the other does", async () => {
    const file = join(dataDir, "export.jsonl");
    await Deno.writeTextFile(file, `${JSON.stringify(row(1))}\n`);
    const first = spawnProgram("tools/backfill/main.ts", {
      args: ["--file", "-"],
      env: { DATA_DIR: dataDir },
      stdin: "piped",
    });
    const writer = first.stdin.getWriter();
    await writer.write(new TextEncoder().encode(`${JSON.stringify(row(2))}\n`));
    await until("the first has begun", () => isThere(join(dataDir, "backfill.lock")));
    const second = await backfill(["--file", file]);
    expect([second.code, second.stdout, second.stderr]).toEqual([
      1,
      "",
      `Cannot backfill now: another backfill is under way on DATA_DIR "${dataDir}". Wait for its end.\n`,
    ]);
    await writer.close();
    expect((await first.output()).code).toBe(0);
    expect((await backfill(["--file", file])).code).toBe(0);
    expect((await topic()).map(({ headers }) => headers.id).sort()).toEqual([row(1).uuid, row(2).uuid]);
  });

  test("a file that is not there is an error in one sentence", async () => {
    const { code, stderr } = await backfill(["--file", join(dataDir, "none.jsonl")]);
    expect(code).toBe(1);
    expect(stderr.trim().split("\n")).toHaveLength(1);
  });
});
