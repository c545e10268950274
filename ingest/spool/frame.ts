import { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";
import type { EnvelopeRecord } from "../../contract/envelope.ts";

/**
 * One record as it lies in a spool file: `u32 payload bytes | u32 CRC-32 of length and payload | payload`, the payload
 * being `u32 bytes of meta | meta (JSON: received time, key in base64, headers) | value`. Integers are little-endian.
 */

const HEAD_BYTES = 8;

/** Largest payload that is believed: a body of 1 MiB with key and headers is far below. */
const PAYLOAD_BYTES_MAX = 16 * 1024 * 1024;

/** The bytes of one record as they lie in a segment; the format is described at the head of this file. */
export function encodeFrame(record: EnvelopeRecord): Uint8Array {
  const meta = Buffer.from(JSON.stringify({
    timestamp: record.timestamp,
    key: Buffer.from(record.key).toString("base64"),
    headers: record.headers,
  }));
  const payloadBytes = 4 + meta.length + record.value.length;
  const frame = Buffer.allocUnsafe(HEAD_BYTES + payloadBytes);
  frame.writeUInt32LE(payloadBytes, 0);
  frame.writeUInt32LE(meta.length, HEAD_BYTES);
  frame.set(meta, HEAD_BYTES + 4);
  frame.set(record.value, HEAD_BYTES + 4 + meta.length);
  frame.writeUInt32LE(checksum(frame), 4);
  return frame;
}

/** What stands at one place of a spool file. */
export type FrameOutcome =
  | { readonly is: "record"; readonly record: EnvelopeRecord; readonly end: number }
  /** The bytes end here, or within a frame. */
  | { readonly is: "end" | "torn" }
  /** Bytes that were never written so, whole or not: the disk changed them. */
  | { readonly is: "damaged" };

/** Reads the frame that begins at `start`; the record's value is a view into `bytes`. */
export function decodeFrame(bytes: Uint8Array, start: number): FrameOutcome {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset + start, bytes.length - start);
  if (view.length === 0) return { is: "end" };
  if (view.length < HEAD_BYTES) return { is: "torn" };
  const payloadBytes = view.readUInt32LE(0);
  // A file that grew before its data came (power loss) ends in zeros.
  if (payloadBytes === 0) return view.every((byte) => byte === 0) ? { is: "torn" } : { is: "damaged" };
  if (payloadBytes > PAYLOAD_BYTES_MAX) return { is: "damaged" };
  if (view.length < HEAD_BYTES + payloadBytes) return { is: "torn" };
  const frame = view.subarray(0, HEAD_BYTES + payloadBytes);
  if (checksum(frame) !== frame.readUInt32LE(4)) return { is: "damaged" };
  return { is: "record", record: decodePayload(frame), end: start + frame.length };
}

function decodePayload(frame: Buffer): EnvelopeRecord {
  const metaEnd = HEAD_BYTES + 4 + frame.readUInt32LE(HEAD_BYTES);
  const meta: { timestamp: number; key: string; headers: Record<string, string> } = JSON.parse(
    frame.toString("utf8", HEAD_BYTES + 4, metaEnd),
  );
  return {
    timestamp: meta.timestamp,
    key: Buffer.from(meta.key, "base64"),
    headers: meta.headers,
    value: frame.subarray(metaEnd),
  };
}

/** Over everything but the checksum itself, so that a changed length is found too. */
function checksum(frame: Buffer): number {
  return crc32(frame.subarray(HEAD_BYTES), crc32(frame.subarray(0, 4)));
}
