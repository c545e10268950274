/** What `gunzipSync` and its like take. */
type Unpack = (
  packed: Uint8Array,
  options: { readonly maxOutputLength: number; readonly chunkSize: number },
) => Uint8Array;

/** Bytes of the least and the largest piece that is made ready for what is unpacked; the runtime's own are of 16 KiB. */
const [PIECE_BYTES_MIN, PIECE_BYTES_MAX] = [1024, 512 * 1024];
/** How many times as large as it was packed the batch before has become: those of a topic are mostly alike. */
let times = 8;

/**
 * Unpacks to one piece that is as large as the result is likely to be: in pieces of 16 KiB, which the runtime takes if it is
 * not told, joining them and the calls for each take more time than unpacking. What it gives back holds at most twice its
 * length in memory. A size that a header announces is not looked at: most packers do not know it when they write the header.
 */
export function inOnePiece(unpack: Unpack, packed: Uint8Array, bytesMax: number): Uint8Array {
  // A piece that is filled to its last byte is followed by another.
  const guess = Math.floor(packed.length * times * 1.1) + 64;
  const chunkSize = Math.min(PIECE_BYTES_MAX, Math.max(PIECE_BYTES_MIN, guess));
  const { buffer, byteOffset, length } = unpack(packed, { maxOutputLength: bytesMax, chunkSize });
  times = length / packed.length;
  // A `Buffer` makes views of itself much more slowly than what it is made of.
  const bytes = new Uint8Array(buffer, byteOffset, length);
  return buffer.byteLength > 2 * length ? bytes.slice() : bytes;
}
