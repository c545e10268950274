import { Buffer } from "node:buffer";
import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DEAD_LETTER_TOPIC, WEBHOOKS_TOPIC, writerOf } from "../../contract/names.ts";
import { openSqliteLog } from "./log.ts";
import { createLogScrubber, type LogScrubber } from "./scrub.ts";
import type { RecordPosition, TopicLog, TopicRecord } from "../topic.ts";

let dataDir: string;
let log: TopicLog;
let scrubber: LogScrubber;

beforeEach(async () => {
  dataDir = await Deno.makeTempDir();
  log = openSqliteLog({ dataDir, role: "processor", writerOf });
  const spec = { partitions: 6, retentionMs: null, recordBytesMax: 2 * 1024 * 1024 };
  await log.ensureTopic({ name: WEBHOOKS_TOPIC, retentionBytes: 1e9, ...spec });
  await log.ensureTopic({ name: DEAD_LETTER_TOPIC, retentionBytes: null, ...spec, partitions: 1 });
  scrubber = createLogScrubber(dataDir, writerOf);
});
afterEach(async () => {
  await log.close();
  await Deno.remove(dataDir, { recursive: true });
});

const file = (name: string) => join(dataDir, "log", name);
const bytes = (text: string) => new TextEncoder().encode(text);

/** Of some users, in their partitions, some of them longer than a page. */
async function publish(topic: string, count: number): Promise<readonly RecordPosition[]> {
  const records = Array.from({ length: count }, (_, n) => {
    const user = `user-${String(n % 50).padStart(4, "0")}.`;
    return {
      key: bytes(user),
      value: bytes(`${user} ${"x".repeat(n % 7 === 0 ? 20_000 : 300 + n % 600)}`),
      headers: { id: `${user}${n}` },
      timestamp: 1_700_000_000_000 + n,
    };
  });
  const positions: RecordPosition[] = [];
  for (let at = 0; at < count; at += 40) {
    positions.push(...await log.publish(topic, records.slice(at, at + 40)));
  }
  return positions.filter((_, n) => n % 50 === 7);
}

async function everything(topic: string): Promise<TopicRecord[]> {
  const found: TopicRecord[] = [];
  for (const { partition, endOffset } of await log.bounds(topic)) {
    for await (const { records } of log.read(topic, { partition, from: 0, until: endOffset })) {
      found.push(...records);
    }
  }
  return found;
}

const isHis = ({ key, value }: TopicRecord) =>
  new TextDecoder().decode(key ?? new Uint8Array()) === "user-0007." || value.length === 0;

/** How often his name stands in a file of the closed log. */
async function namesIn(name: string): Promise<number> {
  await log.close();
  const all = Buffer.from(Deno.readFileSync(file(name)));
  let count = 0;
  for (let at = all.indexOf("user-0007."); at >= 0; at = all.indexOf("user-0007.", at + 1)) count++;
  return count;
}

describe("scrub()", () => {
  test("empties the records and keeps their offsets and times; all others stay as they are", async () => {
    const his = await publish(WEBHOOKS_TOPIC, 1_000);
    const before = await everything(WEBHOOKS_TOPIC);
    expect(await scrubber.scrub(WEBHOOKS_TOPIC, his)).toBe(20);
    const after = await everything(WEBHOOKS_TOPIC);
    expect(after.filter((record) => !isHis(record))).toEqual(before.filter((record) => !isHis(record)));
    expect(after.filter(isHis)).toEqual(
      before.filter(isHis).map(({ partition, offset, timestamp }) => ({
        partition,
        offset,
        timestamp,
        key: null,
        value: new Uint8Array(),
        headers: { event: "$scrubbed" },
      })),
    );
    expect(await log.bounds(WEBHOOKS_TOPIC)).toHaveLength(6);
  });

  test("counts what is gone off the bytes that a bounded topic holds, once", async () => {
    const his = await publish(WEBHOOKS_TOPIC, 500);
    for (let time = 0; time < 2; time++) await scrubber.scrub(WEBHOOKS_TOPIC, his);
    const db = new DatabaseSync(file("ingest.db"), { readOnly: true });
    const { counted, held } = db.prepare(
      `select (select sum(bytes) from topic_partition) as counted,
         (select sum(length(value) + ifnull(length(key), 0) + octet_length(headers)) from record) as held`,
    ).get() as { counted: number; held: number };
    db.close();
    expect(counted).toBe(held);
  });

  test("passes over positions where nothing lies any more", async () => {
    expect(await scrubber.scrub(WEBHOOKS_TOPIC, [{ partition: 0, offset: 99 }])).toBe(0);
  });

  test("leaves nothing in the processor's file, where SQLite has split no page between records", async () => {
    const his = await publish(DEAD_LETTER_TOPIC, 1_000);
    await scrubber.scrub(DEAD_LETTER_TOPIC, his);
    await scrubber.checkpoint();
    expect(await namesIn("processor.db")).toBe(0);
  });
});

describe("rewrite()", () => {
  test("takes out of ingest's file what SQLite has left of records in pages that it split", async () => {
    const his = await publish(WEBHOOKS_TOPIC, 3_000);
    const before = await everything(WEBHOOKS_TOPIC);
    await scrubber.scrub(WEBHOOKS_TOPIC, his);
    await scrubber.rewrite(WEBHOOKS_TOPIC);
    await scrubber.checkpoint();
    const after = await everything(WEBHOOKS_TOPIC);
    expect(after.filter((record) => !isHis(record))).toEqual(before.filter((record) => !isHis(record)));
    const [next] = await log.publish(WEBHOOKS_TOPIC, [
      { key: null, value: bytes("next"), headers: {}, timestamp: 1, partition: 0 },
    ]);
    expect(next!.offset).toBe(before.filter(({ partition }) => partition === 0).length);
    expect(await namesIn("ingest.db")).toBe(0);
  });
});

describe("checkpoint()", () => {
  test("waits for a reader that holds the write-ahead log, and empties it then", async () => {
    const his = await publish(DEAD_LETTER_TOPIC, 200);
    const reader = new DatabaseSync(file("processor.db"), { readOnly: true });
    reader.exec("begin");
    reader.prepare("select count(*) from record").get();
    await scrubber.scrub(DEAD_LETTER_TOPIC, his);
    let done = false;
    const emptying = scrubber.checkpoint().then(() => done = true);
    await expect.poll(() => Deno.statSync(file("processor.db-wal")).size).toBeGreaterThan(0);
    expect(done).toBe(false);
    reader.exec("commit");
    await emptying;
    expect(Deno.statSync(file("processor.db-wal")).size).toBe(0);
    reader.close();
  });

  test("does nothing where there is no log", async () => {
    const empty = await Deno.makeTempDir();
    await createLogScrubber(empty, writerOf).checkpoint();
    expect([...Deno.readDirSync(empty)]).toEqual([]);
    await Deno.remove(empty);
  });
});
