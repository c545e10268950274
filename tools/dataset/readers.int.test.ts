import { delimiter, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test, type TestContext, vi } from "vitest";
import { DATASET_READERS } from "../../contract/dataset_readers.ts";
import { failure } from "../../processor/dataset/fixtures/records.ts";
import { readFiles } from "../../processor/dataset/fixtures/run.ts";
import { writeDataset } from "../../processor/dataset/fixtures/written_dataset.ts";
import type { StoredLine } from "../../processor/dataset/mod.ts";
import { type Python, pythonWith } from "../../tests/support/python.ts";
import { runProgram } from "../../tests/support/run_command.ts";
import { EXPORT_FORMATS, type ExportFormat } from "../../processor/dataset/export/copy.ts";
import { exportDataset } from "./export/export.ts";
import { DatasetFiles } from "../../processor/dataset/files/reader.ts";

/**
 * What a reader of the docs or the page can paste, pasted into the real tools. The first days hold only null
 * reasons and only ids that are UUIDs, so that whoever guesses types from a sample guesses wrong; 40 days; an event whose name
 * is encoded in its directory; a line of 2 MB; a file without lines.
 */

const ROOT = resolve(import.meta.dirname!, "../..");
const ODD_IDS = [
  "00012345",
  "18_19",
  "1e5",
  "NaN",
  "null",
  "True",
  "-0",
  "Infinity",
  "12345678901234567890",
  "2025-11-30",
];
const DAYS = 40;
const EMPTIED = "dataset/event=generation_failed/date=2025-10-02/p00099-0000.jsonl";
const READING_MS_MAX = 100_000;

vi.setConfig({ testTimeout: 120_000 });

function records() {
  const start = Date.UTC(2025, 9, 1);
  let n = 0;
  const lines = Array.from({ length: DAYS }, (_, day) =>
    ODD_IDS.map((id, k) => {
      const at = start + day * 86_400_000;
      return failure(++n, {
        distinctId: day < 34 ? `019ad56c-5168-7457-bac6-82981da45f${10 + k}` : id,
        timestamp: new Date(at + k * 1007).toISOString(),
        receivedAt: at + 60_000,
        reason: day < 3 || k % 4 === 0 ? null : id,
        prompt: k % 2 === 0 ? id : '{"a": [1, "x"]}',
      });
    }));
  const timestamp = "2025-11-05T00:00:00.000Z";
  const receivedAt = Date.parse(timestamp);
  return [
    ...lines.flat(),
    failure(++n, { event: "gen/ü", timestamp, receivedAt }),
    // 1 MB as it comes; each of its characters is escaped in the file, by six bytes for three.
    failure(++n, { prompt: "\u2028".repeat(340_000), timestamp, receivedAt }),
  ];
}

const REQUIREMENTS = join(import.meta.dirname!, "fixtures", "python_readers.txt");
let python: Python | { readonly absence: string };
/** Where the services were started: data/dataset lies below. */
let folder: string;
/** The same dataset under a name that is a pattern, and ends a quoted text, in one language or another. */
let oddPlace: string;
let lines: StoredLine[];

beforeAll(async () => {
  python = await pythonWith(REQUIREMENTS);
  folder = await Deno.makeTempDir({ prefix: "readers-" });
  const dataDir = join(folder, "data");
  Deno.mkdirSync(dataDir);
  await writeDataset(dataDir, records());
  // As an erasure leaves one that held nobody else's lines.
  Deno.writeTextFileSync(join(dataDir, EMPTIED), "");
  lines = Object.values(readFiles(dataDir)).flatMap((text) =>
    text.split("\n").slice(0, -1).map((line) => JSON.parse(line))
  );
  for (const format of EXPORT_FORMATS) {
    const { signal } = new AbortController();
    await exportDataset(new DatasetFiles(join(dataDir, "dataset")), {
      format,
      to: exported(format),
      now: 0,
      signal,
    });
  }
  const { stdout } = await runProgram("tools/dataset/main.ts", { args: ["cat"], env: { DATA_DIR: dataDir } });
  Deno.writeTextFileSync(join(folder, "training_data.jsonl"), stdout);
  oddPlace = join(folder, `it's [1] "odd" ü`);
  Deno.symlinkSync(join(dataDir, "dataset"), oddPlace);
  const task = `deno run -A --quiet --config ${ROOT}/deno.json ${ROOT}/tools/dataset/main.ts`;
  Deno.writeTextFileSync(join(folder, "deno.json"), JSON.stringify({ tasks: { dataset: task } }));
}, 400_000);
afterAll(() => Deno.remove(folder, { recursive: true }));

