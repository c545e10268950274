import { type Admin, Kafka, logLevel } from "kafkajs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type KafkaBroker, startKafkaBroker, whyNoKafka } from "../../tests/support/kafka_broker.ts";
import type { TopicLog, TopicSpec } from "../topic.ts";
import { openKafkaLog } from "./log.ts";

/** Topics as operators make them: before a service starts, or anew while it is down. */
const why = await whyNoKafka();

let broker: KafkaBroker;
let dataDir: string;
let admin: Admin;
let log: TopicLog;

beforeAll(async () => {
  if (why !== null) return;
  broker = await startKafkaBroker();
  dataDir = await Deno.makeTempDir({ prefix: "kafka-topics-" });
  admin = new Kafka({ brokers: broker.brokers.split(","), logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  log = await openKafkaLog({
    brokers: broker.brokers.split(","),
    prefix: "",
    replication: null,
    ssl: null,
    sasl: null,
    sessionTimeoutMs: 6_000,
    dataDir,
  }, "processor");
}, 60_000);
afterAll(async () => {
  await log?.close();
  await admin?.disconnect();
  await broker?.stop();
  if (dataDir) await Deno.remove(dataDir, { recursive: true });
});

function spec(changes: Partial<TopicSpec> = {}): TopicSpec {
  const name = `t-${crypto.randomUUID()}`;
  return {
    name,
    partitions: 1,
    retentionMs: null,
    retentionBytes: null,
    recordBytesMax: 2_097_152,
    ...changes,
  };
}

describe.skipIf(why !== null)("a topic", () => {
  test("that was deleted and made again has another id", async () => {
    const wanted = spec();
    await log.ensureTopic(wanted);
    const id = await log.topicId!(wanted.name);
    await admin.deleteTopics({ topics: [wanted.name] });
    await log.ensureTopic(wanted);
    const again = await log.topicId!(wanted.name);
    expect(again).toMatch(/^[0-9a-f]{32}$/);
    expect(again).not.toBe(id);
  });
});
