import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { exportDataset } from "../../../../tools/dataset/export/export.ts";
import { verifyDataset } from "../../../../tools/dataset/verify.ts";
import { manualClock, settle } from "../../../../tests/support/manual_clock.ts";
import type { MemoryLog } from "../../../../tests/support/memory_log.ts";
import { datasetApi, datasetSources } from "../../api.ts";
import { commitKey } from "../../core/commit.ts";
import { parseDatasetPath } from "../../core/path.ts";
import { DatasetFiles } from "../../files/reader.ts";
import { erasure, failure, personIn, publish } from "../../fixtures/records.ts";
import { hashes, writeAllOf } from "../../fixtures/run.ts";
import { manyRecords, newLog, PERSONS, writeDataset } from "../../fixtures/written_dataset.ts";
import { LineFinder } from "../../reading/find_line.ts";
import { DatasetView } from "../../reading/listing.ts";
import { type DatasetReader, DatasetReplacedError, openWhole, pathsOf } from "../../reading/reader.ts";
import { Builds } from "../builds.ts";
import { openObjectDataset } from "../dataset.ts";
import { MemoryBucket, memoryStore, NO_FAULTS } from "../fixtures/memory_store.ts";
import { CurrentObjects } from "./current.ts";

const EVENTS = ["generation_failed", "generation_failed-again", "gen/ü"];
const NOW = Date.UTC(2025, 11, 2);
const CONFIG = {
  bucket: "memory",
  prefix: "",
  endpoint: null,
  region: null,
  forcePathStyle: false,
  objectBytes: 64 * 1024 * 1024,
  objectAgeMs: 20,
};

let dataDir: string;
let log: MemoryLog;
let bucket: MemoryBucket;
/** Shares of requests that the bucket does not answer. */
let refused: number;
let clock: ReturnType<typeof manualClock>;
let current: CurrentObjects;
beforeEach(async () => {
  dataDir = await Deno.makeTempDir({ prefix: "dataset-objects-" });
  log = await newLog();
  bucket = new MemoryBucket();
  refused = 0;
  clock = manualClock(NOW);
  current = follow();
});
afterEach(async () => {
  await log.close();
  await Deno.remove(dataDir, { recursive: true });
});

function follow(linesBytesMax = 2 * CONFIG.objectBytes): CurrentObjects {
  const store = memoryStore(bucket, { random: () => 0.5, faults: () => ({ ...NO_FAULTS, refused }) });
  return new CurrentObjects(store, { clock, linesBytesMax });
}

/** Has the real writer write what the log holds into the bucket. */
function write(compression: "none" | "gzip" | "zstd" = "none") {
  return writeAllOf({
    log,
    dataDir: join(dataDir, "objects"),
    config: { trainingEvents: EVENTS },
    open: (_, { dedupWindow, clock }) =>
      openObjectDataset({ ...CONFIG, compression }, { store: memoryStore(bucket), dedupWindow, clock }),
  });
}

/** The same records in a directory, and how readers of that see them. */
async function writeFiles(records: ReturnType<typeof manyRecords>): Promise<DatasetFiles> {
  await writeDataset(dataDir, records);
  return new DatasetFiles(join(dataDir, "dataset"));
}

async function reader(): Promise<DatasetReader> {
  await clock.advance(2_000);
  return (await current.now())!;
}

async function text(dataset: DatasetReader, path: string): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const block of (await openWhole(dataset, path))!.blocks()) {
    text += decoder.decode(block, { stream: true });
  }
  return text;
}

async function cat(dataset: DatasetReader): Promise<string> {
  const texts = [];
  for (const path of pathsOf(dataset)) texts.push(await text(dataset, path));
  return texts.join("");
}

const key = (dataset: DatasetReader, path: string) =>
  `${dataset.place.slice(current.place.length + 1)}/${path}`;
const view = () => new DatasetView(current);
const verify = () => verifyDataset(() => reader());
const findings = async () => (await verify()).findings.map(({ file, finding }) => [file, finding]);

