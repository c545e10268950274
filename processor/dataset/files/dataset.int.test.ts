import { added } from "../fixtures/added.ts";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { systemClock } from "../../../runtime/clock.ts";
import type { DatasetStore, FileAddition, PartitionStore } from "../store.ts";
import { DedupWindow } from "../core/dedup_window.ts";
import { FileLines } from "../reading/lines.ts";
import { DatasetView } from "../reading/listing.ts";
import { openJsonlDataset } from "./dataset.ts";
import { CurrentFiles } from "./reader.ts";

const PATH = "event=generation_failed/date=2025-11-30/p00003-0000.jsonl";
const OTHER = "event=generation_failed/date=2025-12-01/p00003-0000.jsonl";
const NEXT = "event=generation_failed/date=2025-12-01/p00003-0001.jsonl";

let home: string;
let datasetDir: string;
const opened: { close(): void }[] = [];

beforeEach(async () => {
  home = await Deno.makeTempDir();
  datasetDir = join(home, "dataset");
});
afterEach(async () => {
  for (const one of opened.splice(0)) one.close();
  await Deno.remove(home, { recursive: true });
});

function openDataset(dedupWindow = 100): DatasetStore {
  const dataset = openJsonlDataset(datasetDir, { dedupWindow, clock: systemClock });
  opened.push(dataset);
  return dataset;
}

async function openPartition(dataset = openDataset()): Promise<PartitionStore> {
  const store = await dataset.open(3, 0);
  opened.push(store);
  await store.recover();
  return store;
}

function line(text: string): string {
  return `{"input_prompt":${JSON.stringify(text)},"distinct_id":"d"}\n`;
}

function additions(files: Record<string, readonly string[]>): ReadonlyMap<string, FileAddition> {
  // One placeholder, whatever the number of lines.
  const some = (lines: readonly string[]) =>
    added(lines, { placeholders: (index) => index === 0 ? ["EMAIL_ADDRESS"] : [] });
  return new Map(Object.entries(files).map(([path, lines]) => [path, some(lines)]));
}

async function write(store: PartitionStore, { nextOffset, files }: {
  readonly nextOffset: number;
  readonly files: Record<string, readonly string[]>;
}): Promise<void> {
  const added = additions(files);
  await store.intend([...added.keys()]);
  store.append(added);
  await store.sync();
  await store.advance({ nextOffset, additions: added, letters: [], sanitiserVersion: "s1" });
}

const read = (path: string) => Deno.readTextFileSync(join(datasetDir, path));

describe("DATASET_DIR", () => {
  it("is made as a link to a directory beside it, with the dataset's name in it", async () => {
    const identity = await openDataset().identity();
    expect(Deno.lstatSync(datasetDir).isSymlink).toBe(true);
    expect(Deno.readLinkSync(datasetDir)).toMatch(/^dataset\.\d{8}T\d{6}Z-[0-9a-f]{8}$/);
    expect(JSON.parse(read("_manifest/dataset.json"))).toEqual(identity);
    expect(identity).toEqual({ id: expect.any(String), createdAt: expect.any(String), dedupWindow: 100 });
    expect(await openDataset().identity()).toEqual(identity);
  });

  it("is one dataset also where two writers start at once", async () => {
    const identities = await Promise.all(
      [openDataset(), openDataset(), openDataset()].map((one) => one.identity()),
    );
    expect(new Set(identities.map((one) => one.id)).size).toBe(1);
    expect([...Deno.readDirSync(home)].filter((entry) => /^dataset\.2/.test(entry.name))).toHaveLength(1);
  });

  it("may be an empty directory, which gives way", async () => {
    Deno.mkdirSync(datasetDir);
    await openDataset().identity();
    expect(Deno.lstatSync(datasetDir).isSymlink).toBe(true);
  });

  it("is refused as a directory with files in it, with what to do", async () => {
    Deno.mkdirSync(datasetDir);
    Deno.writeTextFileSync(join(datasetDir, "mine.txt"), "keep me");
    await expect(openDataset().identity()).rejects.toMatchObject({
      code: "dataset_no_link",
      message: expect.stringContaining("ln -s"),
    });
    expect(read("mine.txt")).toBe("keep me");
  });

  it("is refused as a link that leads nowhere", async () => {
    Deno.symlinkSync("dataset.gone", datasetDir);
    await expect(openDataset().identity()).rejects.toMatchObject({ code: "dataset_no_link" });
  });

  it("is refused with another DEDUP_WINDOW than it was begun with", async () => {
    await write(await openPartition(), { nextOffset: 1, files: { [PATH]: [line("a")] } });
    await expect(openDataset(101).open(3, 0)).rejects.toMatchObject({
      code: "dataset_window",
      message: expect.stringContaining("DEDUP_WINDOW=100"),
    });
  });
});

