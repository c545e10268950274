import { crc32 } from "node:zlib";
import { type EntryHead, MAGIC_AT, wrongChecksum } from "./batch.ts";
import { ByteReader, MalformedError } from "./byte_reader.ts";
import { unpack } from "./codecs.ts";
import { KafkaRecord } from "./record.ts";

/**
 * An entry of the formats before Kafka 0.11 (magic 0 and 1; kafka.apache.org/documentation, "Old Message Format"): one
 * message, or one whose value is a packed row of messages. A log keeps them for as long as it keeps its records.
 */
export class OldMessages {
  readonly unpackedBytes: number;
  readonly #messages: ByteReader;
  readonly #partition: number;
  /** Added to the offset that a message says. */
  readonly #base: number;
  /** Of every message, where the broker has stamped the row; else each has its own. */
  readonly #timestamp: number | null;

  constructor(
    bytes: Uint8Array,
    entry: EntryHead,
    { partition, bytesMax }: { readonly partition: number; readonly bytesMax: number },
  ) {
    checkOld(bytes, entry);
    this.#partition = partition;
    const outer = readMessage(new ByteReader(bytes, entry.at, entry.end));
    const codec = outer.attributes & CODEC;
    if (codec === 0) {
      this.unpackedBytes = 0;
      this.#messages = new ByteReader(bytes, entry.at, entry.end);
      this.#base = 0;
      this.#timestamp = null;
      return;
    }
    const row = unpack(outer.value ?? new Uint8Array(0), codec, bytesMax);
    this.unpackedBytes = row.length;
    this.#messages = new ByteReader(row);
    // Magic 1 counts from the row's first message, and the row has the offset of its last.
    this.#base = outer.magic === 0 ? 0 : entry.lastOffset - lastOffset(row);
    this.#timestamp = outer.attributes & LOG_APPEND_TIME ? outer.timestamp : null;
  }

  get isDone(): boolean {
    return this.#messages.left === 0;
  }

  next(): KafkaRecord | null {
    if (this.#messages.left === 0) return null;
    const { offset, timestamp, key, value } = readMessage(this.#messages);
    const at = this.#timestamp ?? timestamp;
    return new KafkaRecord(this.#partition, this.#base + offset, at, key, value, null, 0);
  }
}

/** When the first message came, in milliseconds since 1970; −1 (Kafka's own "none") in the oldest format. */
export function oldTimestamp(bytes: Uint8Array, { at, end }: EntryHead): number {
  return readMessage(new ByteReader(bytes, at, end)).timestamp;
}

const CODEC = 0x07;
const LOG_APPEND_TIME = 0x08;

type OldMessage = {
  readonly magic: number;
  readonly attributes: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
};

function checkOld(bytes: Uint8Array, { at, end }: EntryHead): void {
  const said = new ByteReader(bytes, at + 12).uint32();
  const found = crc32(bytes.subarray(at + MAGIC_AT, end));
  if (found !== said) throw new MalformedError(wrongChecksum("CRC-32", { found, said }));
}

function readMessage(reader: ByteReader): OldMessage {
  const offset = reader.int64();
  const length = reader.int32();
  const end = reader.skip(length) + length;
  reader.at = end - length + 4;
  const [magic, attributes] = [reader.int8(), reader.int8()];
  const timestamp = magic === 0 ? -1 : reader.int64();
  const [key, value] = [nullable(reader), nullable(reader)];
  if (reader.at !== end) {
    throw new MalformedError(`the message at offset ${offset} is not as long as it says`);
  }
  return { magic, attributes, offset, timestamp, key, value };
}

function nullable(reader: ByteReader): Uint8Array | null {
  const length = reader.int32();
  return length < 0 ? null : reader.take(length);
}

/** What the last message of a row says as its offset. */
function lastOffset(row: Uint8Array): number {
  const reader = new ByteReader(row);
  let last = 0;
  while (reader.left > 0) {
    last = reader.int64();
    reader.skip(reader.int32());
  }
  return last;
}
