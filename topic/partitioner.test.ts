import { describe, expect, test } from "vitest";
import { murmur2, partitionFor, partitionOf } from "./partitioner.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

describe("murmur2()", () => {
  // The vectors of Kafka's own UtilsTest.testMurmur2.
  test.each([
    ["21", -973932308],
    ["foobar", -790332482],
    ["a-little-bit-long-string", -985981536],
    ["a-little-bit-longer-string", -1486304829],
    ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
    ["abc", 479470107],
  ])("hashes %j as Java does", (text, hash) => {
    expect(murmur2(bytes(text))).toBe(hash);
  });

  test("takes bytes above 127 as Java takes its signed ones", () => {
    // Java masks every byte with 0xff, so 0xff 0xfe 0xfd 0xfc is one little-endian word and no sign spreads.
    expect(murmur2(new Uint8Array([0xff, 0xfe, 0xfd, 0xfc]))).toBe(slowMurmur2([0xff, 0xfe, 0xfd, 0xfc]));
    expect(murmur2(new Uint8Array([0xff, 0xfe, 0xfd]))).toBe(slowMurmur2([0xff, 0xfe, 0xfd]));
    expect(murmur2(new Uint8Array([0xff]))).toBe(slowMurmur2([0xff]));
    expect(murmur2(new Uint8Array(0))).toBe(slowMurmur2([]));
  });
});

describe("partitionOf()", () => {
  test("clears the sign bit before it divides, as Utils.toPositive does", () => {
    expect(partitionOf(bytes("21"), 6)).toBe((-973932308 & 0x7fffffff) % 6);
    expect(partitionOf(bytes("abc"), 6)).toBe(479470107 % 6);
  });

  test("gives every partition its share of many keys", () => {
    const counts = [0, 0, 0, 0, 0, 0];
    for (let i = 0; i < 6_000; i++) counts[partitionOf(bytes(`user-${i}`), 6)]!++;
    expect(Math.min(...counts)).toBeGreaterThan(800);
  });
});

describe("partitionFor()", () => {
  const record = { value: new Uint8Array(), headers: {}, timestamp: 0 };

  test("takes the partition that the record names before its key's", () => {
    expect(partitionFor({ ...record, key: bytes("abc"), partition: 5 }, 6)).toBe(5);
    expect(partitionFor({ ...record, key: bytes("abc") }, 6)).toBe(partitionOf(bytes("abc"), 6));
  });

  test("puts records without a key into partition 0", () => {
    expect(partitionFor({ ...record, key: null }, 6)).toBe(0);
  });
});

/** The algorithm written a second time, on big integers, so that no 32-bit trick is shared with the code under test. */
function slowMurmur2(data: readonly number[]): number {
  const m = 0x5bd1e995n;
  const u32 = (n: bigint) => n & 0xffffffffn;
  let h = u32(0x9747b28cn ^ BigInt(data.length));
  let i = 0;
  for (; i + 4 <= data.length; i += 4) {
    let k = 0n;
    for (let b = 3; b >= 0; b--) k = (k << 8n) | BigInt(data[i + b]!);
    k = u32(k * m);
    k = u32((k ^ (k >> 24n)) * m);
    h = u32(h * m) ^ k;
  }
  const rest = data.slice(i);
  if (rest.length > 0) {
    rest.forEach((byte, b) => h ^= BigInt(byte) << BigInt(8 * b));
    h = u32(h * m);
  }
  h = u32((h ^ (h >> 13n)) * m);
  h ^= h >> 15n;
  return Number(BigInt.asIntN(32, h));
}