const exported = (format: ExportFormat) => join(folder, "exports", format);

type Pasted = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** Pastes a text into a program in the services' folder, with the readers on PATH and nothing to be fetched. */
async function paste(
  text: string,
  { into, skip }: { into: readonly string[] } & Pick<TestContext, "skip">,
): Promise<Pasted> {
  if ("absence" in python) return skip(`readers in Python: ${python.absence}`);
  const [program, ...args] = into;
  const child = new Deno.Command(program === "bash" ? program : join(python.bin, program!), {
    args,
    cwd: folder,
    env: {
      PATH: [python.bin, Deno.env.get("PATH")].join(delimiter),
      HF_HOME: join(folder, "hf"),
      HF_HUB_OFFLINE: "1",
      // Not the tester's own.
      DATA_DIR: "",
      DATASET_DIR: "",
      // No time may be taken for one of here.
      TZ: "Asia/Tokyo",
    },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    // A reader that hangs (pyarrow does, at lines longer than its blocks) fails its test, and is gone then.
    signal: AbortSignal.timeout(READING_MS_MAX),
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const decoded = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: decoded(stdout), stderr: decoded(stderr) };
}

const DUCKDB = ["duckdb", "-bail"];
const PYTHON = ["python3", "-"];
const toolOf = (reader: string) => reader === "duckdb" ? DUCKDB : PYTHON;

/** Rows as JSON.stringify has lines: whatever order they came in. */
const sorted = (rows: readonly unknown[]) => rows.map((row) => JSON.stringify(row)).sort();

/** Has `lines`, as each reader calls what it has read, written to rows.json with its times as milliseconds. */
const DUMP: Readonly<Record<string, string>> = {
  duckdb: `.mode list
copy (select epoch_ms("timestamp") as ms, event, failure_reason, input_prompt, distinct_id from lines) to 'rows.json';`,
  pandas: `
frame = lines.astype(object).where(lines.notna(), None)
rows = [{**row, "timestamp": row["timestamp"].isoformat()} for row in frame.to_dict("records")]`,
  pyarrow: `
assert lines.schema.field("timestamp").type == pyarrow.timestamp("ms", "UTC")
rows = [{**row, "timestamp": row["timestamp"].isoformat()} for row in lines.to_table().to_pylist()]`,
  polars: `
frame = lines.collect()
assert frame.schema["timestamp"] == polars.Datetime("ms", "UTC")
rows = [{**row, "timestamp": row["timestamp"].isoformat()} for row in frame.to_dicts()]`,
  datasets: `
rows = [{**row, "timestamp": row["timestamp"].isoformat()} for row in lines]`,
  spark: `
rows = [
    {**row.asDict(), "timestamp": row["timestamp"].astimezone(__import__("datetime").timezone.utc).isoformat()}
    for row in lines.collect()
]`,
};
const PYTHON_DUMP = `
import datetime, json
for row in rows:
    ms = datetime.datetime.fromisoformat(row.pop("timestamp")).timestamp() * 1000
    row["ms"] = round(ms)
json.dump(rows, open("rows.json", "w"))`;

/** What a reader's dump holds, as lines. */
function dumped(): unknown[] {
  const text = Deno.readTextFileSync(join(folder, "rows.json")).trim();
  Deno.removeSync(join(folder, "rows.json"));
  const rows = text.startsWith("[") ? JSON.parse(text) : text.split("\n").map((line) => JSON.parse(line));
  return (rows as (StoredLine & { ms: number })[]).map((row) => ({
    timestamp: new Date(row.ms).toISOString(),
    event: row.event,
    failure_reason: row.failure_reason ?? null,
    input_prompt: row.input_prompt,
    distinct_id: row.distinct_id,
  }));
}

async function schema(reader: string, datasetDir: string): Promise<string> {
  const { code, stdout } = await runProgram("tools/dataset/main.ts", {
    args: ["schema", "--for", reader],
    env: { DATA_DIR: join(folder, "data"), DATASET_DIR: datasetDir },
  });
  expect(code).toBe(0);
  return stdout;
}

const withoutSpark = DATASET_READERS.filter((reader) => reader !== "spark");

test("the dataset is one that whoever guesses types reads wrong", () => {
  expect(lines).toHaveLength(DAYS * ODD_IDS.length + 2);
  expect(new Set(lines.map(({ timestamp }) => timestamp.slice(0, 10))).size).toBe(DAYS);
  const ids = new Set(lines.map(({ distinct_id }) => distinct_id));
  expect(ODD_IDS.filter((id) => !ids.has(id))).toEqual([]);
  expect(Math.max(...Object.values(readFiles(join(folder, "data"))).map((text) => text.length)))
    .toBeGreaterThan(2_000_000);
});

describe("the snippet of `dataset schema` for", () => {
  test.for(withoutSpark)(
    "%s reads every column as what it is, whatever the place is called",
    async (reader, { skip }) => {
      const snippet = await schema(reader, oddPlace);
      const dump = reader === "duckdb" ? DUMP[reader]! : `${DUMP[reader]}\n${PYTHON_DUMP}`;
      const { code, stderr } = await paste(`${snippet}\n${dump}\n`, {
        into: toolOf(reader),
        skip,
      });
      expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
      expect(sorted(dumped())).toEqual(sorted(lines));
    },
  );

  test.for(withoutSpark)(
    "%s fails at a writer's half line, as it says, instead of leaving it out",
    async (reader, { skip }) => {
      const [path] = Object.keys(readFiles(join(folder, "data")));
      const file = join(folder, "data", "dataset", path!);
      const { size } = Deno.statSync(file);
      Deno.writeTextFileSync(file, '{"timestamp":"2025-11-05T00:00:00.000Z","event":"gener', {
        append: true,
      });
      try {
        const snippet = await schema(reader, join(folder, "data", "dataset"));
        expect(snippet).toMatch(/^(#|--) Beside a running writer a file may end in half a line; .* fails\./);
        const { code } = await paste(snippet, { into: toolOf(reader), skip });
        expect(code).not.toBe(0);
      } finally {
        Deno.truncateSync(file, size);
      }
    },
  );

  test("spark reads every column as what it is, and nulls for a writer's half line", async ({ skip }) => {
    const spark = Deno.env.get("PYTHON_WITH_SPARK");
    if (!spark) skip("Spark is 500 MB and needs Java: set PYTHON_WITH_SPARK to a python3 that has pyspark");
    const run = async (text: string) => {
      const { code, stderr } = await new Deno.Command(spark!, {
        args: ["-c", text],
        cwd: folder,
        env: { TZ: "Asia/Tokyo" },
        stdout: "piped",
        stderr: "piped",
      }).output();
      return { code, stderr: code === 0 ? "" : new TextDecoder().decode(stderr) };
    };
    const snippet = await schema("spark", oddPlace);
    expect(await run(`${snippet}\n${DUMP["spark"]}\n${PYTHON_DUMP}`)).toEqual({ code: 0, stderr: "" });
    expect(sorted(dumped())).toEqual(sorted(lines));
    const file = join(folder, "data", "dataset", Object.keys(readFiles(join(folder, "data")))[0]!);
    const { size } = Deno.statSync(file);
    Deno.writeTextFileSync(file, '{"timestamp":"2025', { append: true });
    const nulls = 'assert lines.filter("event is null and distinct_id is null").count() == 1';
    try {
      expect(await run(`${snippet}\n${nulls}`)).toEqual({ code: 0, stderr: "" });
    } finally {
      Deno.truncateSync(file, size);
    }
  }, 120_000);
});

const fenced = (markdown: string) =>
  [...markdown.matchAll(/```(sh|sql|python)\n([^]*?)```/g)].map(([, language, text]) => ({
    language: language!,
    text: text!.trim(),
  }));
const between = (text: string, from: string, to: string) => {
  const rest = text.slice(text.indexOf(from));
  return rest.slice(0, rest.indexOf(to, from.length));
};
const inOneLine = between(
  Deno.readTextFileSync(join(ROOT, "docs", "dataset.md")),
  "## Reading it in one line",
  "\n## ",
);
const ONE_LINERS = fenced(inOneLine).flatMap(({ text }) => text.split("\n"));

describe("a line that reads the dataset", () => {
  /** What it must say: all lines, counted by whoever prints them. */
  const SAYS: Readonly<Record<string, RegExp>> = {
    duckdb: new RegExp(`\\b${DAYS} rows\\b`),
    python3: new RegExp(
      `\\[${DAYS * ODD_IDS.length + 2} rows x 5 columns\\]|num_rows: ${DAYS * ODD_IDS.length + 2}\\b`,
    ),
    deno: /read_json|schema=schema/,
  };

  test("is there for each of three readers, and for all by the command", () => {
    expect(ONE_LINERS.map((line) => line.split(" ")[0])).toEqual(["duckdb", "python3", "python3", "deno"]);
  });

  test.for(ONE_LINERS)("reads all of the dataset: %s", async (line, { skip }) => {
    const { code, stdout, stderr } = await paste(line, { into: ["bash", "-e"], skip });
    expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(SAYS[line.split(" ")[0]!]!);
  });

  test.for(ONE_LINERS.filter((line) => line.startsWith("python3")))(
    "keeps every id and reason as the text that it is: %s",
    async (line, { skip }) => {
      const program = /-c "(.*)"/.exec(line)![1]!;
      const { code, stderr } = await paste(
        `import builtins
shown = []
builtins.print, said = shown.append, builtins.print
${program}
rows = shown[0]["train"].to_list() if hasattr(shown[0], "values") and "train" in shown[0] else shown[0].to_dict("records")
import json
json.dump([{**row, "failure_reason": row["failure_reason"] if isinstance(row["failure_reason"], str) else None} for row in rows], open("rows.json", "w"))
`,
        { into: PYTHON, skip },
      );
      expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
      const rows = JSON.parse(Deno.readTextFileSync(join(folder, "rows.json")));
      expect(sorted(rows)).toEqual(sorted(lines));
    },
  );
});

describe("a reader's line of the tutorial", () => {
  const page = Deno.readTextFileSync(join(ROOT, "docs", "tutorial.md"));
  const readers = fenced(page).map(({ text }) => text).filter((text) => /^duckdb |pandas/.test(text));

  test("is there for DuckDB and pandas", () => {
    expect(readers.map((text) => text.split(" ")[0])).toEqual(["duckdb", "python3"]);
  });

  test.for(readers)("can be pasted, and reads every line: %s", async (text, { skip }) => {
    const { code, stdout, stderr } = await paste(text, { into: ["bash", "-e"], skip });
    expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(new RegExp(`\\b${DAYS * ODD_IDS.length + 2} rows\\b`));
  });
});

describe("a block of docs/dataset.md", () => {
  const page = Deno.readTextFileSync(join(ROOT, "docs", "dataset.md"));
  const where = fenced(between(page, "## Reading it where it lies", "\n## "));
  const exports = ["parquet", "chat-jsonl", "hf"].flatMap((format, n, all) =>
    fenced(between(page, `**${format}**:`, n + 1 < all.length ? `**${all[n + 1]}**:` : "The split is"))
      .map((block) => ({ ...block, text: block.text.replaceAll("DIR", `exports/${format}`) }))
  );
  const into = (language: string) =>
    language === "sql" ? DUCKDB : language === "sh" ? ["bash", "-e"] : PYTHON;

  test("is there for each reader and each format", () => {
    expect(where.map(({ language }) => language)).toEqual(["sh", "sql", "python", "python"]);
    expect(exports.map(({ language }) => language)).toEqual(["sql", "python", "python", "python"]);
  });

  test.for([...where, ...exports])("can be pasted: $language $text", async ({ language, text }, { skip }) => {
    const { code, stdout, stderr } = await paste(text, { into: into(language), skip });
    expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/\S/);
  });

  test("reads by `dataset files` every line and nothing of a writer's half one", async ({ skip }) => {
    const file = join(folder, "data", "dataset", Object.keys(readFiles(join(folder, "data")))[0]!);
    const { size } = Deno.statSync(file);
    Deno.writeTextFileSync(file, '{"timestamp":"2025', { append: true });
    try {
      const { code, stdout, stderr } = await paste(where[0]!.text, { into: ["bash", "-e"], skip });
      expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
      expect(stdout.trimEnd().split("\n").sort()).toEqual(lines.map(({ distinct_id }) => distinct_id).sort());
    } finally {
      Deno.truncateSync(file, size);
    }
  });
});

describe("the folder of an export is read as it is", () => {
  const python = async (text: string, { skip }: TestContext) => {
    const { code, stdout, stderr } = await paste(`import json\n${text}`, { into: PYTHON, skip });
    expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
    return JSON.parse(stdout.trim().split("\n").at(-1)!);
  };

  test("Parquet by pyarrow, polars, pandas and datasets: a UTC time, and text", async (context) => {
    const dir = JSON.stringify(exported("parquet"));
    const found = await python(
      `
import pandas, polars, pyarrow.dataset
from datasets import load_dataset, disable_progress_bars
disable_progress_bars()
a = pyarrow.dataset.dataset(${dir}).to_table()
b = polars.read_parquet(${dir})
c = pandas.read_parquet(${dir})
d = load_dataset(${dir})["train"]
def rows(it): return sorted(json.dumps({k: v.isoformat() if hasattr(v, "isoformat") else v for k, v in row.items()}) for row in it)
first = rows(a.to_pylist())
assert rows(b.to_dicts()) == first
assert rows(d) == first
assert rows(c.astype(object).where(c.notna(), None).to_dict("records")) == first
print(json.dumps({"schema": {field.name: str(field.type) for field in a.schema}, "rows": [json.loads(row) for row in first]}))`,
      context,
    );
    expect(found.schema).toEqual({
      timestamp: "timestamp[ms, tz=UTC]",
      date: "date32[day]",
      event: "string",
      failure_reason: "string",
      input_prompt: "string",
      distinct_id: "string",
    });
    const rows = found.rows.map(({ date, timestamp, ...row }: StoredLine & { date: string }) => {
      expect(date).toBe(timestamp.slice(0, 10));
      return { timestamp: new Date(timestamp).toISOString(), ...row };
    });
    expect(sorted(rows)).toEqual(sorted(lines));
  });

  test("Parquet by DuckDB, which finds zstd, dictionaries where they help, and statistics", async ({ skip }) => {
    const sql =
      `select path_in_schema as name, compression, list_contains(string_split(encodings, ', '), 'RLE_DICTIONARY')
         or encodings like '%DICTIONARY%' as dictionary, stats_min_value is not null as least
       from parquet_metadata('${exported("parquet")}/*.parquet') where row_group_id = 0;
      select count(*) from '${exported("parquet")}/**/*.parquet';`;
    const { code, stdout, stderr } = await paste(sql, {
      into: ["duckdb", "-bail", "-csv", "-noheader"],
      skip,
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout.trim().split("\n")).toEqual([
      expect.stringMatching(/^timestamp,ZSTD,(true|false),true$/),
      "date,ZSTD,true,true",
      "event,ZSTD,true,true",
      "failure_reason,ZSTD,true,true",
      expect.stringMatching(/^input_prompt,ZSTD,(true|false),true$/),
      "distinct_id,ZSTD,true,true",
      String(lines.length),
    ]);
  });

  test("chat JSONL by datasets, polars and pyarrow: a row a line", async (context) => {
    const dir = JSON.stringify(exported("chat-jsonl"));
    const found = await python(
      `
import polars, pyarrow.dataset, pyarrow.json
from datasets import load_dataset, disable_progress_bars
disable_progress_bars()
jsonl = pyarrow.dataset.JsonFileFormat(read_options=pyarrow.json.ReadOptions(block_size=16777216))
print(json.dumps([
    [m for row in load_dataset(${dir})["train"] for m in row["messages"]],
    [m for row in polars.scan_ndjson(${dir}).collect().to_dicts() for m in row["messages"]],
    [m for row in pyarrow.dataset.dataset(${dir}, format=jsonl).to_table().to_pylist() for m in row["messages"]],
]))`,
      context,
    );
    const messages = sorted(lines.map(({ input_prompt }) => ({ role: "user", content: input_prompt })));
    for (const one of found) expect(sorted(one)).toEqual(messages);
  });

  test("the Hugging Face folder by datasets, with the types and counts of its card", async (context) => {
    const dir = JSON.stringify(exported("hf"));
    const found = await python(
      `
from datasets import load_dataset, disable_progress_bars
disable_progress_bars()
rows = [{**row, "timestamp": row["timestamp"].isoformat()} for split in load_dataset(${dir}).values() for row in split]
print(json.dumps(rows))`,
      context,
    );
    const rows = found.map((row: StoredLine) => ({
      ...row,
      timestamp: new Date(row.timestamp).toISOString(),
    }));
    expect(sorted(rows)).toEqual(sorted(lines));
  });
});
