import { resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WEBHOOKS_TOPIC } from "../contract/names.ts";
import { planDemo, withTelemetry } from "../demo/plan.ts";
import { sampleEvents, sendAsPosthogJs } from "../demo/traffic.ts";
import { openTopicLog } from "../topic/open_topic.ts";
import { SPANNED_PER_CHUNK_MAX } from "../topic/record_spans.ts";
import type { TopicRecord } from "../topic/topic.ts";
import { type CollectedSpan, type Collector, startCollector } from "./support/otel_collector.ts";
import { datasetLines, firstUrl, mailFiles, post, posthogBody, untilCaughtUp } from "./support/pipeline.ts";
import { LOGS, pipelinePerTest } from "./support/pipeline_per_test.ts";
import { runProgram, runTask, spawnProgram } from "./support/run_command.ts";
import { until } from "./support/until.ts";

/** Spans as Deno's own exporter sends them: the services as real processes, a collector of the test. */
const TRACE = "0af7651916cd43dd8448eb211c80319c";
const CALLER = "b7ad6b7169203331";
const traceparent = (trace = TRACE) => ({ traceparent: `00-${trace}-${CALLER}-01` });
const BY_WRITER = { "messaging.consumer.group.name": "dataset-writer" };
const PERSON = "person-whom-nobody-may-see";
const ADDRESS = "ada.lovelace@example.org";
const PROMPT = "a prompt that nobody may see";
const SECRETS = [PERSON, ADDRESS, "ada.lovelace", PROMPT];
const failure = (more: Parameters<typeof posthogBody>[0] = {}) =>
  posthogBody({
    distinctId: PERSON,
    email: ADDRESS,
    properties: { input_prompt: PROMPT, failure_reason: "timeout" },
    ...more,
  });
const use = () => posthogBody({ event: "feature_used", distinctId: PERSON, email: ADDRESS });

let collector: Collector;
beforeEach(() => void (collector = startCollector()));
afterEach(() => collector.close());

const spansOf = (trace: string) => collector.spans().filter(({ traceId }) => traceId === trace);
/** What a task's own file of settings says where the environment says nothing. */
const settingsOf = (name: string) => {
  const text = Deno.readTextFileSync(resolve(import.meta.dirname!, `../runtime/telemetry/${name}.env`));
  return Object.fromEntries([...text.matchAll(/^(\w+)=(.*)$/gm)].map(([, name, value]) => [name!, value!]));
};
const traced = (name: string) => ({ ...settingsOf(name), ...collector.env });
const span = (name: string, more: Partial<CollectedSpan["attributes"]> = {}, trace = TRACE) =>
  until(
    `a span ${name} with ${JSON.stringify(more)}`,
    () =>
      spansOf(trace).find((one) =>
        one.name === name && Object.entries(more).every(([key, value]) => one.attributes[key] === value)
      ),
    { limitMs: 60_000 },
  );

