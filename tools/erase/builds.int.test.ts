import { Buffer } from "node:buffer";
import { expect, test } from "vitest";
import { AddedLines } from "../../processor/dataset/core/added_lines.ts";
import { hashes } from "../../processor/dataset/fixtures/run.ts";
import { Bucket } from "../../processor/dataset/objects/bucket.ts";
import { Builds } from "../../processor/dataset/objects/builds.ts";
import { MemoryBucket, memoryStore } from "../../processor/dataset/objects/fixtures/memory_store.ts";
import type { StoredDataset } from "../../processor/dataset/mod.ts";
import { NOBODY } from "../../processor/record/erasure.ts";
import { systemClock } from "../../runtime/clock.ts";
import { noFaultPoint } from "../../runtime/fault_point.ts";
import { eraseBuilds, searchBucket } from "./builds.ts";
import { Finder } from "./finder.ts";
import { needlesOfName } from "./needles.ts";

/** A person leaves every build of a bucket, whoever made it and whether it is done; the bucket is in memory. */

const ADA = "ada-of-the-builds";
const AT = Date.UTC(2025, 10, 30, 18);

async function fill(dataset: StoredDataset, ids: readonly string[]): Promise<void> {
  const identity = { id: "d", createdAt: "2025-11-30T00:00:00.000Z", dedupWindow: 10 };
  await dataset.make({ identity, note: new TextEncoder().encode("building") });
  const store = await dataset.build(0, { firstOffset: 0, erased: NOBODY });
  const added = new AddedLines();
  for (const id of ids) {
    const line = {
      timestamp: "2025-11-30T16:38:21.968Z",
      event: "generation_failed",
      failure_reason: null,
      input_prompt: "write",
      distinct_id: id,
    };
    added.add(`${JSON.stringify(line)}\n`, { reason: null, promptLength: 5, placeholders: [] });
  }
  await store.advance({
    nextOffset: ids.length,
    additions: new Map([["event=generation_failed/date=2025-11-30/p00000-0000.jsonl", added]]),
    letters: [],
    sanitiserVersion: "1",
  });
  await store.flush("now");
  store.close();
}

test("a person leaves builds of before, and those that are not done are deleted and can lead nowhere", async () => {
  const objects = new MemoryBucket();
  const config = { objectBytes: 1_000_000, objectAgeMs: 30_000, compression: "gzip" as const };
  const bucket = new Bucket(memoryStore(objects), { config, clock: systemClock });
  const builds = new Builds(memoryStore(objects), systemClock);

  const first = (await bucket.first())!;
  await fill(first, [ADA, "bob", ADA, "eve"]);
  await first.removeNote();
  const second = bucket.beside("2025-11-30T17:00:00.000Z");
  await fill(second, ["bob"]);
  await bucket.seal([0]);
  expect(await bucket.switchTo(second.place)).toBe(false);
  const whole = bucket.beside("2025-11-30T17:00:01.000Z");
  await fill(whole, ["bob", "eve", "bob", "eve"]);
  expect(await bucket.switchTo(whole.place)).toBe(true);
  await whole.removeNote();
  const unfinished = bucket.beside("2025-11-30T17:30:00.000Z");
  await fill(unfinished, [ADA, ADA, ADA, ADA]);
  const late = new Bucket(memoryStore(objects), { config, clock: systemClock });
  await late.seal([0]);

  const wanted = { needles: needlesOfName(ADA, "id"), mailboxes: [] };
  const look = () => searchBucket(bucket, { finder: new Finder(wanted), ids: [ADA], until: AT });
  expect((await look()).found.id).toBe(6);
  const tools = { subject: hashes.subject, faultPoint: noFaultPoint, heartbeat: () => Promise.resolve() };
  const erasure = { subjects: [hashes.subject(ADA)], at: AT, offsetIn: () => 10, tools };
  const deleted = await eraseBuilds(bucket, erasure);

  expect(deleted.sort()).toEqual([second.place, unfinished.place].sort());
  expect((await look()).found.id).toBe(0);
  expect(await builds.current()).toMatchObject({ build: whole.place.split("/").at(-1), because: "erased" });
  // A replay that was at work on one of them and has sealed before.
  expect(await late.switchTo(unfinished.place)).toBe(false);
  const left = await (await bucket.at(first.place).blocks(
    Object.keys((await bucket.at(first.place).sizes())!)[0]!,
    Infinity,
  ))!;
  const text = Buffer.concat(await Array.fromAsync(left)).toString();
  expect(text.trim().split("\n").map((line) => JSON.parse(line).distinct_id)).toEqual(["bob", "eve"]);
  // Once more: nothing is left to do.
  expect(await eraseBuilds(bucket, erasure)).toEqual([]);

  const name = first.place.split("/").at(-1)!;
  objects.objects.delete(objects.keys(`${name}/event=`)[0]!);
  const again = { ...erasure, subjects: [hashes.subject("eve")], offsetIn: () => 11 };
  await expect(eraseBuilds(bucket, again)).rejects.toThrow(
    `Cannot erase from the build "${name}", which a replay has replaced: Cannot read`,
  );
  await bucket.discard(name);
  expect(await eraseBuilds(bucket, again)).toEqual([]);
});
