import { added } from "../fixtures/added.ts";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { failure } from "../fixtures/records.ts";
import { exists, hashes, readFiles } from "../fixtures/run.ts";
import { DatasetFileError, DatasetReplacedError, lineBlocksOf } from "../reading/reader.ts";
import { blocksOf, DatasetFiles } from "./reader.ts";
import { openPartition, PERSONS, rebuildBeside, writeDataset } from "../fixtures/written_dataset.ts";

const PARTITION = 3;
const PATH = "event=generation_failed/date=2025-11-30/p00003-0000.jsonl";

let dataDir: string;
let datasetDir: string;

beforeEach(async () => {
  dataDir = await Deno.makeTempDir({ prefix: "dataset-files-" });
  datasetDir = join(dataDir, "dataset");
});
afterEach(async () => {
  vi.restoreAllMocks();
  await Deno.remove(dataDir, { recursive: true });
});

async function append(path: string, lines: readonly string[]): Promise<void> {
  const store = await openPartition(dataDir, PARTITION);
  const additions = new Map([[path, added(lines)]]);
  await store.intend([path]);
  store.append(additions);
  await store.sync();
  await store.advance({ ...store.manifest, additions, sanitiserVersion: "1" });
  store.close();
}

async function erase(person: string): Promise<void> {
  const store = await openPartition(dataDir, PARTITION);
  const { nextOffset } = store.manifest;
  const erasure = {
    subjects: [hashes.subject(person)],
    at: 0,
    offset: nextOffset,
    nextOffset: nextOffset + 1,
  };
  await store.erase(erasure, {
    subject: hashes.subject,
    heartbeat: () => Promise.resolve(),
    faultPoint: () => {},
  });
  store.close();
}

async function read(files: DatasetFiles, path: string): Promise<string> {
  const opened = (await files.open(path))!;
  let text = "";
  const decoder = new TextDecoder();
  for await (const block of opened.blocks()) {
    text += decoder.decode(block, { stream: true });
  }
  return text;
}

/** Lets something happen right behind the next opening of a file, as another process may do it. */
function onceOpened(path: string, happens: () => void): void {
  const openSync = Deno.openSync;
  let isDone = false;
  vi.spyOn(Deno, "openSync").mockImplementation((opened, options) => {
    const file = openSync(opened, options);
    if (!isDone && String(opened).endsWith(path)) {
      isDone = true;
      happens();
    }
    return file;
  });
}

describe("a file", () => {
  test("is taken as its manifest has it now, not as it had it before", async () => {
    await writeDataset(dataDir, [failure(1, { distinctId: PERSONS[PARTITION]! })]);
    const files = new DatasetFiles(datasetDir);
    const before = await read(files, PATH);
    await append(PATH, ["another line\n"]);
    expect(await read(files, PATH)).toBe(`${before}another line\n`);
  });

  test("that an erasure replaces between the two looks is opened again", async () => {
    const [person, other] = ["erased-person", "user-b"];
    await writeDataset(dataDir, [failure(1, { distinctId: PERSONS[PARTITION]! })]);
    const lineOf = (distinctId: string) =>
      Object.values(readFiles(dataDir))[0]!.replace(PERSONS[PARTITION]!, distinctId);
    const [theirs, others] = [lineOf(person), lineOf(other)];
    await append(PATH, [theirs, theirs, others]);
    const before = ["_manifest/p00003.json", PATH].map((path) => Deno.readFileSync(join(datasetDir, path)));
    await erase(person);
    // By now more bytes than before: their number alone would not tell the two files from each other.
    await append(PATH, [others, others, others, others]);
    const now = readFiles(dataDir)[PATH]!;
    const paths = ["_manifest/p00003.json", PATH].map((path) => join(datasetDir, path));
    paths.forEach((path, n) => {
      Deno.renameSync(path, `${path}.later`);
      Deno.writeFileSync(path, before[n]!);
    });
    const files = new DatasetFiles(datasetDir);
    onceOpened(PATH, () => paths.toReversed().forEach((path) => Deno.renameSync(`${path}.later`, path)));
    expect(await read(files, PATH)).toBe(now);
    expect(now).not.toContain(person);
  });

  test("that a writer makes between the two looks is read", async () => {
    await writeDataset(dataDir, [failure(1, { distinctId: PERSONS[PARTITION]! })]);
    const path = PATH.replace("-30", "-24");
    await append(path, ["line\n"]);
    const files = new DatasetFiles(datasetDir);
    Deno.renameSync(join(datasetDir, path), join(datasetDir, "made"));
    const openSync = Deno.openSync;
    vi.spyOn(Deno, "openSync").mockImplementation((opened, options) => {
      const isThere = exists(join(datasetDir, path));
      try {
        return openSync(opened, options);
      } finally {
        if (!isThere && String(opened).endsWith(path)) {
          Deno.renameSync(join(datasetDir, "made"), String(opened));
        }
      }
    });
    expect(await read(files, path)).toBe("line\n");
  });

  test("that is gone is told apart from a dataset that is gone", async () => {
    await writeDataset(dataDir, [failure(1, { distinctId: PERSONS[PARTITION]! })]);
    const swap = await rebuildBeside(dataDir, [failure(2)]);
    const files = new DatasetFiles(datasetDir);
    Deno.removeSync(join(datasetDir, PATH));
    await expect(files.open(PATH)).rejects.toThrow(DatasetFileError);
    swap();
    await expect(files.open(PATH)).rejects.toThrow(DatasetReplacedError);
    expect(() => files.partitions()).toThrow(DatasetReplacedError);
    expect(() => files.identity()).toThrow(DatasetReplacedError);
  });
});

describe("lines", () => {
  test("come whole, however they lie across the blocks that are read", async () => {
    const path = join(dataDir, "lines");
    const lines = [0, 1, 2 ** 20 - 2, 2 ** 20 - 1, 2 ** 20, 2 ** 20 + 1, 3 * 2 ** 20, 5].map((length, n) =>
      `${n}`.repeat(length)
    );
    Deno.writeTextFileSync(path, lines.map((line) => `${line}\n`).join("") + "beyond");
    const bytes = lines.reduce((sum, line) => sum + line.length + 1, 0);
    const found: string[] = [];
    for await (const block of lineBlocksOf(blocksOf(Deno.openSync(path), bytes))) {
      expect(block.rest).toBe(0);
      found.push(...block.lines.map((line) => new TextDecoder().decode(line)));
    }
    expect(found).toEqual(lines);
  });

  test("are told of bytes that no line feed ends", async () => {
    const path = join(dataDir, "lines");
    Deno.writeTextFileSync(path, "one\ntwo");
    const blocks = [];
    for await (const { lines, rest } of lineBlocksOf(blocksOf(Deno.openSync(path), 7))) {
      blocks.push([lines.length, rest]);
    }
    expect(blocks).toEqual([[1, 0], [0, 3]]);
  });
});
