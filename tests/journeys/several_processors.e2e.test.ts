import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { GroupLag, TopicConsumers } from "../../contract/processor_api.ts";
import { WEBHOOKS_PARTITIONS } from "../../contract/names.ts";
import { partitionOf } from "../../topic/partitioner.ts";
import { type KafkaBroker, startKafkaBroker, whyNoKafka } from "../support/kafka_broker.ts";
import {
  datasetLines,
  post,
  posthogBody,
  type Service,
  startService,
  statusOf,
  untilCaughtUp,
} from "../support/pipeline.ts";
import { runProgram } from "../support/run_command.ts";
import { until } from "../support/until.ts";

/** How soon work goes on after a kill -9, at the same processor and at another, and whose figures of lag agree. */
const why = await whyNoKafka();

describe("Processors that share the groups on Kafka", () => {
  if (why !== null) {
    test("go on after a crash, and their lag is Kafka's", (running) => running.skip(why));
    return;
  }
  let broker: KafkaBroker;
  let root: string;
  let env: Record<string, string>;
  const running = new Set<Service>();

  beforeAll(async () => {
    broker = await startKafkaBroker();
  });
  afterAll(() => broker.stop());
  beforeEach(async () => {
    root = await Deno.makeTempDir({ prefix: "several-processors-" });
    env = {
      KAFKA_BROKERS: broker.brokers,
      KAFKA_TOPIC_PREFIX: `s${crypto.randomUUID()}.`,
      PIPELINE_SECRET: "one secret for all of them",
      DATASET_DIR: join(root, "dataset"),
    };
  });
  afterEach(async () => {
    for (const service of running) await service.kill();
    running.clear();
    await Deno.remove(root, { recursive: true });
  });

  const envOf = (name: string, more: Record<string, string> = {}) => ({
    ...env,
    DATA_DIR: join(root, name),
    ...more,
  });
  const start = async (kind: "ingest" | "processor", name: string, more: Record<string, string> = {}) => {
    const service = await startService(kind, envOf(name, more));
    running.add(service);
    return service;
  };
  const kill = async (service: Service) => {
    running.delete(service);
    await service.kill();
  };
  const written = () => datasetLines(root).map(({ input_prompt }) => input_prompt.replace("prompt ", ""));

  /** One webhook into every partition; resolves when the line of each is there. */
  const throughEveryPartition = async (ingest: Service, limitMs: number) => {
    const sent = userOfEachPartition().map((distinctId) => ({ distinctId, uuid: crypto.randomUUID() }));
    for (const { uuid, distinctId } of sent) {
      expect(await post(ingest.url, posthogBody({ uuid, distinctId }))).toBe(200);
    }
    await until("a line of every partition is there", () => {
      const lines = new Set<string>(written());
      return sent.every(({ uuid }) => lines.has(uuid));
    }, { limitMs });
  };

  test("one that was killed and starts again does not wait for the end of its own session", async () => {
    // As long as a session may be by the broker's defaults: whoever waits for it does not come in time.
    const session = { KAFKA_SESSION_TIMEOUT: "30s" };
    const ingest = await start("ingest", "ingest");
    const first = await start("processor", "a", session);
    await throughEveryPartition(ingest, 30_000);
    await kill(first);
    await start("processor", "a", session);
    const listensAt = performance.now();
    await throughEveryPartition(ingest, 15_000);
    report("the next lines came", performance.now() - listensAt, "after its start line");
  }, 90_000);

  test("what one that is killed had is taken over by another when its session has ended", async () => {
    const session = { KAFKA_SESSION_TIMEOUT: "6s" };
    const ingest = await start("ingest", "ingest");
    const [first, second] = [await start("processor", "a", session), await start("processor", "b", session)];
    for (const service of [first, second]) {
      await until(
        "it is ready",
        async () => (await fetch(`${service.url}/readyz`).then((r) => (r.body?.cancel(), r.status))) === 200,
      );
    }
    await throughEveryPartition(ingest, 30_000);
    await kill(first);
    const killedAt = performance.now();
    await throughEveryPartition(ingest, 60_000);
    report(
      "another processor wrote all partitions",
      performance.now() - killedAt,
      "after the kill, session 6 s",
    );
    await untilCaughtUp(second.url);
    expect(new Set(written()).size).toBe(written().length);
  }, 120_000);

  test(
    "lag by /api/status and by the command is what Kafka's own tool says, of a group that runs and of one that does not",
    async () => {
      const ingest = await start("ingest", "ingest");
      const both = await start("processor", "a");
      await throughEveryPartition(ingest, 30_000);
      await untilCaughtUp(both.url);
      running.delete(both);
      expect(await both.stop()).toBe(0);
      const writer = await start("processor", "a", { PROCESSOR_GROUPS: "dataset-writer" });
      for (let n = 0; n < 3; n++) await throughEveryPartition(ingest, 30_000);

      const lags = { "dataset-writer": 0, "discount-offers": 3 * WEBHOOKS_PARTITIONS };
      const byStatus = await until("the running group has caught up", async () => {
        const groups = (await statusOf(writer.url))?.groups;
        return groups?.every(({ group, lag }) => lags[group as keyof typeof lags] === lag) && groups;
      });
      const { code, stdout } = await runProgram("tools/lag.ts", { args: ["--json"], env: envOf("a") });
      expect(code).toBe(0);
      const byCommand: GroupLag[] = JSON.parse(stdout);
      for (const group of Object.keys(lags)) {
        const theirs = (await broker.describeGroup(`${env.KAFKA_TOPIC_PREFIX}${group}`))
          .map(({ topic: _, ...offsets }) => offsets).sort((a, b) => a.partition - b.partition);
        expect(theirs).toHaveLength(WEBHOOKS_PARTITIONS);
        expect(offsetsOf(byStatus, group)).toEqual(theirs);
        expect(offsetsOf(byCommand, group)).toEqual(theirs);
      }
      // By the group's own description: this processor reads all of one, and nobody reads the other.
      const { groups } = await (await fetch(`${writer.url}/api/topic`)).json() as TopicConsumers;
      const all = Array.from({ length: WEBHOOKS_PARTITIONS }, (_, partition) => partition);
      expect(groups).toEqual([
        {
          group: "dataset-writer",
          complete: true,
          consumers: [{ name: "dataset-writer", own: true, host: expect.any(String), partitions: all }],
        },
        { group: "discount-offers", complete: true, consumers: [] },
      ]);
    },
    90_000,
  );
});

function offsetsOf(groups: readonly GroupLag[], wanted: string) {
  return groups.find(({ group }) => group === wanted)!.partitions
    .map(({ partition, nextOffset, endOffset, lag }) => ({ partition, nextOffset, endOffset, lag }));
}

function userOfEachPartition(): string[] {
  const users = new Map<number, string>();
  for (let n = 0; users.size < WEBHOOKS_PARTITIONS; n++) {
    const user = `user-${n}`;
    users.set(partitionOf(new TextEncoder().encode(user), WEBHOOKS_PARTITIONS), user);
  }
  return [...users.values()];
}

/** A figure for whoever reads the run; it is no part of what the test shows. */
function report(what: string, ms: number, since: string): void {
  console.log(`${what} ${Math.round(ms)} ms ${since}`);
}
