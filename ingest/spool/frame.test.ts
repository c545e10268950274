import fc from "fast-check";
import { Buffer } from "node:buffer";
import { expect, test } from "vitest";
import type { EnvelopeRecord } from "../../contract/envelope.ts";
import { decodeFrame, encodeFrame } from "./frame.ts";

const anyRecord: fc.Arbitrary<EnvelopeRecord> = fc.record({
  key: fc.uint8Array(),
  value: fc.uint8Array({ maxLength: 300 }),
  headers: fc.dictionary(fc.string(), fc.string({ unit: "grapheme" })),
  timestamp: fc.nat(),
});
const record: EnvelopeRecord = {
  key: new TextEncoder().encode("user-1"),
  value: new TextEncoder().encode(`{"event":"x"}`),
  headers: { id: "1", event: "naïve \u{1f600} \0" },
  timestamp: 1767225600000,
};

test("any record comes back as it was, also from the middle of a file", () => {
  fc.assert(fc.property(fc.array(anyRecord, { maxLength: 5 }), (records) => {
    const bytes = Buffer.concat(records.map(encodeFrame));
    const read: EnvelopeRecord[] = [];
    for (let start = 0;;) {
      const frame = decodeFrame(bytes, start);
      if (frame.is !== "record") {
        expect(frame.is).toBe("end");
        break;
      }
      read.push(frame.record);
      start = frame.end;
    }
    expect(read.map(plain)).toEqual(records.map(plain));
  }));
});

test("a frame cut at any byte is torn", () => {
  const bytes = encodeFrame(record);
  for (let length = 1; length < bytes.length; length++) {
    expect(decodeFrame(bytes.subarray(0, length), 0).is, `cut at ${length}`).toBe("torn");
  }
});

test("zeros, which a power loss leaves behind, are torn", () => {
  expect(decodeFrame(new Uint8Array(4096), 0).is).toBe("torn");
});

test("a frame with any one bit turned is never read as a record", () => {
  const bytes = encodeFrame(record);
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const changed = bytes.slice();
    changed[bit >> 3]! ^= 1 << (bit & 7);
    expect(decodeFrame(changed, 0).is, `bit ${bit}`).not.toBe("record");
  }
});

function plain({ key, value, headers, timestamp }: EnvelopeRecord) {
  return { key: [...key], value: [...value], headers: { ...headers }, timestamp };
}
