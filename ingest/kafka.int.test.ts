import { afterAll, beforeAll, expect, test } from "vitest";
import { WEBHOOKS_PARTITIONS, WEBHOOKS_TOPIC } from "../contract/names.ts";
import {
  brokerIsOurs,
  type KafkaBroker,
  startKafkaBroker,
  whyNoKafka,
} from "../tests/support/kafka_broker.ts";
import { until } from "../tests/support/until.ts";
import type { LogConfig } from "../topic/log_config.ts";
import { openTopicLog } from "../topic/open_topic.ts";
import { startTestIngest, type TestIngest, webhookBody } from "./fixtures/test_ingest.ts";

const why = await whyNoKafka() ??
  (brokerIsOurs() ? null : "a broker that KAFKA_BROKERS names is not ours to kill");

let broker: KafkaBroker;
let dataDir: string;
let log: LogConfig;
beforeAll(async () => {
  if (why !== null) return;
  broker = await startKafkaBroker();
  dataDir = await Deno.makeTempDir({ prefix: "ingest-kafka-" });
  log = {
    kind: "kafka",
    brokers: [broker.brokers],
    prefix: "",
    replication: null,
    ssl: null,
    sasl: null,
    sessionTimeoutMs: 6_000,
    dataDir,
  };
});
afterAll(async () => {
  if (why !== null) return;
  await broker.stop();
  await Deno.remove(dataDir, { recursive: true }).catch(() => {});
});

test(
  "a broker that is killed and comes back costs no webhook: all are on the topic, with their received times",
  async (running) => {
    if (why !== null) return running.skip(why);
    const ingest = await startTestIngest({ dataDir, config: { log } });
    const promised = new Map<string, number>();
    const post = async (n: number) => {
      const id = `0190a000-0000-7000-8000-${String(n).padStart(12, "0")}`;
      const response = await ingest.post(webhookBody(id, { distinct_id: `user-${n % 7}` }));
      await response.body?.cancel();
      expect(response.status).toBe(200);
      promised.set(id, Date.now());
    };
    try {
      await until("the log is ready", async () => (await readiness(ingest)).durable === "log");
      for (let n = 0; n < 20; n++) await post(n);
      // Looks for a topic that nobody has made are under way when the broker goes: they once made every later look fail.
      const looked = fetch(`${ingest.url}/unsubscribe?token=x`).then((response) => response.body?.cancel());
      await broker.kill();
      for (let n = 20; n < 40; n++) await post(n);
      expect(await readiness(ingest)).toMatchObject({ status: "ready", durable: "spool" });
      await broker.restart();
      await until("the spool is drained", async () => (await readiness(ingest)).spooled === 0, {
        limitMs: 60_000,
      });
      await until("webhooks go to the log again", async () => (await readiness(ingest)).durable === "log");
      await post(40);
      await looked;
    } finally {
      await ingest.stop();
    }

    const stored = await readKafka();
    expect([...promised.keys()].filter((id) => !stored.has(id))).toEqual([]);
    for (const [id, answeredAt] of promised) expect(stored.get(id)!, id).toBeLessThanOrEqual(answeredAt);
  },
  180_000,
);

async function readiness(ingest: TestIngest): Promise<{ durable: string; spooled: number }> {
  return await (await fetch(`${ingest.url}/readyz`)).json();
}

/** The ids on the topic, with the latest time at which each was received. */
async function readKafka(): Promise<Map<string, number>> {
  const kafka = await openTopicLog(log, "command");
  const stored = new Map<string, number>();
  try {
    const bounds = await kafka.bounds(WEBHOOKS_TOPIC);
    expect(bounds).toHaveLength(WEBHOOKS_PARTITIONS);
    for (const { partition, startOffset, endOffset } of bounds) {
      if (endOffset === startOffset) continue;
      for await (
        const batch of kafka.read(WEBHOOKS_TOPIC, { partition, from: startOffset, until: endOffset })
      ) {
        for (const { headers, timestamp } of batch.records) {
          stored.set(headers.id!, Math.max(timestamp, stored.get(headers.id!) ?? 0));
        }
      }
    }
  } finally {
    await kafka.close();
  }
  return stored;
}