describe.each(LOGS)("on $name", ({ kafka, why }) => {
  if (why !== null) {
    test("leads one trace", (running) => running.skip(why));
    return;
  }
  let dataDir: string;
  const { start, stopAll } = pipelinePerTest({
    kafka,
    env: { DISCOUNT_WAIT: "100ms" },
    place: (here) => ({ dataDir } = here),
  });

  test(
    "one trace leads from the webhook over its record to the line, and none of it says who",
    async () => {
      const ingest = await start("ingest", traced("ingest"));
      await start("processor", traced("processor"));
      const uuid = crypto.randomUUID();
      expect(await post(ingest.url, failure({ uuid }), traceparent())).toBe(200);

      const line = await span("write line");
      const handled = await span("process posthog.webhooks", BY_WRITER);
      const published = await span("publish posthog.webhooks");
      const request = await span("POST /api/webhooks");
      expect([line, handled, published, request].map((one) => [one.service, one.kind, one.parentSpanId]))
        .toEqual([
          ["processor", 1, handled.spanId],
          ["processor", 5, published.spanId],
          ["ingest", 4, request.spanId],
          ["ingest", 2, CALLER],
        ]);
      expect(request.attributes).toEqual({
        "http.request.method": "POST",
        "http.route": "/api/webhooks",
        "url.path": "/api/webhooks",
        "url.scheme": "http",
        "http.response.status_code": 200,
      });
      expect(published.attributes).toEqual({
        "messaging.system": kafka ? "kafka" : "sqlite",
        "messaging.destination.name": "posthog.webhooks",
        "messaging.message.id": uuid,
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        // A broker that has just started may be slower than a webhook waits for it.
        "pipeline.outcome": kafka ? expect.stringMatching(/^(published|spooled)$/) : "published",
      });
      expect(handled.attributes).toMatchObject({
        "messaging.consumer.group.name": "dataset-writer",
        "messaging.destination.partition.id": expect.stringMatching(/^[0-5]$/),
        "messaging.kafka.offset": 0,
        "pipeline.outcome": "line",
      });
      expect(line.attributes["pipeline.dataset.file"]).toMatch(/^event=generation_failed\/date=.*\.jsonl$/);
      expect(datasetLines(dataDir)).toHaveLength(1);

      expect(await stopAll()).toEqual([0, 0]);
      expect(SECRETS.filter((secret) => collector.text().includes(secret))).toEqual([]);
    },
    120_000,
  );

  if (kafka) return;

  test("one trace leads from the fifth use over a restart to the mail, and none of it says who", async () => {
    const ingest = await start("ingest", traced("ingest"));
    const processor = await start("processor", { ...traced("processor"), DISCOUNT_WAIT: "4s" });
    const traces = [1, 2, 3, 4, 5].map((n) => `${n}`.padStart(32, "0"));
    for (const trace of traces) expect(await post(ingest.url, use(), traceparent(trace))).toBe(200);
    const counted = await span("process posthog.webhooks", {
      "messaging.consumer.group.name": "discount-offers",
    }, traces[4]);
    expect(counted.attributes["pipeline.facts"]).toEqual(["counted", "earned"]);
    // Due in a moment; who sends it then knows of the use from its record alone.
    expect(await processor.stop()).toBe(0);
    const next = await start("processor", traced("processor"));
    const mail = await span("send mail", { "pipeline.outcome": "accepted" }, traces[4]);
    const fifth = await span("publish posthog.webhooks", {}, traces[4]);
    expect(mail).toMatchObject({ service: "processor", kind: 3, parentSpanId: fifth.spanId });
    // The stop may have broken an attempt off before its claim.
    const attempts = collector.spans().filter(({ name }) => name === "send mail");
    expect(new Set(attempts.map(({ parentSpanId }) => parentSpanId))).toEqual(new Set([fifth.spanId]));
    expect(mailFiles(dataDir)).toHaveLength(1);

    await untilCaughtUp(next.url);
    expect(await stopAll()).toEqual([0, 0, 0]);
    expect(SECRETS.filter((secret) => collector.text().includes(secret))).toEqual([]);
  });

  test("a webhook that names no trace begins one, and so does one whose traceparent is none", async () => {
    const ingest = await start("ingest", collector.env);
    expect(await post(ingest.url, failure())).toBe(200);
    expect(await post(ingest.url, failure(), { traceparent: `00-${TRACE}-${CALLER}` })).toBe(200);
    const requests = await until("both have a span", () => {
      const found = collector.spans().filter(({ name }) => name === "POST /api/webhooks");
      return found.length === 2 && found;
    });
    expect(requests.map(({ parentSpanId }) => parentSpanId)).toEqual(["", ""]);
    expect(new Set(requests.map(({ traceId }) => traceId).concat(TRACE)).size).toBe(3);
  });

  test("a dead letter keeps its trace, and so does the copy that is redriven", async () => {
    const ingest = await start("ingest", collector.env);
    const processor = await start("processor", collector.env);
    expect(await post(ingest.url, failure({ properties: { failure_reason: "x" } }), traceparent())).toBe(200);
    const letter = await span("publish posthog.webhooks.dead-letter");
    const first = await span("process posthog.webhooks", { "pipeline.outcome": "dead_letter" });
    expect(letter).toMatchObject({ kind: 4, parentSpanId: first.spanId });
    await untilCaughtUp(processor.url);
    const redriven = await runProgram("tools/dead_letters.ts", {
      args: ["redrive", "--all"],
      env: { DATA_DIR: dataDir },
    });
    expect(redriven.code, redriven.stderr).toBe(0);
    const again = await until(
      "the copy has a span",
      () => spansOf(TRACE).find(({ name, spanId }) => name === first.name && spanId !== first.spanId),
    );
    expect(again.parentSpanId).toBe(first.parentSpanId);
  });

  test("a webhook that waits in the spool across a restart leads to its line all the same", async () => {
    const away = { KAFKA_BROKERS: "127.0.0.1:1" };
    const ingest = await start("ingest", { ...collector.env, ...away });
    expect(await post(ingest.url, failure(), traceparent())).toBe(200);
    const published = await span("publish posthog.webhooks", { "pipeline.outcome": "spooled" });
    await stopAll();
    await start("ingest");
    await start("processor", collector.env);
    const handled = await span("process posthog.webhooks", BY_WRITER);
    expect(handled.parentSpanId).toBe(published.spanId);
  });

  test("of a chunk its newest records have spans, as many as Deno's queue has room for", async () => {
    const ingest = await start("ingest", collector.env);
    const many = SPANNED_PER_CHUNK_MAX + 20;
    const answers = await Promise.all(Array.from({ length: many }, () => post(ingest.url, failure())));
    expect(new Set(answers)).toEqual(new Set([200]));
    const processor = await start("processor", collector.env);
    await untilCaughtUp(processor.url);
    expect(datasetLines(dataDir)).toHaveLength(many);
    await stopAll();
    const count = (name: string) => collector.spans().filter((one) => one.name === name).length;
    expect(count("publish posthog.webhooks")).toBe(many);
    expect(count("write line")).toBe(SPANNED_PER_CHUNK_MAX);
  });

  test("each of the stand-in's deliveries is a trace of its own, and ingest's part of it", async () => {
    const ingest = await start("ingest", collector.env);
    const standIn = spawnProgram("demo/stand_in/main.ts", {
      env: {
        ...traced("posthog-stand-in"),
        DATA_DIR: dataDir,
        POSTHOG_STAND_IN_PORT: "0",
        INGEST_URL: ingest.url,
      },
    });
    try {
      const posthogUrl = await firstUrl(standIn.stdout, () => "");
      const now = Date.now();
      const events = sampleEvents({ now, key: "phc_demo" });
      await sendAsPosthogJs(events, { posthogUrl, key: "phc_demo", fetch, now });
      const named = (name: string) => collector.spans().filter((one) => one.name === name);
      await until("every delivery has its span", () => named("POST").length === events.length, {
        limitMs: 60_000,
      });
      await until("every webhook has its span", () => named("POST /api/webhooks").length === events.length);
      const traceIds = (name: string) => new Set(named(name).map(({ traceId }) => traceId));
      expect(traceIds("POST").size).toBe(events.length);
      expect(traceIds("POST /api/webhooks")).toEqual(traceIds("POST"));
    } finally {
      standIn.kill();
      await standIn.stderr.cancel();
      await standIn.status;
    }
  });

  test("a stop sends the spans that have not been sent yet", async () => {
    const ingest = await start("ingest", { ...collector.env, OTEL_BSP_SCHEDULE_DELAY: "600000" });
    expect(await post(ingest.url, failure(), traceparent())).toBe(200);
    ingest.signal("SIGTERM");
    await span("POST /api/webhooks");
  });

  test("what is refused is an error to nobody but the sender, and what fails on our side is one", async () => {
    const ingest = await start("ingest", {
      ...collector.env,
      SPOOL_MAX_BYTES: String(4 * 1024 ** 2),
      KAFKA_BROKERS: "127.0.0.1:1",
    });
    expect(await post(ingest.url, "no JSON", traceparent("1".repeat(32)))).toBe(400);
    const large = failure({ properties: { input_prompt: "x".repeat(1_000_000) } });
    await until(
      "the spool is full",
      async () => await post(ingest.url, large, traceparent("2".repeat(32))) === 503,
    );
    expect(await span("POST /api/webhooks", {}, "1".repeat(32))).toMatchObject({ isError: false });
    expect(await span("POST /api/webhooks", { "error.type": "503" }, "2".repeat(32))).toMatchObject({
      isError: true,
    });
    const publish = await span("publish posthog.webhooks", { "error.type": "unavailable" }, "2".repeat(32));
    expect(publish.isError).toBe(true);
  });

  test.each([
    ["without OTEL_DENO=true", { OTEL_DENO: "false" }],
    ["with OTEL_SDK_DISABLED", { OTEL_SDK_DISABLED: "true" }],
  ])(
    "%s nothing is sent, and a record is what it always was, whatever trace its request names",
    async (_, settings) => {
      const env = { ...collector.env, ...settings };
      const [ingest, processor] = await Promise.all([start("ingest", env), start("processor", env)]);
      const uuid = crypto.randomUUID();
      expect(await post(ingest.url, failure({ uuid }), traceparent())).toBe(200);
      await until("the line is there", () => datasetLines(dataDir).length === 1);
      await untilCaughtUp(processor.url);
      await stopAll();
      const [record] = await recordsIn(dataDir);
      expect(record!.headers).toEqual({ id: uuid, event: "generation_failed" });
      expect(collector.text()).toBe("");
    },
  );
});

