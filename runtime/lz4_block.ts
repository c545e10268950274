/** Blocks of LZ4 (lz4/doc/lz4_Block_format.md), within the frames of Kafka's clients and in Parquet's codec LZ4_RAW. */

/** Unpacks one to exactly `bytes` bytes; throws where it gives any other number of them. */
export function unpackLz4Block(block: Uint8Array, bytes: number): Uint8Array {
  try {
    if (sizeOfLz4Block(block) !== bytes) throw new Error(`it does not hold ${bytes} bytes`);
    const out = new Uint8Array(bytes);
    unpackLz4BlockInto(block, out, 0);
    return out;
  } catch (cause) {
    throw new Error("an LZ4 block is damaged", { cause });
  }
}

/** What a block unpacks to, in bytes, without unpacking it. */
export function sizeOfLz4Block(block: Uint8Array): number {
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
  if (at !== block.length) throw new Error("an LZ4 block is cut off");
  return size;
}

/** Unpacks a block that {@link sizeOfLz4Block} has counted. Matches may reach into the blocks before it. */
export function unpackLz4BlockInto(block: Uint8Array, out: Uint8Array, from: number): number {
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
  if (distance === 0 || distance > to) throw new Error("a match begins before the data");
  const from = to - distance;
  if (distance >= length && length > 32) out.copyWithin(to, from, from + length);
  else for (let i = 0; i < length; i++) out[to + i] = out[from + i]!;
  return to + length;
}

function byteAt(bytes: Uint8Array, at: number): number {
  const byte = bytes[at];
  if (byte === undefined) throw new Error("a length is cut off");
  return byte;
}
