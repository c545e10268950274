import { ByteReader, MalformedError } from "./byte_reader.ts";
import { TooLargeError } from "./too_large.ts";

/**
 * LZ4 frames (lz4/doc/lz4_Frame_format.md, 1.6.4), as Kafka's clients write them. Sizes are counted before anything is
 * allocated. Checksums are passed over: the batch has its own, and clients of before Kafka 0.10 wrote a wrong one.
 */
export function unpackLz4(packed: Uint8Array, bytesMax: number): Uint8Array {
  const blocks = blocksOf(packed);
  let size = 0;
  for (const block of blocks) {
    size += block.isPacked ? sizeOfBlock(block.bytes) : block.bytes.length;
    if (size > bytesMax) throw new TooLargeError(bytesMax);
  }
  const out = new Uint8Array(size);
  let at = 0;
  for (const block of blocks) {
    if (block.isPacked) at = unpackBlock(block.bytes, out, at);
    else {
      out.set(block.bytes, at);
      at += block.bytes.length;
    }
  }
  return out;
}

type Block = { readonly bytes: Uint8Array; readonly isPacked: boolean };
const FRAME = 0x184d2204;
const SKIPPABLE = 0x184d2a50;

function blocksOf(packed: Uint8Array): Block[] {
  const reader = new ByteReader(packed);
  const blocks: Block[] = [];
  while (reader.left > 0) {
    const magic = reader.littleEndian(4);
    if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE) reader.skip(reader.littleEndian(4));
    else if (magic === FRAME) readFrame(reader, blocks);
    else throw new MalformedError("no LZ4 frame begins where one must");
  }
  return blocks;
}

function readFrame(reader: ByteReader, blocks: Block[]): void {
  const flags = reader.int8();
  const has = (bit: number) => (flags & bit) !== 0;
  if ((flags & 0xc0) !== 0x40) throw new MalformedError("the LZ4 frame is of an unknown version");
  if (has(0x01)) throw new MalformedError("the LZ4 frame needs a dictionary");
  reader.skip(has(0x08) ? 10 : 2);
  for (;;) {
    const size = reader.littleEndian(4);
    if (size === 0) break;
    blocks.push({ bytes: reader.take(size & 0x7fffffff), isPacked: size < 0x80000000 });
    if (has(0x10)) reader.skip(4);
  }
  if (has(0x04)) reader.skip(4);
}

/** What a block unpacks to, in bytes, without unpacking it. */
function sizeOfBlock(block: Uint8Array): number {
  let size = 0;
  let at = 0;
  const more = () => {
    let length = 0;
    for (let byte = 255; byte === 255;) length += byte = byteAt(block, at++);
    return length;
  };
  while (at < block.length) {
    const token = block[at++]!;
    let literals = token >>> 4;
    if (literals === 15) literals += more();
    at += literals;
    size += literals;
    if (at >= block.length) break;
    at += 2;
    size += (token & 15) + 4 + ((token & 15) === 15 ? more() : 0);
  }
  if (at !== block.length) throw new MalformedError("an LZ4 block is cut off");
  return size;
}

/** Unpacks a block that {@link sizeOfBlock} has counted. Matches may reach into the blocks before it. */
function unpackBlock(block: Uint8Array, out: Uint8Array, from: number): number {
  let to = from;
  let at = 0;
  while (at < block.length) {
    const token = block[at++]!;
    let literals = token >>> 4;
    if (literals === 15) { for (let byte = 255; byte === 255;) literals += byte = block[at++]!; }
    if (literals > 32) out.set(block.subarray(at, at + literals), to);
    else for (let i = 0; i < literals; i++) out[to + i] = block[at + i]!;
    at += literals;
    to += literals;
    if (at >= block.length) break;
    const distance = block[at]! | block[at + 1]! << 8;
    at += 2;
    let length = (token & 15) + 4;
    if (length === 19) { for (let byte = 255; byte === 255;) length += byte = block[at++]!; }
    to = copyWithin(out, to, { distance, length });
  }
  return to;
}

/** Copies what lies `distance` bytes before `to` there; the two may overlap, which repeats it. */
export function copyWithin(
  out: Uint8Array,
  to: number,
  { distance, length }: { readonly distance: number; readonly length: number },
): number {
  if (distance === 0 || distance > to) throw new MalformedError("a match begins before the data");
  const from = to - distance;
  if (distance >= length && length > 32) out.copyWithin(to, from, from + length);
  else for (let i = 0; i < length; i++) out[to + i] = out[from + i]!;
  return to + length;
}

function byteAt(bytes: Uint8Array, at: number): number {
  const byte = bytes[at];
  if (byte === undefined) throw new MalformedError("a length is cut off");
  return byte;
}