describe("opening a partition", () => {
  it("cuts off whatever lies beyond the manifest, torn lines and whole ones", async () => {
    const store = await openPartition();
    await write(store, { nextOffset: 2, files: { [PATH]: [line("a"), line("b")] } });
    const whole = read(PATH);
    store.append(additions({ [PATH]: [line("c"), line("d")] }));
    store.close();
    Deno.writeTextFileSync(join(datasetDir, PATH), '{"input_prompt":"to', { append: true });
    const again = await openPartition();
    expect(read(PATH)).toBe(whole);
    await write(again, { nextOffset: 3, files: { [PATH]: [line("e")] } });
    expect(read(PATH)).toBe(whole + line("e"));
  });

  it("cuts off a file that was only intended", async () => {
    const store = await openPartition();
    await store.intend([PATH]);
    store.append(additions({ [PATH]: [line("a")] }));
    store.close();
    await openPartition();
    expect(read(PATH)).toBe("");
  });

  it("finds a file shorter than its manifest and stops, with what to do", async () => {
    const store = await openPartition();
    await write(store, { nextOffset: 2, files: { [PATH]: [line("a"), line("b")] } });
    Deno.truncateSync(join(datasetDir, PATH), 10);
    await expect(openPartition()).rejects.toMatchObject({
      code: "dataset_file_short",
      message: expect.stringContaining("deno task replay"),
    });
    Deno.removeSync(join(datasetDir, PATH));
    await expect(openPartition()).rejects.toMatchObject({ code: "dataset_file_short" });
  });

  it("finds files without a manifest and stops", async () => {
    await write(await openPartition(), { nextOffset: 2, files: { [PATH]: [line("a")] } });
    Deno.removeSync(join(datasetDir, "_manifest", "p00003.json"));
    await expect(openPartition()).rejects.toMatchObject({
      code: "dataset_no_manifest",
      message: expect.stringContaining("p00003.json"),
    });
    expect(read(PATH)).toBe(line("a"));
  });

  it("finds a damaged manifest and stops", async () => {
    await write(await openPartition(), { nextOffset: 2, files: { [PATH]: [line("a")] } });
    const manifest = join(datasetDir, "_manifest", "p00003.json");
    const text = Deno.readTextFileSync(manifest);
    const broken = [
      text.slice(0, 40),
      text.replace(PATH, "../../secret"),
      text.replace('"nextOffset":2', '"nextOffset":-1'),
    ];
    for (const one of broken) {
      Deno.writeTextFileSync(manifest, one);
      await expect(openPartition()).rejects.toMatchObject({ code: "dataset_damaged" });
    }
  });

  it("removes temporary files of a run that was killed", async () => {
    const directory = join(datasetDir, "_manifest");
    await openDataset().identity();
    Deno.mkdirSync(join(directory, "p00003.erasing"));
    Deno.writeTextFileSync(join(directory, "p00003.erasing", "0.tmp"), "x");
    Deno.writeTextFileSync(join(directory, "p00003.json.tmp"), "x");
    Deno.writeTextFileSync(join(directory, "p00004.json.tmp"), "another writer's");
    await openPartition();
    expect([...Deno.readDirSync(directory)].map((entry) => entry.name).sort()).toEqual([
      "dataset.json",
      "p00004.json.tmp",
    ]);
  });
});

