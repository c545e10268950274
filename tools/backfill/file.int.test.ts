import { Buffer } from "node:buffer";
import { join } from "node:path";
import { brotliCompressSync, gzipSync, zstdCompressSync } from "node:zlib";
import { parquetMetadata } from "hyparquet";
import { fileWriter, ParquetWriter } from "hyparquet-writer";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fileSource } from "./file.ts";
import { unpackLz4Block } from "./lz4_block.ts";
import type { BackfillEvent } from "./sources.ts";
import { UNPACKED_AT_ONCE } from "./unpack.ts";

let directory: string;
beforeEach(async () => {
  directory = await Deno.makeTempDir({ prefix: "backfill-file-" });
});
afterEach(() => Deno.remove(directory, { recursive: true }));

type Row = { uuid: string; event: string; distinct_id: string; properties: string; timestamp: string };

const row = (n: number): Row => ({
  uuid: `0190a000-0000-7000-8000-${String(n).padStart(12, "0")}`,
  event: "generation_failed",
  distinct_id: `user-${n % 7}`,
  properties: JSON.stringify({
    input_prompt: `prompt ${n} é ${(n * 7919).toString(36)}`,
    failure_reason: null,
  }),
  timestamp: "2025-11-30T12:00:00.123456Z",
});
const lineOf = (n: number) => `${JSON.stringify(row(n))}\n`;
const linesOf = (count: number, from = 0) =>
  Array.from({ length: count }, (_, n) => lineOf(from + n)).join("");
const uuids = (count: number) => Array.from({ length: count }, (_, n) => row(n).uuid);

/** What is read of a file of these bytes: ids of events, and what was said of the rest. */
async function read(bytes: Uint8Array | string, name = "export") {
  const path = join(directory, name);
  await Deno.writeFile(path, typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes);
  return await readPath(path);
}

async function readPath(path: string) {
  const source = await fileSource(path);
  const [ids, said, shares]: [unknown[], string[], (number | null)[]] = [[], [], []];
  for await (const event of source.events) {
    shares.push(source.share());
    if (event.ok) ids.push(bodyOf(event).event.uuid);
    else said.push(`${event.where}: ${event.reason}`);
  }
  return { ids, said, shares };
}

const bodyOf = (event: BackfillEvent & { ok: true }) => JSON.parse(new TextDecoder().decode(event.body));

