import { Buffer } from "node:buffer";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Clock, systemClock } from "../runtime/clock.ts";
import { WEBHOOKS_PARTITIONS, WEBHOOKS_TOPIC } from "../contract/names.ts";
import { redriveRefused, refusedWebhooks } from "../processor/dead_letters/mod.ts";
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

const HOUR_MS = 3_600_000;
/** Without a bound unless it is set; that ahead is an hour. */
const BEFORE = "message.timestamp.before.max.ms";

test.for([["ahead", 3 * HOUR_MS], ["behind", -3 * HOUR_MS]] as const)(
  "a clock here that is 3 hours %s holds up no webhook, and each keeps the time at which it was received by it",
  async ([name, off], running) => {
    if (why !== null) return running.skip(why);
    const clock: Clock = { ...systemClock, now: () => systemClock.now() + off };
    const ingest = await startTestIngest({ dataDir, clock, config: { log } });
    try {
      await until("the log is ready", async () => (await readiness(ingest)).durable === "log");
      if (off < 0) await broker.alterTopic(WEBHOOKS_TOPIC, { [BEFORE]: `${HOUR_MS}` });
      const id = `0190b000-0000-7000-8000-00000000000${name.length}`;
      const began = clock.now();
      const response = await ingest.post(webhookBody(id));
      await response.body?.cancel();
      expect([response.status, await readiness(ingest)]).toEqual([
        200,
        { status: "ready", durable: "log", spooled: 0 },
      ]);
      const receivedAt = (await readKafka()).get(id)!;
      expect(receivedAt).toBeGreaterThanOrEqual(began);
      expect(receivedAt).toBeLessThanOrEqual(clock.now());
    } finally {
      await ingest.stop();
      if (off < 0) await broker.alterTopic(WEBHOOKS_TOPIC, { [BEFORE]: null });
    }
  },
);

describe("a topic that takes less than it was made to take", () => {
  const large = (id: string) =>
    webhookBody(id, {
      properties: { p: Buffer.from(crypto.getRandomValues(new Uint8Array(60_000))).toString("base64") },
    });
  const id = (n: number) => `0190c000-0000-7000-8000-00000000000${n}`;
  const statusOf = async (ingest: TestIngest, body: string) => {
    const response = await ingest.post(body);
    await response.body?.cancel();
    return [response.status, response.headers.get("retry-after")];
  };

  test(
    "turns away what is larger with 503 and names the setting; while it waited in the spool it is set aside, and what lies behind it goes on",
    async (running) => {
      if (why !== null) return running.skip(why);
      const ingest = await startTestIngest({ dataDir, config: { log } });
      try {
        await until("the log is ready", async () => (await readiness(ingest)).durable === "log");
        await broker.alterTopic(WEBHOOKS_TOPIC, { "max.message.bytes": "20000" });
        for (let n = 0; n < 3; n++) expect(await statusOf(ingest, large(id(0)))).toEqual([503, "1"]);
        expect(ingest.said.filter((text) => text.includes("max.message.bytes"))).toHaveLength(1);
        expect(await statusOf(ingest, webhookBody(id(1)))).toEqual([200, null]);
        expect(await readiness(ingest)).toEqual({ status: "ready", durable: "log", spooled: 0 });

        await broker.kill();
        for (const body of [webhookBody(id(2)), large(id(3)), webhookBody(id(4))]) {
          expect(await statusOf(ingest, body)).toEqual([200, null]);
        }
        await broker.restart();
        await until("the spool is drained", async () => (await readiness(ingest)).spooled === 0, {
          limitMs: 60_000,
        });
        expect(await readiness(ingest)).toMatchObject({ refused: 1 });
      } finally {
        await ingest.stop();
        await broker.alterTopic(WEBHOOKS_TOPIC, { "max.message.bytes": "2097152" });
      }
      const stored = await readKafka();
      expect([0, 1, 2, 3, 4].filter((n) => stored.has(id(n)))).toEqual([1, 2, 4]);

      const kafka = await openTopicLog(log, "command");
      try {
        const [refused] = refusedWebhooks(dataDir);
        expect(refused?.reason).toContain("Raise max.message.bytes");
        expect(await redriveRefused(kafka, refused!)).toBeNull();
      } finally {
        await kafka.close();
      }
      expect((await readKafka()).has(id(3))).toBe(true);
      expect(refusedWebhooks(dataDir)).toEqual([]);
    },
    120_000,
  );
});

async function readiness(ingest: TestIngest): Promise<{ durable?: string; spooled: number }> {
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
