import { added } from "../fixtures/added.ts";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../../../runtime/clock.ts";
import { type FaultPoint, noFaultPoint } from "../../../runtime/fault_point.ts";
import type { FileAddition, PartitionStore } from "../store.ts";
import { datasetPath, OFFSETS_PER_FILE } from "../core/path.ts";
import { DatasetView } from "../reading/listing.ts";
import { openJsonlDataset } from "./dataset.ts";
import { CurrentFiles } from "./reader.ts";
import { readEntries } from "./snapshot.ts";

/**
 * Strangers choose event times, and each day is a file. 12,000 events with as many old dates made a manifest of 1.7 MB,
 * which was written anew for every chunk, twice.
 */

const ENTRIES_MAX = 10;

let datasetDir: string;
let home: string;
const opened: { close(): void }[] = [];

beforeEach(async () => {
  home = await Deno.makeTempDir();
  datasetDir = join(home, "dataset");
});
afterEach(async () => {
  vi.restoreAllMocks();
  for (const one of opened.splice(0)) one.close();
  await Deno.remove(home, { recursive: true });
});

async function openPartition(manifestEntriesMax = ENTRIES_MAX): Promise<PartitionStore> {
  const dataset = openJsonlDataset(datasetDir, { dedupWindow: 100, clock: systemClock, manifestEntriesMax });
  const store = await dataset.open(3, 0);
  opened.push(store, dataset);
  await store.recover();
  return store;
}

/** The file of a day that lies so many before the first of 2026. */
function pathOf(day: number, offset: number): string {
  const timestamp = new Date(Date.UTC(2026, 0, 1) - day * 86_400_000).toISOString();
  return datasetPath("generation_failed", { timestamp, partition: 3, offset });
}

/** A line that says in which chunk it was written. */
const line = (nextOffset: number, day: number) =>
  `{"input_prompt":"${nextOffset}","distinct_id":"user-${day % 2}"}\n`;

type Chunk = { readonly nextOffset: number; readonly days: readonly number[] };

async function write(
  store: PartitionStore,
  { nextOffset, days }: Chunk,
  faultPoint: FaultPoint = noFaultPoint,
) {
  const additions = new Map<string, FileAddition>(
    days.map((
      day,
    ) => [
      pathOf(day, nextOffset - 1),
      added([line(nextOffset, day)], {
        placeholders: () => ["PERSON"],
        counted: () => ({ reason: `reason ${day}`, promptLength: day }),
      }),
    ]),
  );
  await store.intend([...additions.keys()], faultPoint);
  store.append(additions);
  await store.sync();
  await store.advance({ nextOffset, additions, letters: [], sanitiserVersion: "s1" });
}

/** Chunks of ten files each of `days` days, so that every file is written to several times; from an offset on. */
function chunksOf(
  { days, rounds, from = 0 }: { readonly days: number; readonly rounds: number; readonly from?: number },
): readonly Chunk[] {
  return Array.from({ length: days * rounds / 10 }, (_, n) => ({
    nextOffset: from + (n + 1) * 10,
    days: Array.from({ length: 10 }, (_, i) => (n * 10 + i) * 7 % days),
  }));
}

/** Bytes that are written below `_manifest/` while this runs. */
async function manifestBytes(run: () => Promise<void>): Promise<number> {
  let bytes = 0;
  const { openSync } = Deno;
  const spy = vi.spyOn(Deno, "openSync").mockImplementation((path, options) => {
    const file = openSync(path, options);
    if (!String(path).includes("_manifest") || !options?.write) return file;
    const write = file.writeSync.bind(file);
    file.writeSync = (block) => {
      const written = write(block);
      bytes += written;
      return written;
    };
    return file;
  });
  await run();
  spy.mockRestore();
  return bytes;
}

const mean = (all: readonly number[]) => all.reduce((sum, one) => sum + one, 0) / all.length;

