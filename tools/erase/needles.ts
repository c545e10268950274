import { Buffer } from "node:buffer";

/** Texts that are looked for among bytes, in every form in which this pipeline's files may hold them. */

/** What of a person is looked for in files. */
export type NeedleKind = "id" | "address" | "prompt";

/** One form of one text. */
export type Needle = {
  readonly kind: NeedleKind;
  readonly bytes: Uint8Array;
  /** Counts only where it is no part of a longer word, so that `user-1` is not found in `user-12`. */
  readonly whole: boolean;
};

/** A needle's place among the bytes that were searched. */
export type NeedleHit = { readonly needle: number; readonly at: number };

/** An id shorter than this is looked for in quotes only: `7` alone stands everywhere. */
const ID_BYTES_MIN = 6;
/** Shorter prompts say nothing of anybody; of longer ones so many bytes at the beginning are enough to find them. */
export const PROMPT_BYTES_MIN = 16;
const PROMPT_BYTES_MAX = 120;

/**
 * The forms of an id, or of what should be an address: as it is, as JSON, and percent-encoded. `Finder` takes escapes away
 * before it looks; these find also what an id itself has of what looks like one.
 */
export function needlesOfName(text: string, kind: "id" | "address"): Needle[] {
  const short = Buffer.byteLength(text) < ID_BYTES_MIN;
  const plain = [text, ...jsonForms(text), encodeURIComponent(text.toWellFormed())]
    .map((form) => short ? `"${form}"` : form);
  return unique(plain.map((form) => Buffer.from(form))).map((bytes) => ({ kind, bytes, whole: !short }));
}

/** The forms of a prompt's beginning: as it is and as JSON; none where it is too short to say anything. */
export function needlesOfPrompt(text: string): Needle[] {
  if (Buffer.byteLength(text) < PROMPT_BYTES_MIN) return [];
  const forms = [text, ...jsonForms(text)].map((form) => Buffer.from(form).subarray(0, PROMPT_BYTES_MAX));
  return unique(forms).map((bytes) => ({ kind: "prompt", bytes, whole: false }));
}

/** As `JSON.stringify` writes it, and as writers do that keep to ASCII. */
function jsonForms(text: string): string[] {
  const json = JSON.stringify(text).slice(1, -1);
  const ascii = json.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return [json, ascii];
}

function unique(forms: readonly Buffer[]): Buffer[] {
  return [...new Map(forms.map((form) => [form.toString("latin1"), form])).values()];
}

/**
 * Finds many needles in one pass: of each needle the eight bytes that it shares with the fewest others are looked up.
 * Measured: 10,000 prompts with one beginning cost what 10 do.
 */
export class NeedleFinder {
  /** 1 where the looked-up bytes of some needle begin with these two. */
  readonly #begins = new Uint8Array(65_536);
  readonly #anchors = new Map<number, Anchor[]>();
  /** Needles of fewer than eight bytes, by their first two. */
  readonly #short = new Map<number, Anchor[]>();
  /** Of the longest. */
  readonly bytesMax: number;

  constructor(readonly needles: readonly Needle[]) {
    needles.forEach(({ bytes }, needle) => this.#add(bytes, needle));
    this.bytesMax = needles.reduce((max, { bytes }) => Math.max(max, bytes.length), 0);
  }

  /** Every place; two needles may be found at one. */
  *find(bytes: Uint8Array): Generator<NeedleHit> {
    const last = bytes.length - 2;
    for (let place = 0; place <= last; place++) {
      const two = bytes[place]! << 8 | bytes[place + 1]!;
      if (this.#begins[two] === 0) continue;
      for (const anchors of [this.#short.get(two), this.#anchors.get(eightAt(bytes, place))]) {
        for (const { needle, offset } of anchors ?? NO_ANCHORS) {
          const at = place - offset;
          if (this.#isAt(needle, { bytes, at })) yield { needle, at };
        }
      }
    }
  }

  #add(bytes: Uint8Array, needle: number): void {
    if (bytes.length < 2) throw new Error("Cannot look for a single byte: it is everywhere.");
    const offset = this.#rarestEight(bytes);
    const two = bytes[offset]! << 8 | bytes[offset + 1]!;
    this.#begins[two] = 1;
    if (bytes.length < EIGHT) put(this.#short, two, { needle, offset });
    else put(this.#anchors, eightAt(bytes, offset), { needle, offset });
  }

  #rarestEight(bytes: Uint8Array): number {
    let rarest = 0;
    let fewest = Infinity;
    for (let offset = bytes.length - EIGHT; offset >= 0 && fewest > 0; offset -= 4) {
      const count = this.#anchors.get(eightAt(bytes, offset))?.length ?? 0;
      if (count < fewest) [rarest, fewest] = [offset, count];
    }
    return rarest;
  }

  #isAt(needle: number, { bytes, at }: { readonly bytes: Uint8Array; readonly at: number }): boolean {
    const { bytes: wanted, whole } = this.needles[needle]!;
    if (at < 0 || at + wanted.length > bytes.length) return false;
    for (let i = 0; i < wanted.length; i++) if (bytes[at + i] !== wanted[i]) return false;
    return !whole || !(endsWord(bytes, at) || beginsWord(bytes, at + wanted.length));
  }
}

/** Where in its needle the bytes stand by which it is looked up. */
type Anchor = { readonly needle: number; readonly offset: number };

const EIGHT = 8;
const NO_ANCHORS: readonly Anchor[] = [];

/** A number that is the same for the same eight bytes; that a few others share it costs a comparison. */
function eightAt(bytes: Uint8Array, at: number): number {
  let number = 0;
  for (let i = at; i < at + EIGHT; i++) number = Math.imul(number, 0x01000193) ^ (bytes[i] ?? 0);
  return number;
}

function put(map: Map<number, Anchor[]>, key: number, anchor: Anchor): void {
  const same = map.get(key);
  if (same) same.push(anchor);
  else map.set(key, [anchor]);
}

/** Letters, digits and what joins them in ids and addresses. */
const WORD = new Uint8Array(256);
for (const character of "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+@") {
  WORD[character.charCodeAt(0)] = 1;
}
const DOT = ".".charCodeAt(0);
const BACKSLASH = "\\".charCodeAt(0);

/** True where what ends right before `at` goes on there: a dot only with a word on its other side, no JSON escape. */
function endsWord(bytes: Uint8Array, at: number): boolean {
  const [before, one] = [bytes[at - 2], bytes[at - 1]];
  if (one === undefined) return false;
  if (one === DOT) return before !== undefined && WORD[before] === 1;
  return WORD[one] === 1 && before !== BACKSLASH;
}

function beginsWord(bytes: Uint8Array, at: number): boolean {
  const [one, behind] = [bytes[at], bytes[at + 1]];
  if (one === undefined) return false;
  return WORD[one] === 1 || one === DOT && behind !== undefined && WORD[behind] === 1;
}