describe("a dataset in a bucket", () => {
  test.each(["none", "gzip", "zstd"] as const)(
    "packed by %s has the lines of the same one in a directory, in the same order, and counts them alike",
    async (compression) => {
      await publish(log, manyRecords());
      await write(compression);
      const files = await writeFiles(manyRecords());
      expect(await cat(await reader())).toBe(await cat(files));
      const inFiles = new DatasetView({
        place: "",
        now: () => Promise.resolve(files),
        problem: () => null,
        close() {},
      });
      const rows = async (view: DatasetView) =>
        (await view.list()).partitions.map(({ event, date, records, placeholders }) => ({
          event,
          date,
          records,
          placeholders,
        }));
      expect(await rows(view())).toEqual(await rows(inFiles));
      expect(await view().figures()).toEqual(await inFiles.figures());
      expect(await view().outcomes()).toEqual(await inFiles.outcomes());
      expect(await view().handled()).toEqual(await inFiles.handled());
      expect((await verify()).findings).toEqual([]);
    },
  );

  test("is none before the first start, and whole from its first commit on", async () => {
    expect([await current.now(), current.problem()]).toEqual([null, null]);
    await publish(log, [failure(1)]);
    await write();
    expect(await current.now()).toBeNull();
    expect((await cat(await reader())).split("\n")).toHaveLength(2);
  });

  test("is followed by the commits that came since, and asks no bucket again within two seconds", async () => {
    await publish(log, [failure(1, { distinctId: PERSONS[3]! })]);
    await write();
    const first = await reader();
    await publish(log, [failure(2, { distinctId: PERSONS[3]! }), failure(3, { distinctId: PERSONS[4]! })]);
    await write();
    const asked = bucket.operations;
    expect(await current.now()).toBe(first);
    expect(bucket.operations).toBe(asked);
    const second = await reader();
    expect((await view().totals()).records).toBe(3);
    // What was there is the same object: nobody counts it again.
    expect(second.snapshot(3).sealed).toBe(first.snapshot(3).sealed);
    expect(Object.keys(second.snapshot(3).manifest!.files)).toHaveLength(1);
    await publish(log, [failure(4, { distinctId: PERSONS[3]! })]);
    await write();
    const third = await reader();
    expect((await view().totals()).records).toBe(4);
    expect(pathsOf(third).map((path) => parseDatasetPath(path)!.partition)).toEqual([3, 3, 3, 4]);
  });

  test("is named object by object, by its whole address", async () => {
    await publish(log, [failure(1)]);
    await write();
    const dataset = await reader();
    const [path] = pathsOf(dataset);
    expect(dataset.placeOf(path!)).toBe(`${current.place}/${key(dataset, path!)}`);
    expect(bucket.objects.has(key(dataset, path!))).toBe(true);
  });
});

describe("lines by their number, and the search", () => {
  test.each(["none", "zstd"] as const)("read an object packed by %s as a file", async (compression) => {
    const person = personIn(3);
    await publish(
      log,
      Array.from({ length: 300 }, (_, n) => failure(n, { distinctId: person, prompt: `p ${n}` })),
    );
    await write(compression);
    const api = datasetApi(
      datasetSources(current, { view: view(), clock: { ...clock, monotonic: () => 0 } }),
    );
    const json = async (path: string) => await (await api.request(path)).json();
    const [file] = pathsOf(await reader());
    const page = await json(`/?file=${encodeURIComponent(file!)}&lines=10&around=100`);
    expect(page.lines.map((line: string) => JSON.parse(line).input_prompt)).toContain("p 99");
    expect(page.firstLine).toBeLessThanOrEqual(100);
    const { hits, next } = await json("/search?q=p%20123");
    expect([hits.length, hits[0].line, hits[0].file, next]).toEqual([1, 124, file, null]);
    const bytes = new Uint8Array(
      await (await api.request(`/download?file=${encodeURIComponent(file!)}`)).arrayBuffer(),
    );
    expect(bytes).toEqual(new Uint8Array(bucket.objects.get(key(await reader(), file!))!.bytes));
    const exported = await api.request("/export?format=jsonl");
    expect(await exported.text()).toBe(await cat(await reader()));
  });

  test("refuse an object that is larger than what may be held", async () => {
    await publish(log, [failure(1, { prompt: "x".repeat(5_000) })]);
    await write();
    current = follow(4_096);
    const dataset = await reader();
    await expect(dataset.seekIn(pathsOf(dataset)[0]!)).rejects.toThrow(/more than 4096 bytes.*dataset cat/);
  });

  test("find the line of a record in the object that holds it", async () => {
    const person = personIn(3);
    const timestamp = "2025-11-30T10:00:00.000Z";
    for (const n of [1, 2, 3]) {
      await publish(log, [failure(n, { distinctId: person, timestamp, prompt: `prompt ${n}` })]);
      await write();
    }
    const lines = new LineFinder(await reader(), 1_000_000);
    for (const n of [1, 2, 3]) {
      const record = { timestamp, partition: 3, offset: n - 1 };
      const wanted = { record, event: "generation_failed", distinctId: person, text: () => "" };
      const found = await lines.find(wanted);
      expect(found).toMatchObject({ is: "line", line: 1, prompt: `prompt ${n}` });
      expect(parseDatasetPath(found!.file)!.fileNumber).toBe(n - 1);
    }
  });
});

