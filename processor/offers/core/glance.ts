import { Buffer, isUtf8 } from "node:buffer";
import { EMAIL_PROOF } from "../../../contract/email_proof.ts";
import { NAME_BYTES_MAX } from "../../../contract/envelope.ts";
import { EMAIL_UNSUBSCRIBED, FEATURE_USED } from "../../../contract/product_events.ts";
import { MERGES } from "./product_event.ts";

/**
 * What an event says of its person, found by one look over its bytes: parsing them and reading the addresses in them
 * takes four times as long, and most events say what the one before has said.
 *
 * Two records with equal glances have the same distinct_id, the same person.id and the same addresses, opt-outs and
 * proofs; both are uses or neither is; neither asks for a merge nor is an opt-out itself. Null for whatever is not
 * PostHog's default body in plain JSON: an unusual one is read whole.
 */
export type Glancer = (value: Uint8Array) => string | null;

/** Where in the body a key stands. */
type Place = "body" | "event" | "properties" | "person" | "set" | "once" | "kept";

/** What a key's value is to the glance: an object with keys of its own, a text to look at, what stands in it as it was written. */
type Key =
  & { readonly name: string }
  & (
    | { readonly is: "object"; readonly place: Place }
    | { readonly is: "event" | "uuid" | "said" | "unusual" }
  );

const said = (name: string): Key => ({ name, is: "said" });
const SAID_OF_MAIL = ["email", "email_opt_out", "unsubscribed", EMAIL_PROOF].map(said);

const KEYS: Readonly<Record<Place, readonly Key[]>> = {
  body: [
    { name: "event", is: "object", place: "event" },
    { name: "person", is: "object", place: "person" },
    { name: "hook", is: "unusual" },
  ],
  event: [
    { name: "event", is: "event" },
    { name: "distinct_id", is: "said" },
    { name: "uuid", is: "uuid" },
    { name: "properties", is: "object", place: "properties" },
  ],
  properties: [
    { name: "$set", is: "object", place: "set" },
    { name: "$set_once", is: "object", place: "once" },
  ],
  person: [said("id"), { name: "properties", is: "object", place: "kept" }],
  set: SAID_OF_MAIL,
  once: SAID_OF_MAIL,
  kept: SAID_OF_MAIL,
};

/** Events that are more than a use or no use. */
const UNUSUAL_EVENTS = [...Object.keys(MERGES), EMAIL_UNSUBSCRIBED];

/** A glance that would be longer is none. */
const GLANCE_BYTES_MAX = 2_048;
const DEPTH_MAX = 32;

const [QUOTE, BACKSLASH, COMMA, COLON] = [34, 92, 44, 58];
const [OPEN_OBJECT, CLOSE_OBJECT, OPEN_ARRAY, CLOSE_ARRAY] = [123, 125, 91, 93];

type Known = {
  readonly bytes: Uint8Array;
  readonly key: Key;
  /** One of its own for each key, in the set of those that came, and before what it says. */
  readonly number: number;
};

