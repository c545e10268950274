import { describe, expect, test } from "vitest";
import { manualClock } from "../../../tests/support/manual_clock.ts";
import { NOBODY } from "../../record/erasure.ts";
import { AddedLines } from "../core/added_lines.ts";
import { LEAVING_MS } from "../core/commit_state.ts";
import type { StoredDataset } from "../reading/stored_dataset.ts";
import { Bucket, type FoundBuild } from "./bucket.ts";
import { Builds } from "./builds.ts";
import { compactPartition } from "./compact.ts";
import { MemoryBucket, memoryStore } from "./fixtures/memory_store.ts";
import { settings } from "./fixtures/settings.ts";
import type { ObjectStore } from "./object_store.ts";

/** Replays, commands that erase and drops that pause between any two requests, or end there, meet each other in one bucket. */

const clock = manualClock();
const IDENTITY = { id: "d", createdAt: "2025-11-30T00:00:00.000Z", dedupWindow: 10 };
const NOTE = new TextEncoder().encode("building");

function bucketIn(objects: MemoryBucket, change: (store: ObjectStore) => Partial<ObjectStore> = () => ({})) {
  const store = memoryStore(objects);
  return new Bucket({ ...store, ...change(store) }, { config: settings(), clock });
}

async function fill(dataset: StoredDataset, { from = 0, to = 4 } = {}): Promise<void> {
  const store = await dataset.build(0, { firstOffset: 0, erased: NOBODY });
  const added = new AddedLines();
  for (let n = from; n < to; n++) {
    const line = { event: "generation_failed", failure_reason: null, input_prompt: `${n}`, distinct_id: "a" };
    added.add(`${JSON.stringify(line)}\n`, { reason: null, promptLength: 1, placeholders: [] });
  }
  await store.advance({
    nextOffset: to,
    additions: new Map([["event=generation_failed/date=2025-11-30/p00000-0000.jsonl", added]]),
    letters: [],
    sanitiserVersion: "1",
  });
  await store.flush("now");
  store.close();
}

/** With a dataset of four lines, and a build beside it that has as many. */
async function live(): Promise<
  { objects: MemoryBucket; bucket: Bucket; beside: StoredDataset; name: string }
> {
  const objects = new MemoryBucket();
  const bucket = bucketIn(objects);
  const first = (await bucket.first())!;
  await first.make({ identity: IDENTITY, note: NOTE });
  await fill(first);
  await first.removeNote();
  const beside = bucket.beside("2025-11-30T17:00:00.000Z");
  await beside.make({ identity: IDENTITY, note: NOTE });
  await fill(beside);
  return { objects, bucket, beside, name: beside.place.split("/").at(-1)! };
}

const current = async (objects: MemoryBucket) =>
  (await new Builds(memoryStore(objects), clock).current())!.build;

/** Deletes of keys below a prefix wait there. */
function stopsAtDeletesOf(prefix: string) {
  const met = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const change = (store: ObjectStore) => ({
    async remove(keys: readonly string[]) {
      if (keys.some((key) => key.startsWith(prefix))) {
        met.resolve();
        await goOn.promise;
      }
      await store.remove(keys);
    },
  });
  return { met: met.promise, goOn: goOn.resolve, change };
}

const buildsThatAre = async (wanted: FoundBuild["is"], bucket: Bucket) =>
  (await bucket.builds()).flatMap(({ build, is }) => is === wanted ? [build] : []);
const left = (bucket: Bucket) => buildsThatAre("left", bucket);

describe("A build that is dropped", () => {
  test("becomes no dataset while its objects are being deleted, though its replay notes it and seals anew meanwhile", async () => {
    const { objects, bucket, beside, name } = await live();
    const before = await current(objects);
    const paused = stopsAtDeletesOf(`${name}/`);
    const dropping = bucketIn(objects, paused.change).discard(name);
    await paused.met;
    await beside.saveNote(NOTE);
    await bucket.seal([0]);
    expect(await bucket.switchTo(beside.place)).toBe(false);
    paused.goOn();
    expect(await dropping).not.toBeNull();
    expect(await current(objects)).toBe(before);
  });

  test("is known to be where the drop was killed on its way", async () => {
    const { objects, bucket, name } = await live();
    const paused = stopsAtDeletesOf(`${name}/`);
    bucketIn(objects, paused.change).discard(name);
    await paused.met;
    expect(await bucket.unfinished()).toEqual([]);
    expect(await left(bucket)).toEqual([name]);
    expect(await bucket.discard(name)).not.toBeNull();
    expect(objects.keys(`${name}/`)).toEqual([]);
    expect(await left(bucket)).toEqual([]);
  });

  test("is known to hold what its replay, paused since before, writes into it", async () => {
    const { objects, bucket, beside, name } = await live();
    const store = await beside.build(0, { firstOffset: 0, erased: NOBODY });
    expect(await bucket.discard(name)).not.toBeNull();
    await store.adopt([{ count: 1, from: 0 }]);
    store.close();
    await beside.saveNote(NOTE);
    expect(objects.keys(`${name}/`)).not.toEqual([]);
    expect(await bucket.unfinished()).toEqual([]);
    expect(await left(bucket)).toEqual([name]);
    await bucket.discard(name);
    expect(objects.keys(`${name}/`)).toEqual([]);
    expect(objects.keys("_replays/")).toEqual([]);
  });

  test("stays where it has become the dataset in the same moment", async () => {
    const { objects, bucket, beside, name } = await live();
    await bucket.seal([0]);
    expect(await bucket.switchTo(beside.place)).toBe(true);
    expect(await bucket.discard(name)).toBeNull();
    expect(objects.keys(`${name}/event=`)).toHaveLength(1);
    expect(await left(bucket)).toEqual([]);
  });
});

