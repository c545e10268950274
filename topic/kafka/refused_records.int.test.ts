import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type KafkaBroker, startKafkaBroker, whyNoKafka } from "../../tests/support/kafka_broker.ts";
import { openTopicLog } from "../open_topic.ts";
import { RecordRefusedError, type RecordToPublish, type TopicLog, type TopicRecord } from "../topic.ts";

/** Records that a real broker will not take as they are. */
const why = await whyNoKafka();

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
    prefix: `refused-${Date.now()}-`,
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

describe.skipIf(why !== null)("a time that the broker refuses", () => {
  test.each([["3 hours ahead", 3 * HOUR_MS], ["25 years ahead", 25 * 365 * 24 * HOUR_MS]])(
    "%s: the record is taken, its neighbours keep theirs, and all are read with their own times",
    async (_, ahead) => {
      await makeTopic(`ahead-${ahead}`);
      const now = Date.now();
      await publish(`ahead-${ahead}`, { early: now - 1, late: now + ahead, there: now });
      expect(await timesOf(`ahead-${ahead}`)).toEqual({ early: now - 1, late: now + ahead, there: now });
    },
  );
});

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
  const [{ endOffset }] = await log.bounds(topic) as [{ endOffset: number }];
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
void RecordRefusedError;
