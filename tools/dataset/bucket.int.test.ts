import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { publish } from "../../processor/dataset/fixtures/records.ts";
import { writeAllOf } from "../../processor/dataset/fixtures/run.ts";
import { manyRecords, newLog, writeDataset } from "../../processor/dataset/fixtures/written_dataset.ts";
import { openReader } from "../../processor/dataset/mod.ts";
import { entriesIn } from "../../processor/dataset/reading/snapshot.ts";
import { snapshotsOf } from "../../processor/dataset/reading/reader.ts";
import { openS3 } from "../../processor/dataset/objects/s3/client.ts";
import { pythonWith } from "../../tests/support/python.ts";
import { runProgram } from "../../tests/support/run_command.ts";
import { type S3Server, startS3, whyNoS3 } from "../../tests/support/s3/servers.ts";

/** The commands over a real S3 server, beside the same records in a directory. */

const absence = await whyNoS3("versitygw");
const RECORDS = manyRecords().length;

const PREFIXES = ["none", "gzip", "zstd"] as const;
const EVENTS = [...new Set(manyRecords().map(({ headers }) => headers!.event as string))];

const REQUIREMENTS = join(import.meta.dirname!, "fixtures", "python_readers.txt");
const READINGS = (["duckdb", "pandas", "pyarrow", "polars", "datasets"] as const).flatMap((reader) =>
  (["none", "zstd"] as const).map((compression) => [reader, compression] as const)
);

/** Python that has `rows` of what a snippet calls `lines`. */
const PROGRAMS: Readonly<Record<typeof READINGS[number][0], (snippet: string) => string>> = {
  // Its own way to a bucket is an extension that it fetches: what reads the list is the snippet's, what reads the bucket fsspec's.
  duckdb: (sql) => `
import duckdb, fsspec, os
duckdb.register_filesystem(fsspec.filesystem("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"]))
duckdb.sql("set timezone = 'UTC'")
duckdb.execute(${
    JSON.stringify(sql.slice(sql.indexOf("set variable files"), sql.lastIndexOf("from lines;")))
  })
rows = duckdb.sql("""
    select * replace (strftime(timezone('UTC', "timestamp"), '%Y-%m-%dT%H:%M:%S.%g+00:00') as "timestamp") from lines
""").fetchall()
rows = [dict(zip(["timestamp", "event", "failure_reason", "input_prompt", "distinct_id"], row)) for row in rows]`,
  pandas: (snippet) =>
    `${snippet}
rows = lines.astype(object).where(lines.notna(), None).to_dict("records")`,
  pyarrow: (snippet) => `${snippet}\nrows = lines.to_pylist()`,
  polars: (snippet) => `${snippet}\nrows = lines.collect().to_dicts()`,
  datasets: (snippet) => `${snippet}\nrows = list(lines)`,
};
const DUMP = `
import datetime, json
for row in rows:
    at = row["timestamp"]
    at = datetime.datetime.fromisoformat(at) if isinstance(at, str) else at
    row["timestamp"] = at.astimezone(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
json.dump(rows, open("rows.json", "w"))`;

/** Rows as texts, in whatever order they came, and their columns too. */
const sorted = (rows: readonly Record<string, unknown>[]) =>
  rows.map((row) => JSON.stringify(Object.entries(row).sort(([a], [b]) => a < b ? -1 : 1))).sort();

let server: S3Server;
let dataDir: string;
beforeAll(async () => {
  if (absence !== null) return;
  server = await startS3("versitygw");
  dataDir = await Deno.makeTempDir({ prefix: "bucket-" });
  for (const compression of PREFIXES) {
    const log = await newLog();
    await publish(log, manyRecords());
    const objects = { ...server.config, prefix: `of/${compression}`, objectAgeMs: 100, compression };
    const config = { trainingEvents: EVENTS, objects };
    await writeAllOf({ log, dataDir: join(dataDir, compression), config });
    await log.close();
  }
  await writeDataset(dataDir);
}, 120_000);
afterAll(async () => {
  await server?.stop();
  if (dataDir) await Deno.remove(dataDir, { recursive: true });
});

const command = (args: readonly string[], env: Record<string, string>) =>
  runProgram("tools/dataset/main.ts", { args, env });
const environment = (compression: typeof PREFIXES[number]) => ({
  ...server.env,
  DATASET_URL: `${server.env.DATASET_URL}/of/${compression}`,
  DATA_DIR: join(dataDir, "nothing"),
});
const inBucket = (...args: string[]) => command(args, environment("zstd"));
const inDirectory = (...args: string[]) => command(args, { DATA_DIR: dataDir });

