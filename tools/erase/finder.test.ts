import { Buffer } from "node:buffer";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readAddress } from "../../processor/offers/mod.ts";
import { Finder } from "./finder.ts";
import { needlesOfName, needlesOfPrompt } from "./needles.ts";
import { readingsOf } from "./readings.ts";

/** The search said LEFT 0 while an address stood there in another case, with a tag, or with `\u0040`. */

const bytes = (text: string) => new TextEncoder().encode(text);
const mailbox = (address: string) => readAddress(address)!.normalised;
const finderOf = (...addresses: string[]) =>
  new Finder({ needles: needlesOfName("user-7001", "id"), mailboxes: addresses.map(mailbox) });
const base64 = (text: string) => Buffer.from(text).toString("base64");

const JANE = finderOf("Jane.Roe@example.org", "käthe@bücher.example", "r.o.e@gmail.com");

describe("an address of theirs is found", () => {
  test.each([
    ["as it was written", "write to Jane.Roe@example.org."],
    ["in another case", "JANE.ROE@EXAMPLE.ORG"],
    ["with a tag", "jane.roe+news@example.org"],
    ["in angle brackets", "Jane <jane.roe@example.org>"],
    ["behind a parameter's name", "https://x.example/?mail=jane.roe@example.org&x=1"],
    ["between other letters beyond ASCII", "“jane.roe@example.org”, 联系jane.roe@example.org谢谢"],
    ["in italics", "_jane_ *jane.roe@example.org*"],
    ["with a local part in quotes", '"jane.roe"@example.org'],
    ["with a domain that ends in a dot", "jane.roe@example.org. She"],
    ["in full-width letters", "ｊａｎｅ．ｒｏｅ＠ｅｘａｍｐｌｅ．ｏｒｇ"],
    ["with a domain in punycode", "käthe@xn--bcher-kva.example"],
    ["with a domain in letters", "KÄTHE@BÜCHER.example"],
    ["as Gmail reads it", "roe+x@googlemail.com"],
    ["with escapes of JSON", String.raw`{"note":"call jane\u002eroe\u0040EXAMPLE.org\nnow"}`],
    ["with escapes of JSON beyond ASCII", String.raw`{"to":"k\u00e4the@b\u00FCcher.example"}`],
    ["right behind an escape of JSON", String.raw`{"note":"hello\njane.roe@example.org"}`],
    ["in quotes within JSON", String.raw`{"to":"\"jane.roe\"@example.org"}`],
    ["in JSON within JSON", JSON.stringify({ body: String.raw`{"to":"jane.roe\u0040example.org"}` })],
    ["with escapes of JavaScript", String.raw`'jane.roe\x40example.org'`],
    ["percent-encoded", "?mail=Jane.Roe%40example.org"],
    ["percent-encoded twice", "?next=%3Fmail%3Djane.roe%2540example.org"],
    ["percent-encoded within JSON", String.raw`{"url":"https:\/\/x.example\/?m=jane.roe%40example.org"}`],
    ["as `escape()` wrote it", "jane.roe%u0040example.org"],
    ["with references of HTML", "jane.roe&#64;example.org"],
    ["with hexadecimal references of HTML", "jane.roe&#x40;example&#x2E;org"],
    ["with named references of HTML", "jane.roe&commat;example&period;org"],
    ["quoted-printable", "jane.roe=40example.org"],
    ["quoted-printable over two lines", "To: jane.ro=\r\ne@example.org"],
    ["quoted-printable within JSON", JSON.stringify({ mail: "jane.ro=\r\ne=40example.org" })],
    ["in an encoded word", "Subject: =?utf-8?Q?for_jane=2Eroe=40example=2Eorg?="],
    ["in two encoded words", "Subject: =?utf-8?q?jane=2Er?=\r\n =?utf-8?B?b2VAZXhhbXBsZS5vcmc=?="],
    ["in base64", base64("hello jane.roe@example.org, how are you?")],
    ["in base64 of another case", base64("Hello Jane.ROE@example.org")],
    [
      "in base64 over several lines",
      base64("x".repeat(40) + " jane.roe@example.org").replace(/.{76}/g, "$&\r\n"),
    ],
    ["in JSON in base64", base64(String.raw`{"to":"jane.roe\u0040example.org"}`)],
    ["in base64 in JSON of PHP", JSON.stringify(base64("??>jane.roe@example.org")).replaceAll("/", "\\/")],
  ])("%s", (_, text) => {
    expect(JANE.holds(bytes(text), ["address"])).toBe(true);
  });

  test("in the base64 of any longer text, in any case of its letters", () => {
    const cased = fc.array(fc.boolean(), { minLength: 20, maxLength: 20 }).map((upper) =>
      [..."jane.roe@example.org"].map((one, at) => upper[at] ? one.toUpperCase() : one).join("")
    );
    const around = fc.string({ unit: fc.constantFrom(" ", "!", "ä", ",", "\n"), maxLength: 9 });
    fc.assert(fc.property(around, cased, around, (a, address, b) => {
      expect(JANE.holds(bytes(base64(`${a}${address}${b}`)), ["address"])).toBe(true);
    }));
  });
});

