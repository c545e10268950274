import { describe, expect, test } from "vitest";
import { printable, printableJson, printableLines } from "./printable.ts";

test.each([
  ["a terminal's escapes", "\x1b[2J\x1b]0;title\x07", String.raw`\x1b[2J\x1b]0;title\x07`],
  ["its one-character form", "\x9b31m", String.raw`\x9b31m`],
  ["line breaks and tabs", "a\r\nb\tc\u2028d", String.raw`a\x0d\x0ab\x09c\u2028d`],
  ["DEL, NUL and backspace", "\x7f\x00\b", String.raw`\x7f\x00\x08`],
  [
    "overrides and isolates of direction",
    "\u202eabc\u202c\u2066x\u2069",
    String.raw`\u202eabc\u202c\u2066x\u2069`,
  ],
  ["no other text", "Käthe 密碼 👩‍👧 \\x1b", "Käthe 密碼 👩‍👧 \\x1b"],
])("printable() shows %s", (_, text, shown) => expect(printable(text)).toBe(shown));

test("printableLines() keeps line breaks alone", () => {
  expect(printableLines("a\nb\r\x1b[0m")).toBe("a\nb\\x0d\\x1b[0m");
});

describe("printableJson()", () => {
  test("means the same, and holds nothing that a terminal obeys", () => {
    const value = { "\u202eid": "\x1b[2J\x7f\x9b31m\u2066\u2028", text: "Käthe" };
    const json = printableJson(JSON.stringify(value));
    expect(JSON.parse(json)).toEqual(value);
    expect(json).toBe(
      String.raw`{"\u202eid":"\u001b[2J\u007f\u009b31m\u2066\u2028","text":"Käthe"}`,
    );
  });
});
