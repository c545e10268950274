import { added } from "../../processor/dataset/fixtures/added.ts";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { erasure, failure, personIn, publish } from "../../processor/dataset/fixtures/records.ts";
import {
  exists,
  hashes,
  readFiles,
  readManifests,
  startWriter,
} from "../../processor/dataset/fixtures/run.ts";
import { runProgram } from "../../tests/support/run_command.ts";
import { until } from "../../tests/support/until.ts";
import { verifyDataset } from "./verify.ts";
import {
  manyRecords,
  newLog,
  openPartition,
  PERSONS,
  rebuildBeside,
  writeDataset,
} from "../../processor/dataset/fixtures/written_dataset.ts";
import { openReader } from "../../processor/dataset/reading/open.ts";

const PARTITION = 3;
const PATH = "event=generation_failed/date=2025-11-30/p00003-0000.jsonl";
const RECORDS = manyRecords().length;

let dataDir: string;
let datasetDir: string;

const open = () => openReader({ datasetDir });
beforeEach(async () => {
  dataDir = await Deno.makeTempDir({ prefix: "dataset-verify-" });
  datasetDir = join(dataDir, "dataset");
});
afterEach(() => Deno.remove(dataDir, { recursive: true }));

const at = (path: string) => join(datasetDir, path);
const read = (path: string) => Deno.readTextFileSync(at(path));
const manifestPath = "_manifest/p00003.json";

/** Changes a file's text and what the manifest says of its bytes, so that the change alone is wrong. */
function change(path: string, to: (text: string) => string): void {
  const text = to(read(path));
  Deno.writeTextFileSync(at(path), text);
  changeManifest((files) => files[path]!.bytes = new TextEncoder().encode(text).length);
}

function changeManifest(change: (files: Record<string, { bytes: number; records: number }>) => void): void {
  const manifest = JSON.parse(read(manifestPath));
  change(manifest.files);
  Deno.writeTextFileSync(at(manifestPath), JSON.stringify(manifest));
}

const findings = async () => (await verifyDataset(open)).findings;
const about = (finding: string, file = PATH) => ({ file, finding, lines: 0, firstLine: null });

