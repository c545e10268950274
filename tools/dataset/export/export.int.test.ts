import { added } from "../../../processor/dataset/fixtures/added.ts";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { failure } from "../../../processor/dataset/fixtures/records.ts";
import { hashes, readFiles, readManifests } from "../../../processor/dataset/fixtures/run.ts";
import { datasetLines, type Line } from "../../../tests/support/pipeline.ts";
import { runProgram, spawnProgram } from "../../../tests/support/run_command.ts";
import { until } from "../../../tests/support/until.ts";
import { exportDataset } from "./export.ts";
import { EXPORT_FORMATS, type ExportFormat } from "../../../processor/dataset/export/copy.ts";
import { directoryOutput } from "../../../processor/dataset/export/file.ts";
import { hfSink, splitOf, SPLITS } from "../../../processor/dataset/export/hf.ts";
import {
  manyRecords,
  openPartition,
  PERSONS,
  rebuildBeside,
  writeDataset,
} from "../../../processor/dataset/fixtures/written_dataset.ts";
import { DatasetFiles } from "../../../processor/dataset/files/reader.ts";

const NOW = Date.UTC(2025, 11, 2);
const RECORDS = manyRecords().length;

let dataDir: string;
let datasetDir: string;
let to: string;

beforeEach(async () => {
  dataDir = await Deno.makeTempDir({ prefix: "dataset-export-" });
  datasetDir = join(dataDir, "dataset");
  to = join(dataDir, "exports", "one");
});
afterEach(() => Deno.remove(dataDir, { recursive: true }));

const exportTo = (format: ExportFormat, signal = new AbortController().signal) =>
  exportDataset(new DatasetFiles(datasetDir), { format, to, now: NOW, signal });
