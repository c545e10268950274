import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { WEBHOOKS_TOPIC, writerOf } from "../../contract/names.ts";
import { logFileOf, OFFSETS_PER_PARTITION } from "../../topic/sqlite/file.ts";
import { partitionOf } from "../../topic/partitioner.ts";
import { WEBHOOKS_TOPIC_SPEC } from "../../topic/raw_topics.ts";
import {
  datasetLines,
  post,
  posthogBody,
  type Service,
  startService,
  statusOf,
  untilCaughtUp,
} from "../support/pipeline.ts";
import { runTask } from "../support/run_command.ts";
import { until } from "../support/until.ts";

/**
 * One record that nobody can read stopped both groups for good, on every partition, with words about the log being away.
 * Now its partition stands alone, everybody says where and why, and an operator sets it aside.
 */
let dataDir: string;
const services: Service[] = [];

beforeEach(async () => void (dataDir = await Deno.makeTempDir({ prefix: "standing-" })));
afterEach(async () => {
  for (const service of services.splice(0)) await service.kill();
  await Deno.remove(dataDir, { recursive: true });
});

const env = () => ({ DATA_DIR: dataDir });
async function start(name: "ingest" | "processor"): Promise<Service> {
  const service = await startService(name, env());
  services.push(service);
  return service;
}
const task = (line: string, ...more: string[]) => {
  const [name, ...args] = line.split(" ");
  return runTask(name!, { args: [...args, ...more], env: env() });
};
const skip = (place: string) => task(`skip ${place}`, "--reason", "a bit has flipped");
const prompts = () => datasetLines(dataDir).map(({ input_prompt }) => input_prompt).sort();
const failure = (prompt: string, distinctId: string, uuid = crypto.randomUUID()) =>
  posthogBody({ uuid, distinctId, properties: { input_prompt: prompt, failure_reason: "timeout" } });

const partitionOfUser = (distinctId: string) =>
  partitionOf(new TextEncoder().encode(distinctId), WEBHOOKS_TOPIC_SPEC.partitions);
const P = partitionOfUser("ada");
/** Somebody of another partition. */
const OTHER = ["bob", "cleo", "dora"].find((name) => partitionOfUser(name) !== P)!;

/** What a disk, or another program, does to a row. */
function spoil(partition: number, offset: number): void {
  const file = new DatabaseSync(join(dataDir, logFileOf(writerOf(WEBHOOKS_TOPIC))));
  file.prepare(
    "update record set headers = '{' where id = (select id from topic_partition where topic = ? and number = ?) * ? + ?",
  ).run(WEBHOOKS_TOPIC, partition, OFFSETS_PER_PARTITION, offset);
  file.close();
}

