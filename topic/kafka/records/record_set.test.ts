import { describe, expect, test } from "vitest";
import {
  batch,
  endOfTransaction,
  joined,
  LOG_APPEND_TIME,
  oldMessage,
  TRANSACTIONAL,
  type WrittenBatch,
} from "./fixtures/entries.ts";
import { gzipSync } from "node:zlib";
import { type AbortedTransaction, RecordSet, roomFor } from "./record_set.ts";

const text = (bytes: Uint8Array | null) => bytes && new TextDecoder().decode(bytes);

function setOf(bytes: Uint8Array, { from = 0, aborted = [] as AbortedTransaction[] } = {}) {
  return new RecordSet(bytes, { partition: 3, from, aborted });
}

function taken(set: RecordSet, records = 1_000, bytes = Infinity) {
  return set.take(roomFor(records, bytes)).map(({ offset, value }) => `${offset} ${text(value)}`);
}

/** Everything, with what stands in the way skipped. */
function all(set: RecordSet) {
  const seen: string[] = [];
  while (!set.isEmpty) {
    seen.push(...taken(set));
    if (set.unreadable) {
      seen.push(`${set.unreadable.offset}..${set.unreadable.nextOffset}: ${set.unreadable.reason}`);
      set.skip();
    }
  }
  return seen;
}

const saying = (baseOffset: number, ...values: string[]): WrittenBatch => ({
  baseOffset,
  records: values.map((value) => ({ value })),
});

/** A batch of two whose records say these offsets. */
const offsets = (...said: number[]) =>
  batch({ records: said.map((offset) => ({ offset, value: "a" })), lastOffsetDelta: 1 });

describe("Records of a batch", () => {
  test("come with key, value, headers and time", () => {
    const headers = [["id", "1"], ["ü", "漢字"], ["id", "2"], ["gone", "x"], ["gone", null]] as const;
    const records = [{ key: "k", value: "v", headers, timestamp: 5_000_000_000_000 }, { timestamp: 999 }];
    const [first, second] = setOf(batch({ baseOffset: 7, records })).take(roomFor(9, 9));
    expect(first).toMatchObject({ partition: 3, offset: 7, timestamp: 5_000_000_000_000 });
    expect([text(first!.key), text(first!.value)]).toEqual(["k", "v"]);
    expect(first!.headers).toEqual({ id: "2", "ü": "漢字" });
    expect(second).toMatchObject({ offset: 8, timestamp: 999, key: null, headers: {} });
  });

  test("keep key and value in a copy, as whoever publishes one again with another time or headers makes it", () => {
    const [record] = setOf(batch({ records: [{ key: "k", value: "v" }] })).take(roomFor(9, 9));
    const copy = { ...record!, headers: {} };
    expect([text(copy.key), text(copy.value)]).toEqual(["k", "v"]);
  });

  test("a tombstone's value is empty", () => {
    const [record] = setOf(batch({ records: [{ key: "k", value: null }] })).take(roomFor(9, 9));
    expect([text(record!.key), text(record!.value)]).toEqual(["k", ""]);
  });

  test("have the broker's time where the broker stamps them", () => {
    const records = [{ timestamp: 1 }, { timestamp: 2 }];
    const set = setOf(batch({ records, attributes: LOG_APPEND_TIME, maxTimestamp: 77 }));
    expect(set.take(roomFor(9, 9)).map(({ timestamp }) => timestamp)).toEqual([77, 77]);
  });

  test("are views of the answer, and nothing below the wanted offset is among them", () => {
    const bytes = batch(saying(10, "a", "b", "c"));
    const records = setOf(bytes, { from: 11 }).take(roomFor(9, 9));
    expect(records.map(({ offset }) => offset)).toEqual([11, 12]);
    expect(records[0]!.value.buffer).toBe(bytes.buffer);
  });

  test.each([["none", 0], ["gzip", 1], ["zstd", 4]])("are read packed by %s", (_, codec) => {
    expect(all(setOf(batch({ ...saying(0, "a", "b"), codec })))).toEqual(["0 a", "1 b"]);
  });

  test("come as far as there is room, one batch unpacked after the other", () => {
    const set = setOf(joined(batch(saying(0, "a", "b", "c")), batch(saying(3, "d"))));
    expect(taken(set, 2)).toEqual(["0 a", "1 b"]);
    expect(set.position).toBe(2);
    expect(taken(set, 1_000, 1)).toEqual(["2 c"]);
    expect(taken(set)).toEqual(["3 d"]);
    expect([set.isEmpty, set.position]).toEqual([true, 4]);
  });

  test("a batch whose end was cut off comes with a later fetch", () => {
    const set = setOf(joined(batch(saying(0, "a")), batch(saying(1, "b")).subarray(0, 64)));
    expect(set.nextOffset).toBe(1);
    expect(all(set)).toEqual(["0 a"]);
  });
});

