import { OWN_TIME_HEADER } from "../own_time.ts";
import { ByteReader, MalformedError } from "./byte_reader.ts";
import { unpack } from "./codecs.ts";
import { crc32c } from "./crc32c.ts";
import { BatchHeaders, KafkaRecord } from "./record.ts";

/** What the front of an entry of a record set says, whatever its format. */
export type EntryHead = {
  readonly at: number;
  readonly end: number;
  readonly magic: number;
  readonly firstOffset: number;
  readonly lastOffset: number;
};

/** Where the front of an entry holds its parts; the same in all formats up to here. */
export const MAGIC_AT = 16;
const CRC_AT = 17;
const ATTRIBUTES_AT = 21;
export const LAST_OFFSET_DELTA_AT = 23;
const BASE_TIMESTAMP_AT = 27;
const MAX_TIMESTAMP_AT = 35;
const PRODUCER_ID_AT = 43;
const COUNT_AT = 57;
const RECORDS_AT = 61;
/** The length of an entry counts from here. */
export const LENGTH_COUNTS_FROM = 12;
export const BATCH_LENGTH_MIN = RECORDS_AT - LENGTH_COUNTS_FROM;

const CODEC = 0x07;
const LOG_APPEND_TIME = 0x08;
const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;

/** The front of a record batch (magic 2; kafka.apache.org/documentation, "Record Batch"), read without its records. */
export class BatchHead {
  readonly attributes: number;
  readonly producerId: number;

  constructor(private readonly bytes: Uint8Array, readonly entry: EntryHead) {
    this.attributes = new ByteReader(bytes, entry.at + ATTRIBUTES_AT).int16();
    this.producerId = new ByteReader(bytes, entry.at + PRODUCER_ID_AT).int64();
  }

  get isTransactional(): boolean {
    return (this.attributes & TRANSACTIONAL) !== 0;
  }

  get isControl(): boolean {
    return (this.attributes & CONTROL) !== 0;
  }

  /** Of its first record, or of all where the broker stamps them; milliseconds since 1970. */
  get timestamp(): number {
    const at = this.attributes & LOG_APPEND_TIME ? MAX_TIMESTAMP_AT : BASE_TIMESTAMP_AT;
    return new ByteReader(this.bytes, this.entry.at + at).int64();
  }

  /** Throws where the bytes are not those that the producer wrote. */
  check(): void {
    const { at, end } = this.entry;
    const said = new ByteReader(this.bytes, at + CRC_AT).uint32();
    const found = crc32c(this.bytes.subarray(at + ATTRIBUTES_AT, end));
    if (found !== said) throw new MalformedError(wrongChecksum("CRC-32C", { found, said }));
  }

  records(partition: number, bytesMax: number): BatchRecords {
    const { at, end, firstOffset, lastOffset } = this.entry;
    const count = new ByteReader(this.bytes, at + COUNT_AT).int32();
    if (count > lastOffset - firstOffset + 1) {
      throw new MalformedError(
        `it says that ${count} records lie at offsets ${firstOffset} to ${lastOffset}`,
      );
    }
    const packed = this.bytes.subarray(at + RECORDS_AT, end);
    const front = new ByteReader(this.bytes, at + BASE_TIMESTAMP_AT);
    const [baseTimestamp, maxTimestamp] = [front.int64(), front.int64()];
    return new BatchRecords(unpack(packed, this.attributes & CODEC, bytesMax), {
      partition,
      count,
      baseOffset: firstOffset,
      baseTimestamp,
      timestamp: this.attributes & LOG_APPEND_TIME ? maxTimestamp : null,
    });
  }

  /** True of a control batch that ends a transaction by taking it back. */
  endsByAbort(): boolean {
    const reader = new ByteReader(this.bytes, this.entry.at + RECORDS_AT, this.entry.end);
    if (!this.isControl || reader.left === 0) return false;
    reader.varint();
    reader.int8();
    reader.varlong();
    reader.varint();
    reader.varint();
    reader.int16();
    return reader.int16() === 0;
  }
}

export function wrongChecksum(name: string, { found, said }: { found: number; said: number }): string {
  return `its ${name} is ${found.toString(16)}, not ${said.toString(16)} as it says`;
}

/** The records of an unpacked batch, one after the other. */
export class BatchRecords {
  readonly unpackedBytes: number;
  readonly #reader: ByteReader;
  readonly #headers: BatchHeaders;
  #left: number;

  constructor(
    bytes: Uint8Array,
    private readonly batch: {
      readonly partition: number;
      readonly count: number;
      readonly baseOffset: number;
      readonly baseTimestamp: number;
      /** Of every record; null where each has its own. */
      readonly timestamp: number | null;
    },
  ) {
    this.unpackedBytes = bytes.length;
    this.#reader = new ByteReader(bytes);
    this.#headers = new BatchHeaders(bytes);
    this.#left = batch.count;
    if (this.#left <= 0) this.#checkEnd();
  }

  get isDone(): boolean {
    return this.#left <= 0;
  }

  /** What lies behind the last may be records that somebody misses. */
  #checkEnd(): void {
    const { left } = this.#reader;
    if (left > 0) throw new MalformedError(`${left} bytes lie behind its ${this.batch.count} records`);
  }

  /** Null behind the last; throws {@link MalformedError} where the bytes are no record. */
  next(): KafkaRecord | null {
    if (this.#left <= 0) return null;
    this.#left--;
    const reader = this.#reader;
    const { partition, baseOffset, baseTimestamp, timestamp } = this.batch;
    const length = reader.varint();
    const end = reader.skip(length) + length;
    reader.at = end - length;
    reader.skip(1);
    const delta = reader.varlong();
    const offset = baseOffset + reader.varint();
    const key = nullable(reader);
    const value = nullable(reader);
    const headersAt = reader.at;
    const headers = passOverHeaders(reader);
    if (reader.at !== end) {
      throw new MalformedError(`the record at offset ${offset} is not as long as it says`);
    }
    if (this.#left === 0) this.#checkEnd();
    const record = new KafkaRecord(
      partition,
      offset,
      timestamp ?? baseTimestamp + delta,
      key,
      value,
      headers.count > 0 ? this.#headers : null,
      headersAt,
    );
    return headers.mayHaveOwnTime ? record.asPublished() : record;
  }
}

function nullable(reader: ByteReader): Uint8Array | null {
  const length = reader.varint();
  return length < 0 ? null : reader.take(length);
}

/** Looks only at the lengths, so that decoding them later cannot fail; and at what may be the one name that changes the record. */
function passOverHeaders(reader: ByteReader): { readonly count: number; readonly mayHaveOwnTime: boolean } {
  const count = reader.varint();
  let mayHaveOwnTime = false;
  for (let i = 0; i < count; i++) {
    const length = reader.varint();
    const at = reader.skip(length);
    if (length === OWN_TIME_HEADER.length && isOwnTime(reader.bytes, at)) mayHaveOwnTime = true;
    const valueLength = reader.varint();
    if (valueLength > 0) reader.skip(valueLength);
  }
  return { count, mayHaveOwnTime };
}

function isOwnTime(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < OWN_TIME_HEADER.length; i++) {
    if (bytes[at + i] !== OWN_TIME_HEADER.charCodeAt(i)) return false;
  }
  return true;
}
