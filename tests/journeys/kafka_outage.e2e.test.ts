import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import {
  brokerIsOurs,
  freePort,
  type KafkaBroker,
  startKafkaBroker,
  whyNoKafka,
} from "../support/kafka_broker.ts";
import { datasetLines, posthogBody, type Service, startService, untilCaughtUp } from "../support/pipeline.ts";
import { until } from "../support/until.ts";

/** The broker goes, comes late, or will not take a record: no webhook is lost, doubled or turned away. */
const OUTAGE_SECONDS = Number(Deno.env.get("OUTAGE_SECONDS") ?? 5);
const WEBHOOKS_PER_SECOND = 200;
/** PostHog breaks off a delivery that takes longer. */
const POSTHOG_WAITS_MS = 3_000;

const why = await whyNoKafka() ??
  (brokerIsOurs() ? null : "a broker that KAFKA_BROKERS names is not ours to kill");

describe("A broker that is away", () => {
  if (why !== null) {
    test("costs no webhook", (running) => running.skip(why));
    return;
  }
  let broker: KafkaBroker;
  let late: KafkaBroker | null = null;
  let dataDir: string;
  let env: Record<string, string>;
  const running: Service[] = [];

  beforeAll(async () => {
    broker = await startKafkaBroker();
  });
  afterAll(() => broker.stop());
  beforeEach(async () => {
    dataDir = await Deno.makeTempDir({ prefix: "kafka-outage-" });
    env = {
      DATA_DIR: dataDir,
      PIPELINE_SECRET: "one secret for both of them",
      KAFKA_BROKERS: broker.brokers,
      KAFKA_TOPIC_PREFIX: `o${crypto.randomUUID()}.`,
      KAFKA_SESSION_TIMEOUT: "6s",
    };
  });
  afterEach(async () => {
    for (const service of running.splice(0)) await service.kill();
    await late?.stop();
    late = null;
    await Deno.remove(dataDir, { recursive: true });
  });

  const start = async (name: "ingest" | "processor") => {
    const service = await startService(name, env);
    running.push(service);
    return service;
  };
  const written = () =>
    datasetLines(dataDir).map(({ input_prompt }) => input_prompt.replace("prompt ", "")).sort();

  test(
    `killed for ${OUTAGE_SECONDS} s under ${WEBHOOKS_PER_SECOND} webhooks a second: every one is answered in time, and written once`,
    async () => {
      const [ingest, processor] = [await start("ingest"), await start("processor")];
      await until("both are ready", async () => {
        const [one, other] = [await readyz(ingest), await readyz(processor)];
        return one.body.durable === "log" && other.status === 200;
      });
      const deliveries = deliver(ingest, WEBHOOKS_PER_SECOND);
      await until("some are written", () => written().length > WEBHOOKS_PER_SECOND / 2);
      await broker.kill();
      const goneAt = performance.now();
      await until(
        "ingest says where they are kept",
        async () => (await readyz(ingest)).body.durable === "spool",
      );
      await until("the outage is over", () => performance.now() - goneAt > OUTAGE_SECONDS * 1_000, {
        limitMs: OUTAGE_SECONDS * 1_000 + 10_000,
      });
      const during = await readyz(ingest);
      expect(during).toMatchObject({ status: 200, body: { durable: "spool", spooled: expect.any(Number) } });
      expect(during.body.spooled).toBeGreaterThan(0);
      await broker.restart();
      await until("the spool is empty and webhooks go to the log", async () => {
        const { body } = await readyz(ingest);
        return body.durable === "log" && body.spooled === 0;
      }, { limitMs: 60_000 });
      const sent = await deliveries.stop();
      expect(sent.failed).toEqual([]);
      expect(sent.taken.length).toBeGreaterThan(WEBHOOKS_PER_SECOND * OUTAGE_SECONDS);
      await until("every line is there", () => written().length >= sent.taken.length, { limitMs: 60_000 });
      await untilCaughtUp(processor.url);
      expect(written()).toEqual(sent.taken.sort());
    },
    120_000 + 2_000 * OUTAGE_SECONDS,
  );

  test(
    "since before the start: ingest answers, the processor keeps trying and says so, and all flows when it appears",
    async () => {
      const port = freePort();
      env = { ...env, KAFKA_BROKERS: `127.0.0.1:${port}` };
      const [ingest, processor] = [await start("ingest"), await start("processor")];
      const taken: string[] = [];
      const send = async () => {
        const uuid = crypto.randomUUID();
        expect(await answer(ingest, posthogBody({ uuid }))).toBe(200);
        taken.push(uuid);
      };
      for (let n = 0; n < 5; n++) await send();
      expect(await readyz(ingest)).toMatchObject({ status: 200, body: { durable: "spool", spooled: 5 } });
      const tries = () => processor.errors().match(/KAFKA_BROKERS.*Trying again in \d+ ms/g)?.length ?? 0;
      await until("the processor has tried again", () => tries() >= 2, { limitMs: 60_000 });
      const { status, body } = await readyz(processor);
      expect([status, body.waitsFor]).toEqual([503, [expect.stringContaining("KAFKA_BROKERS")]]);

      late = await startKafkaBroker({ port });
      await until("the spool is drained", async () => (await readyz(ingest)).body.spooled === 0, {
        limitMs: 60_000,
      });
      await send();
      await until("every line is there", () => written().length === taken.length, { limitMs: 60_000 });
      await until("the processor is ready", async () => (await readyz(processor)).status === 200);
      expect(written()).toEqual(taken.sort());
    },
    150_000,
  );

  test(
    "and then refuses a spooled webhook for good: it is set aside by name, and those behind it go on",
    async () => {
      const [ingest, processor] = [await start("ingest"), await start("processor")];
      await until("the topic is there", async () => (await readyz(ingest)).body.durable === "log");
      await broker.alterTopic(`${env.KAFKA_TOPIC_PREFIX}${WEBHOOKS_TOPIC}`, { "max.message.bytes": "20000" });
      await broker.kill();
      await until("webhooks are spooled", async () => {
        expect(await answer(ingest, posthogBody())).toBe(200);
        return (await readyz(ingest)).body.durable === "spool";
      });
      const large = crypto.randomUUID();
      // Nothing of it repeats, so that it is as large packed.
      const prompt = Array.from({ length: 2_000 }, () => crypto.randomUUID()).join("");
      const body = posthogBody({
        uuid: large,
        properties: { input_prompt: prompt, failure_reason: "timeout" },
      });
      expect(await answer(ingest, body)).toBe(200);
      const behind: string[] = [crypto.randomUUID(), crypto.randomUUID()];
      for (const uuid of behind) expect(await answer(ingest, posthogBody({ uuid }))).toBe(200);

      await broker.restart();
      await until("the spool is empty", async () => (await readyz(ingest)).body.spooled === 0, {
        limitMs: 60_000,
      });
      expect(ingest.errors()).toMatch(
        /refused a spooled webhook .*max\.message\.bytes.*: kept in ".*spool\/refused\//,
      );
      const refused = [...Deno.readDirSync(join(dataDir, "spool", "refused"))];
      expect(refused.length).toBeGreaterThan(0);
      const kept = refused.map(({ name }) => Deno.readTextFileSync(join(dataDir, "spool", "refused", name)))
        .join("\n");
      expect(kept).toContain(large);
      await until("what came behind it is written", () => behind.every((uuid) => written().includes(uuid)));
      await untilCaughtUp(processor.url);
      expect(written().filter((uuid) => behind.includes(uuid))).toHaveLength(2);
      expect(written().some((prompt) => prompt.length > 1_000)).toBe(false);
    },
    120_000,
  );
});

