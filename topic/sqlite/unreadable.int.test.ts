import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { until } from "../../tests/support/until.ts";
import { writerOf } from "../../contract/names.ts";
import { collect } from "../contract_suite/context.ts";
import type { PartitionHandler, ReadOptions, TopicLog } from "../topic.ts";
import { logFileOf, OFFSETS_PER_PARTITION } from "./file.ts";
import { openSqliteLog } from "./log.ts";

/**
 * A row that cannot be decoded (another program's, or the disk's doing) made every read of its partition fail for ever,
 * and with it both groups.
 */
const TOPIC = "t";
const SPEC = { name: TOPIC, partitions: 2, retentionMs: null, retentionBytes: null, recordBytesMax: 10_000 };
const atEnd: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const end of atEnd.splice(0).reverse()) await end();
});

/** Rows 0 to 4 of partition 0 and one of partition 1; row 2 of the first is made what `spoil` says. */
async function logWith(spoil: string): Promise<{ readonly log: TopicLog; readonly mend: () => void }> {
  const dataDir = await Deno.makeTempDir({ prefix: "unreadable-" });
  atEnd.push(() => Deno.remove(dataDir, { recursive: true }));
  const log = openSqliteLog({ dataDir, role: "processor", writerOf, unreadableAgainMs: 10 });
  atEnd.push(() => log.close());
  await log.ensureTopic(SPEC);
  const record = { key: null, headers: { id: "x" }, timestamp: 1_000 };
  const records = [..."abcde"].map((text) => ({
    ...record,
    partition: 0,
    value: new TextEncoder().encode(text),
  }));
  await log.publish(TOPIC, [...records, { ...record, partition: 1, value: new TextEncoder().encode("z") }]);
  const run = (sql: string) => {
    const file = new DatabaseSync(join(dataDir, logFileOf(writerOf(TOPIC))));
    file.exec(sql);
    file.close();
  };
  const row = `where id = ${0 * OFFSETS_PER_PARTITION + 2}`;
  run(`update record set ${spoil} ${row}`);
  return { log, mend: () => run(`update record set headers = null, timestamp = 1000 ${row}`) };
}

const SPOILT = {
  "headers that are no JSON": [
    `headers = '{"id":'`,
    "cannot be read: its headers are no JSON object of texts",
  ],
  "headers that are no object": [
    `headers = '["id"]'`,
    "cannot be read: its headers are no JSON object of texts",
  ],
  "a header that is no text": [
    `headers = '{"id":7}'`,
    "cannot be read: its headers are no JSON object of texts",
  ],
  "a time beyond every whole number": [
    "timestamp = 9223372036854775807",
    "cannot be read: its time is beyond what a whole",
  ],
} as const;

const texts = async (log: TopicLog, options: Partial<ReadOptions> = {}) =>
  (await collect(log.read(TOPIC, { partition: 0, from: 0, until: 5, ...options })))
    .map((record) => new TextDecoder().decode(record.value)).join("");

describe.each(Object.entries(SPOILT))("a row with %s", (_, [spoil, reason]) => {
  test("is read up to, then says where it is and why; who passes over it reads what lies behind", async () => {
    const { log } = await logWith(spoil);
    expect(await texts(log, { until: 2 })).toBe("ab");
    const unread = { partition: 0, offset: 2, nextOffset: 3, reason: expect.stringContaining(reason) };
    await expect(texts(log)).rejects.toMatchObject({
      code: "unreadable_records",
      records: { ...unread, bytes: new TextEncoder().encode("c") },
    });
    await expect(texts(log, { unreadable: () => Promise.resolve("wait") })).rejects.toThrow("0:2");
    expect(await texts(log, { unreadable: () => Promise.resolve("skip") })).toBe("abde");
    expect(await log.lag(TOPIC, "g", 2_000)).toMatchObject([{ lag: 5 }, { lag: 1, lagSeconds: 1 }]);
  });

  test("its partition of a group stands alone until it is passed over, and commits behind it", async () => {
    const { log } = await logWith(spoil);
    let answer: "skip" | "wait" = "wait";
    const handled: string[] = [];
    const handler: PartitionHandler = {
      assigned: () => Promise.resolve(null),
      handle: (batch) => {
        handled.push(...batch.records.map(({ value }) => new TextDecoder().decode(value)));
        return Promise.resolve("handled");
      },
      unreadable: () => Promise.resolve(answer),
      revoked: () => Promise.resolve(),
    };
    const consumption = log.consume({ topic: TOPIC, group: "g", handler });
    await until("it stands", () => consumption.state().standing !== undefined && handled.length === 3);
    expect(consumption.state()).toMatchObject({ is: "joined", standing: [{ partition: 0, offset: 2 }] });
    expect(await log.committed(TOPIC, "g")).toEqual([2, 1]);
    answer = "skip";
    await until("it goes on", async () => (await log.committed(TOPIC, "g"))[0] === 5);
    expect([[...handled].sort().join(""), consumption.state().standing]).toEqual(["abdez", undefined]);
    await consumption.stop();
  });
});

test("a row that is mended while its partition stands is read", async () => {
  const { log, mend } = await logWith(`headers = 'x'`);
  const handled: string[] = [];
  const consumption = log.consume({
    topic: TOPIC,
    group: "g",
    handler: {
      assigned: () => Promise.resolve(null),
      handle: (batch) => {
        handled.push(...batch.records.map(({ value }) => new TextDecoder().decode(value)));
        return Promise.resolve("handled");
      },
      revoked: () => Promise.resolve(),
    },
  });
  await until("it stands", () => consumption.state().standing !== undefined);
  mend();
  await until("it goes on", () => handled.includes("e"));
  expect([...handled].sort().join("")).toBe("abcdez");
  await consumption.stop();
});
