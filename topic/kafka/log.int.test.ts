import { describe, test } from "vitest";
import { type KafkaBroker, startKafkaBroker, whyNoKafka } from "../../tests/support/kafka_broker.ts";
import type { KafkaConfig } from "../log_config.ts";
import { otherClient } from "./fixtures/other_client.ts";
import { openKafkaLog } from "./log.ts";
import { describeTopicContract } from "../contract_suite/suite.ts";

const why = await whyNoKafka();

function configFor(broker: KafkaBroker, dataDir: string): KafkaConfig {
  return {
    brokers: broker.brokers.split(","),
    prefix: "",
    replication: null,
    ssl: null,
    sasl: null,
    sessionTimeoutMs: 6_000,
    dataDir,
  };
}

if (why !== null) {
  describe("The log on a Kafka protocol broker", () => {
    test("keeps the contract of the log", (running) => running.skip(why));
  });
} else {
  describeTopicContract("The log on a Kafka protocol broker", async () => {
    const broker = await startKafkaBroker();
    const dataDir = await Deno.makeTempDir({ prefix: "kafka-log-" });
    return {
      open: (role) => openKafkaLog(configFor(broker, dataDir), role),
      other: () => otherClient(broker.brokers.split(",")),
      async remove() {
        await broker.stop();
        await Deno.remove(dataDir, { recursive: true });
      },
    };
  });
}