async function readyz(service: Service) {
  const response = await fetch(`${service.url}/readyz`);
  return { status: response.status, body: await response.json() };
}

/** Posts as PostHog does; answers the status, 0 where none came in time. */
async function answer(ingest: Service, body: string): Promise<number> {
  try {
    const response = await fetch(`${ingest.url}/api/webhooks`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
      signal: AbortSignal.timeout(POSTHOG_WAITS_MS),
    });
    await response.body?.cancel();
    return response.status;
  } catch {
    return 0;
  }
}

/** Posts at an even rate, whatever becomes of those before, until `stop` is called. */
function deliver(ingest: Service, perSecond: number) {
  const taken: string[] = [];
  const failed: { uuid: string; status: number }[] = [];
  const underWay = new Set<Promise<void>>();
  const beganAt = performance.now();
  let sent = 0;
  const deliverOne = async () => {
    const uuid = crypto.randomUUID();
    const status = await answer(ingest, posthogBody({ uuid, distinctId: `user-${sent % 50}` }));
    if (status === 200) taken.push(uuid);
    else failed.push({ uuid, status });
  };
  // A timer that is late makes up for it: the rate is that of the clock.
  const timer = setInterval(() => {
    const due = Math.floor((performance.now() - beganAt) / 1_000 * perSecond);
    for (; sent < due; sent++) {
      const one = deliverOne().finally(() => underWay.delete(one));
      underWay.add(one);
    }
  }, 5);
  return {
    async stop() {
      clearInterval(timer);
      await Promise.all(underWay);
      return { taken, failed };
    },
  };
}
