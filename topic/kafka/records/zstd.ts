import { Buffer } from "node:buffer";
import { zstdDecompressSync } from "node:zlib";
import { ByteReader, MalformedError } from "./byte_reader.ts";
import { inOnePiece } from "./one_piece.ts";

/**
 * The frames of Zstandard (RFC 8878, 3.1), each to be unpacked alone: of several the runtime gives back the first, of one
 * that is cut off nothing, and says neither. Skippable ones are left out.
 */
function framesOf(packed: Uint8Array): readonly Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (const reader = new ByteReader(packed); reader.left > 0;) {
    const from = reader.at;
    const magic = reader.littleEndian(4);
    if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE) {
      reader.skip(reader.littleEndian(4));
      continue;
    }
    if (magic !== FRAME) throw new MalformedError("no Zstandard frame begins where one must");
    passOverFrame(reader);
    frames.push(packed.subarray(from, reader.at));
  }
  return frames;
}

/** Unpacks them, one behind the other, to at most `bytesMax`; throws the runtime's errors. */
export function unpackZstd(packed: Uint8Array, bytesMax: number): Uint8Array {
  const frames = framesOf(packed);
  let left = bytesMax;
  const unpacked = frames.map((frame) => {
    const bytes = inOnePiece(zstdDecompressSync, frame, Math.max(1, left));
    left -= bytes.length;
    return bytes;
  });
  if (unpacked.length === 1) return unpacked[0]!;
  return Buffer.concat(unpacked);
}

const FRAME = 0xfd2fb528;
const SKIPPABLE = 0x184d2a50;
const DICTIONARY_ID_BYTES = [0, 1, 2, 4];
const RUN_LENGTH = 1;

/** What follows a frame's magic number, by its lengths alone. */
function passOverFrame(reader: ByteReader): void {
  const flags = reader.littleEndian(1);
  const isSingleSegment = (flags & 0x20) !== 0;
  const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][flags >>> 6]!;
  reader.skip((isSingleSegment ? 0 : 1) + DICTIONARY_ID_BYTES[flags & 3]! + sizeBytes);
  for (let isLast = false; !isLast;) {
    const block = reader.littleEndian(3);
    isLast = (block & 1) === 1;
    reader.skip((block >>> 1 & 3) === RUN_LENGTH ? 1 : block >>> 3);
  }
  if ((flags & 0x04) !== 0) reader.skip(4);
}
