import { type Connection, OFFSETS_PER_PARTITION, TIME } from "./file.ts";
import { type FilePartition, nextOffsetOf } from "./topics.ts";
import type { RecordBatch, RecordHeaders, TopicRecord, UnreadableRecords } from "../topic.ts";

/** Which records a batch begins with, and where it ends at the latest. */
export type BatchWanted = {
  readonly from: number;
  /** Only records below it; undefined: up to the end. */
  readonly below?: number;
  readonly recordsMax: number;
  /** The batch ends with the record that reaches so many bytes of values. */
  readonly bytesMax: number;
};

/** A batch that ends before the first row that cannot be decoded; `unreadable` is that row where the batch is empty. */
export type BatchRead = { readonly batch: RecordBatch; readonly unreadable: UnreadableRecords | null };

/** The next records of a partition; without any, `nextOffset` still leads over what retention has deleted. */
export function batchOf(
  connection: Connection,
  { id, number }: FilePartition,
  wanted: BatchWanted,
): BatchRead {
  const low = id * OFFSETS_PER_PARTITION;
  const startOffset =
    connection.first<[number]>("select start_offset from topic_partition where id = ?", id)![0];
  const from = Math.max(wanted.from, startOffset);
  const below = low + (wanted.below ?? OFFSETS_PER_PARTITION);
  const last = lastOfBatch(connection, low + from, { ...wanted, below });
  const { records, unreadable } = last === null
    ? { records: [], unreadable: null }
    : recordsBetween(connection, { id, number }, [low + from, last]);
  const nextOffset = unreadable?.offset ?? (last === null ? from : last - low + 1);
  const endOffset = nextOffsetOf(connection, { id, startOffset });
  const batch = { partition: number, records, nextOffset, endOffset: Math.max(endOffset, nextOffset) };
  return { batch, unreadable: records.length === 0 ? unreadable : null };
}

/**
 * Sizes first: they are read without the values, so that one batch of large records does not fill the memory. They are
 * looked at one by one only where all of them together are too many bytes.
 */
function lastOfBatch(
  connection: Connection,
  from: number,
  { below, recordsMax, bytesMax }: Omit<BatchWanted, "from" | "below"> & { readonly below: number },
): number | null {
  const range = [from, below, recordsMax];
  const [end, sum] = connection.first<[number | null, number | null]>(
    `select max(id), sum(size) from (${SIZES})`,
    ...range,
  )!;
  if (sum === null || sum < bytesMax) return end;
  let last: number | null = null;
  let bytes = 0;
  for (const [id, size] of connection.all<[number, number]>(SIZES, ...range)) {
    last = id;
    bytes += size;
    if (bytes >= bytesMax) break;
  }
  return last;
}

const SIZES = "select id, length(value) as size from record where id >= ? and id < ? order by id limit ?";

type RecordRow = [
  id: number,
  timestamp: number | null,
  keyBytes: number | null,
  valueBytes: number,
  headers: string | null,
  bytes: Uint8Array | null,
];

/** Up to the first row that cannot be decoded: somebody else has written it, or the disk has changed it. */
function recordsBetween(
  connection: Connection,
  { id, number }: Pick<FilePartition, "id" | "number">,
  range: readonly [first: number, last: number],
): { readonly records: readonly TopicRecord[]; readonly unreadable: UnreadableRecords | null } {
  const low = id * OFFSETS_PER_PARTITION;
  const records: TopicRecord[] = [];
  const rows = connection.all<RecordRow>(ROWS, ...range);
  const bytes = rows.pop()![5]!;
  let end = 0;
  const take = (length: number) => bytes.subarray(end, end += length);
  for (const [row, timestamp, keyBytes, valueBytes, text] of rows) {
    const key = keyBytes === null ? null : take(keyBytes);
    const value = take(valueBytes);
    const headers = text === null ? NO_HEADERS : headersIn(text);
    const at = { partition: number, offset: row - low };
    if (timestamp !== null && headers !== null) records.push({ ...at, timestamp, key, value, headers });
    else {
      const reason = headers === null
        ? "the record cannot be read: its headers are no JSON object of texts"
        : "the record cannot be read: its time is beyond what a whole number can say";
      const bytes = value.slice(0, UNREADABLE_BYTES_MAX);
      return { records, unreadable: { ...at, nextOffset: at.offset + 1, reason, bytes } };
    }
  }
  return { records, unreadable: null };
}

/**
 * The rows, and behind them one blob of all keys and values in their order: an ArrayBuffer for each of them would cost more
 * than everything else in a row. One statement, so that both are of one moment.
 *
 * SQLite's integers have 64 bits: one that JavaScript cannot say would fail the whole query.
 */
const ROWS =
  `select * from (select id, case when timestamp = ${TIME} then timestamp end, length(key), length(value), headers, null ` +
  "from record where id >= ?1 and id <= ?2 order by id) " +
  "union all select null, null, null, null, null, cast(group_concat(bytes, '') as blob) " +
  "from (select ifnull(key, x'') || value as bytes from record where id >= ?1 and id <= ?2 order by id)";

/** As the port bounds them, in bytes. */
const UNREADABLE_BYTES_MAX = 1024 * 1024;

const NO_HEADERS: RecordHeaders = Object.freeze({});

function headersIn(text: string): RecordHeaders | null {
  try {
    const headers: unknown = JSON.parse(text);
    if (typeof headers !== "object" || headers === null || Array.isArray(headers)) return null;
    for (const name in headers) {
      if (typeof (headers as Record<string, unknown>)[name] !== "string") return null;
    }
    return headers as RecordHeaders;
  } catch {
    return null;
  }
}
