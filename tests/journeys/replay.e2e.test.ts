import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { DATASET_WRITER_GROUP, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { readProcessorConfig } from "../../processor/config.ts";
import { SECRET, sums } from "../../processor/dataset/fixtures/run.ts";
import { openTopicLog } from "../../topic/open_topic.ts";
import type { TopicLog } from "../../topic/topic.ts";
import {
  datasetLines,
  mailFiles,
  offerOf,
  post,
  posthogBody,
  statusOf,
  untilCaughtUp,
} from "../support/pipeline.ts";
import { type DatasetPlace, linesAt } from "../support/dataset_place.ts";
import { pipelinePerTest, PIPELINES } from "../support/pipeline_per_test.ts";
import { fillTopic, randomFrom } from "../support/replay_topic.ts";
import { type CommandRun, killAtFaultPoint, runProgram, spawnProgram } from "../support/run_command.ts";
import { until } from "../support/until.ts";

/**
 * The replay beside the services as real processes, on each log: the same bytes, nothing lost or doubled while webhooks
 * arrive, nobody mailed. `REPLAY_RECORDS` makes the topic longer.
 */

const COUNT = Number(Deno.env.get("REPLAY_RECORDS") ?? "20000");
const DEDUP_WINDOW = 500;
const LIMIT_MS = 3_600_000;

describe.each(PIPELINES)("A replay on $name", ({ kafka, isBucket, why }) => {
  if (why !== null) {
    test("runs its journeys", (running) => running.skip(why));
    return;
  }
  let dataDir: string;
  let env: Record<string, string>;
  let dataset: DatasetPlace;
  const { start } = pipelinePerTest({
    kafka,
    isBucket,
    env: { PIPELINE_SECRET: SECRET, DEDUP_WINDOW: String(DEDUP_WINDOW), DISCOUNT_WAIT: "300ms" },
    place: (here) => ({ dataDir, env, dataset } = here),
  });
  const withLog = async <T>(use: (log: TopicLog) => Promise<T>): Promise<T> => {
    const log = await openTopicLog(readProcessorConfig(env).log, "command");
    try {
      return await use(log);
    } finally {
      await log.close();
    }
  };
  const replay = (...args: string[]): Promise<CommandRun> =>
    runProgram("tools/replay/main.ts", { args, env });
  const spawn = (more: Record<string, string> = {}) =>
    spawnProgram("tools/replay/main.ts", { env: { ...env, ...more } });
  const committed = () => withLog((log) => log.committed(WEBHOOKS_TOPIC, DATASET_WRITER_GROUP));
  const untilWritten = () =>
    until("the writer has written everything", () =>
      withLog(async (log) => {
        const bounds = await log.bounds(WEBHOOKS_TOPIC);
        const next = await log.committed(WEBHOOKS_TOPIC, DATASET_WRITER_GROUP);
        return bounds.every(({ partition, endOffset }) => endOffset === 0 || next[partition] === endOffset);
      }), { limitMs: LIMIT_MS });

  test("loses and doubles nothing while webhooks arrive, and mails nobody", async () => {
    const [ingest, processor] = [await start("ingest"), await start("processor")];
    for (let i = 0; i < 5; i++) {
      const body = posthogBody({ event: "feature_used", distinctId: "ada", email: "ada@example.org" });
      expect(await post(ingest.url, body)).toBe(200);
    }
    await until("the mail is sent", async () => (await offerOf(processor.url, "ada"))?.state === "offered");
    const taken = new Set<string>();
    let goingOn = true;
    const sending = Array.from({ length: 4 }, async (_, sender) => {
      for (let i = 0; goingOn; i++) {
        const uuid = crypto.randomUUID();
        const body = posthogBody({ uuid, distinctId: `user-${sender}-${i % 20}` });
        if (await post(ingest.url, body) !== 200) continue;
        taken.add(uuid);
        if (i % 4 === 0) await post(ingest.url, body);
      }
    });
    await until("some have arrived", () => taken.size > 50);
    // In a bucket: before and behind the one creation that leads to the new build.
    const inABucket = ["replay.linked", "replay.renamed"];
    for (const point of isBucket ? inABucket : ["replay.built", "replay.locked", "replay.renamed"]) {
      await killAtFaultPoint(spawn({ FAULT_POINT: point }), point);
    }
    expect(await replay()).toMatchObject({ code: 0 });
    expect(await replay()).toMatchObject({ code: 0 });
    const atSwap = taken.size;
    await until("some arrive after the swap", () => taken.size > atSwap + 50);
    goingOn = false;
    await Promise.all(sending);
    const status = await untilCaughtUp(processor.url);
    const written = (await linesAt(dataset)).map(({ input_prompt }) => input_prompt.replace("prompt ", ""));
    expect(written.sort()).toEqual([...taken].sort());
    // Of a bucket it is up to 2 s old.
    await until(
      "the status counts every line",
      async () => (await statusOf(processor.url))?.dataset.records === written.length,
    );
    expect(mailFiles(dataDir)).toHaveLength(1);
    expect(status.mails).toMatchObject({ accepted: 1 });
    expect(await replay("--check")).toMatchObject({ code: 0 });
  }, LIMIT_MS);

  // What a replay leaves in a bucket, `tools/replay/bucket.int.test.ts` has; and a bucket is no one host's.
  if (isBucket) return;

  test(
    "gives the live dataset byte for byte, also killed at ten seeded moments, beside a running writer",
    async () => {
      await withLog((log) => fillTopic(log, { seed: 11, count: COUNT, dedupWindow: DEDUP_WINDOW }));
      await start("processor");
      await untilWritten();
      const [before, offsets] = [sums(dataDir), await committed()];
      const begin = performance.now();
      expect(await replay("--check")).toMatchObject({ code: 0 });
      const patience = performance.now() - begin;
      const random = randomFrom(5);
      let killed = 0;
      for (let round = 0; round < 10; round++) {
        const child = spawn();
        const output = child.output();
        const late = new Promise<"late">((resolve) => setTimeout(() => resolve("late"), random() * patience));
        if (await Promise.race([output, late]) === "late") {
          child.kill("SIGKILL");
          killed++;
        }
        await output;
        expect(sums(dataDir)).toEqual(before);
      }
      expect(killed).toBeGreaterThan(0);
      const link = () => Deno.realPathSync(join(dataDir, "dataset"));
      const root = link();
      expect(await replay()).toMatchObject({ code: 0 });
      expect(await replay()).toMatchObject({ code: 0 });
      expect(link()).not.toBe(root);
      expect(sums(dataDir)).toEqual(before);
      expect(await committed()).toEqual(offsets);
      expect(await replay("--check")).toMatchObject({ code: 0 });
    },
    LIMIT_MS,
  );

  test("takes the dataset over for another host, whose own then stays out", async () => {
    const [ingest, first] = [await start("ingest"), await start("processor")];
    const bodies = Array.from({ length: 40 }, (_, i) => posthogBody({ distinctId: `user-${i % 9}` }));
    for (const body of bodies) expect(await post(ingest.url, body)).toBe(200);
    await untilCaughtUp(first.url);
    const firstLines = datasetLines(dataDir).map((line) => JSON.stringify(line)).sort();
    const other = join(dataDir, "another-host");
    const dataset = join(other, "dataset");
    const own = { ...env, DATASET_DIR: dataset };
    const refused = await runProgram("tools/replay/main.ts", { env: own });
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("--take-over")]);
    const took = await runProgram("tools/replay/main.ts", { args: ["--take-over"], env: own });
    expect([took.code, took.stderr]).toEqual([0, expect.stringContaining("takes over from dataset")]);
    expect(datasetLines(other).map((line) => JSON.stringify(line)).sort()).toEqual(firstLines);
    await until("the first host's writer stays out", async () => {
      const response = await fetch(`${first.url}/readyz`);
      return (await response.text()).includes("--take-over");
    });
    await first.kill();
    const second = await start("processor", own);
    for (let i = 0; i < 10; i++) {
      expect(await post(ingest.url, posthogBody({ distinctId: `new-${i}` }))).toBe(200);
    }
    await untilCaughtUp(second.url);
    expect(datasetLines(other)).toHaveLength(firstLines.length + 10);
    expect(datasetLines(dataDir)).toHaveLength(firstLines.length);
  });
});
