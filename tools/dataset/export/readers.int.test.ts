import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, type TestContext } from "vitest";
import { readFiles } from "../../../processor/dataset/fixtures/run.ts";
import { duckdb } from "../../../tests/support/duckdb.ts";
import { exportDataset } from "./export.ts";
import type { ExportFormat } from "../../../processor/dataset/export/copy.ts";
import { directoryOutput } from "../../../processor/dataset/export/file.ts";
import { parquetSink } from "../../../processor/dataset/export/parquet.ts";
import type { StoredLine } from "../../../processor/dataset/mod.ts";
import { manyRecords, TEXTS, writeDataset } from "../../../processor/dataset/fixtures/written_dataset.ts";
import { DatasetFiles } from "../../../processor/dataset/files/reader.ts";

/** The dataset and its exports, read by programs that nobody here wrote. */

let dataDir: string;
let lines: StoredLine[];

beforeAll(async () => {
  dataDir = await Deno.makeTempDir({ prefix: "dataset-readers-" });
  await writeDataset(dataDir);
  lines = Object.values(readFiles(dataDir)).flatMap((text) =>
    text.split("\n").slice(0, -1).map((line) => JSON.parse(line))
  );
  for (const format of ["parquet", "chat-jsonl", "hf"] as const) {
    await exportDataset(new DatasetFiles(join(dataDir, "dataset")), {
      format,
      to: exported(format),
      now: 0,
      signal: new AbortController().signal,
    });
  }
});
afterAll(() => Deno.remove(dataDir, { recursive: true }));

const exported = (format: ExportFormat) => join(dataDir, "exports", format);
const sorted = (rows: readonly unknown[]) => rows.map((row) => JSON.stringify(row)).sort();

test("the lines hold every text of the fixture, but for what was sanitised", () => {
  const prompts = new Set(lines.map((line) => line.input_prompt));
  expect(lines).toHaveLength(manyRecords().length);
  expect(prompts.size).toBe(TEXTS.length);
  expect(TEXTS.filter((text) => !prompts.has(text))).toEqual(["write to jane.doe@example.com"]);
});

const duckdbAbsence = duckdb("select 1").then(() => null, (error) => String(error.message).split("\n")[0]!);

async function needsDuckdb({ skip }: TestContext): Promise<void> {
  const absence = await duckdbAbsence;
  if (absence !== null) skip(`DuckDB cannot be had here: ${absence}`);
}

