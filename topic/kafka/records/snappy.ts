import { copyWithin } from "../../../runtime/lz4_block.ts";
import { ByteReader, MalformedError } from "./byte_reader.ts";
import { TooLargeError } from "./too_large.ts";

/**
 * Snappy as Kafka's clients write it: one raw block (google/snappy, format_description.txt; librdkafka), or the frames
 * of xerial's snappy-java, a header and then blocks behind their lengths (Java clients, Sarama).
 */
export function unpackSnappy(packed: Uint8Array, bytesMax: number): Uint8Array {
  const blocks = isXerial(packed) ? blocksOf(packed) : [packed];
  const sized = blocks.map((block) => ({ reader: new ByteReader(block), size: 0 }));
  let size = 0;
  for (const one of sized) {
    size += one.size = announcedSize(one.reader);
    if (size > bytesMax) throw new TooLargeError(bytesMax);
  }
  const out = new Uint8Array(size);
  let at = 0;
  for (const one of sized) at = unpackBlock(one.reader, out, { from: at, end: at + one.size });
  return out;
}

const XERIAL = [0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00];
/** Behind it follow two version numbers of four bytes. */
const XERIAL_HEADER_BYTES = XERIAL.length + 8;
/** A tag of three bytes copies 64: no block unpacks to more than this many times its size. */
const RATIO_MAX = 22;

function isXerial(packed: Uint8Array): boolean {
  return packed.length >= XERIAL_HEADER_BYTES && XERIAL.every((byte, i) => packed[i] === byte);
}

function blocksOf(packed: Uint8Array): Uint8Array[] {
  const reader = new ByteReader(packed, XERIAL_HEADER_BYTES);
  const blocks: Uint8Array[] = [];
  while (reader.left > 0) {
    // Streams that were joined have a header each.
    if (isXerial(packed.subarray(reader.at))) reader.skip(XERIAL_HEADER_BYTES);
    else blocks.push(reader.take(reader.int32()));
  }
  return blocks;
}

/** What a block says that it unpacks to, in bytes; refused where no block of its size can. */
function announcedSize(reader: ByteReader): number {
  let size = 0;
  for (let unit = 1;; unit *= 128) {
    const byte = reader.int8();
    size += (byte & 0x7f) * unit;
    if (byte >= 0) break;
    if (unit > 2 ** 28) throw new MalformedError("the size of a snappy block is no number");
  }
  if (size > reader.left * RATIO_MAX) throw new MalformedError(`a snappy block cannot hold ${size} bytes`);
  return size;
}

function unpackBlock(
  reader: ByteReader,
  out: Uint8Array,
  { from, end }: { readonly from: number; readonly end: number },
): number {
  const { bytes } = reader;
  let to = from;
  while (reader.left > 0) {
    const tag = bytes[reader.at++]!;
    const kind = tag & 3;
    let length = (tag >>> 2) + 1;
    if (kind === 0) {
      if (length > 60) length = reader.littleEndian(length - 60) + 1;
      if (length > end - to) throw new MalformedError("a snappy block is longer than it says");
      const at = reader.skip(length);
      if (length > 32) out.set(bytes.subarray(at, at + length), to);
      else for (let i = 0; i < length; i++) out[to + i] = bytes[at + i]!;
      to += length;
      continue;
    }
    let distance: number;
    if (kind === 1) {
      length = (tag >>> 2 & 7) + 4;
      distance = (tag & 0xe0) << 3 | reader.littleEndian(1);
    } else distance = reader.littleEndian(kind === 2 ? 2 : 4);
    if (length > end - to) throw new MalformedError("a snappy block is longer than it says");
    to = copyWithin(out, to, { distance, length });
  }
  if (to !== end) throw new MalformedError("a snappy block is shorter than it says");
  return to;
}