describe("what a chunk writes to manifests", () => {
  it("does not grow with the files that its offset range has already", async () => {
    const store = await openPartition();
    const bytes: number[] = [];
    for (const chunk of chunksOf({ days: 1_000, rounds: 2 })) {
      bytes.push(await manifestBytes(() => write(store, chunk)));
    }
    const entry = JSON.stringify({ [pathOf(0, 0)]: Object.values(store.manifest.files)[0] }).length;
    // The manifest twice, with what was there and the chunk's own, and each entry sealed three times at most.
    const most = (2 * 3 * ENTRIES_MAX + 3 * 10) * entry + 400;
    expect(mean(bytes.slice(0, 20))).toBeLessThan(most);
    expect(mean(bytes.slice(80, 100))).toBeLessThan(most);
    expect(mean(bytes.slice(100))).toBeLessThan(most);
    // Seldom, each time after twice as many, the range's entries are written as a whole.
    expect(bytes.toSorted((a, b) => a - b)[Math.floor(bytes.length * 0.9)]).toBeLessThan(most);
  });

  it("does not grow with the files of closed offset ranges", async () => {
    const store = await openPartition();
    const bytes: number[] = [];
    for (let range = 0; range < 40; range++) {
      for (const chunk of chunksOf({ days: 20, rounds: 1, from: range * OFFSETS_PER_FILE })) {
        bytes.push(await manifestBytes(() => write(store, chunk)));
      }
    }
    // A closed file takes eight times what a manifest has: the third and the seventh of them are as full.
    expect(Math.max(...bytes.slice(60))).toBeLessThanOrEqual(Math.max(...bytes.slice(0, 20)) * 1.1);
    expect(Object.keys(readEntries(Deno.realPathSync(datasetDir)))).toHaveLength(800);
  });

  it("does not grow with the reasons that strangers make up either", async () => {
    const store = await openPartition();
    const bytes: number[] = [];
    for (let n = 0; n < 100; n++) {
      const path = pathOf(n, n);
      const reason = (i: number) => ({ reason: `${i} ${"r".repeat(200)}`, promptLength: 9 });
      const additions = new Map([[path, added(Array.from({ length: 30 }, () => "\n"), { counted: reason })]]);
      bytes.push(
        await manifestBytes(async () => {
          await store.intend([path]);
          store.append(additions);
          await store.sync();
          await store.advance({ nextOffset: n + 1, additions, letters: [], sanitiserVersion: "s1" });
        }),
      );
    }
    const entry = JSON.stringify(Object.values(store.manifest.files)[0]).length;
    expect(entry).toBeLessThan(3_000);
    // Such an entry counts for five, so that the manifest holds a fifth as many of them.
    expect(bytes.toSorted((a, b) => a - b)[90]).toBeLessThan((2 * 2 * ENTRIES_MAX / 5 + 4) * entry);
  });

  it("is what it always was where a range has few files: one manifest, and one sealed file", async () => {
    const store = await openPartition();
    for (let range = 0; range < 5; range++) {
      await write(store, { nextOffset: range * OFFSETS_PER_FILE + 10, days: [1, 2, 3] });
    }
    expect([...Deno.readDirSync(join(datasetDir, "_manifest"))].map(({ name }) => name).sort())
      .toEqual(["dataset.json", "p00003.json", "p00003.sealed.json"]);
    const { files } = JSON.parse(Deno.readTextFileSync(join(datasetDir, "_manifest", "p00003.sealed.json")));
    expect(Object.keys(files)).toHaveLength(12);
  });
});

/** Two closed ranges and an open one, each with more files than a manifest holds. */
const WORK: readonly Chunk[] = [0, 1, 2].flatMap((range) =>
  chunksOf({ days: 50, rounds: 3, from: range * OFFSETS_PER_FILE })
);

/** What the manifests must say of every file after the chunks below `nextOffset`. */
function expectedAt(nextOffset: number): Record<string, { records: number; bytes: number }> {
  const files: Record<string, { records: number; bytes: number }> = {};
  for (const chunk of WORK) {
    if (chunk.nextOffset > nextOffset) break;
    for (const day of chunk.days) {
      const entry = files[pathOf(day, chunk.nextOffset - 1)] ??= { records: 0, bytes: 0 };
      entry.records++;
      entry.bytes += line(chunk.nextOffset, day).length;
    }
  }
  return files;
}

/** Files that hold something, as a reader finds them now. */
function found(): Record<string, { records: number; bytes: number }> {
  const entries = Object.entries(readEntries(Deno.realPathSync(datasetDir)));
  return Object.fromEntries(
    entries.filter(([, { records }]) => records > 0).map((
      [path, { records, bytes }],
    ) => [path, { records, bytes }]),
  );
}

const textOf = (path: string) => Deno.readTextFileSync(join(datasetDir, path));

class Stopped extends Error {}

/** Does the work as a process would that stops dead at every place that `stopsAt` names, once at each. */
async function doWork(stopsAt: (name: string, count: number) => boolean): Promise<number> {
  const seen = new Set<string>();
  let store = await openPartition();
  let at = "";
  let stops = 0;
  const faultPoint: FaultPoint = (name) => {
    const place = `${name} ${at}`;
    if (seen.has(place)) return;
    seen.add(place);
    if (stopsAt(name, seen.size)) throw new Stopped(place);
  };
  for (let n = 0; n < WORK.length;) {
    const chunk = WORK[n]!;
    at = String(chunk.nextOffset);
    try {
      await write(store, chunk, faultPoint);
      n++;
    } catch (error) {
      if (!(error instanceof Stopped)) throw error;
      stops++;
      store.close();
      expect(found(), error.message).toEqual(expectedAt(store.manifest.nextOffset));
      store = await openPartition();
      expect(found(), error.message).toEqual(expectedAt(store.manifest.nextOffset));
    }
  }
  store.close();
  return stops;
}

