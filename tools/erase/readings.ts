import { Buffer } from "node:buffer";

/**
 * What bytes say once they are read as whoever wrote them meant them: escapes of JSON, URLs, HTML, e-mail messages and
 * base64 taken away, one within another too. Texts are Latin-1 here: one character is one byte of UTF-8.
 */

/** One way to read some bytes. */
export type Reading = {
  readonly text: string;
  /** Where in the bytes as they lie stands what this text has at `at`. */
  placeOf(at: number): number;
};

/** How many escapes may lie around one another: a JSON text in a JSON text in base64 in a mail has four. */
const DEPTH_MAX = 4;

/**
 * The bytes as they are, then every other reading of those parts that have one.
 *
 * @param reach Bytes beside an escape that are read with it: no less than what is looked for takes.
 */
export function* readingsOf(bytes: Uint8Array, reach: number): Generator<Reading> {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  yield* deeper({ text, placeOf: (at) => at }, { depth: DEPTH_MAX, reach, runs: new Set() });
}

/** `runs`: base64 that has been read, by place and length, so that a reading that changes nothing of it reads it no more. */
type Looking = { readonly depth: number; readonly reach: number; readonly runs: Set<string> };

function* deeper(reading: Reading, { depth, reach, runs }: Looking): Generator<Reading> {
  yield reading;
  if (depth === 0) return;
  // Apart from one another: what is an escape in one of them (`=ad` in a mail) is plain text in another (`?mail=ada`).
  for (const escape of ESCAPES) {
    for (const decoded of decode(reading, escape, reach)) {
      yield* deeper(decoded, { depth: depth - 1, reach, runs });
    }
  }
  for (const decoded of base64In(reading, runs)) {
    yield* deeper(decoded, { depth: depth - 1, reach, runs: new Set() });
  }
}

type Escape = { readonly pattern: RegExp; readonly meaning: (escape: string) => string };

const ESCAPES: readonly Escape[] = [
  {
    // JSON and JavaScript (`\u0040`, `\x40`, `\n`), URLs (`%40`, `%u0040`), HTML (`&#64;`, `&#x40;`, `&commat;`).
    pattern: new RegExp(
      String
        .raw`(?:[\\%]u[0-9a-f]{4})+|\\u\{[0-9a-f]{1,6}\}|\\x[0-9a-f]{2}|\\["'\\/bfnrt]|(?:%[0-9a-f]{2})+|` +
        "&(?:#[0-9]{1,7}|#x[0-9a-f]{1,6}|amp|apos|commat|gt|lowbar|lt|num|percnt|period|plus|quot);",
      "gi",
    ),
    meaning: escapeMeaning,
  },
  {
    // Bodies of e-mail messages (RFC 2045, 6.7): `=40`, and lines that go on behind a `=`. Of ASCII only what is neither
    // letter nor digit, and beyond it whole characters: `?id=AAuser` is none.
    pattern: new RegExp(
      "(?:=(?:09|0A|0D|2[0-9A-F]|3[A-F]|40|5[B-F]|60|7[B-E])|=[C-F][0-9A-F](?:=[89AB][0-9A-F]){1,3})+|" +
        "=[ \\t]*\\r?\\n",
      "g",
    ),
    meaning: (escape) => hexBytes(escape.replace(/\s/g, "")),
  },
  // Headers of e-mail messages (RFC 2047): `=?utf-8?q?ada=40example=2Eorg?=`, split over several.
  {
    pattern: /(?:=\?[\w*-]{1,40}\?[qb]\?[^?\s]{0,998}\?=(?:\s{1,9}(?==\?))?)+/gi,
    meaning: (words) => [...words.matchAll(/\?([qb])\?([^?\s]*)\?=/gi)].map(encodedWord).join(""),
  },
];

const NAMED: Readonly<Record<string, string>> = {
  amp: "&",
  apos: "'",
  commat: "@",
  gt: ">",
  lowbar: "_",
  lt: "<",
  num: "#",
  percnt: "%",
  period: ".",
  plus: "+",
  quot: '"',
};
const BACKSLASHED: Readonly<Record<string, string>> = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };

