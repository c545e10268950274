import { sizeOfLz4Block, unpackLz4BlockInto } from "../../../runtime/lz4_block.ts";
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
    size += block.isPacked ? sizeOfLz4Block(block.bytes) : block.bytes.length;
    if (size > bytesMax) throw new TooLargeError(bytesMax);
  }
  const out = new Uint8Array(size);
  let at = 0;
  for (const block of blocks) {
    if (block.isPacked) at = unpackLz4BlockInto(block.bytes, out, at);
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
