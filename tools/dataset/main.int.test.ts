import { added } from "../../processor/dataset/fixtures/added.ts";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readerSnippet } from "../../contract/dataset_readers.ts";
import { failure } from "../../processor/dataset/fixtures/records.ts";
import { readFiles } from "../../processor/dataset/fixtures/run.ts";
import { runProgram, spawnProgram } from "../../tests/support/run_command.ts";
import {
  manyRecords,
  openPartition,
  writeDataset,
} from "../../processor/dataset/fixtures/written_dataset.ts";

let dataDir: string;

beforeEach(async () => {
  dataDir = await Deno.makeTempDir({ prefix: "dataset-" });
});
afterEach(() => Deno.remove(dataDir, { recursive: true }));

const dataset = (...args: string[]) =>
  runProgram("tools/dataset/main.ts", { args, env: { DATA_DIR: dataDir } });

describe("wrong usage", () => {
  test.each([
    [[], "expected stats, files, schema, verify, cat, export, compact, or drop"],
    [["count"], "expected stats, files, schema, verify, cat, export, compact, or drop"],
    [["stats", "x"], "expected stats, files, schema, verify, cat, export, compact, or drop"],
    [["cat", "--to", "x"], "--to: it belongs to export"],
    [["stats", "--for", "duckdb"], "--for: it belongs to schema"],
    [["schema"], "expected duckdb, pandas, pyarrow, polars, datasets, spark"],
    [["schema", "--for", "excel"], `--for "excel"`],
    [["export", "--to", "x", "--format", "hf", "--system", "x"], "they are chat-jsonl's"],
    [["export", "--to", "x", "--format", "parquet", "--drop-control-tokens"], "they are chat-jsonl's"],
    [["export", "--to", "x"], "expected parquet, chat-jsonl, hf"],
    [["export", "--to", "x", "--format", "csv"], `--format "csv"`],
    [["export", "--format", "hf"], "without --to DIR"],
    [["stats", "--from", "x"], "--from"],
  ])("of dataset %j ends with exit code 2 and one sentence", async (args, message) => {
    const { code, stdout, stderr } = await dataset(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(message);
  });

  test("is what --help explains", async () => {
    const { code, stdout } = await dataset("--help");
    expect(code).toBe(0);
    expect(stdout).toContain("Usage: deno task dataset stats");
  });
});

describe("dataset stats", () => {
  test("counts per dataset partition, in the shape of the contract and no other", async () => {
    await writeDataset(dataDir, [
      failure(1, { prompt: "write to jane.doe@example.com" }),
      failure(2, {
        prompt: "write to joe@example.com or ann@example.com",
        timestamp: "2025-12-01T00:00:00Z",
      }),
      failure(3),
    ]);
    const files = Object.entries(readFiles(dataDir));
    const bytesOf = (date: string) =>
      files.filter(([path]) => path.includes(date)).reduce((sum, [, text]) => sum + text.length, 0);
    const { code, stdout } = await dataset("stats", "--json");
    expect(code).toBe(0);
    expect(stdout.endsWith("}\n")).toBe(true);
    expect(JSON.parse(stdout)).toEqual({
      records: 3,
      bytes: bytesOf("2025-11-30") + bytesOf("2025-12-01"),
      files: files.length,
      sanitiserVersion: expect.any(String),
      partitions: [
        {
          event: "generation_failed",
          date: "2025-11-30",
          records: 2,
          bytes: bytesOf("2025-11-30"),
          files: files.length - 1,
          placeholders: { EMAIL_ADDRESS: 1 },
        },
        {
          event: "generation_failed",
          date: "2025-12-01",
          records: 1,
          bytes: bytesOf("2025-12-01"),
          files: 1,
          placeholders: { EMAIL_ADDRESS: 2 },
        },
      ],
    });
  });

  test("shows a table, the days from first to last, and who sanitised", async () => {
    await writeDataset(dataDir);
    const { stdout } = await dataset("stats");
    expect(stdout).toMatch(/^EVENT +DATE +RECORDS +BYTES +FILES +PLACEHOLDERS\n/);
    expect(stdout).toMatch(/\ngeneration_failed +2025-11-30 +48 +[\d,]+ +6 +EMAIL_ADDRESS 6\n/);
    expect(stdout).toMatch(/\nrecords +432\n/);
    expect(stdout).toMatch(/\ndays +2025-11-29 to 2025-12-01\n/);
    expect(stdout).toMatch(/\nplaceholders +EMAIL_ADDRESS 54\n/);
    expect(stdout).toMatch(/\nsanitisers +\S+ \(this software: \S+\)\n$/);
  });

  test("says that there is nothing yet where nobody has written", async () => {
    expect(await dataset("stats")).toMatchObject({ code: 0, stdout: expect.stringMatching(/^No lines in /) });
    const { stdout } = await dataset("stats", "--json");
    expect(JSON.parse(stdout)).toMatchObject({ records: 0, bytes: 0, files: 0, partitions: [] });
  });
});

describe("dataset files", () => {
  test("lists every file with its bytes by the manifest, which end where a writer's half line begins", async () => {
    await writeDataset(dataDir);
    const [torn] = Object.keys(readFiles(dataDir));
    const whole = readFiles(dataDir);
    Deno.writeTextFileSync(join(dataDir, "dataset", torn!), "torn", { append: true });
    const { code, stdout, stderr } = await dataset("files", "--json");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const listed = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
    const root = Deno.realPathSync(join(dataDir, "dataset"));
    expect(listed.map(({ path }) => path).sort()).toEqual(
      Object.keys(whole).map((path) => join(root, path)).sort(),
    );
    for (const { path, bytes, records } of listed) {
      const text = new TextDecoder().decode(Deno.readFileSync(path).subarray(0, bytes));
      expect(text).toBe(whole[path.slice(root.length + 1)]);
      expect(text.split("\n")).toHaveLength(records + 1);
    }
    expect((await dataset("files")).stdout).toMatch(/^ *BYTES +RECORDS +FILE\n/);
  });

  test("fails where a file has less than its manifest says", async () => {
    await writeDataset(dataDir, [failure(1)]);
    const path = join(dataDir, "dataset", Object.keys(readFiles(dataDir))[0]!);
    Deno.truncateSync(path, 3);
    expect(await dataset("files", "--json")).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringContaining("its manifest says"),
    });
  });
});

