import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { publish } from "../../processor/dataset/fixtures/records.ts";
import { startWriter, writeAllOf } from "../../processor/dataset/fixtures/run.ts";
import { manyRecords, newLog, writeDataset } from "../../processor/dataset/fixtures/written_dataset.ts";
import { openS3 } from "../../processor/dataset/objects/s3/client.ts";
import { runTask } from "../../tests/support/run_command.ts";
import { S3_KINDS, type S3Server, startS3, whyNoS3 } from "../../tests/support/s3/servers.ts";
import { until } from "../../tests/support/until.ts";
import type { MemoryLog } from "../../tests/support/memory_log.ts";

/** Objects that are joined and builds that are dropped, by the task with its rights over real S3 servers. */

const servers = await Promise.all(S3_KINDS.map(async (kind) => {
  const absence = await whyNoS3(kind);
  return { name: absence ?? kind, kind, absence };
}));
const RECORDS = manyRecords();
const EVENTS = [...new Set(RECORDS.map(({ headers }) => headers!.event as string))];
const ROUNDS = 4;

const command = (args: readonly string[], env: Record<string, string>) => runTask("dataset", { args, env });

describe("in a directory", () => {
  test.each([[["compact"]], [["drop", "x"]], [["drop"]]])(
    "dataset %j is wrong usage, and says what it is for",
    async (args) => {
      const dataDir = await Deno.makeTempDir({ prefix: "dataset-" });
      expect(await command(args, { DATA_DIR: dataDir })).toEqual({
        code: 2,
        stdout: "",
        stderr: expect.stringMatching(
          /^Cannot (compact|drop) in the directory.*Set DATASET_URL\. See --help\.$/m,
        ),
      });
      expect([...Deno.readDirSync(dataDir)]).toEqual([]);
      await Deno.remove(dataDir);
    },
  );
});

describe.each(servers)("in a bucket of $name", ({ kind, absence }) => {
  let server: S3Server;
  let dataDir: string;
  let log: MemoryLog;
  let env: Record<string, string>;
  const config = () => ({
    trainingEvents: EVENTS,
    objects: { ...server.config, prefix: "small", objectAgeMs: 100, compression: "zstd" as const },
  });
  beforeAll(async () => {
    if (absence !== null) return;
    [server, dataDir, log] = [
      await startS3(kind),
      await Deno.makeTempDir({ prefix: "builds-" }),
      await newLog(),
    ];
    env = {
      ...server.env,
      DATASET_URL: `${server.env.DATASET_URL}/small`,
      DATASET_COMPRESSION: "zstd",
      DATA_DIR: join(dataDir, "nothing"),
    };
    // Every writer that ends leaves an object of each day of each partition.
    for (let round = 0; round < ROUNDS; round++) {
      const share = RECORDS.length / ROUNDS;
      await publish(log, RECORDS.slice(round * share, (round + 1) * share));
      await writeAllOf({ log, dataDir: join(dataDir, "writer"), config: config() });
    }
    await writeDataset(dataDir);
  }, 120_000);
  afterAll(async () => {
    await log?.close();
    await server?.stop();
    if (dataDir) await Deno.remove(dataDir, { recursive: true });
  });

  const lines = async () => (await command(["cat"], env)).stdout;
  const stored = async () => {
    const store = await openS3({ ...server.config, prefix: "small" });
    const keys = await Array.fromAsync(store.list(""), ({ key }) => key);
    store.close();
    return keys;
  };

  test.skipIf(absence !== null)(
    "compact joins what is small, says so by day, and leaves the lines as they are, also beside a writer",
    { timeout: 120_000 },
    async () => {
      const before = await lines();
      expect(before).toBe((await command(["cat"], { DATA_DIR: dataDir })).stdout);
      const writer = startWriter({ log, dataDir: join(dataDir, "writer"), config: config() });
      await until("the writer has its partitions", () => writer.health()?.is === "ready");
      const { code, stdout, stderr } = await command(["compact", "--json"], env);
      await writer.stop();
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      const { days, ...sums } = JSON.parse(stdout);
      // Three events of three days, in each of six partitions.
      expect(sums).toEqual({ before: 54 * ROUNDS, after: 54 });
      expect(days).toHaveLength(9);
      expect(days[0]).toEqual({
        event: expect.any(String),
        date: "2025-11-29",
        before: 6 * ROUNDS,
        after: 6,
      });
      expect(await lines()).toBe(before);
      expect((await command(["files", "--json"], env)).stdout.trim().split("\n")).toHaveLength(54);
      expect((await command(["verify"], env)).code).toBe(0);
      // For readers that listed before.
      expect((await stored()).filter((key) => key.includes("/event="))).toHaveLength(54 * (ROUNDS + 1));
      expect((await command(["compact"], env)).stdout).toBe("Objects of closed days: 54 before, 54 now.\n");
    },
  );

  test.skipIf(absence !== null)(
    "drop refuses the current build and one that is not there, and names what there is",
    { timeout: 60_000 },
    async () => {
      const [build] = (await stored()).find((key) => key.includes("/event="))!.split("/");
      const keys = await stored();
      const current = await command(["drop", build!], env);
      expect(current).toMatchObject({ code: 1, stdout: "" });
      expect(current.stderr).toContain(`Cannot drop "${build}": it is the current build`);
      expect(await command(["drop", "other"], env)).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/^Cannot drop "other": no such build is in "s3:.*There is no other\./),
      });
      expect(await command(["drop"], env)).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/^Cannot drop without BUILD\. There is no other\./),
      });
      expect(await stored()).toEqual(keys);
    },
  );
});