test("what web asks of others is not told to the collector: an address may say who, or what was searched for", async () => {
  const asks = 'await fetch("' + collector.env.OTEL_EXPORTER_OTLP_ENDPOINT +
    `/api/events?q=${PERSON}").catch(() => {});`;
  const run = async (settings: Record<string, string>) => {
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", asks],
      env: { ...settingsOf("web"), ...collector.env, ...settings },
      stdout: "null",
      stderr: "null",
    }).output();
    expect(success).toBe(true);
  };
  // As the task begins, and as the demo starts it.
  const line = (JSON.parse(Deno.readTextFileSync(resolve(import.meta.dirname!, "../deno.json"))) as {
    tasks: Record<string, string>;
  }).tasks.web!;
  const byTask = Object.fromEntries(
    [...line.split(" deno run ")[0]!.matchAll(/(\w+)=(\S+)/g)].map((m) => [m[1]!, m[2]!]),
  );
  const byDemo = withTelemetry(planDemo({ OTEL_DENO: "true", OTEL_TRACES_SAMPLER: "always_on" }, () => 0))
    .services.find(({ name }) => name === "web")!.environment;
  await run(byTask);
  await run({ OTEL_TRACES_SAMPLER: byDemo.OTEL_TRACES_SAMPLER!, OTEL_PROPAGATORS: byDemo.OTEL_PROPAGATORS! });
  expect(collector.text()).not.toContain(PERSON);
  await run({});
  expect(collector.text()).toContain(PERSON);
});