describe("dataset schema", () => {
  test("prints the snippet with this dataset's place, also before anything is written", async () => {
    const place = join(dataDir, "dataset");
    const { code, stdout } = await dataset("schema", "--for", "polars");
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${readerSnippet("polars", place)}\n` });
    expect(stdout).toContain(`"${place}/event=*/date=*/*.jsonl"`);
    const json = JSON.parse((await dataset("schema", "--for", "spark", "--json")).stdout);
    expect(json).toEqual({ for: "spark", snippet: readerSnippet("spark", place) });
  });
});

describe("dataset cat", () => {
  test("prints every line as it is, by event, day and file", async () => {
    await writeDataset(dataDir);
    const { code, stdout, stderr } = await dataset("cat");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    // As paths they would come in another order: "-" lies before "/" and "%" before both.
    const files = Object.entries(readFiles(dataDir)).map(([path, text]) => ({
      parts: path.split("/"),
      text,
    }));
    const sorted = files.sort((a, b) =>
      a.parts.map((part, n) => part < b.parts[n]! ? -1 : part > b.parts[n]! ? 1 : 0).find((one) =>
        one !== 0
      ) ?? 0
    );
    expect(stdout).toBe(sorted.map(({ text }) => text).join(""));
    expect(stdout.split("\n")).toHaveLength(manyRecords().length + 1);
  });

  test("never prints what lies beyond the manifest", async () => {
    await writeDataset(dataDir, [failure(1, { distinctId: "one" })]);
    const [path, text] = Object.entries(readFiles(dataDir))[0]!;
    Deno.writeTextFileSync(join(dataDir, "dataset", path), `${text}torn`, { append: true });
    expect((await dataset("cat")).stdout).toBe(text);
  });

  test("ends quietly where nobody reads any more", async () => {
    await writeDataset(dataDir);
    const [path] = Object.entries(readFiles(dataDir))[0]!;
    const store = await openPartition(dataDir, Number(/p(\d+)-/.exec(path)![1]));
    const lines = [`${"x".repeat(8 * 1024 * 1024)}\n`];
    const additions = new Map([[path, added(lines)]]);
    store.append(additions);
    await store.sync();
    await store.advance({ ...store.manifest, additions, sanitiserVersion: "1" });
    store.close();
    const child = spawnProgram("tools/dataset/main.ts", { args: ["cat"], env: { DATA_DIR: dataDir } });
    const reader = child.stdout.getReader();
    expect((await reader.read()).done).toBe(false);
    await reader.cancel();
    const said = await new Response(child.stderr).text();
    expect({ code: (await child.status).code, said }).toEqual({ code: 0, said: "" });
  });

  test("fails where a file is missing or too short, instead of leaving out lines", async () => {
    await writeDataset(dataDir);
    const path = join(dataDir, "dataset", Object.keys(readFiles(dataDir))[0]!);
    Deno.truncateSync(path, Deno.statSync(path).size - 1);
    expect(await dataset("cat")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("its manifest says"),
    });
    Deno.removeSync(path);
    expect(await dataset("cat")).toMatchObject({ code: 1, stderr: expect.stringContaining("is missing") });
  });

  test("fails where there is no dataset", async () => {
    expect(await dataset("cat")).toMatchObject({ code: 1, stdout: "" });
  });
});