describe("DuckDB", () => {
  const COLUMNS = "event, failure_reason, input_prompt, distinct_id";

  test("reads the dataset with its Hive partitions", async (context) => {
    await needsDuckdb(context);
    const files = `'${dataDir}/dataset/event=*/date=*/*.jsonl'`;
    const rows = await duckdb(
      `select strftime("timestamp", '%Y-%m-%dT%H:%M:%S.%gZ') as "timestamp", ${COLUMNS}, "date"::text as day
       from read_json(${files}, format = 'newline_delimited', hive_partitioning = true, columns = {
         timestamp: 'TIMESTAMP', event: 'VARCHAR', failure_reason: 'VARCHAR', input_prompt: 'VARCHAR',
         distinct_id: 'VARCHAR'})`,
    );
    const days = lines.map((line) => ({ ...line, day: line.timestamp.slice(0, 10) }));
    expect(sorted(rows)).toEqual(sorted(days));
  });

  test("reads one day of one event without opening the others' files", async (context) => {
    await needsDuckdb(context);
    const query = `select count(*)::int as records
       from read_json('${dataDir}/dataset/event=*/date=*/*.jsonl', hive_partitioning = true)
       where event = 'generation_failed' and date = '2025-11-30'`;
    expect(await duckdb(query)).toEqual([{ records: 48 }]);
    expect(JSON.stringify(await duckdb(`explain analyze ${query}`))).toMatch(/Files: 6\/54\b/);
  });

  test("reads the Parquet export, with types, every text as it was", async (context) => {
    await needsDuckdb(context);
    const file = `'${exported("parquet")}/dataset.parquet'`;
    expect(await duckdb(`select column_name, column_type from (describe select * from ${file})`)).toEqual([
      { column_name: "timestamp", column_type: "TIMESTAMP WITH TIME ZONE" },
      { column_name: "date", column_type: "DATE" },
      ...["event", "failure_reason", "input_prompt", "distinct_id"].map((column_name) => ({
        column_name,
        column_type: "VARCHAR",
      })),
    ]);
    const rows = await duckdb(
      `select strftime("timestamp" at time zone 'UTC', '%Y-%m-%dT%H:%M:%S.%gZ') as "timestamp", ${COLUMNS},
         "date"::text as day from ${file}`,
    );
    const days = lines.map((line) => ({ ...line, day: line.timestamp.slice(0, 10) }));
    expect(sorted(rows)).toEqual(sorted(days));
  });

  test("finds only the failure reason nullable in the Parquet export", async (context) => {
    await needsDuckdb(context);
    const rows = await duckdb(
      `select name, repetition_type from parquet_schema('${exported("parquet")}/dataset.parquet')
       where name <> 'schema'`,
    );
    expect(rows.filter((row) => row.repetition_type !== "REQUIRED")).toEqual([
      { name: "failure_reason", repetition_type: "OPTIONAL" },
    ]);
  });

  test("finds the Parquet export's row groups bounded, by rows and by text", async (context) => {
    await needsDuckdb(context);
    const directory = await Deno.makeTempDir({ dir: dataDir });
    const sink = parquetSink(directoryOutput(directory), { rowsMax: 3, textMax: 1000 });
    const line = { ...lines[0]!, input_prompt: "short" };
    const long = { ...line, input_prompt: "x".repeat(1000) };
    for (const one of [line, line, line, line, long, line]) sink.add(one, new Uint8Array());
    await sink.finish({ datasetId: "", createdAt: "", sanitiserVersions: [], events: [], dates: null });
    const rows = await duckdb(
      `select row_group_num_rows::int as records from parquet_metadata('${directory}/dataset.parquet')
       where column_id = 0 order by row_group_id`,
    );
    expect(rows.map((row) => row.records)).toEqual([3, 2, 1]);
  });

  test("reads the chat export", async (context) => {
    await needsDuckdb(context);
    const rows = await duckdb(
      `select messages[1].role as role, messages[1].content as content, len(messages)::int as messages
       from read_json('${exported("chat-jsonl")}/chat.jsonl', format = 'newline_delimited')`,
    );
    const expected = lines.map((line) => ({ role: "user", content: line.input_prompt, messages: 1 }));
    expect(sorted(rows)).toEqual(sorted(expected));
  });

  test("reads the splits of the Hugging Face folder, and finds nobody in two", async (context) => {
    await needsDuckdb(context);
    const data = `read_json('${exported("hf")}/data/*.jsonl', filename = true)`;
    const rows = await duckdb(
      `select sum(records)::int as records, count(*)::int as persons, max(splits)::int as splits from
         (select distinct_id, count(*) as records, count(distinct filename) as splits from ${data} group by 1)`,
    );
    expect(rows).toEqual([{ records: lines.length, persons: 6, splits: 1 }]);
  });
});

const PYTHON = `
import json, pathlib, sys
found = []
for path in sorted(pathlib.Path(sys.argv[1]).rglob("*.jsonl")):
    text = path.read_bytes().decode("utf-8")
    lines = text.splitlines()
    assert lines == text.split("\\n")[:-1], f"{path}: a line ends within a line"
    found.extend(json.loads(line) for line in lines)
json.dump(found, sys.stdout)
`;

/** What Python's json and splitlines read of every .jsonl file below a directory; skips where there is no Python. */
async function pythonReads(directory: string, { skip }: TestContext): Promise<unknown[]> {
  const python = new Deno.Command("python3", {
    args: ["-c", PYTHON, directory],
    stdout: "piped",
    stderr: "piped",
  });
  let output: Deno.CommandOutput;
  try {
    output = await python.output();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return skip("python3 is not installed");
  }
  const { success, stdout, stderr } = output;
  if (!success) throw new Error(`Python failed: ${new TextDecoder().decode(stderr)}`);
  return JSON.parse(new TextDecoder().decode(stdout));
}

describe("Python's json and splitlines", () => {
  test("read every line of the dataset", async (context) => {
    expect(sorted(await pythonReads(join(dataDir, "dataset"), context))).toEqual(sorted(lines));
  });

  test("read every line of the Hugging Face folder", async (context) => {
    expect(sorted(await pythonReads(exported("hf"), context))).toEqual(sorted(lines));
  });

  test("read every line of the chat export", async (context) => {
    const expected = lines.map((line) => ({ messages: [{ role: "user", content: line.input_prompt }] }));
    expect(sorted(await pythonReads(exported("chat-jsonl"), context))).toEqual(sorted(expected));
  });
});