test("what a command prints is not told to the collector, whatever the environment turns on", async () => {
  const { tasks } = JSON.parse(Deno.readTextFileSync(resolve(import.meta.dirname!, "../deno.json"))) as {
    tasks: Record<string, string>;
  };
  const commands = Object.keys(tasks).filter((name) => /\btools\//.test(tasks[name]!));
  expect(commands.length).toBeGreaterThan(9);
  expect(commands.filter((name) => !tasks[name]!.startsWith("OTEL_SDK_DISABLED=true "))).toEqual([]);
  const { code, stderr } = await runTask("dead-letters", { args: ["list", PERSON], env: collector.env });
  expect([code, stderr.includes(PERSON)]).toEqual([2, true]);
  expect(collector.text()).toBe("");
});

async function recordsIn(dataDir: string): Promise<readonly TopicRecord[]> {
  const log = await openTopicLog({ kind: "embedded", dataDir } as never, "ingest");
  try {
    const found: TopicRecord[] = [];
    for (const { partition, startOffset, endOffset } of await log.bounds(WEBHOOKS_TOPIC)) {
      for await (
        const { records } of log.read(WEBHOOKS_TOPIC, { partition, from: startOffset, until: endOffset })
      ) {
        found.push(...records);
      }
    }
    return found;
  } finally {
    await log.close();
  }
}
