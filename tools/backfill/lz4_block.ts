/**
 * Unpacks one LZ4 block without a frame (lz4/doc/lz4_Block_format.md), as Parquet's codec LZ4_RAW has it, to exactly
 * `bytes` bytes; throws where it gives any other number of them.
 */
export function unpackLz4Block(packed: Uint8Array, bytes: number): Uint8Array {
  const out = new Uint8Array(bytes);
  let [at, to] = [0, 0];
  const lengthOf = (nibble: number) => {
    let length = nibble;
    if (nibble === 15) { for (let byte = 255; byte === 255;) length += byte = packed[at++] ?? 0; }
    return length;
  };
  while (at < packed.length) {
    const token = packed[at++]!;
    const literals = lengthOf(token >>> 4);
    if (at + literals > packed.length || to + literals > bytes) throw damaged();
    out.set(packed.subarray(at, at + literals), to);
    at += literals;
    to += literals;
    if (at === packed.length) break;
    const distance = packed[at]! | (packed[at + 1] ?? 0) << 8;
    at += 2;
    const length = lengthOf(token & 15) + 4;
    if (distance === 0 || distance > to || to + length > bytes) throw damaged();
    // Byte by byte, as the two may overlap, which repeats what lies between.
    for (let i = 0; i < length; i++, to++) out[to] = out[to - distance]!;
  }
  if (to !== bytes) throw damaged();
  return out;
}

function damaged(): Error {
  return new Error("an LZ4 block is damaged");
}
