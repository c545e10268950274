import { constants, gunzipSync, gzipSync, zstdCompressSync } from "node:zlib";
import { Buffer } from "node:buffer";
import { describe, expect, test } from "vitest";
import { CODEC_NAMES, unpack } from "./codecs.ts";
import { crc32c } from "./crc32c.ts";
import { MalformedError } from "./byte_reader.ts";
import { inOnePiece } from "./one_piece.ts";
import { TooLargeError } from "./too_large.ts";

const WORDS = "some words, some words, some words, and more words";
const base64 = (text: string) => new Uint8Array(Buffer.from(text, "base64"));

/** What Kafka's own Java client (4.1.1) and snappy-java's raw call make of the words; `log.int.test.ts` has larger ones. */
const PACKED: Record<string, { codec: number; bytes: Uint8Array }> = {
  gzip: { codec: 1, bytes: gzipSync(WORDS) },
  "snappy, framed": {
    codec: 2,
    bytes: base64("glNOQVBQWQAAAAABAAAAAQAAACAyLHNvbWUgd29yZHMsIF4MADRhbmQgbW9yZSB3b3Jkcw=="),
  },
  "snappy, one raw block": { codec: 2, bytes: base64("Mixzb21lIHdvcmRzLCBeDAA0YW5kIG1vcmUgd29yZHM=") },
  lz4: { codec: 3, bytes: base64("BCJNGGBAgh8AAADPc29tZSB3b3JkcywgDAAF4GFuZCBtb3JlIHdvcmRzAAAAAA==") },
  zstd: { codec: 4, bytes: zstdCompressSync(WORDS) },
};

describe.each(Object.entries(PACKED))("%s", (_, { codec, bytes }) => {
  test("gives back what was packed", () => {
    expect(new TextDecoder().decode(unpack(bytes, codec, 50))).toBe(WORDS);
  });

  test("takes nothing that is larger than the bound", () => {
    expect(() => unpack(bytes, codec, 49)).toThrow(TooLargeError);
  });

  test("bytes that were changed or cut off give an error or other bytes, and never more than the bound", () => {
    for (let at = 0; at < bytes.length; at++) {
      for (const byte of [0, 1, 127, 128, 255, bytes[at]! ^ 4]) {
        const changed = bytes.slice();
        changed[at] = byte;
        for (const some of [changed, changed.subarray(0, at)]) {
          try {
            expect(unpack(some, codec, 100_000).length).toBeLessThanOrEqual(100_000);
          } catch (error) {
            expect(error).toBeInstanceOf(Error);
            expect(error).not.toBeInstanceOf(RangeError);
          }
        }
      }
    }
  });
});

describe("Several frames in a row, as writers that flush and tools that join make them", () => {
  const [some, more] = ["some words, ", "and more words"];
  const both = (pack: (text: string) => Uint8Array, before: number[] = []) =>
    new Uint8Array(Buffer.concat([Buffer.from(before), pack(some!), pack(more!)]));
  const skippable = [0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9];
  const checksummed = (text: string) =>
    zstdCompressSync(text, { params: { [constants.ZSTD_c_checksumFlag]: 1 } });

  test.each([
    ["gzip", 1, both(gzipSync)],
    ["zstd", 4, both(zstdCompressSync)],
    ["zstd with checksums", 4, both(checksummed)],
    ["zstd behind a skippable frame", 4, both(zstdCompressSync, skippable)],
  ])("%s", (_, codec, bytes) => {
    expect(new TextDecoder().decode(unpack(bytes, codec, 26))).toBe(some! + more!);
    expect(() => unpack(bytes, codec, 25)).toThrow(TooLargeError);
    expect(() => unpack(bytes.subarray(0, -1), codec, 26)).toThrow();
  });
});

