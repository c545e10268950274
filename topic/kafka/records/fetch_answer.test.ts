import { Buffer } from "node:buffer";
import { describe, expect, test } from "vitest";
import { batch } from "./fixtures/entries.ts";
import { readFetchAnswer, recordSetOf } from "./fetch_answer.ts";
import { roomFor } from "./record_set.ts";

type Part = { readonly partition: number; readonly records: Uint8Array; readonly errorCode?: number };

/** A Fetch answer as kafka.apache.org/protocol describes it. */
function answer(version: number, parts: readonly Part[]): Uint8Array {
  const bytes: number[] = [];
  const put = (size: number, value: number) => {
    const one = Buffer.alloc(size);
    if (size === 8) one.writeBigInt64BE(BigInt(value));
    else one.writeIntBE(value, 0, size);
    bytes.push(...one);
  };
  put(4, 30);
  if (version >= 7) put(2, 0), put(4, 0);
  put(4, 1);
  put(2, 1);
  put(1, 116);
  put(4, parts.length);
  for (const { partition, records, errorCode = 0 } of parts) {
    put(4, partition);
    put(2, errorCode);
    put(8, 12);
    put(8, 11);
    if (version >= 5) put(8, 1);
    put(4, 1);
    put(8, 7_000_000_000);
    put(8, 3);
    if (version >= 11) put(4, -1);
    put(4, records.length);
    bytes.push(...records);
  }
  return Uint8Array.from(bytes);
}

describe("A Fetch answer", () => {
  const records = batch({ records: [{ value: "a" }] });

  test.each([4, 5, 6, 7, 8, 9, 10, 11])("of version %i keeps its record sets as they came", (version) => {
    const parts = [{ partition: 2, records }, { partition: 3, records: new Uint8Array(0), errorCode: 6 }];
    const about = {
      endOffset: 12,
      stableOffset: 11,
      aborted: [{ producerId: 7_000_000_000, firstOffset: 3 }],
    };
    expect(readFetchAnswer(answer(version, parts), version)).toEqual({
      errorCode: 0,
      throttleMs: 30,
      partitions: [
        { partition: 2, errorCode: 0, ...about, records: new Uint8Array(records) },
        { partition: 3, errorCode: 6, ...about, records: new Uint8Array(0) },
      ],
    });
  });

  test("a partition of which little came does not keep what came of the others in memory", () => {
    const much = batch({ records: [{ value: new Uint8Array(50_000) }] });
    const { partitions } = readFetchAnswer(
      answer(11, [{ partition: 0, records: much }, { partition: 1, records }]),
      11,
    );
    const [large, small] = partitions.map((one) => recordSetOf(one, 0).take(roomFor(1, 1))[0]!.value);
    expect(large!.buffer).toBe(partitions[0]!.records.buffer);
    expect(small!.buffer.byteLength).toBe(records.length);
  });

  test("that is cut off is an error, and nothing is read beyond its end", () => {
    const whole = answer(11, [{ partition: 0, records }]);
    for (let end = 0; end < whole.length; end++) {
      expect(() => readFetchAnswer(whole.subarray(0, end), 11)).toThrow(/announced/);
    }
  });
});
