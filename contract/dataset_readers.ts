/** How programs of others read the dataset: one text for the commands, the page and whoever pastes it. Imports nothing. */

export const DATASET_READERS = ["duckdb", "pandas", "pyarrow", "polars", "datasets", "spark"] as const;
export type DatasetReader = typeof DATASET_READERS[number];

/** What people call them. */
export const READER_TITLES: Readonly<Record<DatasetReader, string>> = {
  duckdb: "DuckDB",
  pandas: "pandas",
  pyarrow: "pyarrow",
  polars: "polars",
  datasets: "Hugging Face datasets",
  spark: "Spark",
};

/**
 * A snippet (SQL for DuckDB, Python for the others) that reads the dataset at `place`, a directory or `s3://bucket/prefix`,
 * into `lines`: the five columns of a line as what they are, the time as one in UTC, everything else as text or null. No
 * type is guessed of the data: a sample of it may hold only nulls, or ids that look like numbers.
 */
export function readerSnippet(reader: DatasetReader, place: string): string {
  if (place.startsWith("s3://")) return BUCKET_SNIPPETS[reader];
  return SNIPPETS[reader](place.replace(/(?<=.)\/+$/, ""));
}

const TEXTS = ["event", "failure_reason", "input_prompt", "distinct_id"] as const;
/** A line may be larger than what these readers take by default; ingest takes 1 MiB, which may double where it is escaped. */
const BLOCK_BYTES = 16 * 1024 * 1024;

/** Python that knows the objects, and how fsspec finds the bucket. */
const FILES = 'files = [json.loads(line)["path"] for line in open("files.jsonl", encoding="utf-8")]';
const FSSPEC = `style = "path" if os.environ.get("S3_FORCE_PATH_STYLE") == "1" else "auto"
s3 = {
    "endpoint_url": os.environ.get("AWS_ENDPOINT_URL"),
    "config_kwargs": {"s3": {"addressing_style": style}},
}`;

const SNIPPETS: Readonly<Record<DatasetReader, (place: string) => string>> = {
  duckdb: (place) =>
    `${torn("--", "the query fails")}
-- event is the line's own, whole. With hive_partitioning = true the directory's name wins over it; then say
-- hive_types = {event: VARCHAR, date: DATE}, or an event called 2025 is a number.
create or replace temp view lines as select * from read_json(
  '${filesOf(place).replaceAll("'", "''")}',
  format = 'newline_delimited', hive_partitioning = false,
  columns = {timestamp: 'TIMESTAMPTZ', ${TEXTS.map((name) => `${name}: 'VARCHAR'`).join(", ")}}
);
from lines;`,

  pandas: (place) =>
    `${torn("#", "json.loads fails")}
# No read_json: it makes numbers of ids like 00012345 and 1e5, and nothing of NaN.
import glob, json, pandas

files = sorted(glob.glob(${python(filesOf(place))}))
lines = pandas.DataFrame(
    (json.loads(line) for file in files for line in open(file, encoding="utf-8")),
    columns=${python(["timestamp", ...TEXTS])},
    dtype="string",
)
lines["timestamp"] = pandas.to_datetime(lines["timestamp"], utc=True, format="ISO8601")
print(lines)`,

  pyarrow: (place) =>
    `${torn("#", "pyarrow fails")}
# block_size: with the default of 1 MiB pyarrow hangs or fails where a line is longer. getsize: an erasure may leave a file
# without lines, which pyarrow refuses.
import glob, os, pyarrow, pyarrow.dataset, pyarrow.json

files = sorted(file for file in glob.glob(${python(filesOf(place))}) if os.path.getsize(file) > 0)
schema = pyarrow.schema(
    [("timestamp", pyarrow.timestamp("ms", "UTC"))]
    + [(name, pyarrow.string()) for name in ${python(TEXTS)}]
)
jsonl = pyarrow.dataset.JsonFileFormat(read_options=pyarrow.json.ReadOptions(block_size=${BLOCK_BYTES}))
lines = pyarrow.dataset.dataset(files, schema=schema, format=jsonl)
print(lines.to_table())`,

  polars: (place) =>
    `${torn("#", "polars fails")}
import polars

schema = {name: polars.String for name in ${python(["timestamp", ...TEXTS])}}
lines = polars.scan_ndjson(${python(filesOf(place))}, schema=schema).with_columns(
    polars.col("timestamp").str.to_datetime("%Y-%m-%dT%H:%M:%S%.3fZ", time_unit="ms", time_zone="UTC")
)
print(lines.collect())`,

  datasets: (place) =>
    `${torn("#", "load_dataset fails")}
# realpath: the dataset is a link, which load_dataset does not always follow.
import glob, os
from datasets import Features, Value, load_dataset

features = Features(
    {"timestamp": Value("timestamp[ms, tz=UTC]")}
    | {name: Value("string") for name in ${python(TEXTS)}}
)
files = glob.escape(os.path.realpath(${python(place)})) + "/event=*/date=*/*.jsonl"
lines = load_dataset("json", data_files=files, features=features, split="train")
print(lines)`,

  spark: (place) =>
    `${torn("#", "Spark reads nulls in its place")}
# recursiveFileLookup: event is the line's own. Without it the directory's name wins, and Spark decodes that wrongly.
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
schema = "timestamp TIMESTAMP, ${TEXTS.map((name) => `${name} STRING`).join(", ")}"
lines = spark.read.schema(schema).json(
    ${python(place.replace(/[[\]{}*?\\]/g, "\\$&"))}, recursiveFileLookup=True, pathGlobFilter="*.jsonl"
)
lines.show()`,
};