describe("entries that leave the manifest", () => {
  it("stay listed, each with its newest counts, and the files can be written to again", async () => {
    await doWork(() => false);
    expect(found()).toEqual(expectedAt(Infinity));
    const again = await openPartition();
    await write(again, { nextOffset: 3 * OFFSETS_PER_FILE, days: [3, 40] });
    for (const day of [3, 40]) {
      const path = pathOf(day, 3 * OFFSETS_PER_FILE - 1);
      expect(textOf(path).split("\n")).toHaveLength(5);
      expect(found()[path]).toEqual({ records: 4, bytes: textOf(path).length });
    }
  });

  it("are sealed in files that hold at most twice what there is, and none is left over", async () => {
    await doWork(() => false);
    const directory = join(datasetDir, "_manifest");
    const names = [...Deno.readDirSync(directory)].map(({ name }) => name).filter((name) =>
      name.includes("sealed")
    );
    const { sealed } = JSON.parse(Deno.readTextFileSync(join(directory, "p00003.json")));
    expect(names).toHaveLength(sealed.closed.length + sealed.open.length);
    const sizes = names.map((name) =>
      Object.keys(JSON.parse(Deno.readTextFileSync(join(directory, name))).files).length
    );
    expect(sizes.reduce((sum, one) => sum + one, 0)).toBeLessThan(2 * 150 + 8 * ENTRIES_MAX);
  });

  it.each(["dataset.sealed", "dataset.unsealed"])(
    "a crash at every %s of the work changes nothing, and a reader finds all of it in between",
    async (where) => {
      expect(await doWork((name) => name === where)).toBeGreaterThan(20);
      expect(found()).toEqual(expectedAt(Infinity));
      for (const [path, { bytes }] of Object.entries(found())) expect(textOf(path)).toHaveLength(bytes);
    },
  );

  it("are found by a store that begins with an earlier version's manifest of any size", async () => {
    await doWork(() => false);
    const entries = readEntries(Deno.realPathSync(datasetDir));
    const directory = join(datasetDir, "_manifest");
    const manifest = JSON.parse(Deno.readTextFileSync(join(directory, "p00003.json")));
    for (const { name } of [...Deno.readDirSync(directory)]) {
      if (name.includes("sealed")) Deno.removeSync(join(directory, name));
    }
    const isOpen = (path: string) => path.endsWith("-0002.jsonl");
    const pick = (wanted: boolean) =>
      Object.fromEntries(Object.entries(entries).filter(([path]) => isOpen(path) === wanted));
    delete manifest.sealed;
    Deno.writeTextFileSync(join(directory, "p00003.sealed.json"), JSON.stringify({ files: pick(false) }));
    Deno.writeTextFileSync(
      join(directory, "p00003.json"),
      JSON.stringify({ ...manifest, files: pick(true) }),
    );
    const store = await openPartition();
    expect(found()).toEqual(expectedAt(Infinity));
    await write(store, { nextOffset: 3 * OFFSETS_PER_FILE, days: [3] });
    expect(found()[pathOf(3, 3 * OFFSETS_PER_FILE - 1)]).toMatchObject({ records: 4 });
    expect(Object.keys(found())).toHaveLength(150);
    expect(Object.keys(store.manifest.files)).toHaveLength(1);
  });

  it("are missed loudly where their file is gone", async () => {
    await doWork(() => false);
    const { sealed } = JSON.parse(Deno.readTextFileSync(join(datasetDir, "_manifest", "p00003.json")));
    Deno.removeSync(join(datasetDir, "_manifest", `p00003.sealed-${sealed.open[0]}.json`));
    expect(() => readEntries(Deno.realPathSync(datasetDir))).toThrow("it is missing");
    await expect(openPartition()).rejects.toMatchObject({ code: "dataset_damaged" });
  });
});

