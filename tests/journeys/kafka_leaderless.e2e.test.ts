import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WEBHOOKS_PARTITIONS, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { personIn } from "../../processor/dataset/fixtures/records.ts";
import { FACTS_TOPIC_SPEC } from "../../processor/facts/topic.ts";
import { EnvironmentReader } from "../../runtime/environment.ts";
import { readLogConfig } from "../../topic/log_config.ts";
import { openTopicLog } from "../../topic/open_topic.ts";
import { DEAD_LETTER_TOPIC_SPEC, WEBHOOKS_TOPIC_SPEC } from "../../topic/raw_topics.ts";
import type { TopicLog } from "../../topic/topic.ts";
import {
  brokerIsOurs,
  type KafkaBroker,
  type KafkaNode,
  startKafkaBroker,
  whyNoKafka,
} from "../support/kafka_broker.ts";
import {
  datasetLines,
  post,
  posthogBody,
  type Service,
  startService,
  statusOf,
} from "../support/pipeline.ts";
import { runTask } from "../support/run_command.ts";
import { until } from "../support/until.ts";

/** Two real brokers, each partition on one of them alone, and the second one dies with -9. */
const why = await whyNoKafka() ??
  (brokerIsOurs() ? null : "brokers that KAFKA_BROKERS names are not ours to kill");
const ALL = [...new Array(WEBHOOKS_PARTITIONS).keys()];

describe("Partitions without a leader", () => {
  if (why !== null) {
    test("stop no other one", (running) => running.skip(why));
    return;
  }
  let [first, second]: [KafkaBroker | undefined, KafkaNode | undefined] = [undefined, undefined];
  let dataDir: string;
  let env: Record<string, string>;
  let log: TopicLog;
  const running: Service[] = [];
  const start = async (name: "ingest" | "processor") => {
    const service = await startService(name, env);
    running.push(service);
    return service;
  };

  beforeAll(async () => {
    first = await startKafkaBroker();
    dataDir = await Deno.makeTempDir({ prefix: "kafka-leaderless-" });
    env = {
      DATA_DIR: dataDir,
      PIPELINE_SECRET: "one secret for both of them",
      KAFKA_BROKERS: first.brokers,
      KAFKA_REPLICATION: "1",
      KAFKA_SESSION_TIMEOUT: "6s",
    };
    log = await openTopicLog(readLogConfig(new EnvironmentReader(env), dataDir), "command");
    // What is made before the second broker is there lies on the first: the group's offsets and the topics of one partition.
    await log.ensureTopic(DEAD_LETTER_TOPIC_SPEC);
    await log.ensureTopic(FACTS_TOPIC_SPEC);
    await log.committed(DEAD_LETTER_TOPIC_SPEC.name, "a group");
    second = await first.addNode();
    await log.ensureTopic(WEBHOOKS_TOPIC_SPEC);
  });
  afterAll(async () => {
    for (const service of running) await service.kill();
    await log?.close();
    await second?.stop();
    await first?.stop();
    if (dataDir) await Deno.remove(dataDir, { recursive: true });
  });

  test(
    "stop no other one, in ingest, in a group that runs and in one that starts, are named, and lose nothing",
    async () => {
      const sent: string[] = [];
      const postToAll = async (ingest: Service, round: string) => {
        for (const partition of ALL) {
          sent.push(`${round} ${partition}`);
          const status = await post(ingest.url, failure(`${round} ${partition}`, personIn(partition)));
          expect(status).toBe(200);
        }
      };
      const lines = () => datasetLines(dataDir).map(({ input_prompt }) => input_prompt);
      const untilWritten = (round: string, partitions: readonly number[]) =>
        until(`"${round}" is written of ${partitions}`, () => {
          const found = new Set(lines());
          return partitions.every((partition) => found.has(`${round} ${partition}`));
        }, { limitMs: 60_000 });

      const ingest = await start("ingest");
      let processor = await start("processor");
      await postToAll(ingest, "before");
      await untilWritten("before", ALL);

      await second!.kill();
      const alone = await until("partitions have no leader", async () => {
        const lags = await log.lag(WEBHOOKS_TOPIC, "dataset-writer", Date.now()).catch(() => []);
        const found = lags.filter(({ noLeader }) => noLeader).map(({ partition }) => partition);
        return found.length > 0 && found;
      }, { limitMs: 30_000 });
      expect(alone).toHaveLength(WEBHOOKS_PARTITIONS / 2);
      const led = ALL.filter((partition) => !alone.includes(partition));
      await postToAll(ingest, "without");
      await untilWritten("without", led);

      await processor.kill();
      running.splice(running.indexOf(processor), 1);
      processor = await start("processor");
      await postToAll(ingest, "begun anew");
      await untilWritten("begun anew", led);
      expect(lines().filter((prompt) => prompt.startsWith("without"))).toHaveLength(led.length);

      const status = await until("the status answers", () => statusOf(processor.url));
      for (const { partitions } of status.groups) {
        expect(partitions.filter(({ noLeader }) => noLeader).map(({ partition }) => partition)).toEqual(
          alone,
        );
      }
      await until("it is said who waits", async () => {
        const ready = await (await fetch(`${processor.url}/readyz`)).text();
        return ready.includes(`partition ${alone[0]} has no leader`);
      });
      const lag = await runTask("lag", { args: [], env });
      expect([lag.code, lag.stdout]).toEqual([
        0,
        expect.stringContaining(`dataset-writer: partition ${alone[0]} has no leader`),
      ]);

      await second!.restart();
      await untilWritten("begun anew", ALL);
      await postToAll(ingest, "after");
      await untilWritten("after", ALL);
      expect(lines().sort()).toEqual(sent.sort());
    },
    120_000,
  );
});

function failure(prompt: string, distinctId: string) {
  return posthogBody({ distinctId, properties: { input_prompt: prompt, failure_reason: "timeout" } });
}