describe("who reads while the dataset changes", () => {
  const jane = personIn(3, 1);

  async function erase(): Promise<void> {
    await publish(log, [
      erasure([hashes.subject(jane)], { at: "2026-01-01T00:00:00.000Z", partition: 3 }),
    ]);
    await write();
  }

  beforeEach(async () => {
    await publish(log, [failure(1, { distinctId: jane }), failure(2, { distinctId: personIn(3, 2) })]);
    await write();
  });

  test("is told to begin again where an erasure has taken an object", async () => {
    const dataset = await reader();
    await erase();
    await expect(cat(dataset)).rejects.toThrow(/erasure or a compaction.*Run the command again/);
    expect(await cat(await reader())).not.toContain(jane);
  });

  test("keeps no export that an erasure has overtaken", async () => {
    const dataset = await reader();
    const open = dataset.open.bind(dataset);
    let isErased = false;
    dataset.open = async (path) => {
      const opened = (await open(path))!;
      return {
        ...opened,
        async *blocks() {
          const kept = [];
          for await (const block of opened.blocks()) kept.push(block.slice());
          if (!isErased) await erase();
          isErased = true;
          yield* kept;
        },
      };
    };
    const to = join(dataDir, "export");
    const exporting = exportDataset(dataset, {
      format: "hf",
      to,
      now: NOW,
      signal: new AbortController().signal,
    });
    await expect(exporting).rejects.toThrow("somebody was erased while it was written");
    expect(() => Deno.statSync(to)).toThrow(Deno.errors.NotFound);
  });

  test("is told that another build has taken the place of the one it reads", async () => {
    const dataset = await reader();
    const [path] = pathsOf(dataset);
    await new Builds(memoryStore(bucket), clock).create(1, { build: "another", because: "replay" });
    bucket.objects.delete(key(dataset, path!));
    await expect(text(dataset, path!)).rejects.toThrow(DatasetReplacedError);
    expect(dataset.isReplaced()).toBe(true);
    expect(pathsOf(await reader())).toEqual([]);
  });
});

describe("a bucket that is away", () => {
  test("leaves the last known figures, and words; they go when it is back", async () => {
    await publish(log, [failure(1)]);
    await write();
    expect((await view().totals()).records).toBe(1);
    refused = 1;
    await clock.advance(2_000);
    expect((await view().totals()).records).toBe(1);
    expect(current.problem()).toMatch(/^Cannot read the dataset in memory now: .*the bucket is away/);
    await expect(text((await current.now())!, pathsOf((await current.now())!)[0]!)).rejects.toThrow(
      /^Cannot read the dataset in memory now/,
    );
    refused = 0;
    await clock.advance(2_000);
    await current.now();
    expect(current.problem()).toBeNull();
  });

  test("from the start leaves words, and nothing that looks like an empty dataset", async () => {
    refused = 1;
    await expect(view().totals()).rejects.toThrow("the bucket is away");
    await expect(view().page({ limit: 1, before: null, after: null })).rejects.toThrow("the bucket is away");
  });

  test("that does not answer is waited for no longer than half a second", async () => {
    await publish(log, [failure(1)]);
    await write();
    const store = memoryStore(bucket);
    let hangs = false;
    const hanging = { ...store, get: (key: string) => hangs ? new Promise<never>(() => {}) : store.get(key) };
    current = new CurrentObjects(hanging, { clock, linesBytesMax: 1_000 });
    await reader();
    hangs = true;
    await clock.advance(2_000);
    const totals = view().totals();
    await settle();
    await clock.advance(500);
    expect((await totals).records).toBe(1);
    expect(current.problem()).toContain("has not answered within 500 ms");
  });
});

