import { describe, expect, it } from "vitest";
import { readLines, utf8Bytes } from "./lines.ts";

async function linesOf(pieces: readonly (string | Uint8Array)[], lineBytesMax = 10) {
  const encoder = new TextEncoder();
  const input = ReadableStream.from(
    pieces.map((piece) => typeof piece === "string" ? encoder.encode(piece) : piece),
  );
  const found: (string | null)[][] = [];
  for await (const lines of readLines(input, { lineBytesMax })) found.push(lines);
  return found;
}

it("each piece yields the lines that it completes; a last one without its end counts", async () => {
  expect(await linesOf(["a\nb", "c\n\nd", "e"])).toEqual([["a"], ["bc", ""], [], ["de"]]);
  expect(await linesOf(["a\n"])).toEqual([["a"]]);
  expect(await linesOf([])).toEqual([]);
});

it("a character that two pieces share is one, and bytes that are no UTF-8 become U+FFFD", async () => {
  expect(await linesOf([new Uint8Array([0xc3]), new Uint8Array([0xa9, 10, 0xff])])).toEqual([[], ["é"], [
    "\ufffd",
  ]]);
});

it("a line beyond the bound is null, and the next one is read", async () => {
  expect(await linesOf(["12345", "678901", "2\nnext\n", "0123456789\n"])).toEqual([
    [],
    [],
    [null, "next"],
    ["0123456789"],
  ]);
  expect(await linesOf(["0123456789a"])).toEqual([[], [null]]);
});

describe("a byte order mark", () => {
  const bytesOf = async (pieces: readonly number[][]) => {
    const found: number[][] = [];
    for await (const piece of utf8Bytes(ReadableStream.from(pieces.map((piece) => Uint8Array.from(piece))))) {
      found.push([...piece]);
    }
    return found;
  };

  it.each([
    [[[0xef, 0xbb, 0xbf, 97], [98]], [[97], [98]]],
    [[[0xef], [0xbb], [0xbf, 97], [98]], [[97], [98]]],
    [[[0xef, 0xbb], [0xbf]], [[]]],
    // No marks: what only begins like one, and what stands elsewhere.
    [[[0xef, 0xbb], [0x80, 97]], [[0xef, 0xbb], [0x80, 97]]],
    [[[0xef]], [[0xef]]],
    [[[97], [0xef, 0xbb, 0xbf]], [[97], [0xef, 0xbb, 0xbf]]],
    [[], []],
  ])("of UTF-8 is passed over in whatever pieces it comes: %j", async (pieces, expected) => {
    expect(await bytesOf(pieces)).toEqual(expected);
  });

  it.each([[[[0xff, 0xfe, 97, 0]]], [[[0xfe], [0xff, 0, 97]]]])("of UTF-16 ends it: %j", async (pieces) => {
    await expect(bytesOf(pieces)).rejects.toThrow("Cannot read this text: it is UTF-16.");
  });

  it("is waited for no longer than it may still be one", async () => {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    const found = utf8Bytes(readable);
    const first = found.next();
    await writer.write(Uint8Array.of(97));
    expect((await first).value).toEqual(Uint8Array.of(97));
    await writer.close();
  });
});