/** It keeps a buffer of its own: one glancer looks at one record after the other. */
export function createGlancer(): Glancer {
  const glance = Buffer.alloc(GLANCE_BYTES_MAX);
  const encoder = new TextEncoder();
  let number = 0;
  const known = Object.fromEntries(
    Object.entries(KEYS).map(([place, keys]) => [
      place,
      keys.map((key): Known => ({ key, bytes: encoder.encode(key.name), number: ++number })),
    ]),
  ) as unknown as Readonly<Record<Place, readonly Known[]>>;
  const unusual = UNUSUAL_EVENTS.map((name) => encoder.encode(name));
  const use = encoder.encode(FEATURE_USED);
  /** Of the record at hand. */
  let length = 0;
  let came = 0;

  /** The position behind the value at `at`, -1 where it is none or an unusual one. */
  const see = (bytes: Uint8Array, at: number, { key, number }: Known): number => {
    // Of two keys of one name the last would win.
    if ((came & 1 << number) !== 0) return -1;
    came |= 1 << number;
    if (key.is === "object") {
      if (bytes[at] === OPEN_OBJECT) return object(bytes, at, known[key.place]);
      // A body whose event is no object is another one of PostHog's; elsewhere such a value says nothing.
      return key.place === "event" ? -1 : skipValue(bytes, at, 0);
    }
    if (key.is === "unusual") return -1;
    const end = skipValue(bytes, at, 0);
    if (end < 0) return -1;
    if (key.is === "uuid") return isUuidOrNull(bytes, at, end) ? end : -1;
    if (key.is === "event") {
      if (!isPlainName(bytes, at, end) || unusual.some((name) => isAt(bytes, at + 1, end - 1, name))) {
        return -1;
      }
      glance[0] = isAt(bytes, at + 1, end - 1, use) ? 117 : 111;
      return end;
    }
    if (length + end - at + 1 > GLANCE_BYTES_MAX) return -1;
    // No JSON holds a zero byte: what one key says cannot be taken for what another does.
    glance[length++] = 0;
    glance[length++] = number;
    for (let i = at, to = length; i < end; i++) glance[to++] = bytes[i]!;
    length += end - at;
    return end;
  };

  const object = (bytes: Uint8Array, at: number, keys: readonly Known[]): number => {
    let i = skipSpace(bytes, at + 1);
    if (bytes[i] === CLOSE_OBJECT) return i + 1;
    for (;;) {
      if (bytes[i] !== QUOTE) return -1;
      const from = i + 1;
      const end = skipPlainText(bytes, from);
      if (end < 0) return -1;
      i = skipSpace(bytes, end);
      if (bytes[i] !== COLON) return -1;
      i = skipSpace(bytes, i + 1);
      const key = keyAt(keys, bytes, from, end - 1);
      i = key === undefined ? skipValue(bytes, i, 0) : see(bytes, i, key);
      if (i < 0) return -1;
      i = skipSpace(bytes, i);
      if (bytes[i] === CLOSE_OBJECT) return i + 1;
      if (bytes[i] !== COMMA) return -1;
      i = skipSpace(bytes, i + 1);
    }
  };

  const bit = (name: string) => 1 << known.event.find(({ key }) => key.name === name)!.number;
  const needed = bit("event") | bit("distinct_id");
  return (value) => {
    length = 1;
    came = 0;
    const start = skipSpace(value, 0);
    const end = value[start] === OPEN_OBJECT ? object(value, start, known.body) : -1;
    if (end < 0 || skipSpace(value, end) !== value.length) return null;
    if ((came & needed) !== needed || !isUtf8(value)) return null;
    return glance.toString("latin1", 0, length);
  };
}

function keyAt(keys: readonly Known[], bytes: Uint8Array, from: number, end: number): Known | undefined {
  for (let k = 0; k < keys.length; k++) {
    const key = keys[k]!;
    if (isAt(bytes, from, end, key.bytes)) return key;
  }
  return undefined;
}

/** True where just this text stands from `from` up to `end`. */
function isAt(bytes: Uint8Array, from: number, end: number, text: Uint8Array): boolean {
  const length = text.length;
  if (end - from !== length) return false;
  for (let i = 0; i < length; i++) if (bytes[from + i] !== text[i]) return false;
  return true;
}

function isPlainName(bytes: Uint8Array, from: number, end: number): boolean {
  const length = end - from - 2;
  return bytes[from] === QUOTE && length >= 1 && length <= NAME_BYTES_MAX &&
    skipPlainText(bytes, from + 1) === end;
}

function isUuidOrNull(bytes: Uint8Array, from: number, end: number): boolean {
  if (bytes[from] === 110) return true;
  if (bytes[from] !== QUOTE || end - from !== 38) return false;
  for (let i = 0; i < 36; i++) {
    const byte = bytes[from + 1 + i]!;
    if (i === 8 || i === 13 || i === 18 || i === 23 ? byte !== 45 : !isHex(byte)) return false;
  }
  return true;
}

