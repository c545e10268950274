import { Kafka, logLevel } from "kafkajs";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type KafkaBroker, startKafkaBroker, whyNoKafka } from "../../tests/support/kafka_broker.ts";
import { openTopicLog } from "../open_topic.ts";
import { RecordRefusedError, type RecordToPublish, type TopicLog, type TopicRecord } from "../topic.ts";

/** Records that a real broker will not take as they are. */
const why = await whyNoKafka();

const prefix = `refused-${Date.now()}-`;
let broker: KafkaBroker;
let dataDir: string;
let log: TopicLog;
beforeAll(async () => {
  if (why !== null) return;
  broker = await startKafkaBroker();
  dataDir = await Deno.makeTempDir({ prefix: "refused-" });
  log = await openTopicLog({
    kind: "kafka",
    brokers: [broker.brokers],
    prefix,
    replication: null,
    ssl: null,
    sasl: null,
    sessionTimeoutMs: 6_000,
    dataDir,
  }, "ingest");
});
afterAll(async () => {
  if (why !== null) return;
  await log.close();
  await broker.stop();
  await Deno.remove(dataDir, { recursive: true });
});

const HOUR_MS = 3_600_000;
const BOUNDS = {
  "message.timestamp.before.max.ms": `${HOUR_MS}`,
  "message.timestamp.after.max.ms": `${HOUR_MS}`,
};

describe("a time that the broker refuses", () => {
  if (why !== null) return void test("is brought near", (running) => running.skip(why));

  test.each([
    ["3 hours ahead", 3 * HOUR_MS, HOUR_MS],
    ["3 hours behind", -3 * HOUR_MS, -HOUR_MS],
    ["25 years ahead", 25 * 365 * 24 * HOUR_MS, HOUR_MS],
  ])(
    "%s, by a wrong clock here: the record is taken with the nearest time, and all are read with their own",
    async (name, off, nearest) => {
      const topic = name.replaceAll(" ", "-");
      await makeTopic(topic);
      await broker.alterTopic(prefix + topic, BOUNDS);
      const now = Date.now();
      const wrongClock = vi.spyOn(Date, "now").mockImplementation(() =>
        Math.trunc(performance.timeOrigin + performance.now()) + off
      );
      try {
        const times = { right: now, wrong: now + off, later: now + 1 };
        await publish(topic, times);
        expect(await timesOf(topic)).toEqual(times);
      } finally {
        wrongClock.mockRestore();
      }
      // Offset of the first record at or above a time; none is the topic's end.
      const [before, after] = [now + nearest - 30_000, now + nearest + 30_000];
      if (off > 0) expect(await offsetsAt(topic, [before, after])).toEqual([1, 3]);
      else expect(await offsetsAt(topic, [before, after])).toEqual([0, 0]);
    },
  );

  test("a record that a replay or a dead letter carries on keeps its own time through every copy", async () => {
    for (const topic of ["first", "copy"]) {
      await makeTopic(topic);
      await broker.alterTopic(prefix + topic, BOUNDS);
    }
    const old = Date.now() - 365 * 24 * HOUR_MS;
    await publish("first", { old });
    for (const record of await recordsOf("first")) await log.publish("copy", [record]);
    expect(await timesOf("copy")).toEqual({ old });
  });
});

describe("one record of a shared send that the broker will never take", () => {
  if (why !== null) return void test("refuses no other", (running) => running.skip(why));

  test("of another kind than its topic takes: its call learns it, its neighbours are there", async () => {
    await makeTopic("compacted");
    await broker.alterTopic(prefix + "compacted", { "cleanup.policy": "compact" });
    const keyless = { ...record("keyless", Date.now()), key: null };
    expect(await codesOf("compacted", [record("a", 1), keyless, record("b", 2)])).toEqual([
      null,
      "record_invalid",
      null,
    ]);
    expect(Object.keys(await timesOf("compacted"))).toEqual(["a", "b"]);
  });

  test("larger than the topic takes since it was lowered: the same", async () => {
    await makeTopic("lowered");
    await publish("lowered", { first: 1 });
    await broker.alterTopic(prefix + "lowered", { "max.message.bytes": "20000" });
    const large = { ...record("large", 2), value: crypto.getRandomValues(new Uint8Array(40_000)) };
    expect(await codesOf("lowered", [record("a", 1), large, record("b", 2)])).toEqual([
      null,
      "record_too_large",
      null,
    ]);
    expect(Object.keys(await timesOf("lowered"))).toEqual(["first", "a", "b"]);
  });
});

/** Of each call of one send: null where it was published, else the code of its refusal. */
async function codesOf(topic: string, records: readonly RecordToPublish[]): Promise<(string | null)[]> {
  const ends = await Promise.allSettled(records.map((one) => log.publish(topic, [one])));
  return ends.map((end) => {
    if (end.status === "fulfilled") return null;
    if (end.reason instanceof RecordRefusedError) return end.reason.code;
    throw end.reason;
  });
}

async function offsetsAt(topic: string, times: readonly number[]): Promise<number[]> {
  const admin = new Kafka({ brokers: [broker.brokers], logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    return await Promise.all(
      times.map(async (time) =>
        Number((await admin.fetchTopicOffsetsByTimestamp(prefix + topic, time))[0]!.offset)
      ),
    );
  } finally {
    await admin.disconnect();
  }
}

async function makeTopic(name: string): Promise<void> {
  await log.ensureTopic({
    name,
    partitions: 1,
    retentionMs: null,
    retentionBytes: null,
    recordBytesMax: 2 * 1024 * 1024,
  });
}

async function publish(topic: string, times: Record<string, number>): Promise<void> {
  await Promise.all(
    Object.entries(times).map(([text, timestamp]) => log.publish(topic, [record(text, timestamp)])),
  );
}

function record(text: string, timestamp: number): RecordToPublish {
  const bytes = new TextEncoder().encode(text);
  return { key: bytes, value: bytes, headers: { id: text }, timestamp };
}

async function recordsOf(topic: string): Promise<TopicRecord[]> {
  const { endOffset } = (await log.bounds(topic))[0]!;
  const records: TopicRecord[] = [];
  for await (const batch of log.read(topic, { partition: 0, from: 0, until: endOffset })) {
    records.push(...batch.records);
  }
  return records;
}

async function timesOf(topic: string): Promise<Record<string, number>> {
  const records = await recordsOf(topic);
  for (const { headers } of records) expect(Object.keys(headers)).toEqual(["id"]);
  return Object.fromEntries(records.map(({ headers, timestamp }) => [headers.id, timestamp]));
}
