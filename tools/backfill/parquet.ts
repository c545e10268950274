import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from "node:zlib";
import {
  type AsyncBuffer,
  type Compressors,
  type FileMetaData,
  parquetMetadataAsync,
  type ParquetParsers,
  parquetReadObjects,
  snappyUncompress,
} from "hyparquet";
import { CommandFailedError, ofFile } from "../command.ts";
import { unpackLz4Block } from "./lz4_block.ts";
import { type BackfillEvent, type BackfillSource, COLUMNS, eventOf } from "./sources.ts";

/** Bytes of the needed columns of one row group, packed as well as unpacked. */
const GROUP_BYTES_MAX = 512 * 1024 * 1024;

/**
 * The events of a Parquet file of a batch export's events model (posthog.com's docs, batch-exports/s3): properties are JSON
 * texts. One row group is in memory at a time.
 */
export async function parquetSource(path: string): Promise<BackfillSource> {
  const file = await ofFile(path, openBuffer);
  let metadata: FileMetaData;
  try {
    metadata = await parquetMetadataAsync(file);
  } catch (cause) {
    throw new CommandFailedError(
      `Cannot read "${path}": its Parquet has no end that can be read (${
        (cause as Error).message
      }). Get the file whole.`,
      { cause },
    );
  }
  const columns = columnsOf(path, metadata);
  const rows = Number(metadata.num_rows);
  let read = 0;
  const events = rowEvents({ file, metadata, columns, onRow: () => read++ });
  return { events, share: () => rows === 0 ? 1 : read / rows };
}

type Table = {
  readonly file: AsyncBuffer;
  readonly metadata: FileMetaData;
  readonly columns: string[];
  readonly onRow: () => void;
};

async function* rowEvents({ file, metadata, columns, onRow }: Table): AsyncGenerator<BackfillEvent> {
  let number = 0;
  for (const group of metadata.row_groups) {
    const rowStart = number;
    const rowEnd = rowStart + Number(group.num_rows);
    let rows: Record<string, unknown>[];
    try {
      refuseLarge(group, columns);
      rows = await parquetReadObjects({
        file,
        metadata,
        columns,
        rowStart,
        rowEnd,
        compressors: compressorsWithin(GROUP_BYTES_MAX),
        parsers: PARSERS,
      });
    } catch (cause) {
      const { message } = cause as Error;
      const advice = /compression codec|larger than/.test(message)
        ? "export it with zstd or snappy, in smaller files"
        : "get it anew";
      yield {
        ok: false,
        where: `behind row ${rowStart}`,
        reason: `cannot be read (${message}): ${advice}; all before it was read`,
      };
      return;
    }
    for (const row of rows) {
      onRow();
      yield eventOf(row, `row ${++number}`);
    }
  }
}

/** Those of {@link COLUMNS} that there are. */
function columnsOf(path: string, { schema }: FileMetaData): string[] {
  const names = schema.map(({ name }) => name);
  const missing = ["event", "distinct_id", "properties"].filter((name) => !names.includes(name));
  if (missing.length === 0) return COLUMNS.filter((name) => names.includes(name));
  throw new CommandFailedError(
    `Cannot take events from "${path}": it has no column ${
      missing.join(", ")
    }. Export PostHog's events model.`,
  );
}

/** The file in slices, each of at most {@link GROUP_BYTES_MAX}. */
async function openBuffer(path: string): Promise<AsyncBuffer> {
  const { size } = await Deno.stat(path);
  return {
    byteLength: size,
    async slice(start, end = size) {
      if (end - start > GROUP_BYTES_MAX) throw new Error(`${end - start} bytes in one piece are too many`);
      using file = await Deno.open(path);
      await file.seek(start, Deno.SeekMode.Start);
      const bytes = new Uint8Array(end - start);
      for (let at = 0; at < bytes.length;) {
        const count = await file.read(bytes.subarray(at));
        if (count === null) throw new Error("the file has become shorter");
        at += count;
      }
      return bytes.buffer;
    },
  };
}

function refuseLarge(group: FileMetaData["row_groups"][number], columns: readonly string[]): void {
  const bytes = group.columns
    .filter(({ meta_data: meta }) => columns.includes(meta?.path_in_schema[0] ?? ""))
    .reduce((sum, { meta_data: meta }) => sum + Number(meta!.total_compressed_size), 0);
  if (bytes > GROUP_BYTES_MAX) throw new Error(`a row group is larger than ${GROUP_BYTES_MAX} bytes`);
}

/** Codecs that unpack at most `bytesMax` together. */
function compressorsWithin(bytesMax: number): Compressors {
  let left = bytesMax;
  const within = (unpack: (packed: Uint8Array, bytes: number) => Uint8Array) => {
    return (packed: Uint8Array, bytes: number) => {
      left -= bytes;
      if (left < 0) throw new Error(`a row group is larger than ${bytesMax} bytes`);
      return unpack(packed, bytes);
    };
  };
  const options = (bytes: number) => ({ maxOutputLength: Math.max(1, bytes) });
  return {
    SNAPPY: within((packed, bytes) => {
      const unpacked = new Uint8Array(bytes);
      snappyUncompress(packed, unpacked);
      return unpacked;
    }),
    GZIP: within((packed, bytes) => gunzipSync(packed, options(bytes))),
    BROTLI: within((packed, bytes) => brotliDecompressSync(packed, options(bytes))),
    LZ4_RAW: within(unpackLz4Block),
    ZSTD: within((packed, bytes) => zstdDecompressSync(packed, options(bytes))),
  };
}

/** Times to the microsecond, as the API gives them; what cannot be said in ISO 8601 is left to who reads it. */
const PARSERS: Partial<ParquetParsers> = {
  timestampFromMilliseconds: (millis) => isoOf(millis * 1000n),
  timestampFromMicroseconds: (micros) => isoOf(micros),
  timestampFromNanoseconds: (nanos) => isoOf(nanos / 1000n),
};

function isoOf(micros: bigint): string {
  const date = new Date(Number(micros / 1000n));
  if (Number.isNaN(date.getTime())) return String(micros);
  const rest = String((micros % 1000n + 1000n) % 1000n).padStart(3, "0");
  return date.toISOString().replace("Z", `${rest}Z`);
}