describe("The position", () => {
  test("moves over what compaction has taken, also where nothing is left", () => {
    const set = setOf(joined(
      batch({ baseOffset: 0, records: [{ offset: 2, value: "c" }], lastOffsetDelta: 9 }),
      batch({ baseOffset: 10, records: [], lastOffsetDelta: 4 }),
    ));
    expect(set.nextOffset).toBe(15);
    expect(taken(set)).toEqual(["2 c"]);
    expect([set.isEmpty, set.position]).toEqual([true, 15]);
  });

  test("moves over control batches", () => {
    const set = setOf(endOfTransaction("commit", { baseOffset: 4, producerId: 1 }), { from: 4 });
    expect(taken(set)).toEqual([]);
    expect([set.isEmpty, set.position]).toEqual([true, 5]);
  });
});

describe("Transactions", () => {
  const of = (producerId: number, written: WrittenBatch) =>
    batch({ ...written, producerId, attributes: TRANSACTIONAL });

  test("what was taken back is left out, by producer and up to its end", () => {
    const bytes = joined(
      of(1, saying(0, "taken back")),
      of(2, saying(1, "kept")),
      batch(saying(2, "without any")),
      endOfTransaction("abort", { baseOffset: 3, producerId: 1 }),
      of(1, saying(4, "the next one of the same producer")),
      endOfTransaction("commit", { baseOffset: 5, producerId: 1 }),
    );
    const set = setOf(bytes, { aborted: [{ producerId: 1, firstOffset: 0 }] });
    expect(all(set)).toEqual(["1 kept", "2 without any", "4 the next one of the same producer"]);
    expect(set.position).toBe(6);
  });

  test("an abort that lies further on harms nothing before it", () => {
    const bytes = joined(
      of(1, saying(0, "kept")),
      endOfTransaction("commit", { baseOffset: 1, producerId: 1 }),
      of(1, saying(2, "taken back")),
      endOfTransaction("abort", { baseOffset: 3, producerId: 1 }),
    );
    expect(all(setOf(bytes, { aborted: [{ producerId: 1, firstOffset: 2 }] }))).toEqual(["0 kept"]);
  });
});

