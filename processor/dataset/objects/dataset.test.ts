import { expect, test } from "vitest";
import { manualClock } from "../../../tests/support/manual_clock.ts";
import { AddedLines } from "../core/added_lines.ts";
import { PartitionLostError } from "../store.ts";
import { Builds } from "./builds.ts";
import { openObjectDataset } from "./dataset.ts";
import { MemoryBucket, memoryStore } from "./fixtures/memory_store.ts";
import { settings } from "./fixtures/settings.ts";

async function dataset(objects = new MemoryBucket()) {
  const read: string[] = [];
  const step = (operation: string) => {
    if (operation.startsWith("get ")) read.push(operation.slice("get ".length));
    return Promise.resolve();
  };
  const [store, clock] = [memoryStore(objects, { step }), manualClock()];
  const dataset = await openObjectDataset(settings(), { store, dedupWindow: 10, clock, isProbed: true });
  await dataset.identity();
  const switchTo = (build: string) => new Builds(store, clock).create(1, { build, because: "replay" });
  return { objects, dataset, switchTo, clock, read };
}

function oneLine() {
  const added = new AddedLines();
  const line = { event: "generation_failed", failure_reason: null, input_prompt: "x", distinct_id: "a" };
  added.add(`${JSON.stringify(line)}\n`, { reason: null, promptLength: 1, placeholders: [] });
  return new Map([["event=generation_failed/date=2025-11-30/p00000-0000.jsonl", added]]);
}

const commits = (objects: MemoryBucket) => objects.keys().filter((key) => key.includes("/_log/"));

/** An erasure of somebody who has no line: it stands in the log alone. */
const erasure = (subject: string) => ({ subjects: [subject], at: 0, offset: 0, nextOffset: 1 });
const tools = { subject: (id: string) => id, faultPoint: () => {}, heartbeat: () => Promise.resolve() };
const LOOK_EVERY_MS = 5_000;

test("What a writer has committed itself tells its other partitions of an erasure, and is not read again", async () => {
  const { dataset: opened, clock, read } = await dataset();
  const tree = await opened.tree();
  await tree.addCount({ count: 2, ends: [0, 0] });
  const partition = await opened.open(0, 0, { tree });
  await partition.take();
  const before = tree.state(2);
  read.length = 0;
  await partition.erase(erasure("a"), tools);
  expect([...tree.erasedIn(0).keys()]).toEqual(["a"]);
  expect(tree.nextOffsetOf(0)).toBe(1);
  expect(tree.state(2)).not.toBe(before);
  await clock.advance(LOOK_EVERY_MS);
  await tree.refresh();
  expect(read.some((key) => key.includes("/_log/p00001/"))).toBe(true);
  expect(read.filter((key) => key.includes("/_log/p00000/"))).toEqual([]);
});

test("What another writer commits in a partition that was let go is followed, and nothing of before is forgotten meanwhile", async () => {
  const { objects, dataset: opened, clock } = await dataset();
  const tree = await opened.tree();
  await tree.addCount({ count: 1, ends: [0] });
  const partition = await opened.open(0, 0, { tree });
  await partition.take();
  await partition.erase(erasure("a"), tools);
  partition.close();
  expect([...tree.erasedIn(0).keys()]).toEqual(["a"]);

  const another = await (await dataset(objects)).dataset.open(0, 0);
  await another.take();
  await another.erase({ ...erasure("b"), offset: 1, nextOffset: 2 }, tools);
  await clock.advance(LOOK_EVERY_MS);
  await tree.refresh();
  expect([...tree.erasedIn(0).keys()]).toEqual(["a", "b"]);
  expect(tree.nextOffsetOf(0)).toBe(2);

  const again = await opened.open(0, 0, { tree });
  await again.take();
  partition.close();
  await again.erase({ ...erasure("c"), offset: 2, nextOffset: 3 }, tools);
  expect([...tree.erasedIn(0).keys()]).toEqual(["a", "b", "c"]);
});

test("A partition goes on in no other build than the one whose counts and erasures it goes by", async () => {
  const { objects, dataset: opened, switchTo } = await dataset();
  const tree = await opened.tree();
  await switchTo("new");
  const partition = await opened.open(0, 0, { tree });
  await expect(partition.take()).rejects.toThrow(PartitionLostError);
  expect(commits(objects)).toEqual([]);
});

test("A partition that no seal told of the switch, since it had no log, takes nothing in the build of before", async () => {
  const { objects, dataset: opened, switchTo } = await dataset();
  const partition = await opened.open(0, 0);
  await switchTo("new");
  await expect(partition.take()).rejects.toThrow(PartitionLostError);
  expect(commits(objects)).toEqual([]);
});

test("A writer that erases in a build which was replaced and dropped meanwhile lets go of it", async () => {
  const { objects, dataset: opened, switchTo } = await dataset();
  const partition = await opened.open(0, 0);
  await partition.take();
  await partition.advance({ nextOffset: 1, additions: oneLine(), letters: [], sanitiserVersion: "1" });
  await partition.flush("now");
  await switchTo("new");
  for (const key of objects.keys().filter((key) => !key.startsWith("_"))) objects.objects.delete(key);
  await expect(partition.erase({ ...erasure("a"), offset: 1, nextOffset: 2 }, tools)).rejects.toThrow(
    PartitionLostError,
  );
});