test(
  "a record that cannot be read stops its partition alone, is told everywhere, and is set aside by an operator",
  async () => {
    const ingest = await start("ingest");
    const lost = crypto.randomUUID();
    expect(await post(ingest.url, failure("first", "ada"))).toBe(200);
    expect(await post(ingest.url, failure("spoilt", "ada", lost))).toBe(200);
    expect(await post(ingest.url, failure("behind it", "ada"))).toBe(200);
    spoil(P, 1);

    let processor = await start("processor");
    const standing = async () =>
      (await statusOf(processor.url))?.groups.map(({ partitions }) => partitions[P]!.standing?.offset);
    const stands = () => until("both groups stand", async () => (await standing())?.join() === "1,1");
    await stands();
    expect(await post(ingest.url, failure("elsewhere", OTHER))).toBe(200);
    await until("the others flow", () => prompts().join() === "elsewhere,first");

    const words =
      `partition ${P} stands at ${P}:1, which cannot be read: its headers are no JSON object of texts. ` +
      `"deno task skip ${P}:1 --reason TEXT" sets it aside as a dead letter.`;
    const ready = await fetch(`${processor.url}/readyz`);
    expect([ready.status, (await ready.json()).standing.sort()]).toEqual([
      200,
      [`dataset-writer: ${words}`, `discount-offers: ${words}`],
    ]);
    const metrics = await (await fetch(`${processor.url}/metrics`)).text();
    expect(metrics).toContain('processor_partitions_standing{group="dataset-writer"} 1');
    expect((await task("lag")).stdout).toContain(`dataset-writer: ${words}`);
    const [writer] = JSON.parse((await task("lag --json")).stdout);
    expect(writer.partitions[P]).toMatchObject({ nextOffset: 1, lag: 2, standing: { offset: 1 } });
    const check = await task("replay --check");
    expect([check.code, check.stderr]).toEqual([1, expect.stringContaining(`deno task skip ${P}:1`)]);
    expect(processor.errors().split(words).length - 1).toBe(2);

    await processor.kill();
    services.pop();
    processor = await start("processor");
    await stands();

    const place = `Partition ${P} stands at ${P}:1 (its headers are no JSON object of texts).`;
    for (
      const [at, why] of [
        [`${P}:0`, `it can be read. ${place}`],
        [`${P}:2`, `it can be read. ${place}`],
        [`${P}:9`, `nothing lies there. ${place}`],
        ["9:1", `${WEBHOOKS_TOPIC} has no partition 9.`],
      ] as const
    ) {
      const refused = await skip(at);
      expect([refused.code, refused.stdout, refused.stderr]).toEqual([1, "", `Cannot skip ${at}: ${why}\n`]);
    }
    for (
      const line of ["skip", "skip 3", `skip ${P}:1`, `skip ${P}:1 9:9 --reason x`, `skip ${P}:1 --reason=`]
    ) {
      expect((await task(line)).code, line).toBe(2);
    }
    const skipped = await skip(`${P}:1`);
    expect([skipped.code, skipped.stderr, skipped.stdout]).toEqual([
      0,
      "",
      `Set aside as dead letter 0:0: ${P}:1 (its headers are no JSON object of texts).\n` +
      `The groups go on at ${P}:2 within 5 seconds.\n`,
    ]);
    await untilCaughtUp(processor.url);
    expect(prompts()).toEqual(["behind it", "elsewhere", "first"]);
    await until("it stands no more", async () => {
      const { standing } = await (await fetch(`${processor.url}/readyz`)).json();
      return standing.length === 0;
    });
    expect(processor.errors()).toContain(`dataset-writer: partition ${P} goes on behind ${P}:1.`);
    expect((await skip(`${P}:1`)).stdout).toContain("has been set aside already");

    const [letter] = (await task("dead-letters list --json")).stdout.trim().split("\n").map((line) =>
      JSON.parse(line)
    );
    expect(letter).toMatchObject({
      step: "read",
      partition: P,
      offset: 1,
      unread: { words: "a bit has flipped" },
    });
    expect((await task("dead-letters show 0:0")).stdout).toContain(lost);
    const redriven = await task("dead-letters redrive 0:0");
    expect([redriven.code, redriven.stderr]).toEqual([
      1,
      expect.stringContaining("no record to publish again"),
    ]);
    expect((await task("replay --check")).code).toBe(0);
    expect((await task("replay")).code).toBe(0);
    expect((await task("replay --check")).code).toBe(0);

    // PostHog still has it: what was set aside is missing, and comes back as a record of its own.
    const events = join(dataDir, "events.jsonl");
    const { event } = JSON.parse(failure("spoilt", "ada", lost));
    await Deno.writeTextFile(events, JSON.stringify(event) + "\n");
    expect((await task(`backfill --file ${events}`)).stdout).toContain("1 published");
    await untilCaughtUp(processor.url);
    expect(prompts()).toEqual(["behind it", "elsewhere", "first", "spoilt"]);

    const erased = await task("erase ada --json");
    const report = JSON.parse(erased.stdout);
    expect(report.notSearched).toEqual([{ partition: P, offset: 1, nextOffset: 2 }]);
    expect([report.letters, prompts()]).toEqual([1, ["elsewhere"]]);
    expect((await task("dead-letters list")).stdout).toBe("No dead letters.\n");
    const again = await task("erase ada --scrub-topic");
    expect(again.stdout).toContain(`Not searched, because it cannot be read: ${P}:1 of the raw topic`);
    expect((await task("lag --json")).stdout).not.toContain("standing");
  },
  120_000,
);