describe("What is announced is not believed", () => {
  test("a snappy block of ten bytes that says it holds a megabyte", () => {
    const liar = new Uint8Array([0x80, 0x80, 0x40, 0, 97, 0, 97, 0, 97, 0]);
    expect(() => unpack(liar, 2, 100_000_000)).toThrow(/cannot hold 1048576 bytes/);
  });

  test("an LZ4 match that repeats one byte a million times is counted before it is made", () => {
    const block = [0x1f, 97, 1, 0, ...new Array(4_000).fill(255), 0, 0];
    const length = [block.length & 255, block.length >> 8, 0, 0];
    const frame = new Uint8Array([4, 0x22, 0x4d, 0x18, 0x60, 0x40, 0, ...length, ...block, 0, 0, 0, 0]);
    expect(unpack(frame, 3, 2_000_000).length).toBe(1 + 19 + 4_000 * 255);
    expect(() => unpack(frame, 3, 1_000_000)).toThrow(TooLargeError);
  });

  test("a stream of gzip or zstd without end stops at the bound", () => {
    const zeros = new Uint8Array(20_000_000);
    expect(() => unpack(gzipSync(zeros), 1, 1_000_000)).toThrow(TooLargeError);
    expect(() => unpack(zstdCompressSync(zeros), 4, 1_000_000)).toThrow(TooLargeError);
  });
});

test("joined snappy streams of one client are read as one", () => {
  const { bytes } = PACKED["snappy, framed"]!;
  expect(unpack(Buffer.concat([bytes, bytes]), 2, 100).length).toBe(100);
});

test("LZ4 blocks may be left as they are, and frames may be joined or passed over", () => {
  const stored = [4, 0x22, 0x4d, 0x18, 0x60, 0x40, 0, 2, 0, 0, 0x80, 104, 105, 0, 0, 0, 0];
  const passedOver = [0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9];
  const frames = new Uint8Array([...stored, ...passedOver, ...PACKED["lz4"]!.bytes]);
  expect(new TextDecoder().decode(unpack(frames, 3, 100))).toBe("hi" + WORDS);
});

describe("Unpacking to one piece", () => {
  /** How large the pieces were of which room was made for what these packed bytes hold. */
  const pieces = (packed: Uint8Array) => {
    const made: number[] = [];
    inOnePiece(
      (bytes, options) => {
        made.push(options.chunkSize);
        return gunzipSync(bytes, options);
      },
      packed,
      100_000_000,
    );
    return made;
  };
  const repeated = (times: number) => gzipSync(WORDS.repeat(times));

  test("a batch like the one before fits into the piece that is made for it", () => {
    inOnePiece(gunzipSync, repeated(2_000), 100_000_000);
    const [size] = pieces(repeated(2_000));
    expect(size).toBeGreaterThan(2_000 * WORDS.length);
    expect(size).toBeLessThan(1.2 * 2_000 * WORDS.length);
  });

  test("the piece has a bound whatever the batch before has become, and what is given back holds no more than twice itself", () => {
    inOnePiece(gunzipSync, gzipSync(new Uint8Array(20_000_000)), 100_000_000);
    const [size] = pieces(gzipSync(new Uint8Array(10_000)));
    expect(size).toBeLessThanOrEqual(512 * 1024);
    for (const [codec, pack] of [[1, gzipSync], [4, zstdCompressSync]] as const) {
      for (const words of [1, 3, 400, 20]) {
        const unpacked = unpack(pack(WORDS.repeat(words)), codec, 100_000_000);
        expect(new TextDecoder().decode(unpacked)).toBe(WORDS.repeat(words));
        expect(unpacked.buffer.byteLength).toBeLessThanOrEqual(2 * unpacked.length);
      }
    }
  });

  test("one letter over and over, packed alone, does not decide for the batches behind it", () => {
    const zeros = gzipSync(new Uint8Array(100_000));
    expect(unpack(zeros, 1, 100_000).length).toBe(100_000);
    expect(() => unpack(zeros, 1, 99_999)).toThrow(TooLargeError);
    expect(unpack(repeated(1), 1, 50)).toEqual(new TextEncoder().encode(WORDS));
  });
});

test("a codec that has no name is an error", () => {
  expect(CODEC_NAMES).toEqual(["none", "gzip", "snappy", "lz4", "zstd"]);
  expect(() => unpack(new Uint8Array(1), 6, 10)).toThrow(MalformedError);
});

test("CRC-32C is that of RFC 3720", () => {
  expect(crc32c(new TextEncoder().encode("123456789"))).toBe(0xe3069283);
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(255))).toBe(0x62a8ab43);
  expect(crc32c(new Uint8Array(0))).toBe(0);
});
