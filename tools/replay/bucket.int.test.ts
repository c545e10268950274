import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { writeAllOf } from "../../processor/dataset/fixtures/run.ts";
import { Bucket } from "../../processor/dataset/objects/bucket.ts";
import { Builds } from "../../processor/dataset/objects/builds.ts";
import { MemoryBucket, memoryStore } from "../../processor/dataset/objects/fixtures/memory_store.ts";
import { systemClock } from "../../runtime/clock.ts";
import { MemoryLog } from "../../tests/support/memory_log.ts";
import { erasePerson, fillTopic } from "../../tests/support/replay_topic.ts";
import { bucketHome, bucketTarget } from "./bucket_home.ts";
import { checkDataset } from "./check.ts";
import { directoryHome, directoryTarget } from "./directory_home.ts";
import type { DatasetHome } from "./home.ts";
import { replayInPlace } from "./in_place.ts";
import type { ReplayDependencies } from "./home.ts";
import { replayTo } from "./to.ts";
import { linesIn, parametersWith, replaying } from "./fixtures/replaying.ts";
import type { ReplayResult } from "./tree.ts";

/**
 * A replay into a bucket gives the lines that one into a directory gives, and takes the place of the live build by one
 * number. The bucket is in memory; what a real server does otherwise, `objects/s3/client.int.test.ts` has.
 */
const W = 500;

let dataDir: string;
let log: MemoryLog;
let objects: MemoryBucket;
const opened: Bucket[] = [];

beforeEach(async () => {
  dataDir = await Deno.makeTempDir({ prefix: "replay-bucket-" });
  log = new MemoryLog();
  await fillTopic(log, { seed: 7, count: 3_000, dedupWindow: W });
  objects = new MemoryBucket();
});
afterEach(async () => {
  for (const bucket of opened.splice(0)) bucket.close();
  await Deno.remove(dataDir, { recursive: true });
});

function bucket(): Bucket {
  const config = { objectBytes: 64 * 1024, objectAgeMs: 30_000, compression: "zstd" as const };
  const made = new Bucket(memoryStore(objects), { config, clock: systemClock });
  opened.push(made);
  return made;
}

const deps = (home: DatasetHome, more: Partial<ReplayDependencies> = {}): ReplayDependencies => ({
  ...replaying(log, { home, dedupWindow: W }),
  ...more,
});
const parameters = parametersWith(W);
const directory = () => directoryHome(join(dataDir, "dataset"), null);
const toMode = { ...parameters, mode: "to" } as const;
const swapMode = { ...parameters, mode: "swap" } as const;

/** The dataset of a prefix that had none, by a replay. */
async function fill(): Promise<void> {
  await replayTo(await bucketTarget(bucket()), {
    deps: deps(directory()),
    parameters: toMode,
    onResult() {},
  });
}

async function localLines(): Promise<Record<string, string>> {
  await writeAllOf({ log, dataDir, config: { dedupWindow: W } });
  return await linesIn(directory());
}

async function swap(home: DatasetHome, more: Partial<ReplayDependencies> = {}): Promise<ReplayResult> {
  let found: ReplayResult | null = null;
  await replayInPlace(deps(home, more), { parameters: swapMode, onResult: (result) => found = result });
  return found!;
}

const buildNow = async () => (await new Builds(memoryStore(objects), systemClock).current())!;

