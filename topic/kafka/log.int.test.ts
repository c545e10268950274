import { describe, test } from "vitest";
import {
  brokerIsOurs,
  KAFKA_VERSIONS,
  type KafkaBroker,
  startKafkaBroker,
  whyNoKafka,
} from "../../tests/support/kafka_broker.ts";
import type { KafkaConfig } from "../log_config.ts";
import { otherClient } from "./fixtures/other_client.ts";
import { openKafkaLog } from "./log.ts";
import { describeTopicContract } from "../contract_suite/suite.ts";

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

// A given broker is of one version, whichever that is.
for (const version of brokerIsOurs() ? KAFKA_VERSIONS : [undefined]) {
  const subject = `The log on ${version ? `Apache Kafka ${version}` : "the broker of KAFKA_BROKERS"}`;
  const why = await whyNoKafka(version);
  if (why !== null) {
    describe(subject, () => {
      test("keeps the contract of the log", (running) => running.skip(why));
    });
    continue;
  }
  describeTopicContract(subject, async () => {
    const broker = await startKafkaBroker({ version });
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
