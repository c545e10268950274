import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { failure } from "../../processor/dataset/fixtures/records.ts";
import { hashes, startWriter } from "../../processor/dataset/fixtures/run.ts";
import { openS3 } from "../../processor/dataset/objects/s3/client.ts";
import { FACTS_TOPIC, RECORD_BYTES_MAX, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { encodeFact } from "../../processor/facts/encode.ts";
import { killAtFaultPoint, runProgram } from "../../tests/support/run_command.ts";
import { S3_KINDS, type S3Server, startS3, whyNoS3 } from "../../tests/support/s3/servers.ts";
import { outputOf, ReplayContext } from "./fixtures/pipeline.ts";

/**
 * The commands as processes over real S3 servers: from a directory into a bucket, there in place, and back. The tests of one
 * server follow on one another.
 */
const servers = await Promise.all(S3_KINDS.map(async (kind) => {
  const absence = await whyNoS3(kind);
  return { name: absence ?? kind, kind, absence };
}));

describe.each(servers)("a replay over $name", ({ kind, absence }) => {
  let server: S3Server;
  let context: ReplayContext;
  let here: Record<string, string>;
  beforeAll(async () => {
    if (absence !== null) return;
    server = await startS3(kind);
    context = await ReplayContext.make({ count: 1_500 });
    await context.withLog(async (log) => {
      const kept = { retentionMs: null, retentionBytes: null, recordBytesMax: RECORD_BYTES_MAX };
      await log.ensureTopic({ name: FACTS_TOPIC, partitions: 1, ...kept });
      await log.publish(FACTS_TOPIC, [
        encodeFact({ fact: "secret", at: 0, fingerprint: hashes.fingerprint }),
        encodeFact({ fact: "dataset", at: 0, id: context.identity().id }),
      ]);
    });
    here = { ...context.env, ...server.env, DATASET_URL: `${server.env.DATASET_URL}/live` };
  }, 120_000);
  afterAll(async () => {
    await server?.stop();
    await context?.remove();
  });

  const dataset = (args: readonly string[], env = here) => runProgram("tools/dataset/main.ts", { args, env });
  const lines = async (env = here) => {
    const { code, stdout, stderr } = await dataset(["cat"], env);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    return stdout;
  };
  const replay = async (args: readonly string[], env = here) => {
    const run = await outputOf(context.spawn([...args, "--json"], { env }));
    expect({ code: run.code, stderr: run.code === 0 ? "" : run.stderr }).toEqual({ code: 0, stderr: "" });
    return JSON.parse(run.stdout);
  };
  /** The live writer on the bucket, until it has written everything. */
  const write = (from: number, count: number) =>
    context.withLog(async (log) => {
      await log.publish(WEBHOOKS_TOPIC, Array.from({ length: count }, (_, n) => failure(from + n)));
      const objects = { ...server.config, prefix: "live", objectAgeMs: 100 };
      const writer = startWriter({ log, dataDir: context.dataDir, config: { ...context.config, objects } });
      await writer.caughtUp();
      await writer.stop();
    });
  const withoutUrl = () => {
    const { DATASET_URL: _, ...others } = here;
    return others;
  };

  test.skipIf(absence !== null)(
    "--to s3://… leaves what the directory holds",
    { timeout: 60_000 },
    async () => {
      const to = `${server.env.DATASET_URL}/copy`;
      await replay(["--to", to], withoutUrl());
      expect(await lines({ ...here, DATASET_URL: to })).toBe(await lines(withoutUrl()));
      const again = await outputOf(context.spawn(["--to", to], { env: withoutUrl() }));
      expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining("there is a dataset already") });
    },
  );

  test.skipIf(absence !== null)(
    "--to s3://… that is killed leaves no dataset, and the same command again goes on",
    { timeout: 60_000 },
    async () => {
      const to = `${server.env.DATASET_URL}/killed`;
      const env = { ...withoutUrl(), FAULT_POINT: "replay.built" };
      await killAtFaultPoint(context.spawn(["--to", to], { env }), "replay.built");
      expect(await dataset(["cat"], { ...here, DATASET_URL: to })).toMatchObject({
        code: 1,
        stderr: expect.stringContaining("Cannot find a dataset"),
      });
      await replay(["--to", to], withoutUrl());
      expect(await lines({ ...here, DATASET_URL: to })).toBe(await lines(withoutUrl()));
    },
  );

  test.skipIf(absence !== null)(
    "--take-over makes a bucket the dataset of a group that wrote a directory",
    { timeout: 60_000 },
    async () => {
      const inDirectory = await lines(withoutUrl());
      await replay(["--take-over"]);
      expect(await lines()).toBe(inDirectory);
      await write(100_000, 20);
      expect((await lines()).split("\n").length).toBe(inDirectory.split("\n").length + 20);
      // The directory is the group's no more.
      const refused = await outputOf(context.spawn([], { env: withoutUrl() }));
      expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("--take-over") });
    },
  );

  test.skipIf(absence !== null)(
    "in place leaves the same lines, the build before can be dropped, and --check confirms it, joined or not",
    { timeout: 120_000 },
    async () => {
      const before = await lines();
      const { partitions } = await replay([]);
      expect(partitions.every((one: Record<string, number>) => one.changed === 0 && one.before === one.after))
        .toBe(true);
      expect(await lines()).toBe(before);
      await replay(["--check"]);
      const { stderr } = await dataset(["drop", "nothing"]);
      const [, old] = /What can be dropped: (\S+) \(replaced\)\.$/m.exec(stderr) ?? [];
      const { code, stdout } = await dataset(["drop", old!, "--json"]);
      expect([code, JSON.parse(stdout)]).toEqual([
        0,
        { build: old, objects: expect.any(Number), bytes: expect.any(Number) },
      ]);
      const store = await openS3({ ...server.config, prefix: "live" });
      expect(await Array.fromAsync(store.list(`${old}/`))).toEqual([]);
      store.close();
      expect(await lines()).toBe(before);
      expect((await dataset(["verify"])).code).toBe(0);
      await write(200_000, 5);
      expect((await lines()).length).toBeGreaterThan(before.length);
      const joined = JSON.parse((await dataset(["compact", "--json"])).stdout);
      expect(joined.after).toBeLessThan(joined.before);
      await replay(["--check"]);
    },
  );

  test.skipIf(absence !== null)(
    "that is killed leaves a build that drop deletes, as it goes on itself",
    { timeout: 120_000 },
    async () => {
      const before = await lines();
      const env = { ...here, FAULT_POINT: "replay.built" };
      await killAtFaultPoint(context.spawn([], { env }), "replay.built");
      expect(await lines()).toBe(before);
      const { stderr } = await dataset(["drop"]);
      const [, begun] =
        /What can be dropped: (\S+) \(a replay's that has not ended\)\.( See|$)/m.exec(stderr) ?? [];
      expect((await dataset(["drop", begun!])).stdout).toMatch(
        /^Dropped s3:\/\/.*: [\d,]+ objects, [\d,]+ bytes\.$/m,
      );
      await replay([]);
      expect(await lines()).toBe(before);
    },
  );

  test.skipIf(absence !== null)("--to DIR leaves what the bucket holds", { timeout: 60_000 }, async () => {
    const to = join(context.dataDir, "copy");
    await replay(["--to", to]);
    expect(await lines({ ...withoutUrl(), DATASET_DIR: to })).toBe(await lines());
  });

  test.skipIf(absence !== null)(
    "--check and verify find an object that somebody deleted, and verify a commit; a replay mends it",
    { timeout: 120_000 },
    async () => {
      const before = await lines();
      const store = await openS3({ ...server.config, prefix: "live" });
      const [path] = (await dataset(["files", "--json"])).stdout.split("\n").map((line) =>
        line && JSON.parse(line).path.split("/live/")[1]
      );
      await store.remove([path]);
      const { code, stderr } = await outputOf(context.spawn(["--check"], { env: here }));
      expect([code, stderr]).toEqual([1, expect.stringContaining("1 file is not as a replay makes them")]);
      const findings = async () => JSON.parse((await dataset(["verify", "--json"])).stdout).findings;
      expect(await findings()).toMatchObject([{ finding: "is missing" }]);
      await replay([]);
      expect(await findings()).toEqual([]);
      expect(await lines()).toBe(before);

      const build = (await dataset(["files", "--json"])).stdout.split("/live/")[1]!.split("/")[0]!;
      await store.remove([`${build}/_log/p00003/00000000000000000001.json`]);
      store.close();
      expect(await findings()).toMatchObject([{
        file: "_log/p00003/00000000000000000001.json",
        finding: expect.stringContaining("is missing, and there is a commit"),
      }]);
    },
  );
});
