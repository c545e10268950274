import { beforeEach, describe, expect, test } from "vitest";
import { filesThatHold } from "../../tools/erase/fixtures/pipeline.ts";
import {
  datasetFiles,
  datasetLines,
  mailFiles,
  offerOf,
  post,
  posthogBody,
  type Service,
  statusOf,
  untilCaughtUp,
} from "../support/pipeline.ts";
import { LOGS, pipelinePerTest } from "../support/pipeline_per_test.ts";
import { runProgram } from "../support/run_command.ts";
import { until } from "../support/until.ts";

/** A person is erased beside running services, and without them, on each log. */
const JANE = { id: "user-7001", anonymous: "visitor-7001", email: "jane.roe@example.org" };
const HERS = [JANE.id, JANE.anonymous, JANE.email, "unmistakable prompt"];
const raw = (path: string) => path.startsWith("log/ingest.db");

describe.each(LOGS)("A person is erased on $name", ({ kafka, why }) => {
  if (why !== null) {
    test("beside running services and without them", (running) => running.skip(why));
    return;
  }
  let dataDir: string;
  let env: Record<string, string>;
  let ingest: Service;
  const { start, stopAll } = pipelinePerTest({
    kafka,
    env: {
      DISCOUNT_WAIT: "100ms",
      PIPELINE_SECRET: "a secret of sixteen characters",
      SHOW_RAW: "1",
    },
    place: (here) => ({ dataDir, env } = here),
  });
  const erase = async (...flags: string[]) => {
    const args = [JANE.id, "--json", ...flags];
    const { code, stdout, stderr } = await runProgram("tools/erase/main.ts", { args, env });
    expect([code, stderr]).toEqual([0, ""]);
    return JSON.parse(stdout);
  };
  const letters = async (...args: string[]) => {
    const { stdout } = await runProgram("tools/dead_letters.ts", { args: ["list", "--json", ...args], env });
    return stdout.split("\n").filter(Boolean);
  };
  const capture = async (event: string, distinctId: string, more: Parameters<typeof posthogBody>[0] = {}) =>
    expect(await post(ingest.url, posthogBody({ event, distinctId, ...personOf(distinctId), ...more }))).toBe(
      200,
    );

  /** PostHog has merged both of her ids. */
  const personOf = (distinctId: string) =>
    distinctId === JANE.id || distinctId === JANE.anonymous ? { personId: "the person of both" } : {};

  const failed = (distinctId: string, prompt: unknown, more: Parameters<typeof posthogBody>[0] = {}) =>
    capture("generation_failed", distinctId, { ...more, properties: { input_prompt: prompt } });

  async function everybody(): Promise<void> {
    for (let user = 0; user < 30; user++) {
      await failed(`user-${100 + user}`, `prompt ${user} of somebody else`);
    }
    // With her address too: whichever of both partitions is read last, the use that earns the offer knows it.
    for (let use = 0; use < 2; use++) await capture("feature_used", JANE.anonymous, { email: JANE.email });
    await capture("$identify", JANE.id, { properties: { $anon_distinct_id: JANE.anonymous } });
    for (let use = 0; use < 3; use++) await capture("feature_used", JANE.id, { email: JANE.email });
    await failed(JANE.id, `an unmistakable prompt, from ${JANE.email}`, { email: JANE.email });
    await failed(JANE.anonymous, "another unmistakable prompt");
    await failed(JANE.id, 5, { email: JANE.email });
    await failed("user-100", 5);
    expect(await post(ingest.url, JSON.stringify({ kind: "form", note: `call ${JANE.email}` }))).toBe(202);
  }

  /** What a page that opens now is told, up to the line of a prompt that somebody else writes now. */
  async function stepsUntil(url: string, prompt: string): Promise<string> {
    const response = await fetch(`${url}/api/events`);
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    await failed("user-101", prompt);
    let text = "";
    while (!text.includes(prompt)) text += (await reader.read()).value ?? "";
    await reader.cancel();
    return text;
  }

  const othersText = () =>
    [...datasetFiles(dataDir)].sort().map(([, text]) =>
      text.split("\n").filter((line) => line !== "" && !HERS.includes(JSON.parse(line).distinct_id)).join(
        "\n",
      )
    ).filter((text) => text !== "");

  beforeEach(async () => {
    ingest = await start("ingest");
  });

  test("beside running services: everything of theirs goes, the services go on, and later events are new data", async () => {
    const processor = await start("processor");
    await everybody();
    await until("the mail is sent", () => mailFiles(dataDir).length === 1);
    await untilCaughtUp(processor.url);
    const before = othersText();
    expect(await letters()).toHaveLength(3);

    const report = await erase();
    expect(report).toMatchObject({ own: false, left: 0, letters: 2, log: kafka ? "kafka" : "embedded" });
    expect(filesThatHold(dataDir, HERS).filter((path) => !raw(path))).toEqual([]);
    expect(othersText()).toEqual(before);
    expect(mailFiles(dataDir)).toEqual([]);
    expect(await letters("--all")).toHaveLength(1);
    expect(await offerOf(processor.url, JANE.id)).toBeNull();
    expect((await statusOf(processor.url))?.deadLetters.total).toBe(1);
    const steps = await stepsUntil(processor.url, "the last of somebody else");
    for (const text of HERS) expect(steps).not.toContain(text);

    await failed(JANE.id, "late: from before", { timestamp: "2026-01-01T00:00:00.000Z" });
    for (let use = 0; use < 5; use++) {
      await capture("feature_used", JANE.id, { email: JANE.email, timestamp: "2026-01-01T00:00:00.000Z" });
    }
    await failed(JANE.id, "what she asks for afterwards");
    await capture("feature_used", JANE.id, { email: JANE.email });
    const lines = () =>
      datasetLines(dataDir).filter((line) => line.distinct_id === JANE.id).map((line) => line.input_prompt);
    await until("the later line is there", () => lines().length > 0);
    await until("the later use counts", async () => (await offerOf(processor.url, JANE.id))?.uses === 1);
    await untilCaughtUp(processor.url);
    expect(lines()).toEqual(["what she asks for afterwards"]);
    expect(await offerOf(processor.url, JANE.id)).toMatchObject({ state: "counting", uses: 1 });

    for (let use = 0; use < 4; use++) await capture("feature_used", JANE.id, { email: JANE.email });
    await until(
      "the offer that earns no second mail is closed",
      async () => (await offerOf(processor.url, JANE.id))?.state === "closed",
    );
    expect(mailFiles(dataDir)).toEqual([]);
  });

  if (!kafka) {
    test(
      "--scrub-topic beside running services loses none of the webhooks that come meanwhile",
      async () => {
        const processor = await start("processor");
        await everybody();
        await untilCaughtUp(processor.url);
        let done = false;
        const erasing = erase("--scrub-topic").finally(() => done = true);
        let sent = 0;
        while (!done || sent < 100) {
          await failed(`user-${100 + sent % 30}`, `meanwhile ${sent++} of somebody else`);
        }
        expect(await erasing).toMatchObject({ own: false, left: 0 });
        await untilCaughtUp(processor.url);
        await until("every line is there", () => datasetLines(dataDir).length === 30 + sent);
        expect(filesThatHold(dataDir, HERS)).toEqual([]);
        expect(await stopAll()).toEqual([0, 0]);
        expect(filesThatHold(dataDir, HERS)).toEqual([]);
      },
    );
  }

  test("without a processor, also what none has handled yet; the next processor goes on from there", async () => {
    await everybody();
    const report = await erase();
    expect(report).toMatchObject({ own: true, left: 0 });
    // Her own record has a letter only where its partition was opened before it could know of the erasure.
    expect([1, 2]).toContain(report.letters);
    expect(await letters("--all")).toHaveLength(1);
    expect(filesThatHold(dataDir, HERS).filter((path) => !raw(path))).toEqual([]);
    expect(datasetLines(dataDir)).toHaveLength(30);
    const processor = await start("processor");
    await untilCaughtUp(processor.url);
    expect(mailFiles(dataDir)).toEqual([]);
    expect(datasetLines(dataDir)).toHaveLength(30);
    expect(await letters("--all")).toHaveLength(1);
    expect(await offerOf(processor.url, JANE.id)).toBeNull();
  });
});