describe("A replay with a bucket", () => {
  test("leaves the lines there that the live writer leaves in a directory, each partition's in their order", async () => {
    const local = await localLines();
    await fill();
    expect(Object.keys(local).length).toBeGreaterThan(10);
    expect(await linesIn(bucketHome(bucket()))).toEqual(local);
    expect((await checkDataset(deps(bucketHome(bucket())))).differences).toEqual([]);
    expect(objects.keys("_replays/")).toEqual([]);
  });

  test("goes from a bucket to a directory", async () => {
    await fill();
    const to = join(dataDir, "copy");
    const target = directoryTarget(to, join(dataDir, "dataset"));
    await replayTo(target, { deps: deps(bucketHome(bucket())), parameters: toMode, onResult() {} });
    await Deno.rename(to, join(dataDir, "dataset.copy"));
    await Deno.symlink("dataset.copy", join(dataDir, "dataset"));
    expect(await linesIn(directory())).toEqual(await linesIn(bucketHome(bucket())));
  });

  test("takes the live build's place by the next number, and the one before stays until it is dropped", async () => {
    await fill();
    const before = await buildNow();
    const lines = await linesIn(bucketHome(bucket()));
    const { partitions } = await swap(bucketHome(bucket()));
    expect(partitions.every(({ before, after, changed }) => before === after && changed === 0)).toBe(true);
    expect(await buildNow()).toMatchObject({ number: before.number + 1, because: "replay" });
    expect((await buildNow()).build).not.toBe(before.build);
    expect(await linesIn(bucketHome(bucket()))).toEqual(lines);
    expect(objects.keys(`${before.build}/event=`).length).toBeGreaterThan(0);
    expect((await bucket().discard(before.build))!.objects).toBeGreaterThan(10);
    expect(objects.keys(`${before.build}/`)).toEqual([]);
    expect(await bucket().discard((await buildNow()).build)).toBe(null);
    expect(await linesIn(bucketHome(bucket()))).toEqual(lines);
  });

  test("refuses a prefix that has a dataset", async () => {
    await fill();
    await expect(fill()).rejects.toThrow(/there is a dataset already/);
  });

  test.each([
    "replay.made",
    "replay.fixed",
    "replay.built",
    "replay.wanted",
    "replay.ready",
    "replay.linked",
    "replay.renamed",
    "replay.compared",
    "replay.removed",
  ])("cut short at %s goes on with the same command, and comes to the same", async (point) => {
    await fill();
    const before = await buildNow();
    const lines = await linesIn(bucketHome(bucket()));
    const faultPoint = (name: string) => {
      if (name === point) throw new Error("cut short");
    };
    await expect(swap(bucketHome(bucket()), { faultPoint })).rejects.toThrow("cut short");
    await swap(bucketHome(bucket()));
    expect((await buildNow()).build).not.toBe(before.build);
    expect(await linesIn(bucketHome(bucket()))).toEqual(lines);
    expect(objects.keys("_replays/")).toEqual([]);
    expect((await checkDataset(deps(bucketHome(bucket())))).differences).toEqual([]);
  });

  test("begins anew where somebody else has led on meanwhile, and what it had built goes", async () => {
    await fill();
    const lines = await linesIn(bucketHome(bucket()));
    const builds = new Builds(memoryStore(objects), systemClock);
    let others = 0;
    const home = bucketHome(bucket());
    const meanwhile: DatasetHome = {
      ...home,
      async leadTo(dataset, deps) {
        const { number, build } = (await builds.current())!;
        if (others++ === 0) await builds.create(number, { build, because: "reopened" });
        await home.leadTo(dataset, deps);
      },
    };
    await swap(meanwhile);
    expect(others).toBe(2);
    expect(await linesIn(bucketHome(bucket()))).toEqual(lines);
    const named = new Set(
      objects.keys().filter((key) => !key.startsWith("_")).map((key) => key.split("/")[0]),
    );
    // The one before and the one now: nothing of the one that came too late.
    expect(named.size).toBe(2);
  });

  test("refuses another DEDUP_WINDOW than the dataset was begun with, which stands for good", async () => {
    await fill();
    const other = W * 2;
    await expect(replayInPlace(deps(bucketHome(bucket()), { dedupWindow: other }), {
      parameters: { ...swapMode, dedupWindow: other },
      onResult() {},
    })).rejects.toThrow(`begun with ${W}`);
    expect(objects.keys("_replays/")).toEqual([]);
  });

  test("never leads to a build that is being discarded", async () => {
    await fill();
    const before = await buildNow();
    const home = bucketHome(bucket());
    const discarding: DatasetHome = {
      ...home,
      async leadTo(dataset, deps) {
        await bucket().discard(dataset.place.slice(dataset.place.lastIndexOf("/") + 1));
        await home.leadTo(dataset, deps);
      },
    };
    await expect(swap(discarding)).rejects.toThrow();
    expect((await buildNow()).build).toBe(before.build);
  });

  test("has nobody of the erased in it, also where the erasure came after the build had begun", async () => {
    await fill();
    const before = await linesIn(bucketHome(bucket()));
    const home = bucketHome(bucket());
    const erasing: DatasetHome = {
      ...home,
      async halt(deps, timing) {
        await erasePerson(log, 1);
        return await home.halt(deps, timing);
      },
    };
    await swap(erasing);
    const target = directoryTarget(join(dataDir, "dataset.fresh"), join(dataDir, "dataset"));
    await replayTo(target, { deps: deps(directory()), parameters: toMode, onResult() {} });
    await Deno.symlink("dataset.fresh", join(dataDir, "dataset"));
    const after = await linesIn(bucketHome(bucket()));
    expect(after).toEqual(await linesIn(directory()));
    expect(after).not.toEqual(before);
  });
});