describe("an erasure", () => {
  const places = ["none", "erase.temp", "erase.manifest", "erase.renamed"];
  it.each(places)("reaches every sealed entry, with a crash at %s", async (where) => {
    await doWork(() => false);
    const store = await openPartition();
    const { nextOffset } = store.manifest;
    let at = 0;
    const erasure = { at: 0, subjects: ["user-1"], offset: nextOffset, nextOffset: nextOffset + 1 };
    const tools = { subject: (id: string) => id, heartbeat: () => Promise.resolve() };
    const erasing = store.erase(erasure, {
      ...tools,
      faultPoint: (name) => {
        if (name === where && ++at === (name === "erase.manifest" ? 1 : 40)) throw new Stopped(name);
      },
    });
    await (where === "none" ? erasing : expect(erasing).rejects.toThrow(Stopped));
    store.close();
    const again = await openPartition();
    if (again.manifest.nextOffset === nextOffset) {
      await again.erase(erasure, { ...tools, faultPoint: () => {} });
    }
    const left = Object.entries(expectedAt(Infinity)).filter(([path]) => !textOf(path).includes("user-1"));
    const kept = left.filter(([path]) => textOf(path) !== "");
    expect(left).toHaveLength(150);
    expect(kept.length).toBe(75);
    expect(found()).toEqual(Object.fromEntries(kept));
    await write(again, { nextOffset: 3 * OFFSETS_PER_FILE, days: [2, 3] });
    expect(Object.keys(found())).toHaveLength(76);
    again.close();
    await openPartition();
  });
});

describe("DatasetView", () => {
  const freshView = () => new DatasetView(new CurrentFiles(datasetDir));
  const counted = async (view: DatasetView) => {
    const { partitions, ...rest } = await view.page({ limit: 500, before: null, after: null });
    return { ...rest, rows: partitions.length };
  };

  it("pages by date, the newest first, there and back", async () => {
    await doWork(() => false);
    const view = freshView();
    const all = (await view.list()).partitions.map(({ date }) => date).reverse();
    expect(all).toHaveLength(50);
    const first = await view.page({ limit: 20, before: null, after: null });
    const second = await view.page({ limit: 20, before: first.older, after: null });
    const third = await view.page({ limit: 20, before: second.older, after: null });
    const dates = [first, second, third].map(({ partitions }) => partitions.map(({ date }) => date));
    expect(dates.flat()).toEqual(all);
    expect([first.newer, third.older]).toEqual([null, null]);
    const back = await view.page({ limit: 20, before: null, after: third.newer });
    expect(back).toEqual(second);
    expect(await view.page({ limit: 20, before: null, after: back.newer })).toEqual(first);
    expect(first).toMatchObject({ files: 150, records: 450, bytes: (await view.list()).bytes });
    expect((await view.page({ limit: 5, before: "0001-01-01/x", after: null })).partitions).toEqual([]);
  });

  it("names the last 24 files of a dataset partition, and counts all", async () => {
    const store = await openPartition();
    for (let range = 0; range < 30; range++) {
      await write(store, { nextOffset: range * OFFSETS_PER_FILE + 1, days: [0] });
    }
    const [row] = (await freshView().page({ limit: 1, before: null, after: null })).partitions;
    expect(row).toMatchObject({ files: 30, records: 30 });
    expect(row!.paths).toHaveLength(24);
    expect(row!.paths[0]).toBe(pathOf(0, 29 * OFFSETS_PER_FILE));
  });

  it("says after every chunk what a fresh look says", async () => {
    const store = await openPartition();
    const view = freshView();
    for (const chunk of WORK) {
      await write(store, chunk);
      expect(await view.totals()).toEqual(await freshView().totals());
      expect(await counted(view)).toEqual(await counted(freshView()));
      expect(await view.figures()).toEqual(await freshView().figures());
    }
    const { records, bytes, files } = await view.list();
    expect(await view.totals()).toEqual({ records, bytes, files });
    expect(records).toBe(450);
    const { reasons, otherReasons, promptLengths, uncounted } = await view.figures();
    expect(reasons.reduce((sum, { lines }) => sum + lines, otherReasons)).toBe(450);
    expect(promptLengths.reduce((sum, { lines }) => sum + lines, uncounted)).toBe(450);
    expect([reasons.length, uncounted]).toEqual([20, 0]);
  });

  it("reads no sealed file again while nothing is sealed, and parses no manifest that stayed as it was", async () => {
    await doWork(() => false);
    const view = freshView();
    await counted(view);
    const read = vi.spyOn(Deno, "readFileSync");
    const parse = vi.spyOn(JSON, "parse");
    for (let n = 0; n < 10; n++) {
      await counted(view);
      await view.totals();
    }
    expect(read.mock.calls.filter(([path]) => String(path).includes("sealed"))).toEqual([]);
    expect(parse).not.toHaveBeenCalled();
    const store = await openPartition(1_000);
    await write(store, { nextOffset: 3 * OFFSETS_PER_FILE, days: [2] });
    read.mockClear();
    expect(await counted(view)).toMatchObject({ records: 451 });
    expect(read.mock.calls.filter(([path]) => String(path).includes("sealed"))).toEqual([]);
  });
});
