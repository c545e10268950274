import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { WEBHOOKS_TOPIC, writerOf } from "../../contract/names.ts";
import { logFileOf, OFFSETS_PER_PARTITION } from "../../topic/sqlite/file.ts";
import { BATCH_UNPACKED_BYTES_MAX } from "../../topic/kafka/records/record_set.ts";
import { partitionOf } from "../../topic/partitioner.ts";
import { WEBHOOKS_TOPIC_SPEC } from "../../topic/raw_topics.ts";
import { datasetLines, post, posthogBody, statusOf, untilCaughtUp } from "../support/pipeline.ts";
import { LOGS, pipelinePerTest } from "../support/pipeline_per_test.ts";
import { runTask } from "../support/run_command.ts";
import { until } from "../support/until.ts";
import { otherClient } from "../../topic/kafka/fixtures/other_client.ts";

/**
 * One record that nobody can read stopped both groups for good, on every partition, with words about the log being away.
 * Now its partition stands alone, everybody says where and why, and an operator sets it aside.
 */
const P = partitionOfUser("ada");
/** Somebody of another partition. */
const OTHER = ["bob", "cleo", "dora"].find((name) => partitionOfUser(name) !== P)!;

function partitionOfUser(distinctId: string): number {
  return partitionOf(new TextEncoder().encode(distinctId), WEBHOOKS_TOPIC_SPEC.partitions);
}

const failure = (prompt: string, distinctId: string, uuid = crypto.randomUUID()) =>
  posthogBody({ uuid, distinctId, properties: { input_prompt: prompt, failure_reason: "timeout" } });

/** What a disk, or another program, does to a row. */
function spoilRow(dataDir: string, { partition, offset }: { partition: number; offset: number }): void {
  const file = new DatabaseSync(join(dataDir, logFileOf(writerOf(WEBHOOKS_TOPIC))));
  file.prepare(
    "update record set headers = '{' where id = (select id from topic_partition where topic = ? and number = ?) * ? + ?",
  ).run(WEBHOOKS_TOPIC, partition, OFFSETS_PER_PARTITION, offset);
  file.close();
}

/** A batch of two records of another program that is small and unpacks to more than is taken. */
async function publishBomb(env: Record<string, string>, partition: number): Promise<void> {
  const other = otherClient([env.KAFKA_BROKERS!]);
  const value = "a".repeat(BATCH_UNPACKED_BYTES_MAX / 2 + 1);
  const records = [{ partition, value }, { partition, value }];
  await other.publish(`${env.KAFKA_TOPIC_PREFIX}${WEBHOOKS_TOPIC}`, records, { codec: "gzip" });
  await other.close();
}

/** What is made unreadable behind offset 0 of partition P, and how it shows. */
const WAYS = {
  "the embedded log": {
    next: 2,
    range: `${P}:1`,
    reason: "the record cannot be read: its headers are no JSON object of texts",
  },
  Kafka: {
    next: 3,
    range: `${P}:1 to ${P}:2`,
    reason: "the record batch cannot be read: it unpacks to more than 64 MiB, the most that is taken",
  },
};

