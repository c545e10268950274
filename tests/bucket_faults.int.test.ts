import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { DEAD_LETTER_TOPIC, WEBHOOKS_TOPIC } from "../contract/names.ts";
import { readLetterPosition } from "./simulation/dataset_objects/letters.ts";
import { personIn } from "../processor/dataset/fixtures/records.ts";
import { hashes, startWriter, writeAllOf } from "../processor/dataset/fixtures/run.ts";
import { Bucket } from "../processor/dataset/objects/bucket.ts";
import { Builds } from "../processor/dataset/objects/builds.ts";
import type { ObjectsConfig } from "../processor/dataset/objects/config.ts";
import { openObjectDataset } from "../processor/dataset/objects/dataset.ts";
import { openS3, S3_LIMITS } from "../processor/dataset/objects/s3/client.ts";
import { type Clock, systemClock } from "../runtime/clock.ts";
import { noFaultPoint } from "../runtime/fault_point.ts";
import { eraseBuilds } from "../tools/erase/builds.ts";
import { bucketHome } from "../tools/replay/bucket_home.ts";
import { directoryHome } from "../tools/replay/directory_home.ts";
import { linesIn, parametersWith, replaying } from "../tools/replay/fixtures/replaying.ts";
import { replayInPlace } from "../tools/replay/in_place.ts";
import { MemoryLog } from "./support/memory_log.ts";
import { erasePerson, fillTopic, randomFrom } from "./support/replay_topic.ts";
import { type FaultProxy, seededFaults, startFaultProxy } from "./support/s3/fault_proxy.ts";
import { type S3Server, startS3, whyNoS3 } from "./support/s3/servers.ts";
import { until } from "./support/until.ts";

/** Two real writers, a replay and a command that erases at once, by the real client, before a real server that is hard to reach. */

const W = 500;
const FAULTS_SHARE = 0.03;
const OBJECT_AGE_MS = 4_000;
/** What takes 10 s takes one here. */
const fast: Clock = {
  now: () => systemClock.now(),
  monotonic: () => systemClock.monotonic() * 10,
  wait: (ms, signal) => systemClock.wait(ms / 10, signal),
};

const why = await whyNoS3("versitygw");
let server: S3Server;
let proxy: FaultProxy;
let dataDir: string;
let random: () => number;

beforeEach(async () => {
  random = randomFrom(Number(Deno.env.get("SEED") ?? 22));
  server = await startS3("versitygw");
  proxy = startFaultProxy(server.config.endpoint!);
  dataDir = await Deno.makeTempDir({ prefix: "bucket-faults-" });
}, 60_000);
afterEach(async () => {
  await proxy.stop();
  await server.stop();
  await Deno.remove(dataDir, { recursive: true });
});

/** Fewer attempts than in earnest, so that more of it comes through to the dataset. */
const reach = (config: ObjectsConfig) => openS3(config, { ...S3_LIMITS, attemptsMax: 2 });

async function inBucket<T>(config: ObjectsConfig, work: (bucket: Bucket) => Promise<T>): Promise<T> {
  const bucket = new Bucket(await reach(config), { config, clock: fast });
  try {
    return await work(bucket);
  } finally {
    bucket.close();
  }
}

/** A command that ended loudly is run again. */
async function again<T>(command: () => Promise<T>): Promise<T> {
  for (let attempt = 1;; attempt++) {
    try {
      return await command();
    } catch (error) {
      const { name } = error as Error;
      if (attempt === 30 || !/ObjectStoreAway|PartitionLost|StaleBuild|CommandFailed/.test(name)) throw error;
    }
  }
}

function replay(bucket: Bucket, log: MemoryLog): Promise<void> {
  const deps = { ...replaying(log, { home: bucketHome(bucket), dedupWindow: W }), clock: fast };
  return replayInPlace(deps, { parameters: { ...parametersWith(W), mode: "swap" }, onResult() {} });
}

