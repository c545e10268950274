import { Buffer } from "node:buffer";
import { zstdCompressSync } from "node:zlib";
import { crc32c } from "./crc32c.ts";

/**
 * What an idempotent producer sends, Produce from version 3 on (kafka.apache.org/protocol), with record batches of magic 2
 * packed by zstd. The client's own encoder makes some ten buffers for each record: a quarter of what a durable webhook cost.
 */

/** As the client hands it over. */
export type ProduceRequest = {
  readonly acks: number;
  /** Milliseconds that the broker may wait for its replicas. */
  readonly timeout: number;
  /** A whole number below 2⁶³, in whatever form says so by `toString`. */
  readonly producerId: { toString(): string };
  readonly producerEpoch: number;
  readonly topicData: readonly {
    readonly topic: string;
    readonly partitions: readonly {
      readonly partition: number;
      readonly firstSequence: number;
      readonly messages: readonly MessageToSend[];
    }[];
  }[];
};

/** `timestamp`: whole milliseconds since 1970, as a number or as its text. */
export type MessageToSend = {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly timestamp: number | string;
};

const ZSTD = 4;
const MAGIC = 2;
/** Where the front of a batch holds its parts, as in `batch.ts`. */
const LENGTH_COUNTS_FROM = 12;
const CRC_AT = 17;
const ATTRIBUTES_AT = 21;
const FRONT_BYTES = 61;
/** More than a record's own front can take: its length, attributes, time, offset, and the lengths of key, value and headers. */
const RECORD_FRONT_BYTES_MAX = 40;
/** More than the length of a header's name or value can take. */
const LENGTH_BYTES_MAX = 5;

/** The request's body, without the transaction that an idempotent producer has none of. */
export function produceBody(request: ProduceRequest): Buffer {
  const front = Buffer.alloc(2 + 2 + 4 + 4);
  front.writeInt16BE(-1, 0);
  front.writeInt16BE(request.acks, 2);
  front.writeInt32BE(request.timeout, 4);
  front.writeInt32BE(request.topicData.length, 8);
  const parts: Buffer[] = [front];
  for (const { topic, partitions } of request.topicData) {
    const name = Buffer.from(topic);
    const head = Buffer.alloc(2 + name.length + 4);
    head.writeInt16BE(name.length, 0);
    name.copy(head, 2);
    head.writeInt32BE(partitions.length, 2 + name.length);
    parts.push(head);
    for (const { partition, firstSequence, messages } of partitions) {
      const batch = recordBatch(messages, { ...request, firstSequence });
      const place = Buffer.alloc(8);
      place.writeInt32BE(partition, 0);
      place.writeInt32BE(batch.length, 4);
      parts.push(place, batch);
    }
  }
  return Buffer.concat(parts);
}

/** One batch; its records lie at the time of the earliest and later. */
function recordBatch(
  messages: readonly MessageToSend[],
  { producerId, producerEpoch, firstSequence }:
    & Pick<ProduceRequest, "producerId" | "producerEpoch">
    & { readonly firstSequence: number },
): Buffer {
  let [first, last] = [Infinity, -Infinity];
  for (const { timestamp } of messages) {
    first = Math.min(first, Number(timestamp));
    last = Math.max(last, Number(timestamp));
  }
  const packed = zstdCompressSync(recordsOf(messages, first));
  const batch = Buffer.alloc(FRONT_BYTES + packed.length);
  batch.writeInt32BE(batch.length - LENGTH_COUNTS_FROM, 8);
  batch.writeInt8(MAGIC, 16);
  batch.writeInt16BE(ZSTD, ATTRIBUTES_AT);
  batch.writeInt32BE(messages.length - 1, 23);
  batch.writeBigInt64BE(BigInt(first), 27);
  batch.writeBigInt64BE(BigInt(last), 35);
  batch.writeBigInt64BE(BigInt(producerId.toString()), 43);
  batch.writeInt16BE(producerEpoch, 51);
  batch.writeInt32BE(firstSequence, 53);
  batch.writeInt32BE(messages.length, 57);
  batch.set(packed, FRONT_BYTES);
  batch.writeUInt32BE(crc32c(batch.subarray(ATTRIBUTES_AT)), CRC_AT);
  return batch;
}

function recordsOf(messages: readonly MessageToSend[], first: number): Uint8Array {
  const writer = new RecordWriter(messages.reduce((sum, message) => sum + bytesAtMost(message), 0));
  messages.forEach((message, offset) =>
    writer.record(message, { offset, later: Number(message.timestamp) - first })
  );
  return writer.written;
}

/** Of UTF-8 a UTF-16 unit takes three bytes at most. */
function bytesAtMost({ key, value, headers }: MessageToSend): number {
  let bytes = RECORD_FRONT_BYTES_MAX + (key?.length ?? 0) + (value?.length ?? 0);
  for (const name in headers) bytes += 2 * LENGTH_BYTES_MAX + 3 * (name.length + headers[name]!.length);
  return bytes;
}

/** Writes records one behind the other into one buffer, which must have room for them. */
class RecordWriter {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: number) {
    this.#bytes = Buffer.allocUnsafeSlow(bytes);
  }

  get written(): Uint8Array {
    return this.#bytes.subarray(0, this.#at);
  }

  record(
    { key, value, headers }: MessageToSend,
    { offset, later }: { readonly offset: number; readonly later: number },
  ): void {
    let bytes = 1 + varintBytes(later) + varintBytes(offset) + fieldBytes(key?.length) +
      fieldBytes(value?.length);
    let count = 0;
    for (const name in headers) {
      count++;
      bytes += fieldBytes(Buffer.byteLength(name)) + fieldBytes(Buffer.byteLength(headers[name]!));
    }
    this.#varint(bytes + varintBytes(count));
    this.#bytes[this.#at++] = 0;
    this.#varint(later);
    this.#varint(offset);
    this.#field(key);
    this.#field(value);
    this.#varint(count);
    for (const name in headers) {
      this.#text(name);
      this.#text(headers[name]!);
    }
  }

  #field(bytes: Uint8Array | null): void {
    if (bytes === null) return this.#varint(-1);
    this.#varint(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  #text(text: string): void {
    const bytes = Buffer.byteLength(text);
    this.#varint(bytes);
    // Most are short and ASCII, where a call into the runtime costs more than the letters.
    if (bytes === text.length) {
      for (let i = 0; i < bytes; i++) this.#bytes[this.#at + i] = text.charCodeAt(i);
    } else this.#bytes.write(text, this.#at, "utf8");
    this.#at += bytes;
  }

  /** Zigzag, in groups of seven bits; by division, as a time may lie further off than 32 bits. */
  #varint(value: number): void {
    let rest = zigzag(value);
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.#bytes[this.#at++] = (rest % 0x80) | 0x80;
    this.#bytes[this.#at++] = rest;
  }
}

function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = zigzag(value); rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++;
  return bytes;
}

/** Bytes of a field of that length with the length before it; undefined: null. */
function fieldBytes(length: number | undefined): number {
  return length === undefined ? 1 : varintBytes(length) + length;
}