// What follows is JSON (RFC 8259) as JSON.parse takes it: each answers the position behind what begins at `at`, or -1.

function skipSpace(bytes: Uint8Array, at: number): number {
  for (let i = at; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte > 32 || byte !== 32 && byte !== 10 && byte !== 13 && byte !== 9) return i;
  }
  return bytes.length;
}

/** From behind the quote on; one with an escape is not plain. */
function skipPlainText(bytes: Uint8Array, at: number): number {
  for (let i = at; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte === QUOTE) return i + 1;
    if (byte < 32 || byte === BACKSLASH) return -1;
  }
  return -1;
}

function skipText(bytes: Uint8Array, at: number): number {
  for (let i = at; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte === QUOTE) return i + 1;
    if (byte < 32) return -1;
    if (byte !== BACKSLASH) continue;
    const escaped = bytes[++i];
    if (escaped === 117) {
      for (const end = i + 4; i < end;) if (!isHex(bytes[++i])) return -1;
    } else if (escaped === undefined || !ESCAPES.has(escaped)) return -1;
  }
  return -1;
}

/** `"\/bfnrt` */
const ESCAPES = new Set([34, 92, 47, 98, 102, 110, 114, 116]);

function isHex(byte: number | undefined): boolean {
  return byte !== undefined &&
    (byte >= 48 && byte <= 57 || byte >= 97 && byte <= 102 || byte >= 65 && byte <= 70);
}

function skipValue(bytes: Uint8Array, at: number, depth: number): number {
  switch (bytes[at]) {
    case QUOTE:
      return skipText(bytes, at + 1);
    case OPEN_OBJECT:
    case OPEN_ARRAY:
      return depth > DEPTH_MAX ? -1 : skipMembers(bytes, at, depth);
    case 116:
      return skipWord(bytes, at, "true");
    case 102:
      return skipWord(bytes, at, "false");
    case 110:
      return skipWord(bytes, at, "null");
    default:
      return skipNumber(bytes, at);
  }
}

function skipMembers(bytes: Uint8Array, at: number, depth: number): number {
  const isObject = bytes[at] === OPEN_OBJECT;
  const close = isObject ? CLOSE_OBJECT : CLOSE_ARRAY;
  let i = skipSpace(bytes, at + 1);
  if (bytes[i] === close) return i + 1;
  for (;;) {
    if (isObject) {
      if (bytes[i] !== QUOTE) return -1;
      i = skipText(bytes, i + 1);
      if (i < 0) return -1;
      i = skipSpace(bytes, i);
      if (bytes[i] !== COLON) return -1;
      i = skipSpace(bytes, i + 1);
    }
    i = skipValue(bytes, i, depth + 1);
    if (i < 0) return -1;
    i = skipSpace(bytes, i);
    if (bytes[i] === close) return i + 1;
    if (bytes[i] !== COMMA) return -1;
    i = skipSpace(bytes, i + 1);
  }
}

function skipWord(bytes: Uint8Array, at: number, word: string): number {
  for (let i = 0; i < word.length; i++) if (bytes[at + i] !== word.charCodeAt(i)) return -1;
  return at + word.length;
}

function skipNumber(bytes: Uint8Array, at: number): number {
  let i = bytes[at] === 45 ? at + 1 : at;
  if (bytes[i] === 48) i++;
  else if ((i = skipFigures(bytes, i)) < 0) return -1;
  if (bytes[i] === 46 && (i = skipFigures(bytes, i + 1)) < 0) return -1;
  if (bytes[i] !== 101 && bytes[i] !== 69) return i;
  return skipFigures(bytes, bytes[i + 1] === 43 || bytes[i + 1] === 45 ? i + 2 : i + 1);
}

/** One at least. */
function skipFigures(bytes: Uint8Array, at: number): number {
  let i = at;
  for (let byte = bytes[i]; byte !== undefined && byte >= 48 && byte <= 57;) byte = bytes[++i];
  return i === at ? -1 : i;
}