test.each([
  "mary.jane.roe@example.org",
  "mary-jane.roe@example.org",
  "jane.roe@example.org.uk",
  "jane.roe@sub.example.org",
  "jane.roe@example.orga",
  "janeroe@example.org",
  "jane+roe@example.org",
  "x+jane.roe@example.org",
  "jane.roe at example.org",
  "jane.roe @example.org",
  "@example.org",
  "jane.roe@",
])("%s is nobody of theirs", (text) => {
  expect(JANE.holds(bytes(text), ["address"])).toBe(false);
});

test.each([
  ["JSON", String.raw`{"id":"user\u002d7001"}`],
  ["URLs", "/person/user%2D7001"],
  ["HTML", "user&#45;7001"],
  ["e-mail messages", "user=2D7001"],
  ["base64", base64("for user-7001 only")],
])("an id is found behind the escapes of %s", (_, text) => {
  expect(JANE.holds(bytes(text), ["id"])).toBe(true);
});

test("a prompt is found in base64 and behind whatever escapes", () => {
  const prompt = "Write a poem about “winter”, please";
  const finder = new Finder({ needles: needlesOfPrompt(prompt), mailboxes: [] });
  const json = JSON.stringify({ prompt });
  for (const text of [json, JSON.stringify(json), encodeURIComponent(prompt), base64(json)]) {
    expect(finder.holds(bytes(text), ["prompt"])).toBe(true);
  }
});

test("a place counts once, where its bytes lie, however it can be read", () => {
  const text = String.raw`{"a":"\"x\"","b":"jane.roe\u0040example.org","c":"user-7001"}`;
  const hits = [...JANE.find(bytes(text))].map(({ at, kind }) => [at, kind]);
  expect(hits.sort()).toEqual([[text.indexOf("jane"), "address"], [text.indexOf("user"), "id"]]);
});

test("what is read of a text stays in proportion to it, whatever escapes it holds", () => {
  const units = [
    "%25",
    "\\u0040",
    "&amp;#64;",
    "=3D",
    "=?utf-8?q?=40?=",
    "YWJjZGVmQWJj",
    "@",
    '"',
    "\\",
    "a.",
    "\r\n",
  ];
  const read = (text: string) =>
    [...readingsOf(bytes(text), 512)].reduce((sum, one) => sum + one.text.length, 0);
  for (const unit of units) {
    for (const other of units) {
      const text = (count: number) => `${unit}${other}`.repeat(count);
      const [short, long] = [read(text(50)), read(text(500))];
      expect([unit, other, long <= 13 * short, short <= 200 * text(50).length]).toEqual([
        unit,
        other,
        true,
        true,
      ]);
    }
  }
});
