import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { WEBHOOKS_TOPIC } from "../contract/names.ts";
import { MemoryLog } from "../tests/support/memory_log.ts";
import { manualClock } from "../tests/support/manual_clock.ts";
import { DEAD_LETTER_TOPIC_SPEC, WEBHOOKS_TOPIC_SPEC } from "../topic/raw_topics.ts";
import { NoLeaderError } from "../topic/topic.ts";
import { failure, personIn, publish } from "./dataset/fixtures/records.ts";
import { writeAllOf } from "./dataset/fixtures/run.ts";
import { readManifest, saveManifest } from "./dataset/files/manifest.ts";
import { CurrentFiles, datasetRoot } from "./dataset/files/reader.ts";
import { DatasetView } from "./dataset/reading/listing.ts";
import { readFigures } from "./figures.ts";
import { countLatencies } from "./loop/latency.ts";
import { LastHour } from "./status/last_hour.ts";

const NOW = Date.UTC(2026, 5, 1, 12, 30, 20);
const MINUTE_MS = 60_000;

let dataDir: string;
let log: MemoryLog;
let n: number;
beforeEach(async () => {
  dataDir = await Deno.makeTempDir();
  log = new MemoryLog();
  n = 0;
  await log.ensureTopic(WEBHOOKS_TOPIC_SPEC);
  await log.ensureTopic(DEAD_LETTER_TOPIC_SPEC);
});
afterEach(async () => {
  await log.close();
  await Deno.remove(dataDir, { recursive: true });
});

/** Publishes so many records that were received so many minutes ago. */
const receive = (count: number, { ago, partition = 3 }: { ago: number; partition?: number }) =>
  publish(
    log,
    Array.from({ length: count }, () =>
      failure(++n, { distinctId: personIn(partition), receivedAt: NOW - ago * MINUTE_MS })),
  );
const write = () => writeAllOf({ log, dataDir });
const datasetDir = () => join(dataDir, "dataset");

async function look(given: { seen?: (hour: LastHour) => void } = {}) {
  const clock = manualClock(NOW);
  const lastHour = new LastHour(join(dataDir, "figures.json"), { clock, say: () => {} });
  given.seen?.(lastHour);
  return await readFigures({
    log,
    dataset: new DatasetView(new CurrentFiles(datasetDir())),
    lastHour,
    clock,
  });
}

/** Records of each minute that is not 0, by how many minutes ago it was; `null` where it is not known. */
async function records(): Promise<Record<string, number | null>> {
  const { minutes } = await look();
  return Object.fromEntries(
    minutes.map(({ records }, i) => [minutes.length - 1 - i, records] as const).filter(([, records]) =>
      records !== 0
    ),
  );
}

test("the minute now and the hour before it are told, also where nothing was ever", async () => {
  const { minutes, ...rest } = await look();
  expect(minutes).toHaveLength(61);
  expect(minutes.at(-1)).toEqual({
    at: "2026-06-01T12:30:00.000Z",
    records: 0,
    lagSeconds: { "dataset-writer": null, "discount-offers": null },
  });
  expect(minutes[0]!.at).toBe("2026-06-01T11:30:00.000Z");
  expect(rest).toMatchObject({ days: [], reasons: [], otherReasons: 0, uncounted: 0 });
  expect(rest.latency).toMatchObject({ count: 0, p50Ms: null, p99Ms: null });
});

test("records are counted when they were received, handled or not", async () => {
  await receive(3, { ago: 60 });
  await receive(2, { ago: 5 });
  await receive(1, { ago: 5, partition: 1 });
  await write();
  await receive(4, { ago: 5 });
  await receive(7, { ago: 0, partition: 2 });
  expect(await records()).toEqual({ 60: 3, 5: 7, 0: 7 });
});

test("of more that wait than are read nobody says when they came: from the last that was handled on it is not known", async () => {
  await receive(2, { ago: 9 });
  await receive(1, { ago: 3 });
  await write();
  await receive(2_001, { ago: 2 });
  expect(await records()).toEqual({ 9: 2, 3: null, 2: null, 1: null, 0: null });
});

test("a partition without a leader leaves open what may have come to it, and what was handled is known", async () => {
  await receive(2, { ago: 9 });
  await write();
  const boundsOf = log.boundsOf.bind(log);
  log.boundsOf = (topic, partition) =>
    partition === 3 ? Promise.reject(new NoLeaderError(3, "look")) : boundsOf(topic, partition);
  const found = await records();
  expect([found[10], found[9], found[0]]).toEqual([undefined, null, null]);
});

test("while the log is away no minute is known, and all else is told", async () => {
  await receive(2, { ago: 9 });
  await write();
  log.partitions = () => Promise.reject(new Error("the log is away"));
  const { minutes, days } = await look();
  expect(new Set(minutes.map(({ records }) => records))).toEqual(new Set([null]));
  expect(days.map(({ lines }) => lines)).toEqual([2]);
});

test("records that cannot be read leave open when they came", async () => {
  await receive(2, { ago: 9 });
  await write();
  await receive(2, { ago: 1 });
  log.appendUnreadable(WEBHOOKS_TOPIC, { partition: 3, records: 2, reason: "a codec" });
  await receive(1, { ago: 1, partition: 2 });
  expect(await records()).toMatchObject({ 9: null, 1: null, 0: null });
});

test("offsets that bring no record leave nothing open", async () => {
  await receive(2, { ago: 9 });
  await write();
  log.endTransaction(WEBHOOKS_TOPIC, 3);
  await receive(2, { ago: 1 });
  log.endTransaction(WEBHOOKS_TOPIC, 3);
  expect(await records()).toEqual({ 9: 2, 1: 2 });
});

test("what an earlier version handled without counting is not known", async () => {
  await receive(2, { ago: 9 });
  await write();
  const root = datasetRoot(datasetDir())!;
  const { received: _, ...value } = readManifest(root, 3)!;
  await saveManifest(root, { partition: 3, value });
  const old = await records();
  expect([old[60], old[9], old[8]]).toEqual([null, null, undefined]);
  await receive(5, { ago: 9 });
  await receive(5, { ago: 4 });
  await write();
  const found = await records();
  expect([found[60], found[9], found[8], found[4]]).toEqual([null, null, undefined, 5]);
});

test("lag and latency are what was seen, and the quantiles of all of it", async () => {
  const { minutes, latency } = await look({
    seen: (hour) => {
      hour.sawLag("dataset-writer", 12);
      hour.sawLines(countLatencies([30, 30, 30, 700]).counts);
    },
  });
  expect(minutes.at(-1)!.lagSeconds).toEqual({ "dataset-writer": 12, "discount-offers": null });
  expect(latency.count).toBe(4);
  expect(latency.p50Ms).toBeGreaterThan(25);
  expect(latency.p99Ms).toBeGreaterThan(500);
  expect(latency.buckets.filter(({ count }) => count > 0)).toEqual([{ upToMs: 50, count: 3 }, {
    upToMs: 1_000,
    count: 1,
  }]);
});