describe("a verification", () => {
  let dataset: DatasetReader;
  let path: string;
  beforeEach(async () => {
    await publish(log, [1, 2, 3].map((n) => failure(n, { distinctId: personIn(3) })));
    await write("gzip");
    dataset = await reader();
    path = pathsOf(dataset)[0]!;
  });

  const change = (change: (bytes: Uint8Array) => Uint8Array) =>
    bucket.write(key(dataset, path), change(bucket.objects.get(key(dataset, path))!.bytes));

  test("finds an object that is missing, shorter, or other bytes", async () => {
    const bytes = bucket.objects.get(key(dataset, path))!.bytes;
    bucket.objects.delete(key(dataset, path));
    expect(await findings()).toEqual([[path, "is missing"]]);
    bucket.write(key(dataset, path), bytes.subarray(0, -1));
    expect((await findings()).map(([file]) => file)).toEqual([path]);
    bucket.write(key(dataset, path), bytes.with(9, bytes[9]! ^ 1));
    // The tenth byte of gzip's head names an operating system: it unpacks all the same.
    expect(await findings()).toEqual([[path, "holds other bytes than were put there"]]);
    change((bytes) => bytes.with(12, bytes[12]! ^ 255));
    expect((await findings()).map(([file]) => file)).toEqual([path]);
  });

  test("finds by its bytes one that ends behind a whole line", async () => {
    await publish(log, [4, 5].map((n) => failure(n, { distinctId: personIn(4) })));
    await write("none");
    dataset = await reader();
    path = pathsOf(dataset).find((one) => one.includes("/p00004-"))!;
    change((bytes) => bytes.subarray(0, bytes.indexOf(10) + 1));
    expect(await findings()).toEqual([[
      path,
      expect.stringMatching(/^has \d+ bytes, and its commit says \d+$/),
    ]]);
  });

  test("finds a commit that is missing, and a checkpoint that is not what its commits come to", async () => {
    const build = dataset.place.slice(current.place.length + 1);
    const at = { build, partition: 3 };
    const first = bucket.objects.get(commitKey(at, 1))!.bytes;
    bucket.objects.delete(commitKey(at, 1));
    expect(await findings()).toEqual([[
      commitKey(at, 1).slice(build.length + 1),
      expect.stringMatching(/^is missing, and there is a commit \d+/),
    ]]);
    bucket.write(commitKey(at, 1), first);
    expect(await findings()).toEqual([]);
    const state = JSON.parse(new TextDecoder().decode(first));
    const checkpoint = {
      number: 1,
      firstOffset: state.firstOffset,
      nextOffset: state.nextOffset + 1,
      objects: [],
      letters: [],
      lettersPublished: 0,
      erased: [],
      leaving: [],
      seal: null,
      counts: [],
    };
    const name = commitKey(at, 1).replace(".json", ".checkpoint.json");
    bucket.write(name, new TextEncoder().encode(JSON.stringify(checkpoint)));
    expect(await findings()).toEqual([[
      name.slice(build.length + 1),
      "is not what the commits up to it come to",
    ]]);
  });

  test("lists what no commit names as no part of the dataset, and finds nothing in it", async () => {
    const left = path.replace(/-[0-9a-f]{16}\./, "-0123456789abcdef.");
    bucket.write(key(dataset, left), new Uint8Array(7));
    const { findings, notPartOfTheDataset, records } = await verify();
    expect({ findings, notPartOfTheDataset, records }).toEqual({
      findings: [],
      notPartOfTheDataset: [{ file: left, bytes: 7 }],
      records: 3,
    });
  });
});
