import { Buffer } from "node:buffer";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openS3 } from "../../processor/dataset/objects/s3/client.ts";
import { startService, untilCaughtUp } from "../../tests/support/pipeline.ts";
import { killAtFaultPoint, runProgram, spawnProgram } from "../../tests/support/run_command.ts";
import { type S3Server, startS3, whyNoS3 } from "../../tests/support/s3/servers.ts";
import { until } from "../../tests/support/until.ts";
import { type EraseContext, failed, HERS, JANE, makeContext, publishInto } from "./fixtures/pipeline.ts";

/** A processor and the commands over a real S3 server, as processes. The tests follow on one another. */

const absence = await whyNoS3("versitygw");
let server: S3Server;
let context: EraseContext;
beforeAll(async () => {
  if (absence !== null) return;
  server = await startS3("versitygw", { versioned: true });
  context = await makeContext(30, { more: { ...server.env, DATASET_OBJECT_AGE: "100ms" } });
}, 120_000);
afterAll(async () => {
  await server?.stop();
  if (context) await Deno.remove(context.dataDir, { recursive: true });
});

const run = (program: string, ...args: string[]) =>
  runProgram(`tools/${program}`, { args, env: context.env });
const ofOthers = async () =>
  (await run("dataset/main.ts", "cat")).stdout.split("\n").filter((line) =>
    line !== "" && ![JANE.id, JANE.anonymous].includes(JSON.parse(line).distinct_id)
  );

/** Keys below the prefix that hold one of her texts. */
async function thatHoldHers(): Promise<string[]> {
  const store = await openS3(server.config);
  const found: string[] = [];
  for await (const { key } of store.list("")) {
    const bytes = Buffer.from((await store.get(key))!);
    if (HERS.some((text) => bytes.includes(text)) && !isNeighbours(bytes)) found.push(key);
  }
  store.close();
  return found;
}

/** Somebody else's id begins as hers does. */
function isNeighbours(bytes: Buffer): boolean {
  return HERS.every((text) => !bytes.toString().replaceAll("user-70012", "").includes(text));
}

describe.skipIf(absence !== null)(`an erasure with DATASET_URL (${absence ?? "versitygw"})`, () => {
  test("takes a person out of the live build, one before, one that no replay has ended, and an export", {
    timeout: 180_000,
  }, async () => {
    expect((await run("replay/main.ts")).code).toBe(0);
    const env = { ...context.env, FAULT_POINT: "replay.built" };
    await killAtFaultPoint(spawnProgram("tools/replay/main.ts", { env }), "replay.built");
    const exported = join(context.dataDir, "exports", "chat");
    const { code } = await run("dataset/main.ts", "export", "--format", "chat-jsonl", "--to", exported);
    expect(code).toBe(0);
    const builds = new Set((await thatHoldHers()).map((key) => key.split("/")[0]));
    expect(builds.size).toBe(3);
    const others = await ofOthers();

    const dry = JSON.parse((await run("erase/main.ts", JANE.id, "--dry-run", "--json")).stdout);
    expect(dry.copies).toEqual(expect.arrayContaining([expect.stringMatching(/^s3:/), exported]));

    const { stdout, stderr } = await run("erase/main.ts", JANE.id, "--json");
    expect(stderr).toBe("");
    const { left, removed, places } = JSON.parse(stdout);
    expect(left).toBe(0);
    expect(removed).toEqual(expect.arrayContaining([expect.stringMatching(/^s3:/), exported]));
    // What was looked at: everything that is there.
    const store = await openS3(server.config);
    const there = await Array.fromAsync(store.list(""));
    store.close();
    const looked = places.find(({ place }: { place: string }) => place.startsWith("s3://"));
    expect(looked).toMatchObject({ files: there.length, left: 0 });
    expect(looked.bytes).toBeGreaterThan(1_000);
    expect(await thatHoldHers()).toEqual([]);
    expect(await ofOthers()).toEqual(others);
    expect((await run("dataset/main.ts", "verify")).code).toBe(0);
  });

  test("takes what is left of a build whose drop was killed, too", { timeout: 120_000 }, async () => {
    const { stderr } = await run("dataset/main.ts", "drop");
    const [, old] = /What can be dropped: (\S+) \(replaced\)/.exec(stderr) ?? [];
    const store = await openS3(server.config);
    // As a drop leaves it that has come to the log, and not to the lines.
    await store.put(`_dropped/${old}.json`, new TextEncoder().encode("{}\n"));
    const log = (await Array.fromAsync(store.list(`${old}/_log/`))).map(({ key }) => key);
    await store.remove(log);
    const { code, stdout } = await run("erase/main.ts", JANE.id, "--json");
    expect([code, JSON.parse(stdout).removed]).toEqual([
      0,
      [expect.stringMatching(new RegExp(`^s3:.*/${old}$`))],
    ]);
    expect(await Array.fromAsync(store.list(`${old}/`))).toEqual([]);
    store.close();
  });
});

describe.skipIf(absence !== null)(`a processor whose bucket is away (${absence ?? "versitygw"})`, () => {
  test("says so in /readyz and counts as lag what is not durable, and goes on when it is back", {
    timeout: 120_000,
  }, async () => {
    const processor = await startService("processor", context.env);
    const lag = async () => {
      const { stdout } = await run("lag.ts", "--json");
      return JSON.parse(stdout).find(({ group }: { group: string }) => group === "dataset-writer").lag;
    };
    const isReady = () =>
      until("it is ready", async () => (await fetch(`${processor.url}/readyz`)).status === 200);
    try {
      await untilCaughtUp(processor.url);
      await isReady();
      expect(await lag()).toBe(0);
      const before = (await ofOthers()).length;
      await server.kill();
      await publishInto(context.dataDir, Array.from({ length: 5 }, (_, n) => failed(`late-${n}`, "prompt")));
      await until("the processor says that the bucket is away", async () => {
        const response = await fetch(`${processor.url}/readyz`);
        return response.status === 503 && /s3:\/\/|bucket/.test(await response.text());
      });
      expect(await lag()).toBe(5);
      await server.restart();
      await untilCaughtUp(processor.url);
      await isReady();
      expect(await lag()).toBe(0);
      expect((await ofOthers()).length).toBe(before + 5);
    } finally {
      await processor.stop();
    }
  });
});