function lettersIn(log: MemoryLog): readonly string[] {
  const all = log.records(DEAD_LETTER_TOPIC).map(readLetterPosition);
  return [...new Set(all.map(({ partition, offset }) => `${partition}:${offset}`))].sort();
}

const ERASED = 7;
const AT = "2025-11-30T17:00:30.000Z";

test.skipIf(why !== null)(
  "two writers, a replay and an erasure lose and double no line and no letter, and leave nothing, behind answers that are lost, cut, late and refused",
  async () => {
    const [log, same] = [new MemoryLog(), new MemoryLog()];
    for (const one of [log, same]) await fillTopic(one, { seed: 3, count: 600, dedupWindow: W });
    const config: ObjectsConfig = { ...server.config, endpoint: proxy.endpoint, objectAgeMs: OBJECT_AGE_MS };
    proxy.choose = seededFaults(random, { share: FAULTS_SHARE });
    const open = async () =>
      await openObjectDataset(config, { store: await reach(config), dedupWindow: W, clock: fast });
    const writers = [log, new MemoryLog({}, log)].map((log) =>
      startWriter({ log, dataDir, config: { dedupWindow: W, objects: config }, clock: fast, open })
    );
    for (const { ended } of writers) ended.catch(() => {});

    const replaying = until("there is a dataset", () => inBucket(config, (bucket) => bucket.live()))
      .then(() => again(() => inBucket(config, (bucket) => replay(bucket, log))));
    for (const one of [log, same]) {
      await fillTopic(one, { seed: 4, count: 300, dedupWindow: W });
      await erasePerson(one, ERASED, { at: AT });
      await fillTopic(one, { seed: 5, count: 300, dedupWindow: W });
    }
    const ends = (await log.bounds(WEBHOOKS_TOPIC)).map(({ endOffset }) => endOffset);
    const erasing = Promise.race(writers.map((one) => one.caughtUp())).then(() =>
      again(() => inBucket(config, (bucket) => erase(bucket, ends)))
    );
    await Promise.all([replaying, erasing]);
    await writers[0]!.caughtUp();
    proxy.choose = () => null;
    for (const one of writers) await one.stop();
    expect(proxy.faults.length).toBeGreaterThan(20);

    await inBucket(config, async (bucket) => {
      await erase(bucket, ends);
      await writeAllOf({ log: same, dataDir, config: { dedupWindow: W } });
      expect(await linesIn(bucketHome(bucket))).toEqual(
        await linesIn(directoryHome(join(dataDir, "dataset"), null)),
      );
      expect(lettersIn(log)).toEqual(lettersIn(same));
      await lookForRemains(bucket, config);
    });
  },
  60_000,
);

function erase(bucket: Bucket, ends: readonly number[]): Promise<readonly string[]> {
  const tools = { subject: hashes.subject, faultPoint: noFaultPoint, heartbeat: () => Promise.resolve() };
  const subjects = [hashes.subject(personIn(3, ERASED))];
  return eraseBuilds(bucket, {
    subjects,
    at: Date.parse(AT),
    offsetIn: (partition) => ends[partition]!,
    tools,
  });
}

/** No line of the erased anywhere, and no object that no build's commits name. */
async function lookForRemains(bucket: Bucket, config: ObjectsConfig): Promise<void> {
  const store = await reach(config);
  const builds = new Set((await new Builds(store, fast).all()).map(({ build }) => build));
  expect(builds.size).toBeGreaterThan(1);
  store.close();
  const named = await Promise.all(
    [...builds].map(async (build) =>
      Object.keys((await bucket.stored(build).sizes())!).map((path) => `${build}/${path}`)
    ),
  );
  const found: string[] = [];
  for await (const { key, lines } of bucket.everything()) {
    if (key.includes("/event=")) found.push(key);
    for await (const some of lines) {
      for (const line of some) expect(new TextDecoder().decode(line)).not.toContain(personIn(3, ERASED));
    }
  }
  expect(found.sort()).toEqual(named.flat().sort());
}
