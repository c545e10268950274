import { type Connection, OFFSETS_PER_PARTITION } from "./file.ts";
import { type FilePartition, nextOffsetOf } from "./topics.ts";
import type { RecordBatch, RecordHeaders, TopicRecord } from "../topic.ts";

/** Which records a batch begins with, and where it ends at the latest. */
export type BatchWanted = {
  readonly from: number;
  /** Only records below it; undefined: up to the end. */
  readonly below?: number;
  readonly recordsMax: number;
  /** The batch ends with the record that reaches so many bytes of values. */
  readonly bytesMax: number;
};

/** The next records of a partition; without any, `nextOffset` still leads over what retention has deleted. */
export function batchOf(
  connection: Connection,
  { id, number }: FilePartition,
  wanted: BatchWanted,
): RecordBatch {
  const low = id * OFFSETS_PER_PARTITION;
  const startOffset =
    connection.first<[number]>("select start_offset from topic_partition where id = ?", id)![0];
  const from = Math.max(wanted.from, startOffset);
  const below = low + (wanted.below ?? OFFSETS_PER_PARTITION);
  const last = lastOfBatch(connection, low + from, { ...wanted, below });
  const records = last === null ? [] : recordsBetween(connection, { id, number }, [low + from, last]);
  const nextOffset = last === null ? from : last - low + 1;
  const endOffset = nextOffsetOf(connection, { id, startOffset });
  return { partition: number, records, nextOffset, endOffset: Math.max(endOffset, nextOffset) };
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
  timestamp: number,
  key: Uint8Array | null,
  value: Uint8Array,
  headers: string | null,
];

function recordsBetween(
  connection: Connection,
  { id, number }: Pick<FilePartition, "id" | "number">,
  range: readonly [first: number, last: number],
): readonly TopicRecord[] {
  const low = id * OFFSETS_PER_PARTITION;
  const rows = connection.all<RecordRow>(
    "select id, timestamp, key, value, headers from record where id >= ? and id <= ? order by id",
    ...range,
  );
  return rows.map(([id, timestamp, key, value, headers]) => ({
    partition: number,
    offset: id - low,
    timestamp,
    key,
    value,
    headers: headers === null ? NO_HEADERS : JSON.parse(headers) as RecordHeaders,
  }));
}

const NO_HEADERS: RecordHeaders = Object.freeze({});
