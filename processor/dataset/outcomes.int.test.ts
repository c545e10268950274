import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MemoryLog } from "../../tests/support/memory_log.ts";
import { DEAD_LETTER_TOPIC_SPEC, WEBHOOKS_TOPIC_SPEC } from "../../topic/raw_topics.ts";
import { readManifest, saveManifest } from "./files/manifest.ts";
import { CurrentFiles, datasetRoot } from "./files/reader.ts";
import { erasure, failure, personIn, publish, use } from "./fixtures/records.ts";
import { hashes, writeAllOf } from "./fixtures/run.ts";
import { DatasetView } from "./reading/listing.ts";
import { join } from "node:path";

const PARTITION = 3;
const jane = personIn(PARTITION, 1);
const carl = personIn(PARTITION, 2);

let dataDir: string;
let log: MemoryLog;
beforeEach(async () => {
  dataDir = await Deno.makeTempDir();
  log = new MemoryLog();
  await log.ensureTopic(WEBHOOKS_TOPIC_SPEC);
  await log.ensureTopic(DEAD_LETTER_TOPIC_SPEC);
});
afterEach(async () => {
  await log.close();
  await Deno.remove(dataDir, { recursive: true });
});

const view = () => new DatasetView(new CurrentFiles(join(dataDir, "dataset")));
const outcomes = () => view().outcomes();
const root = () => datasetRoot(join(dataDir, "dataset"))!;

describe("what became of the topic's records", () => {
  it("adds up to all of them, over restarts, and a repeat stays a repeat", async () => {
    await publish(log, [failure(1, { distinctId: carl }), use(2, carl), failure(1, { distinctId: carl })]);
    await writeAllOf({ log, dataDir });
    const first = { records: 3, lines: 1, duplicates: 1, deadLetters: 0, others: 1, uncounted: 0 };
    expect(await outcomes()).toEqual(first);
    await publish(log, [failure(1, { distinctId: carl }), failure(4, { distinctId: carl, prompt: 7 })]);
    await writeAllOf({ log, dataDir, chunkRecordsMax: 1 });
    expect(await outcomes()).toEqual({ ...first, records: 5, duplicates: 2, deadLetters: 1 });
    await writeAllOf({ log, dataDir });
    expect(await outcomes()).toEqual({ ...first, records: 5, duplicates: 2, deadLetters: 1 });
  });

  it("counts the lines that an erasure takes out as others, and its own record", async () => {
    await publish(log, [
      failure(1, { distinctId: jane }),
      failure(2, { distinctId: jane }),
      failure(3, { distinctId: carl }),
    ]);
    await writeAllOf({ log, dataDir });
    expect(await outcomes()).toMatchObject({ records: 3, lines: 3 });
    const at = "2026-01-01T00:00:00.000Z";
    await publish(log, [erasure([hashes.subject(jane)], { at, partition: PARTITION })]);
    await writeAllOf({ log, dataDir });
    expect(await outcomes()).toEqual({
      records: 4,
      lines: 1,
      duplicates: 0,
      deadLetters: 0,
      others: 3,
      uncounted: 0,
      taken: 2,
    });
    expect((await view().totals()).records).toBe(1);
  });

  it("begins anew behind what an earlier version wrote without counting", async () => {
    await publish(log, [failure(1, { distinctId: carl }), failure(2, { distinctId: carl })]);
    await writeAllOf({ log, dataDir });
    const { outcomes: _, ...value } = readManifest(root(), PARTITION)!;
    await saveManifest(root(), { partition: PARTITION, value });
    expect(await outcomes()).toMatchObject({ records: 0, uncounted: 2 });
    await publish(log, [failure(3, { distinctId: carl })]);
    await writeAllOf({ log, dataDir });
    expect(await outcomes()).toMatchObject({ records: 1, lines: 1, uncounted: 2 });
  });

  it("does not trust counts that an earlier version has left behind its own offset", async () => {
    await publish(log, [failure(1, { distinctId: carl }), failure(2, { distinctId: carl })]);
    await writeAllOf({ log, dataDir });
    const value = readManifest(root(), PARTITION)!;
    await saveManifest(root(), {
      partition: PARTITION,
      value: { ...value, outcomes: { ...value.outcomes!, to: 1, lines: 1 } },
    });
    expect(await outcomes()).toMatchObject({ records: 0, uncounted: 2 });
  });
});