describe.each(LOGS)("What cannot be read on $name", ({ name, kafka, why }) => {
  if (why !== null) {
    test("stops its partition alone", (running) => running.skip(why));
    return;
  }
  const { next, range, reason } = WAYS[name as keyof typeof WAYS];
  let dataDir: string;
  let env: Record<string, string>;
  const { start } = pipelinePerTest({ kafka, env: {}, place: (here) => ({ dataDir, env } = here) });
  const task = (line: string, ...more: string[]) => {
    const [name, ...args] = line.split(" ");
    return runTask(name!, { args: [...args, ...more], env });
  };
  const skip = (place: string) => task(`skip ${place}`, "--reason", "a bit has flipped");
  const prompts = () => datasetLines(dataDir).map(({ input_prompt }) => input_prompt).sort();

  test(
    "a record that cannot be read stops its partition alone, is told everywhere, and is set aside by an operator",
    async () => {
      const ingest = await start("ingest");
      const lost = crypto.randomUUID();
      expect(await post(ingest.url, failure("first", "ada"))).toBe(200);
      if (kafka) await publishBomb(env, P);
      else expect(await post(ingest.url, failure("spoilt", "ada", lost))).toBe(200);
      expect(await post(ingest.url, failure("behind it", "ada"))).toBe(200);
      if (!kafka) spoilRow(dataDir, { partition: P, offset: 1 });

      let processor = await start("processor");
      const standing = async () =>
        (await statusOf(processor.url))?.groups.map(({ partitions }) => partitions[P]!.standing?.offset);
      const stands = () =>
        until("both groups stand", async () => (await standing())?.join() === "1,1", { limitMs: 60_000 });
      await stands();
      expect(await post(ingest.url, failure("elsewhere", OTHER))).toBe(200);
      await until("the others flow", () => prompts().join() === "elsewhere,first");

      const words =
        `partition ${P} stands at ${P}:1: ${reason}. "deno task skip ${P}:1 --reason TEXT" sets it aside ` +
        "as a dead letter.";
      const ready = await fetch(`${processor.url}/readyz`);
      expect([ready.status, (await ready.json()).standing.sort()]).toEqual([
        200,
        [`dataset-writer: ${words}`, `discount-offers: ${words}`],
      ]);
      const metrics = await (await fetch(`${processor.url}/metrics`)).text();
      expect(metrics).toContain('processor_partitions_standing{group="dataset-writer"} 1');
      if (!kafka) expect((await task("lag")).stdout).toContain(`dataset-writer: ${words}`);
      const [writer] = JSON.parse((await task("lag --json")).stdout);
      expect(writer.partitions[P]).toMatchObject({ nextOffset: 1, lag: next, standing: { offset: 1 } });
      const check = await task("replay --check");
      expect([check.code, check.stderr]).toEqual([1, expect.stringContaining(`deno task skip ${P}:1`)]);
      expect(processor.errors().split(words).length - 1).toBe(2);

      await processor.kill();
      processor = await start("processor");
      await stands();

      await refusals();
      const skipped = await skip(`${P}:1`);
      expect([skipped.code, skipped.stderr, skipped.stdout]).toEqual([
        0,
        "",
        `Set aside as dead letter 0:0: ${range} (${reason}).\n` +
        `The groups go on at ${P}:${next} within 5 seconds.\n`,
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
      expect((await task("dead-letters show 0:0")).stdout).toContain(kafka ? '"nextOffset":3' : lost);
      const redriven = await task("dead-letters redrive 0:0");
      expect([redriven.code, redriven.stderr]).toEqual([
        1,
        expect.stringContaining("no record to publish again"),
      ]);
      expect((await task("replay --check")).code).toBe(0);
      if (!kafka) {
        expect((await task("replay")).code).toBe(0);
        expect((await task("replay --check")).code).toBe(0);
      }

      // PostHog still has it: what was set aside is missing, and comes back as a record of its own.
      const events = join(dataDir, "events.jsonl");
      const { event } = JSON.parse(failure("spoilt", "ada", lost));
      await Deno.writeTextFile(events, JSON.stringify(event) + "\n");
      expect((await task(`backfill --file ${events}`)).stdout).toContain("1 published");
      await untilCaughtUp(processor.url);
      expect(prompts()).toEqual(["behind it", "elsewhere", "first", "spoilt"]);

      const erased = await task("erase ada --json");
      const report = JSON.parse(erased.stdout);
      expect(report.notSearched).toEqual([{ partition: P, offset: 1, nextOffset: next }]);
      expect([report.letters, prompts()]).toEqual([kafka ? 0 : 1, ["elsewhere"]]);
      if (kafka) return;
      expect((await task("dead-letters list")).stdout).toBe("No dead letters.\n");
      const again = await task("erase ada --scrub-topic");
      expect(again.stdout).toContain(`Not searched, because it cannot be read: ${P}:1 of the raw topic`);
      expect((await task("lag --json")).stdout).not.toContain("standing");
    },
    120_000,
  );

  /** Each command opens the log anew, which takes a broker a second: there only what is not so on the embedded log. */
  async function refusals(): Promise<void> {
    const place = `Partition ${P} stands at ${P}:1 (${reason}).`;
    const refused = kafka ? [[`${P}:2`, `${range} cannot be read together. Skip ${P}:1.`]] as const : [
      [`${P}:0`, `it can be read. ${place}`],
      [`${P}:2`, `it can be read. ${place}`],
      [`${P}:9`, `nothing lies there. ${place}`],
      ["9:1", `${WEBHOOKS_TOPIC} has no partition 9.`],
    ] as const;
    for (const [at, why] of refused) {
      const { code, stdout, stderr } = await skip(at);
      expect([code, stdout, stderr]).toEqual([1, "", `Cannot skip ${at}: ${why}\n`]);
    }
    if (kafka) return;
    for (
      const line of ["skip", "skip 3", `skip ${P}:1`, `skip ${P}:1 9:9 --reason x`, `skip ${P}:1 --reason=`]
    ) {
      expect((await task(line)).code, line).toBe(2);
    }
  }
});
