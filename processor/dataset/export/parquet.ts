import { constants, zstdCompressSync } from "node:zlib";
import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import type { ExportOutput, ExportSink, OutputFile } from "./file.ts";
import type { StoredLine } from "../core/line_check.ts";

/**
 * `dataset.parquet`: one file with typed columns and bounded row groups, by event and date as the dataset itself is, so
 * that readers skip row groups by their statistics, packed by zstd; the library makes a dictionary of a column where that is
 * smaller. No Hive directories: event and date are columns, and pyarrow refuses
 * a column that its directory names with another type.
 */
export function parquetSink(output: ExportOutput, { rowsMax, textMax }: GroupBounds = BOUNDS): ExportSink {
  const path = "dataset.parquet";
  const file = output.open(path);
  const bytes = new PiecewiseWriter(file);
  const writer = new ParquetWriter({ writer: bytes, schema: SCHEMA, ...PACKED });
  let rows: StoredLine[] = [];
  let text = 0;
  let records = 0;
  const writeGroup = () => {
    if (rows.length > 0) writer.write({ columnData: columnsOf(rows), rowGroupSize: rows.length });
    rows = [];
    text = 0;
  };
  return {
    add: (line) => {
      rows.push(line);
      records++;
      text += line.input_prompt.length + (line.failure_reason?.length ?? 0) + line.distinct_id.length;
      if (rows.length >= rowsMax || text >= textMax) writeGroup();
    },
    finish: () => {
      writeGroup();
      writer.finish();
      file.finish();
      return Promise.resolve([{ path, bytes: bytes.offset, records }]);
    },
    close: () => file.close(),
  };
}

const PIECE_BYTES = 1024 * 1024;

/** Hands on what the library has written, piece by piece, as its own `fileWriter` does. */
class PiecewiseWriter extends ByteWriter {
  constructor(private readonly file: OutputFile) {
    super();
  }

  override ensure(size: number): void {
    if (this.index > PIECE_BYTES) this.flush();
    super.ensure(size);
  }

  flush(): void {
    this.file.write(new Uint8Array(this.buffer, 0, this.index));
    this.index = 0;
  }

  override finish(): void {
    this.flush();
  }
}

type GroupBounds = {
  /** Rows of a row group at most. */
  readonly rowsMax: number;
  /** UTF-16 units of text after which a row group ends. */
  readonly textMax: number;
};

/** As many rows as DuckDB gives a row group; the text bounds what is held in memory. */
const BOUNDS: GroupBounds = { rowsMax: 122_880, textMax: 16 * 1024 * 1024 };

/** Level 3 is zstd's own default. */
const PACKED = {
  codec: "ZSTD",
  compressors: {
    ZSTD: (bytes: Uint8Array) =>
      new Uint8Array(zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 3 } })),
  },
} as const;

type Schema = ConstructorParameters<typeof ParquetWriter>[0]["schema"];

const STRING = { type: "BYTE_ARRAY", converted_type: "UTF8", logical_type: { type: "STRING" } } as const;

/** In the order of a line, with its date behind the time. */
const SCHEMA: Schema = [
  { name: "schema", num_children: 6 },
  {
    name: "timestamp",
    type: "INT64",
    converted_type: "TIMESTAMP_MILLIS",
    logical_type: { type: "TIMESTAMP", isAdjustedToUTC: true, unit: "MILLIS" },
    repetition_type: "REQUIRED",
  },
  {
    name: "date",
    type: "INT32",
    converted_type: "DATE",
    logical_type: { type: "DATE" },
    repetition_type: "REQUIRED",
  },
  { name: "event", ...STRING, repetition_type: "REQUIRED" },
  { name: "failure_reason", ...STRING, repetition_type: "OPTIONAL" },
  { name: "input_prompt", ...STRING, repetition_type: "REQUIRED" },
  { name: "distinct_id", ...STRING, repetition_type: "REQUIRED" },
];

function columnsOf(rows: readonly StoredLine[]) {
  const times = rows.map((row) => new Date(row.timestamp));
  return [
    { name: "timestamp", data: times },
    { name: "date", data: times },
    { name: "event", data: rows.map((row) => row.event) },
    { name: "failure_reason", data: rows.map((row) => row.failure_reason) },
    { name: "input_prompt", data: rows.map((row) => row.input_prompt) },
    { name: "distinct_id", data: rows.map((row) => row.distinct_id) },
  ];
}
