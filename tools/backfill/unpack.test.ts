import { Buffer } from "node:buffer";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { expect, test } from "vitest";
import { Bytes, gunzip, unzstd } from "./unpack.ts";

async function* piecesOf(bytes: Uint8Array, length: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

const CODECS = [["gzip", gzipSync, gunzip], ["Zstandard", zstdCompressSync, unzstd]] as const;

test.each(CODECS)("%s comes out the same in whatever pieces it goes in", async (_, pack, unpack) => {
  const text = Array.from({ length: 500 }, (_, n) => `line ${n} ${(n * 7919).toString(36)}\n`).join("");
  const packed = Buffer.concat([pack(text), pack(""), pack(text)]);
  for (const length of [1, 3, 1_000, packed.length]) {
    const out: Uint8Array[] = [];
    for await (const piece of unpack(new Bytes(piecesOf(packed, length)))) out.push(piece);
    expect([length, Buffer.concat(out).toString() === text + text]).toEqual([length, true]);
  }
});

test.each(CODECS)(
  "%s that unpacks to 256 MB comes in pieces of 16 KiB, made as they are taken",
  async (_, pack, unpack) => {
    const packed = Buffer.concat(Array.from({ length: 4 }, () => pack(Buffer.alloc(64 * 1024 * 1024))));
    let [bytes, longest] = [0, 0];
    for await (const { length } of unpack(new Bytes(piecesOf(packed, packed.length)))) {
      bytes += length;
      longest = Math.max(longest, length);
    }
    expect([bytes, longest <= 16 * 1024]).toEqual([256 * 1024 * 1024, true]);
  },
);