/** Of a bucket: by the list that `dataset files` prints, and with the environment that the services have. */
const BUCKET_SNIPPETS: Readonly<Record<DatasetReader, string>> = {
  duckdb: `${listed("--")}
install httpfs; load httpfs; install aws; load aws;
-- Another server than AWS: add endpoint 'localhost:9000', url_style 'path', use_ssl false to the brackets.
create or replace secret dataset_bucket (type s3, provider credential_chain);
set variable files = (
  select list(path) from read_json('files.jsonl', format = 'newline_delimited', columns = {path: 'VARCHAR'})
);
create or replace temp view lines as select * from read_json(
  getvariable('files'), format = 'newline_delimited', hive_partitioning = false,
  columns = {timestamp: 'TIMESTAMPTZ', ${TEXTS.map((name) => `${name}: 'VARCHAR'`).join(", ")}}
);
from lines;`,

  pandas: `${listed("#")}
# No read_json: it makes numbers of ids like 00012345 and 1e5, and nothing of NaN. Needs s3fs, and zstandard for .zst.
import fsspec, json, os, pandas

${FILES}
${FSSPEC}

def lines_of(file):
    with fsspec.open(file, "rt", encoding="utf-8", newline="\\n", compression="infer", **s3) as opened:
        yield from map(json.loads, opened)

lines = pandas.DataFrame(
    (line for file in files for line in lines_of(file)),
    columns=${python(["timestamp", ...TEXTS])},
    dtype="string",
)
lines["timestamp"] = pandas.to_datetime(lines["timestamp"], utc=True, format="ISO8601")
print(lines)`,

  pyarrow: `${listed("#")}
# block_size: with the default of 1 MiB pyarrow hangs or fails where a line is longer. No pyarrow.dataset: it takes .zst as
# it is stored.
import json, os, pyarrow, pyarrow.fs, pyarrow.json

${FILES}
scheme, _, endpoint = os.environ.get("AWS_ENDPOINT_URL", "https://").partition("://")
s3 = pyarrow.fs.S3FileSystem(scheme=scheme, endpoint_override=endpoint.rstrip("/") or None)
schema = pyarrow.schema(
    [("timestamp", pyarrow.timestamp("ms", "UTC"))]
    + [(name, pyarrow.string()) for name in ${python(TEXTS)}]
)

def table_of(file):
    with s3.open_input_stream(file.removeprefix("s3://")) as stream:
        return pyarrow.json.read_json(
            stream,
            read_options=pyarrow.json.ReadOptions(block_size=${BLOCK_BYTES}),
            parse_options=pyarrow.json.ParseOptions(explicit_schema=schema),
        )

lines = pyarrow.concat_tables([schema.empty_table(), *map(table_of, files)])
print(lines)`,

  polars: `${listed("#")}
import json, os, polars

${FILES}
endpoint = os.environ.get("AWS_ENDPOINT_URL")
s3 = {"aws_endpoint_url": endpoint, "aws_allow_http": "true"} if endpoint else {}
schema = {name: polars.String for name in ${python(["timestamp", ...TEXTS])}}
lines = polars.scan_ndjson(files, schema=schema, storage_options=s3).with_columns(
    polars.col("timestamp").str.to_datetime("%Y-%m-%dT%H:%M:%S%.3fZ", time_unit="ms", time_zone="UTC")
)
print(lines.collect())`,

  datasets: `${listed("#")}
# Needs s3fs, and zstandard for .zst.
import json, os
from datasets import Features, Value, load_dataset

${FILES}
${FSSPEC}
features = Features(
    {"timestamp": Value("timestamp[ms, tz=UTC]")}
    | {name: Value("string") for name in ${python(TEXTS)}}
)
lines = load_dataset("json", data_files=files, features=features, split="train", storage_options=s3)
print(lines)`,

  spark: `${listed("#")}
# Needs org.apache.hadoop:hadoop-aws of Spark's own Hadoop version among its packages.
import json, os
from pyspark.sql import SparkSession

${FILES}
builder = SparkSession.builder
if "AWS_ENDPOINT_URL" in os.environ:
    builder = builder.config("spark.hadoop.fs.s3a.endpoint", os.environ["AWS_ENDPOINT_URL"])
if os.environ.get("S3_FORCE_PATH_STYLE") == "1":
    builder = builder.config("spark.hadoop.fs.s3a.path.style.access", "true")
schema = "timestamp TIMESTAMP, ${TEXTS.map((name) => `${name} STRING`).join(", ")}"
lines = builder.getOrCreate().read.schema(schema).json(["s3a" + file.removeprefix("s3") for file in files])
lines.show()`,
};

function listed(comment: string): string {
  return `${comment} First, in a shell: deno task --quiet dataset files --json > files.jsonl
${comment} That list is exact: what a bucket lists may be there a moment before its commit, or be left over. Objects of an
${comment} older list may be gone, after an erasure at once; then make it anew.`;
}

function torn(comment: string, whatFollows: string): string {
  return `${comment} Beside a running writer a file may end in half a line; ${whatFollows}. \`deno task dataset files\` says how many
${comment} bytes of each file are whole lines, and an export has whole lines alone.`;
}

/** All files of the dataset as a pattern; what would be a pattern in the place's own name is put in brackets. */
function filesOf(place: string): string {
  return `${place.replace(/[[*?]/g, "[$&]")}/event=*/date=*/*.jsonl`;
}

/** JSON's text and lists are Python's too. */
function python(value: string | readonly string[]): string {
  return JSON.stringify(value).replaceAll('","', '", "');
}
