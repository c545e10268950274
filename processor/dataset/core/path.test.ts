import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { datasetPath, directoryOf, encodeEventName, objectPath, parseDatasetPath } from "./path.ts";

const at = { timestamp: "2025-11-30T16:38:21.968Z", partition: 3, offset: 42 };

describe("datasetPath()", () => {
  it("is a Hive partition by event and UTC day, with the topic partition and 250,000 offsets a file", () => {
    expect(datasetPath("generation_failed", at)).toBe(
      "event=generation_failed/date=2025-11-30/p00003-0000.jsonl",
    );
    expect(datasetPath("x", { ...at, offset: 249_999 })).toContain("p00003-0000.jsonl");
    expect(datasetPath("x", { ...at, offset: 250_000 })).toContain("p00003-0001.jsonl");
    expect(datasetPath("x", { ...at, offset: 2_500_000_000 })).toContain("p00003-10000.jsonl");
  });

  it("percent-encodes whatever could mean something to a file system", () => {
    expect(encodeEventName("../../etc/passwd")).toBe("%2E%2E%2F%2E%2E%2Fetc%2Fpasswd");
    expect(encodeEventName("$pageview")).toBe("%24pageview");
    expect(encodeEventName("a=b ü~\0")).toBe("a%3Db%20%C3%BC%7E%00");
  });

  it("cuts a name that no directory could carry and tells it by its hash", () => {
    const long = encodeEventName("ü".repeat(500));
    expect(long).toMatch(/^(%C3%BC){26}~[0-9a-f]{32}$/);
    expect(encodeEventName("ü".repeat(499))).not.toBe(long);
    expect(encodeEventName("a".repeat(200))).toBe("a".repeat(200));
    expect(encodeEventName("a".repeat(201))).toMatch(/^a{160}~[0-9a-f]{32}$/);
  });

  it("is a legal path for any name, and no two names meet", () => {
    const names = fc.string({ unit: "binary", minLength: 1, maxLength: 1000 }).map((name) =>
      name.toWellFormed()
    );
    fc.assert(fc.property(names, names, (one, other) => {
      const path = datasetPath(one, at);
      expect(path).toMatch(/^event=[A-Za-z0-9_%~-]+\/date=2025-11-30\/p00003-0000\.jsonl$/);
      for (const part of path.split("/")) expect(part.length).toBeLessThanOrEqual(255);
      expect(parseDatasetPath(path)).not.toBeNull();
      if (one !== other) expect(datasetPath(other, at)).not.toBe(path);
      if (!path.includes("~")) expect(parseDatasetPath(path)!.event).toBe(one);
    }));
  });
});

describe("parseDatasetPath()", () => {
  it.each([
    "../secret",
    "event=../date=2025-11-30/p00003-0000.jsonl",
    "event=x/date=2025-11-30/../p00003-0000.jsonl",
    "event=x/date=2025-11-30/p00003-0000.jsonl/",
    "/event=x/date=2025-11-30/p00003-0000.jsonl",
    "event=/date=2025-11-30/p00003-0000.jsonl",
    "event=x/date=2025-11-30/p00003-0000.jsonl\n",
    "_manifest/dataset.json",
  ])("takes %j for none of ours", (path) => expect(parseDatasetPath(path)).toBeNull());

  it("reads back what the path says", () => {
    expect(parseDatasetPath("event=%24x/date=2025-11-30/p00003-0012.jsonl")).toEqual({
      event: "$x",
      date: "2025-11-30",
      partition: 3,
      fileNumber: 12,
    });
  });
});

describe("the path of an object", () => {
  const random = "0123456789abcdef";
  const directory = "event=a%20b/date=2025-11-30";
  const name = `${directory}/p00003-00000000000000250001-00000000000000000017-${random}.jsonl`;

  it.each([["none", ""], ["gzip", ".gz"], ["zstd", ".zst"]] as const)(
    "says how it is packed: %s",
    (compression, suffix) => {
      const path = objectPath(directory, {
        partition: 3,
        firstOffset: 250_001,
        commit: 17,
        random,
        compression,
      });
      expect(path).toBe(name + suffix);
      expect(directoryOf(path)).toBe(directory);
      expect(parseDatasetPath(path)).toEqual({
        event: "a b",
        date: "2025-11-30",
        partition: 3,
        fileNumber: 250_001,
        commit: 17,
        compression,
      });
    },
  );

  it.each([
    `${name}.bz2`,
    name.replace(random, ""),
    name.replace("17", "x7"),
    `../${name}`,
    name.replace("p00003", "p3"),
  ])(
    "is not %s",
    (path) => expect(parseDatasetPath(path)).toBeNull(),
  );
});
