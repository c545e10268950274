import { describe, expect, it } from "vitest";
import {
  deadLetterRecord,
  dismissalRecord,
  erasedMarkRecord,
  isScrubbed,
  readDeadLetterEntry,
  redriveMarkRecord,
  redrivenHeaders,
} from "./dead_letter.ts";

const record = {
  partition: 3,
  offset: 42,
  timestamp: Date.UTC(2025, 10, 30, 17),
  key: new Uint8Array([1, 2]),
  value: new Uint8Array([0xff, 0, 1]),
  headers: { id: "u", event: "generation_failed", "webhook-id": "w" },
};
const topic = "posthog.webhooks";

describe("a dead letter", () => {
  it("keeps key, value, timestamp and headers of the record and reads back as it was made", () => {
    const letter = deadLetterRecord(record, { topic, reason: "body is no JSON", step: "parse" });
    expect(letter).toMatchObject({ key: record.key, value: record.value, timestamp: record.timestamp });
    expect(readDeadLetterEntry({ ...letter, partition: 0, offset: 17 })).toEqual({
      is: "letter",
      letter: {
        id: "0:17",
        source: { topic, partition: 3, offset: 42 },
        reason: "body is no JSON",
        step: "parse",
        firstSeen: "2025-11-30T17:00:00.000Z",
        redrives: 0,
        headers: record.headers,
      },
    });
  });

  it("counts redrives on from the copy that failed", () => {
    const copy = { ...record, headers: { ...record.headers, redrives: "2" } };
    const entry = readDeadLetterEntry({
      ...deadLetterRecord(copy, { topic, reason: "x", step: "sanitise" }),
      partition: 0,
      offset: 0,
    });
    if (entry.is !== "letter") throw new Error(entry.is);
    expect(entry.letter.redrives).toBe(2);
    expect(redrivenHeaders(entry.letter)).toEqual({ ...record.headers, redrives: "3" });
  });

  it("of a record that another program calls the mark of a redrive is a letter all the same", () => {
    const headers = { redrive: "done", letter: "0:5" };
    const letter = deadLetterRecord({ ...record, headers }, { topic, reason: "no JSON", step: "parse" });
    expect(readDeadLetterEntry({ ...letter, partition: 0, offset: 17 })).toMatchObject({ is: "letter" });
  });

  it("is made of a record without a usable time too", () => {
    const odd = deadLetterRecord({ ...record, timestamp: 9e15 }, { topic, reason: "x", step: "parse" });
    expect(odd.headers["first-seen"]).toBe("1970-01-01T00:00:00.000Z");
  });
});

describe("what else lies in the dead-letter topic", () => {
  it("marks of a redrive are read back", () => {
    const begun = { mark: "begun", letter: "0:17", endOffset: 99 } as const;
    const done = { mark: "done", letter: "0:17", endOffset: null } as const;
    for (const redrive of [begun, done]) {
      const read = readDeadLetterEntry({ ...redriveMarkRecord(redrive, 5), partition: 0, offset: 1 });
      expect(read).toEqual({ is: "redrive", redrive });
    }
  });

  it("the mark of a dismissal is read back, and a letter whose source has that header is a letter", () => {
    const dismissal = { letter: "0:17", words: "ours" };
    const read = readDeadLetterEntry({ ...dismissalRecord(dismissal, 5), partition: 0, offset: 1 });
    expect(read).toEqual({ is: "dismissed", dismissal });
    const letter = deadLetterRecord(
      { ...record, headers: { dismissed: "0:1" } },
      { topic, reason: "x", step: "parse" },
    );
    expect(readDeadLetterEntry({ ...letter, partition: 0, offset: 2 }).is).toBe("letter");
  });

  it("the mark of an erasure names a source position, and is no letter", () => {
    const source = { topic, partition: 3, offset: 42 };
    const read = readDeadLetterEntry({ ...erasedMarkRecord(source, 5), partition: 0, offset: 1 });
    expect(read).toEqual({ is: "erased", source });
    const letter = deadLetterRecord(
      { ...record, headers: { letter: "erased" } },
      { topic, reason: "x", step: "parse" },
    );
    expect(readDeadLetterEntry({ ...letter, partition: 0, offset: 2 }).is).toBe("letter");
  });

  it("a scrubbed record is told from a webhook that carries that event name", () => {
    const empty = new Uint8Array();
    expect(isScrubbed({ value: empty, headers: { event: "$scrubbed" } })).toBe(true);
    expect(isScrubbed({ value: empty, headers: { event: "$scrubbed", id: "u" } })).toBe(false);
    expect(isScrubbed({ value: record.value, headers: { event: "$scrubbed" } })).toBe(false);
  });

  it("a foreign record is passed over", () => {
    expect(readDeadLetterEntry(record)).toEqual({ is: "other" });
  });
});