describe("a file is what it begins with, whatever its name", () => {
  const COUNT = 3_000;
  const [first, second] = [linesOf(COUNT / 2), linesOf(COUNT / 2, COUNT / 2)];
  const text = first + second;
  const skippable = Buffer.from([0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);

  test.each<[string, () => Uint8Array | string]>([
    ["lines as they are", () => text],
    ["gzip", () => gzipSync(text)],
    [
      "gzip of several members, one of them empty",
      () => Buffer.concat([gzipSync(first), gzipSync(""), gzipSync(second)]),
    ],
    ["Zstandard", () => zstdCompressSync(text)],
    [
      "Zstandard of several frames, skippable ones among them",
      () =>
        Buffer.concat([skippable, zstdCompressSync(first), skippable, zstdCompressSync(second), skippable]),
    ],
    ["a byte order mark before the lines", () => `\ufeff${text}`],
    ["a byte order mark inside gzip", () => gzipSync(`\ufeff${text}`)],
    ["lines that end in CR LF, and empty ones", () => text.replaceAll("\n", "\r\n\r\n")],
    ["a last line without its end", () => text.slice(0, -1)],
  ])("%s", async (_, bytes) => {
    const { ids, said, shares } = await read(bytes(), "export.txt");
    expect([ids.length, said]).toEqual([COUNT, []]);
    expect(ids).toEqual(uuids(COUNT));
    expect(shares.every((share, i) => share! > 0 && share! <= 1 && share! >= (shares[i - 1] ?? 0))).toBe(
      true,
    );
    expect(shares.at(-1)).toBe(1);
  });

  test("Zstandard frames that name no size, as a stream gives them", async () => {
    const { createZstdCompress } = await import("node:zlib");
    const frames: Uint8Array[] = [];
    for (const part of [first, second]) {
      const codec = createZstdCompress();
      codec.end(part);
      for await (const piece of codec) frames.push(piece);
    }
    expect((await read(Buffer.concat(frames))).ids).toHaveLength(COUNT);
  });
});

describe("a file that ends too early loses nothing before its end", () => {
  const COUNT = 400;
  const text = linesOf(COUNT);

  test("in the middle of a line", async () => {
    const { ids, said } = await read(text.slice(0, -20));
    expect(ids).toEqual(uuids(COUNT - 1));
    expect(said).toEqual([`line ${COUNT}: the file ends in the middle of this line; all before it was read`]);
  });

  test("a torn line in the middle of a file is named as what it is, and those behind it are read", async () => {
    const { ids, said } = await read(`${lineOf(0)}${lineOf(1).slice(0, 30)}\n${lineOf(2)}`);
    expect([ids, said]).toEqual([[row(0).uuid, row(2).uuid], ["line 2: no JSON"]]);
  });

  test.each([["gzip", gzipSync], ["Zstandard", zstdCompressSync]] as const)(
    "in the middle of a second %s part: the first is whole, of the second all that can be unpacked",
    async (name, pack) => {
      const [first, second] = [pack(text), pack(linesOf(COUNT, COUNT))];
      for (const cut of [1, 3, second.length >> 1, second.length - 1]) {
        const { ids, said } = await read(Buffer.concat([first, second.subarray(0, cut)]));
        expect(ids.slice(0, COUNT)).toEqual(uuids(COUNT));
        expect(ids).toEqual(uuids(ids.length));
        expect(said).toEqual([
          expect.stringMatching(
            new RegExp(`^behind line \\d+: the file ends in the middle of its ${name}; all`),
          ),
        ]);
      }
    },
  );

  test("all that a cut gzip still gives is read: as much as its own unpacker gives", async () => {
    const many = linesOf(5_000);
    const packed = gzipSync(many);
    const cut = packed.subarray(0, packed.length - 9);
    // But for its checksum and its length the text is whole.
    expect((await read(cut)).ids).toEqual(uuids(5_000));
  });

  test.each([["gzip", gzipSync], ["Zstandard", zstdCompressSync]] as const)(
    "what follows %s and is none is said, behind what came",
    async (name, pack) => {
      const { ids, said } = await read(Buffer.concat([pack(text), Buffer.from("something else")]));
      expect(ids).toEqual(uuids(ids.length));
      expect(linesOf(COUNT - ids.length, ids.length).length).toBeLessThan(UNPACKED_AT_ONCE);
      expect(said).toEqual([
        expect.stringMatching(
          new RegExp(`the file's ${name} is damaged .*: what lies behind it, and up to 16384`),
        ),
      ]);
    },
  );
});

test("an event is no CSV because a list in it holds a text like a column's name", async () => {
  const properties = JSON.stringify({ input_prompt: "x", tags: ["a", "event", "b"] });
  const line = JSON.stringify({ ...row(1), properties: JSON.parse(properties) });
  expect(await read(`${line}\n`)).toMatchObject({ ids: [row(1).uuid], said: [] });
});

describe("what is no export is refused in one sentence", () => {
  test.each<[string, Uint8Array | string, RegExp]>([
    ["events.csv", "uuid,event,distinct_id\n1,x,y\n", /it is CSV\. Export it as JSON Lines or Parquet/],
    ["quoted.csv", '"timestamp";"event"\n1;x\n', /it is CSV/],
    ["array.json", '[{"event":"x"}]', /no event a line\. Write it so: `jq -c '\.\[\]' FILE/],
    ["pretty.json", '{\n  "event": "x"\n}\n', /no event a line\. Write it so: `jq -c '\.' FILE/],
    ["utf16.jsonl", Buffer.from(`\ufeff${lineOf(1)}`, "utf16le"), /it is UTF-16\. Write it as UTF-8/],
    ["utf16.jsonl.gz", gzipSync(Buffer.from(`\ufeff${lineOf(1)}`, "utf16le")), /it is UTF-16/],
    ["export.zip", Buffer.from("PK\x03\x04rest"), /packed by ZIP/],
    ["export.bz2", Buffer.from("BZh91AY"), /packed by bzip2/],
    ["export.jsonl.br", brotliCompressSync(lineOf(1)), /Brotli is not read/],
    ["cut.parquet", Buffer.from("PAR1 and nothing else"), /Get the file whole/],
  ])("%s", async (name, bytes, message) => {
    await expect(read(bytes, name)).rejects.toThrow(message);
  });

  test("a directory", async () => {
    await expect(readPath(directory)).rejects.toThrow(/it is a directory\. Give its files one by one/);
  });
});

describe("Parquet", () => {
  const STRING = { type: "BYTE_ARRAY", converted_type: "UTF8", logical_type: { type: "STRING" } } as const;
  const TIME = {
    type: "INT64",
    logical_type: { type: "TIMESTAMP", isAdjustedToUTC: true, unit: "MICROS" },
  } as const;

  function writeParquet(rows: readonly Row[], { codec, groups = 2, without = "" }: Options) {
    const path = join(directory, "export.parquet");
    const names = ["uuid", "event", "distinct_id", "properties", "person_id", "person_properties", "team_id"]
      .filter((name) => name !== without);
    const writer = new ParquetWriter({
      writer: fileWriter(path),
      codec,
      compressors: {
        GZIP: (bytes) => new Uint8Array(gzipSync(bytes)),
        ZSTD: (bytes) => new Uint8Array(zstdCompressSync(bytes)),
        BROTLI: (bytes) => new Uint8Array(brotliCompressSync(bytes)),
        LZO: (bytes) => bytes,
      },
      schema: [
        { name: "schema", num_children: names.length + 1 },
        ...names.map((name) => ({ name, ...STRING, repetition_type: "OPTIONAL" as const })),
        { name: "timestamp", ...TIME, repetition_type: "OPTIONAL" },
      ],
    });
    const size = Math.ceil(rows.length / groups);
    for (let at = 0; at < rows.length; at += size) {
      const some = rows.slice(at, at + size);
      const full = some.map((row) => ({
        ...row,
        person_id: "0190a000-0000-7000-8000-0000000000aa",
        person_properties: '{"email":"ada@example.org"}',
        team_id: null,
      }));
      writer.write({
        rowGroupSize: some.length,
        columnData: [
          ...names.map((name) => ({ name, data: full.map((row) => row[name as keyof typeof row]) })),
          { name: "timestamp", data: some.map(() => 1_764_504_000_123_456n) },
        ],
      });
    }
    writer.finish();
    return path;
  }

  type Options = {
    codec: "UNCOMPRESSED" | "SNAPPY" | "GZIP" | "ZSTD" | "BROTLI" | "LZO";
    groups?: number;
    without?: string;
  };
  const rows = Array.from({ length: 300 }, (_, n) => row(n));

  test.each(["UNCOMPRESSED", "SNAPPY", "GZIP", "ZSTD", "BROTLI"] as const)(
    "%s is read as the lines would be: times to the microsecond, properties as what they say",
    async (codec) => {
      const path = writeParquet(rows, { codec });
      const source = await fileSource(path);
      const bodies = [];
      for await (const event of source.events) if (event.ok) bodies.push(bodyOf(event));
      expect(bodies).toHaveLength(300);
      expect(bodies[7]).toEqual({
        event: { ...row(7), properties: JSON.parse(row(7).properties) },
        person: { id: "0190a000-0000-7000-8000-0000000000aa", properties: { email: "ada@example.org" } },
      });
      expect(source.share()).toBe(1);
    },
  );

  test("damage in a later row group takes nothing from those before it", async () => {
    const path = writeParquet(rows, { codec: "ZSTD", groups: 3 });
    const bytes = await Deno.readFile(path);
    const { row_groups } = parquetMetadata(bytes.buffer);
    const { meta_data } = row_groups[1]!.columns[3]!;
    const [from, length] = [Number(meta_data!.data_page_offset), Number(meta_data!.total_compressed_size)];
    bytes.fill(0x55, from + (length >> 1), from + length);
    await Deno.writeFile(path, bytes);
    const { ids, said } = await readPath(path);
    expect(ids).toEqual(uuids(100));
    expect(said).toEqual([
      expect.stringMatching(/^behind row 100: cannot be read .* all before it was read$/),
    ]);
  });

  test.each(["zstd", "lz4"])(
    "files of pyarrow, by which PostHog writes its own, are read: %s",
    async (codec) => {
      // Three row groups of 30, written by pyarrow 26 with all columns of the events model.
      const source = await fileSource(join(import.meta.dirname!, "fixtures", `pyarrow_${codec}.parquet`));
      const bodies = [];
      for await (const event of source.events) if (event.ok) bodies.push(bodyOf(event));
      expect(bodies.map(({ event }) => event.uuid)).toEqual(uuids(90));
      expect(bodies[77].event).toEqual({
        uuid: row(77).uuid,
        event: "generation_failed",
        distinct_id: "user-0",
        properties: { input_prompt: `prompt 77 é ${"again and again ".repeat(37)}`, failure_reason: null },
        timestamp: "2025-11-30T12:00:00.000077Z",
      });
    },
  );

  test("a codec that is not read is named, with those that are", async () => {
    const bytes = await Deno.readFile(writeParquet(rows, { codec: "LZO" }));
    const { ids, said } = await read(bytes);
    expect([ids, said]).toEqual([[], [expect.stringMatching(/codec: LZO.*export it with zstd or snappy/)]]);
  });

  test("blocks of LZ4 that are no blocks are damaged, and nothing is read or written beyond their ends", () => {
    const bad = [[], [0x10], [0x40, 1, 2], [0x10, 1, 0, 0], [0x10, 1, 9, 0], [0xff, 255], [
      0x1f,
      1,
      1,
      0,
      255,
      255,
    ]];
    for (const block of bad) {
      expect(() => unpackLz4Block(Uint8Array.from(block), 8)).toThrow("damaged");
    }
    expect(unpackLz4Block(Uint8Array.of(0x13, 7, 1, 0), 8)).toEqual(new Uint8Array(8).fill(7));
  });

  test("a table of something else is refused", async () => {
    const path = writeParquet(rows, { codec: "ZSTD", without: "distinct_id" });
    await expect(fileSource(path)).rejects.toThrow(/no column distinct_id\. Export PostHog's events model/);
  });
});
