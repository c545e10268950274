import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DEAD_LETTER_TOPIC, FACTS_TOPIC, WEBHOOKS_TOPIC } from "../contract/names.ts";
import { type KafkaBroker, startKafkaBroker, whyNoKafka } from "./support/kafka_broker.ts";
import { startTestIngest, webhookBody } from "../ingest/fixtures/test_ingest.ts";
import { until } from "./support/until.ts";
import {
  handClock,
  hashes,
  look,
  mailsIn,
  newPlace,
  uses,
  whileRunning,
} from "../processor/offers/fixtures/run.ts";
import { otherClient } from "../topic/kafka/fixtures/other_client.ts";

/**
 * The processor as an operator starts it, on topics that were there before. With a compacted discount.facts it once
 * started, and when compaction had deleted the older claims of a subject, somebody got a second mail.
 */
const why = await whyNoKafka();
const MAIN = new URL("../processor/main.ts", import.meta.url).pathname;

let broker: KafkaBroker;
beforeAll(async () => {
  if (why === null) broker = await startKafkaBroker();
});
afterAll(() => broker?.stop());

/** A prefix with one topic of it made by an operator. */
async function madeByAnOperator(topic: string, settings: Readonly<Record<string, string>>): Promise<string> {
  const prefix = `p${crypto.randomUUID().slice(0, 8)}.`;
  const other = otherClient(broker.brokers.split(","));
  await other.topic(prefix + topic, settings);
  await other.close();
  return prefix;
}

/** How the processor ended, or null where it had to be stopped because it ran. */
async function processorOn(
  prefix: string,
): Promise<{ readonly code: number; readonly stderr: string } | null> {
  const dataDir = await Deno.makeTempDir({ prefix: "processor-settings-" });
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", MAIN],
    env: {
      DATA_DIR: dataDir,
      PROCESSOR_PORT: "0",
      LOG_FORMAT: "text",
      PIPELINE_SECRET: "a secret for tests, long enough",
      KAFKA_BROKERS: broker.brokers,
      KAFKA_TOPIC_PREFIX: prefix,
    },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let [ended, isReady] = [false, false];
  const watching = (async () => {
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      const url = /http:\S+\d/.exec(text)?.[0];
      if (url === undefined) continue;
      const ready = async () => (await fetch(`${url}/readyz`)).status === 200;
      await until("it is ready or has ended", async () => await ready().catch(() => false) || ended).catch(
        () => {},
      );
      isReady = !ended;
      if (isReady) child.kill("SIGKILL");
    }
  })();
  const { code } = await child.status.finally(() => ended = true);
  await watching;
  const stderr = await new Response(child.stderr).text();
  await Deno.remove(dataDir, { recursive: true });
  return isReady ? null : { code, stderr };
}

describe.skipIf(why !== null)("the processor on a topic that was there before", () => {
  test.each([FACTS_TOPIC, DEAD_LETTER_TOPIC, WEBHOOKS_TOPIC])(
    "does not start where %s is compacted, and says what mends it",
    async (topic) => {
      const prefix = await madeByAnOperator(topic, { "cleanup.policy": "compact" });
      const end = await processorOn(prefix);
      expect(end?.code).toBe(1);
      expect(end?.stderr).toContain(`topic "${prefix}${topic}" has cleanup.policy=compact`);
      expect(end?.stderr).toContain(`rpk topic alter-config ${prefix}${topic} --set cleanup.policy=delete`);
    },
    60_000,
  );

  test("starts once all is as it must be", async () => {
    expect(await processorOn(await madeByAnOperator(FACTS_TOPIC, { "retention.ms": "1000000" }))).toBeNull();
  }, 60_000);
});

describe.skipIf(why !== null)("discount.facts that somebody compacts beside a running sender", () => {
  test("stops the mails until it is mended", async () => {
    const prefix = `p${crypto.randomUUID().slice(0, 8)}.`;
    const place = await newPlace({ KAFKA_BROKERS: broker.brokers, KAFKA_TOPIC_PREFIX: prefix });
    await using held = new AsyncDisposableStack();
    held.defer(() => place.remove());
    await place.publish(uses(5, "ada", { email: "ada@example.org" }));
    const clock = handClock();
    // The look that comes every five minutes comes with every turn.
    const soon = {
      ...clock,
      wait: (ms: number, signal?: AbortSignal) => clock.wait(Math.min(ms, 20), signal),
    };
    const isIn = (state: string) => () =>
      look(place, (offers) => offers.offerOf("ada", hashes))?.state === state;
    await whileRunning(place, { clock: soon }, async ({ health }) => {
      await until("the offer waits", isIn("waiting"));
      await broker.alterTopic(prefix + FACTS_TOPIC, { "cleanup.policy": "compact" });
      const words = await until("it says so", () => {
        const { message } = health.get("sender")!;
        return message?.startsWith("no mail is sent") && message;
      });
      expect(words).toContain(`topic "${prefix}${FACTS_TOPIC}" has cleanup.policy=compact`);
      clock.move(120_000);
      await broker.alterTopic(prefix + FACTS_TOPIC, { "cleanup.policy": "delete" });
      expect(mailsIn(place)).toEqual([]);
      await until("the mail is sent", isIn("offered"));
    });
    expect(mailsIn(place)).toHaveLength(1);
  }, 60_000);
});

describe.skipIf(why !== null)("ingest on a topic that was there before and breaks a promise", () => {
  test("takes webhooks into the spool, says why, and they go to the topic once it is mended", async () => {
    const prefix = await madeByAnOperator(WEBHOOKS_TOPIC, { "cleanup.policy": "compact" });
    await using held = new AsyncDisposableStack();
    const dataDir = await Deno.makeTempDir({ prefix: "ingest-settings-" });
    const log = {
      kind: "kafka",
      brokers: broker.brokers.split(","),
      prefix,
      replication: null,
      ssl: null,
      sasl: null,
      sessionTimeoutMs: 6_000,
      dataDir,
    } as const;
    const ingest = await startTestIngest({ dataDir, config: { log } });
    held.defer(() => ingest.remove());
    const answer = await ingest.post(
      webhookBody("0190a000-0000-7000-8000-000000000001", { distinct_id: "ada" }),
    );
    await answer.body?.cancel();
    expect(answer.status).toBe(200);
    expect(ingest.said.join()).toContain("cleanup.policy=compact");
    const readiness = async () => await (await fetch(`${ingest.url}/readyz`)).json();
    expect(await readiness()).toMatchObject({ status: "ready", durable: "spool", spooled: 1 });
    await broker.alterTopic(prefix + WEBHOOKS_TOPIC, { "cleanup.policy": "delete" });
    await until("it is on the topic", async () => {
      const { durable, spooled } = await readiness();
      return durable === "log" && spooled === 0;
    });
  }, 60_000);
});