function escapeMeaning(escape: string): string {
  const text = escape.toLowerCase();
  if (/^[\\%]u[^{]/.test(text)) {
    return utf8(String.fromCharCode(...text.match(/[0-9a-f]{4}/g)!.map((unit) => parseInt(unit, 16))));
  }
  if (text.startsWith("\\u{")) return codePoint(parseInt(text.slice(3, -1), 16));
  if (text.startsWith("\\x")) return String.fromCharCode(parseInt(text.slice(2), 16));
  if (text.startsWith("\\")) return BACKSLASHED[text[1]!] ?? text[1]!;
  if (text.startsWith("%")) return hexBytes(text);
  if (text.startsWith("&#x")) return codePoint(parseInt(text.slice(3, -1), 16));
  if (text.startsWith("&#")) return codePoint(parseInt(text.slice(2, -1), 10));
  return NAMED[text.slice(1, -1)]!;
}

function codePoint(code: number): string {
  return code > 0x10ffff ? "" : utf8(String.fromCodePoint(code));
}

function utf8(text: string): string {
  return Buffer.from(text).toString("latin1");
}

function hexBytes(text: string): string {
  return Buffer.from(text.replace(/[%=]/g, ""), "hex").toString("latin1");
}

function encodedWord([, form, content]: RegExpMatchArray): string {
  if (form!.toLowerCase() === "b") return Buffer.from(content!, "base64").toString("latin1");
  return content!.replaceAll("_", " ").replace(/(?:=[0-9a-f]{2})+/gi, hexBytes);
}

/** Around each escape, and around several that lie near one another, as far as a hit may reach beyond it. */
function* decode(reading: Reading, { pattern, meaning }: Escape, reach: number): Generator<Reading> {
  const { text } = reading;
  let near: RegExpExecArray[] = [];
  let end = -Infinity;
  for (const match of text.matchAll(pattern)) {
    if (match.index - end > 2 * reach && near.length > 0) {
      yield decodePart(reading, { near, meaning, reach });
      near = [];
    }
    near.push(match);
    end = match.index + match[0].length;
  }
  if (near.length > 0) yield decodePart(reading, { near, meaning, reach });
}

type Part = {
  readonly near: readonly RegExpExecArray[];
  readonly meaning: Escape["meaning"];
  readonly reach: number;
};

function decodePart({ text, placeOf }: Reading, { near, meaning, reach }: Part): Reading {
  const parts: string[] = [];
  // Of each escape: where the text goes on behind it, in the result and in the text.
  const inResult = [0];
  const inText = [Math.max(0, near[0]!.index - reach)];
  let length = 0;
  let from = inText[0]!;
  for (const { 0: escape, index } of near) {
    const decoded = meaning(escape);
    parts.push(text.slice(from, index), decoded);
    length += index - from + decoded.length;
    from = index + escape.length;
    inResult.push(length);
    inText.push(from);
  }
  parts.push(text.slice(from, from + reach));
  return {
    text: parts.join(""),
    placeOf(at) {
      const last = lastAtMost(inResult, at);
      const place = inText[last]! + at - inResult[last]!;
      // What an escape of several bytes means lies within it.
      return placeOf(Math.min(place, (inText[last + 1] ?? Infinity) - 1));
    },
  };
}

function lastAtMost(sorted: readonly number[], value: number): number {
  let [low, high] = [0, sorted.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (sorted[middle]! <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Nine bytes and more, over several lines too, as mails have it; its first line says whether it may be base64 at all. */
const BASE64 = /[A-Za-z0-9+/_-]{12,}(?:\r?\n[A-Za-z0-9+/_-]+)*/g;

/** Some characters of UTF-8 in a row without a control character: what is no base64, or begins elsewhere, has none. */
const WORDS = /(?:[\t\r\n -~]|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}){6}/;

/** A run of its digits may begin anywhere in what was encoded, and behind letters that are none of it. */
function* base64In(reading: Reading, runs: Set<string>): Generator<Reading> {
  for (const match of reading.text.matchAll(BASE64)) {
    const digits = match[0].replace(/[\r\n]/g, "");
    // Hexadecimal numbers and words of one case are none: that saves decoding every uuid.
    if (!/[A-Z]/.test(digits) || !/[a-z]/.test(digits)) continue;
    const run = `${reading.placeOf(match.index)}/${digits.length}`;
    if (runs.has(run)) continue;
    runs.add(run);
    for (let from = 0; from < 4; from++) {
      const text = Buffer.from(digits.slice(from), "base64").toString("latin1");
      if (!WORDS.test(text)) continue;
      const placeOf = (at: number) => reading.placeOf(match.index + from + Math.floor(at * 4 / 3));
      yield { text, placeOf };
    }
  }
}