describe.skipIf(absence !== null)(`with DATASET_URL (${absence ?? "versitygw"})`, () => {
  test("cat prints the lines that a directory of the same records has", async () => {
    const { code, stdout, stderr } = await inBucket("cat");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toBe((await inDirectory("cat")).stdout);
  });

  test("files --json is the exact list, by addresses that the bucket knows", async () => {
    const { stdout } = await inBucket("files", "--json");
    const listed = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
    const reader = await openReader({
      datasetDir: "",
      objects: { ...server.config, prefix: "of/zstd" },
    });
    const named = snapshotsOf(reader).flatMap((snapshot) => Object.keys(entriesIn(snapshot)));
    expect(listed.map(({ path }) => path).sort()).toEqual(named.map((path) => reader.placeOf(path)).sort());
    expect(listed.reduce((sum, { records }) => sum + records, 0)).toBe(RECORDS);
    reader.close();
    const store = await openS3(server.config);
    for (const { path, bytes } of listed.slice(0, 3)) {
      expect((await store.get(path.slice(`${server.env.DATASET_URL}/`.length)))!.length).toBe(bytes);
    }
    store.close();
  });

  test("stats counts by event and day as in a directory", async () => {
    const rows = async (asked: Promise<{ stdout: string }>) =>
      JSON.parse((await asked).stdout).partitions.map((
        { event, date, records, placeholders }: Record<string, unknown>,
      ) => ({ event, date, records, placeholders }));
    expect(await rows(inBucket("stats", "--json"))).toEqual(await rows(inDirectory("stats", "--json")));
  });

  test("verify finds nothing in it", async () => {
    const { code, stdout } = await inBucket("verify", "--json");
    expect([code, JSON.parse(stdout)]).toEqual([
      0,
      expect.objectContaining({ records: RECORDS, findings: [], notPartOfTheDataset: [] }),
    ]);
  });

  test("export writes what it writes of a directory", async () => {
    const [theirs, ours] = ["theirs", "ours"].map((name) => join(dataDir, name));
    expect((await inBucket("export", "--format", "parquet", "--to", theirs!)).code).toBe(0);
    expect((await inDirectory("export", "--format", "parquet", "--to", ours!)).code).toBe(0);
    const bytes = (dir: string) => Deno.readFileSync(join(dir, "dataset.parquet"));
    expect(bytes(theirs!)).toEqual(bytes(ours!));
  });

  test("schema reads by the list, and an empty prefix is no dataset", async () => {
    const { stdout } = await inBucket("schema", "--for", "pandas");
    expect(stdout).toContain("dataset files --json > files.jsonl");
    const elsewhere = await command(["cat"], {
      ...server.env,
      DATASET_URL: `${server.env.DATASET_URL}/elsewhere`,
    });
    expect(elsewhere).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringMatching(/^Cannot find a dataset at "s3:\/\/dataset\/elsewhere".*Set DATASET_URL/),
    });
  });

  describe("the snippet of `dataset schema` for", () => {
    test.for(READINGS)(
      "%s reads every line, packed by %s",
      { timeout: 120_000 },
      async (reading, { skip }) => {
        const [reader, compression] = reading;
        const python = await pythonWith(REQUIREMENTS);
        if ("absence" in python) return skip(`readers in Python: ${python.absence}`);
        const env = environment(compression);
        const { stdout: snippet } = await command(["schema", "--for", reader], env);
        const list = join(dataDir, "files.jsonl");
        Deno.writeTextFileSync(list, (await command(["files", "--json"], env)).stdout);
        const python3 = new Deno.Command(join(python.bin, "python3"), {
          args: ["-c", `${PROGRAMS[reader](snippet)}\n${DUMP}`],
          cwd: dataDir,
          env: { ...env, HF_HOME: join(dataDir, "hf"), TZ: "Asia/Tokyo" },
        });
        const { code, stderr } = await python3.output();
        expect(code, new TextDecoder().decode(stderr)).toBe(0);
        const rows = Deno.readTextFileSync(join(dataDir, "rows.json"));
        const lines = (await inDirectory("cat")).stdout.trimEnd().split("\n");
        expect(sorted(JSON.parse(rows))).toEqual(sorted(lines.map((line) => JSON.parse(line))));
      },
    );
  });

  test("verify and cat fail where somebody has deleted an object", async () => {
    const [path] = (await inBucket("files", "--json")).stdout.split("\n").map((line) =>
      line && JSON.parse(line).path
    );
    const store = await openS3(server.config);
    await store.remove([path.slice(`${server.env.DATASET_URL}/`.length)]);
    store.close();
    const { code, stdout } = await inBucket("verify", "--json");
    expect([code, JSON.parse(stdout).findings]).toEqual([
      1,
      [{ file: expect.stringMatching(/^event=/), finding: "is missing", lines: 0, firstLine: null }],
    ]);
    expect(await inBucket("cat")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`Cannot read "${path}": it is missing.`),
    });
  });
});
