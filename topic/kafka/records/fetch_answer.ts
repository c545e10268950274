import { ByteReader } from "./byte_reader.ts";
import { type AbortedTransaction, RecordSet } from "./record_set.ts";

/** What a broker answers of one partition. */
export type PartitionAnswer = {
  readonly partition: number;
  /** Kafka's number of an error; 0 where there is none. */
  readonly errorCode: number;
  /** The high watermark. */
  readonly endOffset: number;
  /** Records from here on are of transactions that have not ended; −1 where the broker does not say. */
  readonly stableOffset: number;
  readonly aborted: readonly AbortedTransaction[];
  /** The entries as they lie in the log; views of the answer. */
  readonly records: Uint8Array;
};

/** A Fetch answer with its record sets left as they are. */
export type FetchAnswer = {
  readonly errorCode: number;
  readonly throttleMs: number;
  readonly partitions: readonly PartitionAnswer[];
};

/** Versions of Fetch that are read here; each broker from Kafka 0.11 on knows one. Later ones name topics by ids. */
export const FETCH_VERSIONS = { min: 4, max: 11 };

/** Decodes a Fetch answer (kafka.apache.org/protocol, Fetch API, versions 4 to 11). */
export function readFetchAnswer(bytes: Uint8Array, version: number): FetchAnswer {
  const reader = new ByteReader(bytes);
  const throttleMs = reader.int32();
  const errorCode = version >= 7 ? reader.int16() : 0;
  if (version >= 7) reader.int32();
  const partitions: PartitionAnswer[] = [];
  for (let topics = reader.int32(); topics > 0; topics--) {
    reader.take(reader.int16());
    for (let count = reader.int32(); count > 0; count--) partitions.push(readPartition(reader, version));
  }
  return { errorCode, throttleMs, partitions };
}

function readPartition(reader: ByteReader, version: number): PartitionAnswer {
  const partition = reader.int32();
  const errorCode = reader.int16();
  const [endOffset, stableOffset] = [reader.int64(), reader.int64()];
  if (version >= 5) reader.int64();
  const aborted: AbortedTransaction[] = [];
  for (let count = reader.int32(); count > 0; count--) {
    aborted.push({ producerId: reader.int64(), firstOffset: reader.int64() });
  }
  if (version >= 11) reader.int32();
  const records = reader.take(Math.max(0, reader.int32()));
  return { partition, errorCode, endOffset, stableOffset, aborted, records };
}

/**
 * The records of an answer from `from` on. A partition of which little came must not keep all that came of the others in
 * memory for as long as its handler takes: then it has bytes of its own.
 */
export function recordSetOf({ partition, records, aborted }: PartitionAnswer, from: number): RecordSet {
  const isSmallPart = records.buffer.byteLength > 2 * records.length;
  return new RecordSet(isSmallPart ? records.slice() : records, { partition, from, aborted });
}
