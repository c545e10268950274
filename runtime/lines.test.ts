import { expect, it } from "vitest";
import { readLines } from "./lines.ts";

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