describe("What cannot be read", () => {
  const withByte = (bytes: Uint8Array, at: number, byte: number) => {
    const changed = bytes.slice();
    changed[at] = byte;
    return changed;
  };

  test("stops at itself: what lies before it comes, and what lies behind once it is skipped", () => {
    const damaged = withByte(batch(saying(1, "b", "c")), 64, 255);
    const set = setOf(joined(batch(saying(0, "a")), damaged, batch(saying(3, "d"))));
    expect(taken(set)).toEqual(["0 a"]);
    expect(taken(set)).toEqual([]);
    expect(set.unreadable).toMatchObject({ partition: 3, offset: 1, nextOffset: 3 });
    expect(set.unreadable!.bytes).toEqual(damaged);
    expect(all(set)).toEqual([expect.stringMatching(/1\.\.3: .*CRC-32C is/), "3 d"]);
  });

  test.each([
    ["an unknown codec", batch({ ...saying(0, "a"), codec: 5 }), /codec has the unknown number 5/],
    ["an unknown format", withByte(batch(saying(0, "a")), 16, 9), /format has the unknown number 9/],
    [
      "packed bytes that are none",
      batch({ ...saying(0, "a"), codec: 4, pack: (bytes) => bytes }),
      /cannot be read/,
    ],
    ["fewer records than it says", batch({ ...saying(0, "a"), count: 2, lastOffsetDelta: 1 }), /cut off/],
    [
      "more records than offsets",
      batch({ ...saying(0, "a", "b"), lastOffsetDelta: 0 }),
      /^0\.\.1: .*2 records lie at/,
    ],
    [
      "more records than it says",
      batch({ ...saying(0, "a", "b"), count: 1 }),
      /bytes lie behind its 1 records/,
    ],
    ["records where it says none", batch({ ...saying(0, "a"), count: 0 }), /bytes lie behind its 0 records/],
    ["fewer than no records", batch({ ...saying(0, "a"), count: -1 }), /bytes lie behind its -1 records/],
    ["a record beyond its end", offsets(0, 1_000), /offset 1000 behind 0 in a batch from 0 to 1/],
    ["one offset twice", offsets(0, 0), /offset 0 behind 0 in a batch from 0 to 1/],
    ["a record before its beginning", offsets(-1, 1), /offset -1 behind -1 in a batch from 0 to 1/],
    [
      "more than may be unpacked",
      batch({ records: [{ value: new Uint8Array(65 * 1024 * 1024) }], codec: 4 }),
      /unpacks to more than 64 MiB/,
    ],
  ])("%s", (_, bytes, words) => {
    const set = setOf(joined(bytes, batch(saying(5, "next"))));
    const seen = all(set);
    expect(seen.at(-1)).toBe("5 next");
    expect(seen.at(-2)).toMatch(words);
  });

  test("a record in the middle of its batch: those before it come", () => {
    const set = setOf(batch({ ...saying(4, "a", "b"), count: 3, lastOffsetDelta: 2 }));
    expect(all(set)).toEqual(["4 a", "5 b", expect.stringMatching(/^6\.\.7: /)]);
  });

  test("a length that no batch has ends what can be read of the answer", () => {
    const set = setOf(joined(batch(saying(0, "a")), withByte(batch(saying(1, "b")), 8, 255)));
    expect(all(set)).toEqual(["0 a", expect.stringMatching(/^1\.\.2: .*length/)]);
    expect([set.isEmpty, set.nextOffset, set.position]).toEqual([true, 2, 2]);
  });

  test("an answer without one whole batch says so, instead of being asked for again for ever", () => {
    expect(all(setOf(batch(saying(0, "a")).subarray(0, 40)))).toEqual([
      expect.stringMatching(/0\.\.1: .*part/),
    ]);
  });

  test("a damaged end of an aborted transaction hides nothing that its producer wrote later", () => {
    const end = endOfTransaction("abort", { baseOffset: 1, producerId: 1 });
    const bytes = joined(
      batch({ ...saying(0, "taken back"), producerId: 1, attributes: TRANSACTIONAL }),
      withByte(end, end.length - 1, 9),
      batch({ ...saying(2, "later"), producerId: 1, attributes: TRANSACTIONAL }),
    );
    const seen = all(setOf(bytes, { aborted: [{ producerId: 1, firstOffset: 0 }] }));
    expect(seen).toEqual([expect.stringMatching(/1\.\.2: /), "2 later"]);
  });
});

describe("Messages of clients of before Kafka 0.11", () => {
  test("come one by one", () => {
    const set = setOf(joined(
      oldMessage({ magic: 0, offset: 4, key: "k", value: "a" }),
      oldMessage({ magic: 1, offset: 5, timestamp: 8, value: null }),
    ));
    const [first, second] = set.take(roomFor(9, 9));
    expect(first).toMatchObject({ offset: 4, timestamp: -1, headers: {} });
    expect([text(first!.key), text(first!.value)]).toEqual(["k", "a"]);
    expect(second).toMatchObject({ offset: 5, timestamp: 8, key: null });
    expect(second!.value.length).toBe(0);
    expect([set.isEmpty, set.nextOffset]).toEqual([true, 6]);
  });

  const packed = (magic: 0 | 1, offsets: number[]) =>
    gzipSync(
      joined(
        ...offsets.map((offset) => oldMessage({ magic, offset, timestamp: offset, value: `v${offset}` })),
      ),
    );

  test("packed ones count from their first, and the row has the offset of its last", () => {
    const set = setOf(oldMessage({ offset: 12, attributes: 1, value: packed(1, [0, 1, 2]) }), { from: 11 });
    expect(taken(set)).toEqual(["11 v1", "12 v2"]);
  });

  test("those of the oldest format say their own offsets", () => {
    expect(all(setOf(oldMessage({ magic: 0, offset: 12, attributes: 1, value: packed(0, [10, 12]) }))))
      .toEqual([
        "10 v10",
        "12 v12",
      ]);
  });

  test("have the row's time where the broker stamps it", () => {
    const row = oldMessage({
      offset: 1,
      timestamp: 99,
      attributes: 1 | LOG_APPEND_TIME,
      value: packed(1, [0, 1]),
    });
    expect(setOf(row).take(roomFor(9, 9)).map(({ timestamp }) => timestamp)).toEqual([99, 99]);
  });

  test("a damaged one stops at itself", () => {
    const damaged = oldMessage({ offset: 1, value: "b" });
    damaged[damaged.length - 1] = 0;
    const seen = all(
      setOf(joined(oldMessage({ offset: 0, value: "a" }), damaged, oldMessage({ offset: 2 }))),
    );
    expect(seen).toEqual(["0 a", expect.stringMatching(/1\.\.2: .*CRC-32 is/), "2 "]);
  });
});
