import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DEAD_LETTER_TOPIC_SPEC, WEBHOOKS_TOPIC_SPEC } from "../../topic/raw_topics.ts";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { type KafkaBroker, startKafkaBroker, whyNoKafka } from "../../tests/support/kafka_broker.ts";
import { datasetLines } from "../../tests/support/pipeline.ts";
import { until } from "../../tests/support/until.ts";
import { EnvironmentReader } from "../../runtime/environment.ts";
import { otherClient } from "../../topic/kafka/fixtures/other_client.ts";
import { readLogConfig } from "../../topic/log_config.ts";
import { openTopicLog } from "../../topic/open_topic.ts";
import { partitionOf } from "../../topic/partitioner.ts";
import { erasure, failure } from "./fixtures/records.ts";
import { hashes, startWriter } from "./fixtures/run.ts";

/** What only a broker does: an operator raises the partitions of a topic while the writer and a publisher run. */
const why = await whyNoKafka();
const LATE = { timestamp: "2025-11-30T17:00:00.000Z", receivedAt: Date.UTC(2025, 11, 2) };

describe.skipIf(why !== null)(`partitions that are added on Kafka${why === null ? "" : ` (${why})`}`, () => {
  let broker: KafkaBroker;
  let dataDir: string;
  beforeAll(async () => {
    broker = await startKafkaBroker();
    dataDir = await Deno.makeTempDir();
  });
  afterAll(async () => {
    await broker?.stop();
    if (dataDir) await Deno.remove(dataDir, { recursive: true });
  });

  it("give the erased no line, a repeated uuid one, and nothing that was published is missing", async () => {
    const prefix = `t${crypto.randomUUID()}.`;
    const env = new EnvironmentReader({ KAFKA_BROKERS: broker.brokers, KAFKA_TOPIC_PREFIX: prefix });
    const config = readLogConfig(env, dataDir);
    const [log, publisher] = [await openTopicLog(config, "processor"), await openTopicLog(config, "ingest")];
    await publisher.ensureTopic(WEBHOOKS_TOPIC_SPEC);
    await publisher.ensureTopic(DEAD_LETTER_TOPIC_SPEC);
    const publish = (records: Parameters<typeof publisher.publish>[1]) =>
      publisher.publish(WEBHOOKS_TOPIC, records);
    const writer = startWriter({ log, dataDir, settleMs: 6_000 });
    const [jane, carl] = [mover(0, 6), mover(0, 6, 1)];
    await publish([failure(1, { distinctId: carl }), failure(2, { distinctId: jane })]);
    const at = "2025-11-30T18:00:00.000Z";
    await publish(
      [0, 1, 2, 3, 4, 5].map((partition) => erasure([hashes.subject(jane)], { at, partition, n: partition })),
    );
    await writer.caughtUp();

    const operator = await openTopicLog(config, "command");
    await operator.ensureTopic({ ...WEBHOOKS_TOPIC_SPEC, partitions: 8 });
    await operator.close();
    let n = 100;
    await until("the publisher sends to the new partitions", async () => {
      const [position] = await publish([failure(n++, { distinctId: carl })]);
      return position!.partition === 6;
    });
    await publish([
      failure(1, { distinctId: carl }),
      failure(3, { distinctId: jane, ...LATE }),
      failure(4, { distinctId: carl, prompt: "the last one" }),
    ]);
    const prompts = () => datasetLines(dataDir).map((line) => line.input_prompt);
    await until("the new partition is written", () => prompts().includes("the last one"), {
      limitMs: 60_000,
    });
    await writer.stop();
    await Promise.all([log.close(), publisher.close()]);
    const expected = [1, ...Array.from({ length: n - 100 }, (_, i) => 100 + i)].map((one) =>
      `write a poem about ${one}`
    );
    expect(prompts().sort()).toEqual([...expected, "the last one"].sort());
  }, 90_000);

  it("a transaction that is open in one holds up no other, also where a dataset begins", async () => {
    const prefix = `t${crypto.randomUUID()}.`;
    const env = new EnvironmentReader({ KAFKA_BROKERS: broker.brokers, KAFKA_TOPIC_PREFIX: prefix });
    const config = readLogConfig(env, await Deno.makeTempDir({ dir: dataDir }));
    const log = await openTopicLog(config, "processor");
    await log.ensureTopic(WEBHOOKS_TOPIC_SPEC);
    await log.ensureTopic(DEAD_LETTER_TOPIC_SPEC);
    const other = otherClient(broker.brokers.split(","));
    const [held, free] = [mover(0, 6), mover(1, 7)];
    const open = await other.transaction(`${prefix}${WEBHOOKS_TOPIC}`, [{ key: held, value: "{}" }]);
    await log.publish(WEBHOOKS_TOPIC, [failure(1, { distinctId: held }), failure(2, { distinctId: free })]);
    const writer = startWriter({ log, dataDir: config.dataDir });
    const prompts = () => datasetLines(config.dataDir).map((line) => line.input_prompt);
    await until("the other partition is written", () => prompts().length > 0);
    expect(prompts()).toEqual(["write a poem about 2"]);
    await open.commit();
    await until("what lay behind it is written", () => prompts().length === 2);
    await writer.stop();
    await Promise.all([log.close(), other.close()]);
  }, 60_000);
});

function mover(from: number, to: number, n = 0): string {
  for (let i = 0;; i++) {
    const id = `mover-${from}-${to}-${n}-${i}`;
    const key = new TextEncoder().encode(id);
    if (partitionOf(key, 6) === from && partitionOf(key, 8) === to) return id;
  }
}
