import { hash } from "node:crypto";
import type { WindowEntries } from "./dedup_window.ts";

/**
 * The dedup window as bytes, so that a start need not read the log's last W records. A cache: checksummed, and where it
 * doesn't fit the log is read.
 *
 * Format (little-endian): magic · W · next offset · number of entries (8 bytes each) · ids (16 bytes each) · offsets
 * (8) · redrives (2) · SHA-256 of all before it.
 */
const MAGIC = "PHWINDW1";
const HEADER_BYTES = 32;
const ENTRY_BYTES = 26;
const CHECKSUM_BYTES = 32;

export function encodeWindow(
  { size, nextOffset, entries }: {
    readonly size: number;
    readonly nextOffset: number;
    readonly entries: WindowEntries;
  },
): Uint8Array {
  const { count } = entries;
  const body = HEADER_BYTES + count * ENTRY_BYTES;
  const bytes = new Uint8Array(body + CHECKSUM_BYTES);
  bytes.set(new TextEncoder().encode(MAGIC));
  bytes.set(bytesOf(new Float64Array([size, nextOffset, count])), 8);
  bytes.set(bytesOf(entries.ids), HEADER_BYTES);
  bytes.set(bytesOf(entries.offsets), HEADER_BYTES + count * 16);
  bytes.set(bytesOf(entries.redrives), HEADER_BYTES + count * 24);
  bytes.set(hash("sha256", bytes.subarray(0, body), "buffer"), body);
  return bytes;
}

/** Null where the bytes are damaged or of a window of another size. */
export function decodeWindow(
  bytes: Uint8Array,
  size: number,
): (WindowEntries & { readonly nextOffset: number }) | null {
  if (bytes.length < HEADER_BYTES + CHECKSUM_BYTES) return null;
  if (new TextDecoder().decode(bytes.subarray(0, 8)) !== MAGIC) return null;
  const [cachedSize, nextOffset, count] = new Float64Array(bytes.slice(8, HEADER_BYTES).buffer);
  if (cachedSize !== size || nextOffset === undefined || count === undefined) return null;
  const body = HEADER_BYTES + count * ENTRY_BYTES;
  if (bytes.length !== body + CHECKSUM_BYTES) return null;
  if (!hash("sha256", bytes.subarray(0, body), "buffer").equals(bytes.subarray(body))) return null;
  return {
    nextOffset,
    count,
    ids: new Uint32Array(bytes.slice(HEADER_BYTES, HEADER_BYTES + count * 16).buffer),
    offsets: new Float64Array(bytes.slice(HEADER_BYTES + count * 16, HEADER_BYTES + count * 24).buffer),
    redrives: new Uint16Array(bytes.slice(HEADER_BYTES + count * 24, body).buffer),
  };
}

function bytesOf(array: Uint32Array | Float64Array | Uint16Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
