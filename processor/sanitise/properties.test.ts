import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { escapeLine, sanitise } from "./mod.ts";
import { alnum, hex, HOSTILE } from "./testdata/samples.ts";

/** Pieces that mean something to one rule or another, so that random texts meet all of them, and each other. */
const PIECES = [
  ...HOSTILE,
  "jane@example.com",
  "+1 415 555 0132",
  "06 12 34 56 78",
  "4111 1111 1111 1111",
  "DE89370400440532013000",
  "536-90-4399",
  "203.0.113.42",
  "2001:db8::1",
  "00:1A:2B:3C:4D:5E",
  "my name is Jane Roe",
  "password: hunter2!x",
  "token=",
  "api_key = ",
  "phone ",
  "Tel.: ",
  "order ",
  "id ",
  "电话",
  " ",
  "\n",
  "\t",
  ", ",
  ". ",
  ":",
  "=",
  '"',
  "'",
  "<",
  ">",
  "@",
  "-",
  "(",
  ")",
  "\0",
  "\u200b",
  "\u001b[31m",
  "<PERSON>",
  "<PHONE_NUMBER>",
  "x",
  "1",
  "é",
  "👍",
  `ghp_${alnum(36)}`,
  `AKIA${alnum(16).toUpperCase()}`,
  hex(40),
  "-----BEGIN PRIVATE KEY-----",
  "-----END PRIVATE KEY-----",
  "eyJhbGciOiJI.eyJzdWIiOiIx.abc",
];
const texts = fc.oneof(
  fc.string({ unit: "binary", maxLength: 80 }),
  fc.array(fc.constantFrom(...PIECES), { maxLength: 14 }).map((pieces) => pieces.join("")),
);
const known = {
  emails: ["jane@example.com"],
  names: ["Jane Roe", "Jane"],
  phones: ["+14155550132"],
  ips: ["203.0.113.42"],
};
const runs = { numRuns: 3000 };

describe("for any text", () => {
  test("doing it twice changes nothing more", () => {
    fc.assert(
      fc.property(texts, (text) => {
        const once = sanitise(text).text;
        expect(sanitise(once).text).toBe(once);
      }),
      runs,
    );
  });

  test("doing it twice changes nothing more, with known values", () => {
    fc.assert(
      fc.property(texts, (text) => {
        const once = sanitise(text, known).text;
        expect(sanitise(once, known).text).toBe(once);
      }),
      runs,
    );
  });

  test("spans are in order, inside the text and apart, and the text outside them is the input's", () => {
    fc.assert(
      fc.property(texts, (text) => {
        const { text: out, spans } = sanitise(text);
        let from = 0;
        let made = "";
        for (const { start, end, entity } of spans) {
          expect(start).toBeGreaterThanOrEqual(from);
          expect(end).toBeGreaterThan(start);
          made += text.slice(from, start) + `<${entity}>`;
          from = end;
        }
        expect(from).toBeLessThanOrEqual(text.length);
        made += text.slice(from);
        // deno-lint-ignore no-control-regex -- control characters are what goes
        if (!/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]/.test(made)) expect(out).toBe(made.toWellFormed());
      }),
      runs,
    );
  });

  test("what comes out is well-formed, without control characters, and one line in a file", () => {
    fc.assert(
      fc.property(texts, (text) => {
        const { text: out } = sanitise(text);
        expect(out.isWellFormed()).toBe(true);
        // deno-lint-ignore no-control-regex -- control characters must be gone
        expect(out).not.toMatch(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]/);
        const line = escapeLine(JSON.stringify(out));
        expect(line).not.toMatch(/[\n\r\u0085\u2028\u2029]/);
        expect(JSON.parse(line)).toBe(out);
      }),
      runs,
    );
  });
});