const read = (path: string) => Deno.readTextFileSync(join(to, path));
const names = (directory: string) => [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
const rows = (path: string) => read(path).split("\n").slice(0, -1).map((line) => JSON.parse(line));

/** A user is in one split, so a few of them are all in one: this one has everybody. */
const crowd = () => Array.from({ length: 60 }, (_, n) => failure(n + 1, { distinctId: `user-${n % 30}` }));

describe("every format", () => {
  test.each(EXPORT_FORMATS)(
    "%s: has a report beside it that says what it is and names its files, and holds data alone",
    async (format) => {
      await writeDataset(dataDir);
      const marker = await exportTo(format);
      expect(JSON.parse(Deno.readTextFileSync(`${to}.export.json`))).toEqual(marker);
      expect(marker).toMatchObject({
        dataset: JSON.parse(Deno.readTextFileSync(join(datasetDir, "_manifest", "dataset.json"))).id,
        format,
        sanitiserVersion: expect.stringMatching(/./),
        sanitiserVersions: [marker.sanitiserVersion],
        createdAt: "2025-12-02T00:00:00.000Z",
        files: expect.any(Array),
      });
      expect(marker.files.reduce((sum, file) => sum + file.records, 0)).toBe(RECORDS);
      for (const { path, bytes } of marker.files) expect(Deno.statSync(join(to, path)).size).toBe(bytes);
      expect(names(join(dataDir, "exports"))).toEqual(["one", "one.export.json"]);
      // An erasure finds it by an empty directory: what no reader takes for data.
      expect(names(join(to, "_export"))).toEqual([]);
      const data = new Set(marker.files.map(({ path }) => path.split("/")[0]!));
      expect(new Set(names(to))).toEqual(
        new Set(["_export", ...data, ...(format === "hf" ? ["README.md"] : [])]),
      );
    },
  );

  test.each(EXPORT_FORMATS)(
    "%s: is the same bytes each time, whatever lies beyond the manifest",
    async (format) => {
      await writeDataset(dataDir);
      const first = await exportTo(format);
      const bytes = first.files.map(({ path }) => Deno.readFileSync(join(to, path)));
      const [path] = Object.keys(readFiles(dataDir));
      Deno.writeTextFileSync(join(datasetDir, path!), "torn", { append: true });
      to = join(dataDir, "exports", "two");
      const second = await exportTo(format);
      expect(second).toEqual(first);
      expect(second.files.map(({ path }) => Deno.readFileSync(join(to, path)))).toEqual(bytes);
    },
  );

  test.each(EXPORT_FORMATS)("%s: of a dataset without a line is an export without one", async (format) => {
    await writeDataset(dataDir, []);
    const { files } = await exportTo(format);
    expect(files.reduce((sum, file) => sum + file.records, 0)).toBe(0);
  });

  test.each(EXPORT_FORMATS)("%s: is made by the command", async (format) => {
    await writeDataset(dataDir);
    const { code, stdout, stderr } = await runProgram("tools/dataset/main.ts", {
      args: ["export", "--format", format, "--to", to],
      env: { DATA_DIR: dataDir },
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain(`Exported ${RECORDS} records to "${to}".`);
  });
});

describe("chat-jsonl", () => {
  test("has one conversation of one user message per line, in the dataset's order", async () => {
    await writeDataset(dataDir);
    await exportTo("chat-jsonl");
    const { stdout } = await runProgram("tools/dataset/main.ts", {
      args: ["cat"],
      env: { DATA_DIR: dataDir },
    });
    const prompts = stdout.split("\n").slice(0, -1).map((line) => (JSON.parse(line) as Line).input_prompt);
    expect(rows("chat.jsonl")).toEqual(
      prompts.map((content) => ({ messages: [{ role: "user", content }] })),
    );
    expect(read("chat.jsonl")).not.toMatch(/[\u0085\u2028\u2029]/);
  });
});

describe("chat-jsonl with control tokens of chat templates in its texts", () => {
  const PROMPTS = [
    "hello",
    "a <|im_start|>system b <|im_end|> c <|im_start|>",
    "[INST] be root [/INST] <s>bold</s>",
    "<|eot_id|><start_of_turn>model",
    "<|endoftext|>",
    "<|a_name_of_mine|> and <｜begin▁of▁sentence｜>",
    "no token: <| im_start |>, [inst], <strong>, a <b> c, 5 < 6 |> 7",
  ];
  const written = () => writeDataset(dataDir, PROMPTS.map((prompt, n) => failure(n + 1, { prompt })));
  const CONTROL_TOKENS = {
    "<|im_start|>": 2,
    "<|im_end|>": 1,
    "[INST]": 1,
    "[/INST]": 1,
    "<s>": 1,
    "</s>": 1,
    "<|eot_id|>": 1,
    "<start_of_turn>": 1,
    "<|endoftext|>": 1,
    // Names that anybody may make up are counted together.
    "<|…|>": 2,
  };

  test("names them in the report with their counts, and keeps the lines", async () => {
    await written();
    const report = await exportTo("chat-jsonl");
    expect(report).toMatchObject({ linesWithControlTokens: 5, linesDropped: 0 });
    expect(report.controlTokens).toEqual(CONTROL_TOKENS);
    expect(rows("chat.jsonl")).toHaveLength(PROMPTS.length);
  });

  test("leaves those lines out where it is told so, and counts them; the command says it all", async () => {
    await written();
    const { code, stdout } = await runProgram("tools/dataset/main.ts", {
      args: ["export", "--format", "chat-jsonl", "--to", to, "--drop-control-tokens"],
      env: { DATA_DIR: dataDir },
    });
    expect(code).toBe(0);
    expect(rows("chat.jsonl").map(({ messages }) => messages[0].content).sort()).toEqual(
      [PROMPTS[0], PROMPTS[6]].sort(),
    );
    const report = JSON.parse(Deno.readTextFileSync(`${to}.export.json`));
    expect(report).toMatchObject({
      linesWithControlTokens: 5,
      linesDropped: 5,
      controlTokens: CONTROL_TOKENS,
    });
    expect(report.files[0].records).toBe(2);
    expect(stdout).toContain("5 texts hold control tokens of chat templates; 5 left out:");
    expect(stdout).toMatch(/\n +2 {2}<\|im_start\|>\n/);
  });
});

describe("chat-jsonl with --system", () => {
  test("begins every conversation with it, and both messages count in the estimate of tokens", async () => {
    await writeDataset(
      dataDir,
      ["", "four", "fünf?", "漢字漢字"].map((prompt, n) => failure(n + 1, { prompt })),
    );
    const plain = await exportTo("chat-jsonl");
    // 0, 4, 6 and 12 bytes.
    expect(plain.tokensEstimate).toBe(0 + 1 + 2 + 3);
    to = join(dataDir, "exports", "two");
    const { code } = await runProgram("tools/dataset/main.ts", {
      args: ["export", "--format", "chat-jsonl", "--to", to, "--system", "Be “brief”\u2028."],
      env: { DATA_DIR: dataDir },
    });
    expect(code).toBe(0);
    expect(JSON.parse(Deno.readTextFileSync(`${to}.export.json`)).tokensEstimate).toBe(6 + 4 * 5);
    for (const { messages } of rows("chat.jsonl")) {
      expect(messages).toEqual([
        { role: "system", content: "Be “brief”\u2028." },
        { role: "user", content: expect.any(String) },
      ]);
    }
    expect(read("chat.jsonl")).not.toMatch(/\u2028/);
  });
});

describe("hf", () => {
  test("has every line once, as it is, in the split of its distinct_id", async () => {
    await writeDataset(dataDir, crowd());
    const { files } = await exportTo("hf");
    expect(files.map(({ path }) => path)).toEqual(SPLITS.map((split) => `data/${split}-00000.jsonl`));
    const texts = files.map(({ path }) => read(path));
    const lines = texts.flatMap((text) => text.split("\n").slice(0, -1));
    expect(lines.sort()).toEqual(Object.values(readFiles(dataDir)).join("").trimEnd().split("\n").sort());
    const ids = texts.map((text) =>
      new Set(text.trimEnd().split("\n").map((line) => JSON.parse(line).distinct_id))
    );
    expect(ids.reduce((sum, one) => sum + one.size, 0)).toBe(30);
    expect(new Set(ids.flatMap((one) => [...one])).size).toBe(30);
  });

  test("keeps everybody in their split when more data comes", () => {
    const ids = Array.from({ length: 10_000 }, (_, n) => `user-${n}`);
    const count = (split: string) => ids.filter((id) => splitOf(id) === split).length;
    // Worked out with Python's hashlib.
    expect(["user-0", "user-2", "user-18", "019ad56c-5168-7457-bac6-82981da45fb3"].map(splitOf)).toEqual(
      ["train", "validation", "test", "train"],
    );
    for (const [split, share] of [["train", 8000], ["validation", 1000], ["test", 1000]] as const) {
      expect(Math.abs(count(split) - share)).toBeLessThan(150);
    }
  });

  test("has a card that names files, types and counts, and leaves the licence to whoever publishes", async () => {
    await writeDataset(dataDir, crowd());
    const { files } = await exportTo("hf");
    const card = read("README.md");
    const [, front] = card.split("---\n");
    expect(parse(front!)).toEqual({
      size_categories: ["n<1K"],
      configs: [{
        config_name: "default",
        data_files: SPLITS.map((split) => ({ split, path: `data/${split}-*.jsonl` })),
      }],
      dataset_info: {
        features: [
          { name: "timestamp", dtype: "timestamp[ms, tz=UTC]" },
          ...["event", "failure_reason", "input_prompt", "distinct_id"].map((name) => ({
            name,
            dtype: "string",
          })),
        ],
        splits: SPLITS.map((name, n) => ({
          name,
          num_bytes: files[n]!.bytes,
          num_examples: files[n]!.records,
        })),
      },
    });
    expect(front).toMatch(/^# license: fill in/);
    expect(card).toContain("\n60 prompts");
    expect(card).toContain("| days (UTC) | 2025-11-30 to 2025-11-30 |");
    expect(card).toContain("## Licence\n\nTo be filled in");
  });

  test("names no split that has no line", async () => {
    await writeDataset(dataDir, [failure(1, { distinctId: "user-0" })]);
    const split = splitOf("user-0");
    await exportTo("hf");
    expect(names(join(to, "data"))).toEqual([`${split}-00000.jsonl`]);
    const { configs } = parse(read("README.md").split("---\n")[1]!);
    expect(configs[0].data_files).toEqual([{ split, path: `data/${split}-*.jsonl` }]);
  });

  test("begins another file where one has become large", async () => {
    Deno.mkdirSync(to, { recursive: true });
    const sink = hfSink(directoryOutput(to), { shardBytes: 20 });
    const line = { timestamp: "", event: "", failure_reason: null, input_prompt: "", distinct_id: "user-0" };
    for (let n = 0; n < 3; n++) sink.add(line, new TextEncoder().encode("ten bytes."));
    const facts = { datasetId: "d", createdAt: "", sanitiserVersions: [], events: [], dates: null };
    const split = splitOf("user-0");
    expect(await sink.finish(facts)).toEqual([
      { path: `data/${split}-00000.jsonl`, bytes: 22, records: 2 },
      { path: `data/${split}-00001.jsonl`, bytes: 11, records: 1 },
    ]);
    expect(read(`data/${split}-00001.jsonl`)).toBe("ten bytes.\n");
  });
});

describe("the place of an export", () => {
  beforeEach(() => writeDataset(dataDir, [failure(1)]));

  test("may be an empty directory, also behind a link", async () => {
    const real = join(dataDir, "real");
    Deno.mkdirSync(real);
    Deno.mkdirSync(join(dataDir, "exports"));
    Deno.symlinkSync(real, to);
    await exportTo("chat-jsonl");
    expect(names(real)).toEqual(["_export", "chat.jsonl"]);
  });

  test.each([
    ["has something in it", () => {
      Deno.mkdirSync(to, { recursive: true });
      Deno.writeTextFileSync(join(to, "mine.txt"), "mine");
    }, "something is there already"],
    ["is a file", () => {
      Deno.mkdirSync(join(dataDir, "exports"));
      Deno.writeTextFileSync(to, "mine");
    }, "something is there already"],
    ["has somebody else's file where its report goes", () => {
      Deno.mkdirSync(to, { recursive: true });
      Deno.writeTextFileSync(`${to}.export.json`, "mine");
    }, "something is there already"],
    ["lies in the dataset", () => to = join(datasetDir, "export"), "lies in the dataset itself"],
  ])("is refused where it %s, and stays as it was", async (_, prepare, message) => {
    prepare();
    await expect(exportTo("hf")).rejects.toThrow(message);
    expect(names(join(datasetDir))).toEqual(["_manifest", "event=generation_failed"]);
    if (message.startsWith("something")) expect(names(join(dataDir, "exports"))[0]).toBe("one");
  });

  test("says where its report lies, also of a DIR with a slash at its end", async () => {
    const args = ["export", "--format", "hf", "--to", `${to}/`];
    const { code, stdout } = await runProgram("tools/dataset/main.ts", { args, env: { DATA_DIR: dataDir } });
    expect(code).toBe(0);
    const [, report] = /This stands in "(.*)" too/.exec(stdout)!;
    expect(report).toBe(`${Deno.realPathSync(to)}.export.json`);
    expect(JSON.parse(Deno.readTextFileSync(report!)).format).toBe("hf");
  });

  test("stays another export's that came there meanwhile, and so does its report", async () => {
    const report = JSON.stringify({ dataset: "d", format: "chat-jsonl" });
    const throwIfAborted = () => {
      Deno.mkdirSync(to, { recursive: true });
      Deno.writeTextFileSync(join(to, "chat.jsonl"), "theirs");
      Deno.writeTextFileSync(`${to}.export.json`, report);
    };
    await expect(exportTo("hf", { throwIfAborted } as AbortSignal)).rejects.toThrow(
      "something is there already",
    );
    expect(names(to)).toEqual(["chat.jsonl"]);
    expect(Deno.readTextFileSync(`${to}.export.json`)).toBe(report);
    expect(names(join(dataDir, "exports"))).toEqual(["one", "one.export.json"]);
  });

  test("is taken again where an export has been removed and its report is still there", async () => {
    await exportTo("hf");
    Deno.removeSync(to, { recursive: true });
    await exportTo("chat-jsonl");
    expect(JSON.parse(Deno.readTextFileSync(`${to}.export.json`)).format).toBe("chat-jsonl");
  });

  test("stays empty where the export is stopped", async () => {
    const stopped = AbortSignal.abort(new Error("stopped"));
    await expect(exportTo("parquet", stopped)).rejects.toThrow("stopped");
    expect(names(join(dataDir, "exports"))).toEqual([]);
  });

  test("stays empty where a line is none, and the line is named", async () => {
    const [path, text] = Object.entries(readFiles(dataDir))[0]!;
    Deno.writeTextFileSync(join(datasetDir, path), text.replace("{", "["));
    await expect(exportTo("hf")).rejects.toThrow(`Cannot export line 1 of "${path}"`);
    expect(names(join(dataDir, "exports"))).toEqual([]);
  });

  test("stays empty where a signal ends the command", async () => {
    const [path] = Object.keys(readFiles(dataDir));
    const line = `${Object.values(readFiles(dataDir))[0]!}`;
    const store = await openPartition(dataDir, Number(/p(\d+)-/.exec(path!)![1]));
    const additions = new Map([[path!, added(Array.from({ length: 200_000 }, () => line))]]);
    store.append(additions);
    await store.sync();
    await store.advance({ ...store.manifest, additions, sanitiserVersion: "1" });
    store.close();
    const child = spawnProgram("tools/dataset/main.ts", {
      args: ["export", "--format", "parquet", "--to", to],
      env: { DATA_DIR: dataDir },
    });
    await until("it has begun", () => {
      try {
        return names(join(dataDir, "exports")).length > 0;
      } catch {
        return false;
      }
    });
    const begun = join(dataDir, "exports", names(join(dataDir, "exports"))[0]!);
    await until("it is marked", () => names(begun).includes("_export"));
    child.kill("SIGTERM");
    const { code, stderr } = await child.output();
    expect({ code, stderr: new TextDecoder().decode(stderr) }).toEqual({
      code: 143,
      stderr: "The export was stopped; nothing of it is left.\n",
    });
    expect(names(join(dataDir, "exports"))).toEqual([]);
  });
});

describe("an erasure", () => {
  const PARTITION = 3;
  const eraseFrom = async (faultPoint: (name: string) => void = () => {}) => {
    const store = await openPartition(dataDir, PARTITION);
    const { nextOffset } = store.manifest;
    const subjects = [hashes.subject(PERSONS[PARTITION]!)];
    try {
      await store.erase({ subjects, at: 0, offset: nextOffset, nextOffset: nextOffset + 1 }, {
        subject: hashes.subject,
        heartbeat: () => Promise.resolve(),
        faultPoint,
      });
    } finally {
      store.close();
    }
  };

  test("that was there before is no hindrance", async () => {
    await writeDataset(dataDir);
    await eraseFrom();
    await exportTo("chat-jsonl");
    expect(rows("chat.jsonl")).toHaveLength(datasetLines(dataDir).length);
    expect(rows("chat.jsonl")).toHaveLength(RECORDS * 5 / 6);
  });

  test("that begins meanwhile takes the export back: it may hold who was erased", async () => {
    await writeDataset(dataDir);
    const exporting = exportTo("hf");
    const erasing = eraseFrom();
    await expect(exporting).rejects.toThrow("somebody was erased while it was written");
    await erasing;
    expect(names(join(dataDir, "exports"))).toEqual([]);
  });

  test.each(["erase.temp", "erase.manifest"])(
    "cut short at %s refuses an export until it is done",
    async (point) => {
      await writeDataset(dataDir);
      const cut = eraseFrom((name) => {
        if (name === point) throw new Error("killed");
      });
      await expect(cut).rejects.toThrow("killed");
      await expect(exportTo("hf")).rejects.toThrow("somebody is being erased");
      const store = await openPartition(dataDir, PARTITION);
      await store.recover();
      store.close();
      if (point === "erase.temp") await eraseFrom();
      expect(readManifests(dataDir)["p00003.json"]).not.toHaveProperty("erasing");
      const { files } = await exportTo("hf");
      expect(files.reduce((sum, file) => sum + file.records, 0)).toBe(RECORDS * 5 / 6);
    },
  );

  test.each(EXPORT_FORMATS)("that has removed what was being written as %s is told", async (format) => {
    await writeDataset(dataDir);
    const exporting = exportTo(format);
    for (const name of names(join(dataDir, "exports"))) {
      Deno.removeSync(join(dataDir, "exports", name), { recursive: true });
    }
    await expect(exporting).rejects.toThrow("removed while it was written, as an erasure does");
    expect(names(join(dataDir, "exports"))).toEqual([]);
  });
});

test("a rebuild that takes the dataset's place meanwhile takes the export back", async () => {
  await writeDataset(dataDir);
  const swap = await rebuildBeside(dataDir, [failure(1)]);
  const exporting = exportTo("parquet");
  swap();
  await expect(exporting).rejects.toThrow("another dataset has been put in the place");
  expect(names(join(dataDir, "exports"))).toEqual([]);
});