describe("an I/O error", () => {
  it("in the middle of a chunk leaves a manifest from which the next opening writes the same bytes", async () => {
    const store = await openPartition();
    await write(store, { nextOffset: 1, files: { [PATH]: [line("a")] } });
    // A directory in the file's place: the second file of the chunk cannot be opened.
    Deno.mkdirSync(join(datasetDir, OTHER), { recursive: true });
    await expect(write(store, { nextOffset: 3, files: { [PATH]: [line("b")], [OTHER]: [line("c")] } }))
      .rejects.toThrow();
    store.close();
    expect(read(PATH)).toBe(line("a") + line("b"));
    Deno.removeSync(join(datasetDir, OTHER));
    const again = await openPartition();
    expect(again.manifest.nextOffset).toBe(1);
    expect(read(PATH)).toBe(line("a"));
    await write(again, { nextOffset: 3, files: { [PATH]: [line("b")], [OTHER]: [line("c")] } });
    expect([read(PATH), read(OTHER)]).toEqual([line("a") + line("b"), line("c")]);
  });
});

/** Open descriptors of this process at each file that is opened meanwhile. */
async function descriptorsDuring(run: () => Promise<void>): Promise<number[]> {
  const counts: number[] = [];
  const { openSync } = Deno;
  const spy = vi.spyOn(Deno, "openSync").mockImplementation((path, options) => {
    counts.push([...Deno.readDirSync("/proc/self/fd")].length);
    return openSync(path, options);
  });
  await run();
  spy.mockRestore();
  return counts;
}

describe("many files", () => {
  const hasProc = Deno.build.os === "linux";
  it.skipIf(!hasProc)(
    "are written with few descriptors open, within one chunk too, each at its own end (counts in /proc)",
    async () => {
      const store = await openPartition();
      const before = [...Deno.readDirSync("/proc/self/fd")].length;
      const path = (n: number) =>
        `event=generation_failed/date=2025-${String(1 + Math.floor(n / 28)).padStart(2, "0")}-${
          String(1 + n % 28).padStart(2, "0")
        }/p00003-0000.jsonl`;
      for (let round = 0; round < 3; round++) {
        const files = Object.fromEntries(
          Array.from({ length: 300 }, (_, n) => [path(n), [line(`${round}:${n}`)]]),
        );
        const counts = await descriptorsDuring(() => write(store, { nextOffset: (round + 1) * 300, files }));
        expect(Math.max(...counts)).toBeLessThan(before + 140);
        expect([...Deno.readDirSync("/proc/self/fd")].length).toBeLessThan(before + 70);
      }
      for (let n = 0; n < 300; n++) {
        expect(read(path(n))).toBe([0, 1, 2].map((round) => line(`${round}:${n}`)).join(""));
      }
    },
  );
});

describe("the dedup window's cache", () => {
  it("is used where it fits and passed over where it does not", async () => {
    const store = await openPartition();
    const window = new DedupWindow(100, 1);
    window.seen("a", { offset: 0, redrives: 0 });
    window.seen("b", { offset: 1, redrives: 2 });
    await store.advance({ nextOffset: 2, additions: new Map(), letters: [], sanitiserVersion: "s1" });
    store.saveWindow(window);
    expect(store.loadWindow(100)).toMatchObject({ nextOffset: 2, count: 2 });
    const copy = new DedupWindow(100, 2);
    copy.restore(store.loadWindow(100)!);
    expect(copy.seen("b", { offset: 2, redrives: 2 })).toBe(true);
    expect(store.loadWindow(99)).toBeNull();
    window.seen("c", { offset: 2, redrives: 0 });
    store.saveWindow(window);
    expect(store.loadWindow(100)).toBeNull();
  });
});

