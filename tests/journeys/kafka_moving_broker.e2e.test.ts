import { describe, expect, test } from "vitest";
import {
  brokerIsOurs,
  freePort,
  type KafkaBroker,
  startKafkaBroker,
  whyNoKafka,
} from "../support/kafka_broker.ts";
import { post, posthogBody, type Service } from "../support/pipeline.ts";
import { pipelinePerTest } from "../support/pipeline_per_test.ts";
import { runProgram } from "../support/run_command.ts";
import { until } from "../support/until.ts";

/** A broker that begins, dies in its first seconds, and comes back at another of the addresses in KAFKA_BROKERS. */
const why = await whyNoKafka() ??
  (brokerIsOurs() ? null : "a broker that KAFKA_BROKERS names is not ours to kill");

describe("A broker that moves between the addresses in KAFKA_BROKERS", () => {
  if (why !== null) {
    test("is found by every connection", (running) => running.skip(why));
    return;
  }
  const ports = [freePort(), freePort()] as const;
  let broker: KafkaBroker;
  let env: Record<string, string>;
  const { start, stopAll, worksFor } = pipelinePerTest({
    kafka: async () => broker = await startKafkaBroker({ port: ports[0] }),
    env: {
      PIPELINE_SECRET: "one secret for both of them",
      KAFKA_BROKERS: ports.map((port) => `127.0.0.1:${port}`).join(","),
      DISCOUNT_WAIT: "300ms",
    },
    place: (place) => env = place.env,
  });
  const readyz = async (service: Service) => {
    const response = await fetch(`${service.url}/readyz`);
    return { status: response.status, body: await response.json() };
  };
  const isReady = async (service: Service) => {
    const { status, body } = await readyz(service);
    return status === 200 && body.spooled !== undefined
      ? body.durable === "log" && body.spooled === 0
      : status === 200;
  };

  test("is found by both groups, the status, the producer and every command", async () => {
    const [ingest, processor] = [await start("ingest"), await start("processor")];
    await worksFor("ada", { ingest, processor });
    await broker.kill();
    await until("ingest spools", async () => {
      await post(ingest.url, posthogBody({ event: "other" }));
      return (await readyz(ingest)).body.durable === "spool";
    });
    await broker.restart(ports[1]);
    await until("both are ready again", async () => await isReady(ingest) && await isReady(processor), {
      limitMs: 60_000,
    });
    await worksFor("eve", { ingest, processor });
    const lag = await runProgram("tools/lag.ts", { args: ["--json"], env });
    expect(lag).toMatchObject({ code: 0, stderr: "" });
    expect(await stopAll()).toEqual([0, 0]);
  }, 180_000);

  test("and dies in the first seconds of services that begin with it stops none of them", async () => {
    await broker.kill();
    const starting = Promise.all([start("ingest"), start("processor")]);
    for (let round = 0; round < 2; round++) {
      await broker.restart(ports[round % 2]);
      await broker.kill();
    }
    const [ingest, processor] = await starting;
    await broker.restart(ports[1]);
    await worksFor("ada", { ingest, processor });
    await until("both are ready", async () => await isReady(ingest) && await isReady(processor));
  }, 180_000);
});
