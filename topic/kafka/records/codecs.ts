import { gunzipSync } from "node:zlib";
import { MalformedError } from "./byte_reader.ts";
import { inOnePiece } from "./one_piece.ts";
import { unpackLz4 } from "./lz4.ts";
import { unpackSnappy } from "./snappy.ts";
import { TooLargeError } from "./too_large.ts";
import { unpackZstd } from "./zstd.ts";

/** Kafka's numbers of codecs, in the lowest three bits of a batch's attributes. */
export const CODEC_NAMES = ["none", "gzip", "snappy", "lz4", "zstd"] as const;

/**
 * Unpacks the records of a batch. Nothing is allocated by what a header announces: at most `bytesMax`, and that only
 * as far as there is data. Throws {@link TooLargeError}, or whatever the codec finds wrong.
 */
export function unpack(packed: Uint8Array, codec: number, bytesMax: number): Uint8Array {
  switch (CODEC_NAMES[codec]) {
    case "none":
      return packed;
    case "gzip":
      return bounded(() => inOnePiece(gunzipSync, packed, bytesMax), bytesMax);
    case "snappy":
      return unpackSnappy(packed, bytesMax);
    case "lz4":
      return unpackLz4(packed, bytesMax);
    case "zstd":
      return bounded(() => unpackZstd(packed, bytesMax), bytesMax);
    default:
      throw new MalformedError(`its codec has the unknown number ${codec}`);
  }
}

function bounded(run: () => Uint8Array, bytesMax: number): Uint8Array {
  try {
    return run();
  } catch (error) {
    if ((error as { code?: string }).code === "ERR_BUFFER_TOO_LARGE") throw new TooLargeError(bytesMax);
    throw error;
  }
}