describe("the listing and the last lines", () => {
  const listDataset = () => new DatasetView(new CurrentFiles(datasetDir)).list();
  const lastLines = (file: string, lines: number) =>
    new FileLines(new CurrentFiles(datasetDir)).page({ file, lines, before: null, around: null });

  it("are empty before the first start", async () => {
    expect(await listDataset()).toMatchObject({ records: 0, files: 0, partitions: [] });
    expect(await lastLines(PATH, 5)).toBeNull();
  });

  it("count by event and date, sealed files too, and show nothing beyond the manifest", async () => {
    const store = await openPartition();
    await write(store, { nextOffset: 2, files: { [PATH]: [line("a"), line("b")], [OTHER]: [line("c")] } });
    await write(store, { nextOffset: 250_001, files: { [NEXT]: [line("d")] } });
    store.append(additions({ [NEXT]: [line("not yet")] }));
    const listing = await listDataset();
    const bytes = (...texts: string[]) => texts.join("").length;
    expect(listing).toMatchObject({ records: 4, files: 3, bytes: bytes(...["a", "b", "c", "d"].map(line)) });
    expect(listing.partitions.map(({ date, records, files, paths, placeholders }) => ({
      date,
      records,
      files,
      paths,
      placeholders,
    }))).toEqual([
      { date: "2025-11-30", records: 2, files: 1, paths: [PATH], placeholders: { EMAIL_ADDRESS: 1 } },
      { date: "2025-12-01", records: 2, files: 2, paths: [OTHER, NEXT], placeholders: { EMAIL_ADDRESS: 2 } },
    ]);
    expect(await lastLines(NEXT, 5)).toEqual({
      file: NEXT,
      records: 1,
      bytes: bytes(line("d")),
      lines: [line("d").trimEnd()],
      firstLine: 1,
    });
  });

  it("show the last lines of a long file, whole", async () => {
    const store = await openPartition();
    const lines = Array.from({ length: 300 }, (_, n) => line(`${n} ${"ü".repeat(n * 5)}`));
    await write(store, { nextOffset: 300, files: { [PATH]: lines } });
    for (const count of [1, 7, 250, 1000]) {
      const tail = (await lastLines(PATH, count))!;
      expect(tail.lines).toEqual(lines.slice(-count).map((one) => one.trimEnd()));
      expect(tail.firstLine).toBe(Math.max(1, 301 - count));
    }
  });

  it("cut a line that nobody reads to its end: strangers decide how long a prompt is", async () => {
    await write(await openPartition(), { nextOffset: 1, files: { [PATH]: [line("x".repeat(1_000_000))] } });
    const [shown] = (await lastLines(PATH, 5))!.lines;
    expect([shown!.length, shown!.at(-1)]).toEqual([4_001, "…"]);
  });

  it("open nothing that the manifests don't name", async () => {
    await write(await openPartition(), { nextOffset: 2, files: { [PATH]: [line("a")] } });
    Deno.writeTextFileSync(join(home, "secret.jsonl"), "secret\n");
    Deno.mkdirSync(join(datasetDir, "event=x", "date=2025-11-30"), { recursive: true });
    Deno.writeTextFileSync(join(datasetDir, "event=x", "date=2025-11-30", "p00003-0000.jsonl"), "secret\n");
    for (
      const file of [
        "../secret.jsonl",
        "event=x/date=2025-11-30/p00003-0000.jsonl",
        "event=../date=2025-11-30/p00003-0000.jsonl",
        "_manifest/dataset.json",
        `/${PATH}`,
        `./${PATH}`,
        "constructor",
        "__proto__",
        "",
      ]
    ) expect(await lastLines(file, 5)).toBeNull();
  });
});