describe("a dataset as its writer left it", () => {
  test("has no finding, and what it counts are the lines and bytes on disk", async () => {
    await writeDataset(dataDir);
    const texts = Object.values(readFiles(dataDir));
    expect(await verifyDataset(open)).toEqual({
      files: texts.length,
      records: RECORDS,
      bytes: texts.reduce((sum, text) => sum + new TextEncoder().encode(text).length, 0),
      findings: [],
      notPartOfTheDataset: [],
    });
  });

  test("is verified by the command with exit code 0", async () => {
    await writeDataset(dataDir);
    const { code, stdout, stderr } = await runProgram("tools/dataset/main.ts", {
      args: ["verify"],
      env: { DATA_DIR: dataDir },
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(new RegExp(`^Verified ${RECORDS} records, [\\d,]+ bytes, in 54 files\\.\n$`));
  });

  test("is refused where there is none, so that a mistyped directory is no whole dataset", async () => {
    await expect(verifyDataset(open)).rejects.toThrow(/Cannot find a dataset at/);
    Deno.mkdirSync(datasetDir);
    await expect(verifyDataset(open)).rejects.toThrow(/Cannot find a dataset at/);
  });
});

describe("a finding", () => {
  beforeEach(() => writeDataset(dataDir));

  test("ends the command with exit code 1, as a table that shows nothing of the text", async () => {
    change(PATH, (text) => text.replace("marketing", "marketing \\ud800"));
    const { code, stdout, stderr } = await runProgram("tools/dataset/main.ts", {
      args: ["verify"],
      env: { DATA_DIR: dataDir },
    });
    expect(code).toBe(1);
    expect(stdout).toMatch(/FILE +FIRST LINE +LINES +FINDING\n/);
    expect(stdout).toMatch(/p00003-0000\.jsonl +1 +1 +holds a lone surrogate/);
    expect(stdout).not.toContain("marketing");
    expect(stderr).toMatch(/1 finding\. Rebuild it/);
  });

  test("names a kind of fault once per file, with its lines and the first of them", async () => {
    change(PATH, (text) => {
      const lines = text.split("\n");
      return lines.map((line, n) => n === 1 || n === 4 ? line.replace("{", "{ ") : line).join("\n");
    });
    expect(await findings()).toEqual([{
      file: PATH,
      finding: "is written in another way than the pipeline writes it",
      lines: 2,
      firstLine: 2,
    }]);
  });

  test("is a line that is under another date or event than its own", async () => {
    change(PATH, (text) => text.replace("2025-11-30T", "2025-11-29T"));
    expect((await findings()).map((one) => one.finding)).toEqual(["lies under another date than its own"]);
    change(PATH, (text) => text.replace("2025-11-29T", "2025-11-30T").replace(`"generation_failed"`, `"x"`));
    expect((await findings()).map((one) => one.finding)).toEqual(["lies under another event than its own"]);
  });

  test("is a byte that is no UTF-8, also in the middle of a character at a block's end", async () => {
    const bytes = Deno.readFileSync(at(PATH));
    bytes[bytes.indexOf("m".charCodeAt(0), 100)] = 0xff;
    Deno.writeFileSync(at(PATH), bytes);
    expect((await findings()).map((one) => one.finding)).toEqual(["is not well-formed UTF-8"]);
  });

  test("is a number of lines that the manifest does not have", async () => {
    changeManifest((files) => files[PATH]!.records++);
    expect(await findings()).toEqual([about("has 8 lines, and its manifest says 9")]);
  });

  test("is a file that is shorter than its manifest says", async () => {
    const { size } = Deno.statSync(at(PATH));
    Deno.truncateSync(at(PATH), size - 3);
    expect(await findings()).toEqual([
      about("ends within a line"),
      about(`has ${size - 3} bytes, and its manifest says ${size}`),
      about("has 7 lines, and its manifest says 8"),
    ]);
  });

  test("is a manifest that ends within a line", async () => {
    changeManifest((files) => files[PATH]!.bytes -= 1);
    expect(await findings()).toEqual([
      about("ends within a line"),
      about("has 7 lines, and its manifest says 8"),
    ]);
  });

  test("is a file that is gone", async () => {
    Deno.removeSync(at(PATH));
    expect(await findings()).toEqual([about("is missing")]);
  });

  test("is a file that no manifest names, whatever it is called", async () => {
    const strangers = [
      "event=generation_failed/date=2025-11-30/p00003-0001.jsonl",
      "event=generation_failed/date=2025-11-30/copy.jsonl",
      "notes.txt",
    ];
    for (const path of strangers) Deno.writeTextFileSync(at(path), "");
    expect(await findings()).toEqual(
      [...strangers].sort().map((path) => about("is named by no manifest", path)),
    );
  });

  test("is a manifest that names another partition's file", async () => {
    const path = PATH.replace("p00003", "p00002");
    changeManifest((files) => files[path] = { ...files[PATH]! });
    expect(await findings()).toContainEqual(about("is named by the manifest of partition 3", path));
  });

  test("is a manifest that cannot be read, and nothing is said of its files", async () => {
    Deno.writeTextFileSync(at(manifestPath), "{");
    expect(await findings()).toEqual([
      about(expect.stringContaining("is damaged") as unknown as string, manifestPath),
    ]);
  });

  test("is found in files of closed offset ranges too", async () => {
    const manifest = JSON.parse(read(manifestPath));
    Deno.writeTextFileSync(at("_manifest/p00003.sealed.json"), JSON.stringify({ files: manifest.files }));
    Deno.writeTextFileSync(at(manifestPath), JSON.stringify({ ...manifest, files: {} }));
    expect(await verifyDataset(open)).toMatchObject({ records: RECORDS, findings: [] });
    const text = read(PATH);
    Deno.writeTextFileSync(at(PATH), text.replace("2025-11-30T", "2025-11-29T"));
    expect((await findings()).map((one) => one.finding)).toEqual(["lies under another date than its own"]);
  });

  test("is a line that does not end, without filling the memory", async () => {
    const block = new Uint8Array(1024 * 1024).fill("x".charCodeAt(0));
    const file = Deno.openSync(at(PATH), { write: true, truncate: true });
    for (let n = 0; n < 40; n++) file.writeSync(block);
    file.close();
    changeManifest((files) => files[PATH]!.bytes = 40 * block.length);
    expect(await findings()).toEqual([
      about("ends within a line"),
      about("has 0 lines, and its manifest says 8"),
    ]);
  });
});

describe("bytes beyond the manifest", () => {
  test("are no finding, and are told: a writer is at work, or was killed", async () => {
    await writeDataset(dataDir);
    Deno.writeTextFileSync(at(PATH), '{"torn', { append: true });
    const { findings, notPartOfTheDataset, records } = await verifyDataset(open);
    expect({ findings, notPartOfTheDataset, records }).toEqual({
      findings: [],
      notPartOfTheDataset: [{ file: PATH, bytes: 6 }],
      records: RECORDS,
    });
  });

  test("may be a whole file that was only intended", async () => {
    await writeDataset(dataDir);
    const store = await openPartition(dataDir, PARTITION);
    const intended = PATH.replace("-30", "-24");
    await store.intend([intended]);
    expect(await findings()).toEqual([]);
    store.append(new Map([[intended, added(["torn"])]]));
    store.close();
    expect((await verifyDataset(open)).notPartOfTheDataset).toEqual([{ file: intended, bytes: 4 }]);
  });
});

describe("beside a writer at work", () => {
  test("there is no finding while lines arrive and persons are erased", async () => {
    const log = await newLog();
    const writer = startWriter({ log, dataDir, chunkRecordsMax: 20 });
    const gone = personIn(PARTITION, 7);
    let verified = 0;
    let done = false;
    // A process of its own, so that it meets the writer between any two effects.
    const verifying = (async () => {
      await until("there is a dataset", () => exists(datasetDir));
      while (!done) {
        const { code, stdout, stderr } = await runProgram("tools/dataset/main.ts", {
          args: ["verify", "--json"],
          env: { DATA_DIR: dataDir },
        });
        expect({ code, stderr, findings: JSON.parse(stdout).findings }).toEqual({
          code: 0,
          stderr: "",
          findings: [],
        });
        verified++;
      }
    })();
    let n = 0;
    for (let round = 0; round < 30 || verified < 5; round++) {
      const records = Array.from(
        { length: 200 },
        () => failure(++n, { distinctId: n % 3 ? `user-${n}` : gone }),
      );
      await publish(log, records);
      await publish(log, [
        erasure([hashes.subject(gone)], { at: "2025-11-30T18:00:00.000Z", partition: PARTITION, n: round }),
      ]);
      await writer.caughtUp();
    }
    done = true;
    await verifying;
    await writer.stop();
    await log.close();
    const { records, findings } = await verifyDataset(open);
    expect({ records, findings }).toEqual({ records: n - Math.floor(n / 3), findings: [] });
  });

  test.each(["erase.temp", "erase.manifest", "erase.renamed"])(
    "there is no finding where an erasure was cut short at %s",
    async (point) => {
      await writeDataset(dataDir);
      const store = await openPartition(dataDir, PARTITION);
      const { nextOffset } = store.manifest;
      const subject = hashes.subject(PERSONS[PARTITION]!);
      const cut = store.erase(
        { subjects: [subject], at: 0, offset: nextOffset, nextOffset: nextOffset + 1 },
        {
          subject: hashes.subject,
          heartbeat: () => Promise.resolve(),
          faultPoint: (name) => {
            if (name === point) throw new Error("killed");
          },
        },
      );
      await expect(cut).rejects.toThrow("killed");
      store.close();
      expect(await findings()).toEqual([]);
      expect("erasing" in readManifests(dataDir)["p00003.json"]!).toBe(point !== "erase.temp");
    },
  );

  test("the dataset that a rebuild has put in place is the one that is verified", async () => {
    await writeDataset(dataDir);
    const swap = await rebuildBeside(dataDir, [failure(1)]);
    const verifying = verifyDataset(open);
    swap();
    expect(await verifying).toMatchObject({ records: 1, findings: [] });
  });
});

test("the records of the fixture lie in six partitions", async () => {
  const log = await newLog();
  await publish(log, manyRecords());
  expect((await log.bounds(WEBHOOKS_TOPIC)).every((one) => one.endOffset > 0)).toBe(true);
  await log.close();
});