test("A build that was the dataset is no unfinished one, though its replay notes something late", async () => {
  const { objects, bucket } = await live();
  const before = await current(objects);
  await bucket.seal([0]);
  const beside = (await bucket.unfinished())[0]!.dataset;
  expect(await bucket.switchTo(beside.place)).toBe(true);
  await bucket.at(`memory/${before}`).saveNote(NOTE);
  expect(await bucket.unfinished()).toEqual([]);
  expect(await buildsThatAre("before", bucket)).toEqual([before]);
});

test("A partition that is sealed before its first commit begins where its topic does", async () => {
  const { objects, bucket } = await live();
  const build = await current(objects);
  await bucket.seal([0, 1], { startOffsets: [0, 1_000] });
  const manifest = await bucket.at(`memory/${build}`).manifest(1);
  expect(manifest).toMatchObject({ firstOffset: 1_000, nextOffset: 1_000 });
});

describe("A build for a prefix that has no dataset", () => {
  test("is refused where a writer has begun one there meanwhile, and is not forgotten", async () => {
    const objects = new MemoryBucket();
    const bucket = bucketIn(objects);
    const dataset = (await bucket.first())!;
    await dataset.make({ identity: IDENTITY, note: NOTE });
    await fill(dataset);
    await new Builds(memoryStore(objects), clock).create(0, { build: "other", because: "first" });
    await expect(dataset.removeNote()).rejects.toThrow(/there is a dataset/);
    expect((await bucket.unfinished()).map(({ dataset }) => dataset.place)).toEqual([dataset.place]);
  });

  test("is refused where one was begun there with another DEDUP_WINDOW", async () => {
    const bucket = bucketIn(new MemoryBucket());
    await (await bucket.first())!.make({ identity: IDENTITY, note: NOTE });
    const other = { ...IDENTITY, dedupWindow: 20 };
    await expect((await bucket.first())!.make({ identity: other, note: NOTE })).rejects.toThrow(
      /begun with 10/,
    );
  });

  test("is refused where it was dropped meanwhile", async () => {
    const objects = new MemoryBucket();
    const bucket = bucketIn(objects);
    const dataset = (await bucket.first())!;
    await dataset.make({ identity: IDENTITY, note: NOTE });
    await fill(dataset);
    expect(await bucketIn(objects).discard(dataset.place.split("/").at(-1)!)).not.toBeNull();
    await expect(dataset.removeNote()).rejects.toThrow(/dropped/);
    expect(objects.keys("_builds/")).toEqual([]);
  });
});

test("what a compaction has removed from a build of before goes an hour later", async () => {
  const { objects, bucket, beside } = await live();
  const before = await current(objects);
  const store = memoryStore(objects);
  await fill(bucket.at(`memory/${before}`), { from: 4, to: 8 });
  await fill(beside, { from: 4, to: 8 });
  const options = {
    build: before,
    partition: 0,
    before: "9999",
    objectBytes: 10_000,
    compression: "none" as const,
  };
  await compactPartition(store, { ...options, clock });
  await bucket.seal([0]);
  expect(await bucket.switchTo(beside.place)).toBe(true);
  await bucket.sweep(before);
  expect(objects.keys(`${before}/event=`)).toHaveLength(3);
  clock.advance(LEAVING_MS);
  await bucket.sweep(before);
  expect(objects.keys(`${before}/event=`)).toHaveLength(1);
});

test("two commands that erase in one build at once end both", async () => {
  const { objects, bucket } = await live();
  const build = await current(objects);
  const tools = { subject: (id: string) => id, faultPoint: () => {}, heartbeat: () => Promise.resolve() };
  const erasing = (who: string) =>
    bucket.eraseFrom(build, { erasure: { subjects: [who], at: clock.now() }, offsetIn: () => 9, tools });
  await Promise.all([erasing("a"), erasing("b")]);
  expect(objects.keys(`${build}/event=`)).toEqual([]);
});
