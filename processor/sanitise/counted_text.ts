import { isDigit } from "./checks.ts";

/**
 * Most characters that rules may look at, per character of the text, a character looked at twice counting twice. A text
 * that needs more is refused: it was made to keep the sanitiser busy, or a rule is defective.
 *
 * The unit is a UTF-16 unit of the folded text that was handed to one step of a rule: passed over in search of a start,
 * compared, or given to a pattern as a window. No clock is asked, so that a text is refused everywhere or nowhere.
 */
export const LOOKS_PER_CHARACTER_MAX = 2000;

/** Thrown by the look that goes beyond the budget. */
export class TooManyLooksError extends Error {
  override readonly name = "TooManyLooksError";
}

/** What rules have looked at so far, and how much they may. Plain fields: every look writes one. */
export class Looks {
  readonly max: number;
  spent = 0;

  constructor(max: number) {
    this.max = max;
  }

  spend(characters: number): void {
    if ((this.spent += characters) > this.max) {
      throw new TooManyLooksError(`the rules looked at more than ${this.max} characters`);
    }
  }
}

/**
 * A pattern that is tried at one place. It is given the text from `back` units before that place to `reach` after it,
 * and nothing else: whatever it repeats, it cannot look further, and that window is what is counted.
 */
export type Piece = { readonly sticky: RegExp; readonly back: number; readonly reach: number };

/** A {@link Piece} and the few characters with which it begins. */
export type Pattern = Piece & { readonly start: RegExp };

/** Units before a place that a look-behind needs where nothing else is said: one character. */
const BACK = 2;

/** `reach` must hold the longest match and what its look-aheads look at, `back` the longest look-behind. */
export function piece(source: RegExp, reach: number, back = BACK): Piece {
  return { sticky: new RegExp(source.source, source.flags.replace("g", "") + "y"), back, reach };
}

/** As {@link piece}; `start` are {@link words}. */
export function pattern(start: RegExp, source: RegExp, reach: number, back = BACK): Pattern {
  return { ...piece(source, reach, back), start: words(start) };
}

/**
 * Words or single characters to search a whole text for. Throws a RangeError where they repeat anything: what repeats
 * must be a {@link Piece}, or its looks would go uncounted.
 */
export function words(source: RegExp): RegExp {
  if (/[*+{]/.test(source.source.replace(/\\[pP]\{[^}]*\}|\\.|\[(?:\\.|[^\]\\])*\]/g, ""))) {
    throw new RangeError(`Cannot search a text for ${source}: it repeats. Try it as a piece at each start.`);
  }
  return new RegExp(source.source, source.flags.replace("g", "") + "g");
}

/** Which characters belong to something: 1 by ASCII code, and at 128 for all beyond. */
export type Alphabet = Uint8Array;

export function alphabet(characters: RegExp, beyondAscii = false): Alphabet {
  return Uint8Array.from(
    { length: 129 },
    (_, code) => (code < 128 ? characters.test(String.fromCharCode(code)) : beyondAscii) ? 1 : 0,
  );
}

/** Stretches of at least `min` of the `characters` (a class, `[…]`), as long as they go. */
export type Stretches = { readonly characters: Alphabet; readonly min: number };

export function stretches(characters: RegExp, min: number): Stretches {
  return { characters: alphabet(characters), min };
}

/** Where the stretches of ASCII digits stand: start and end of each, in turn. */
export type Runs = readonly number[];

/** Fewest characters of {@link Longs}. */
export const LONG_MIN = 12;

/** Where all stretches stand that have as many characters of any {@link Stretches}: start and end of each, in turn. */
export type Longs = readonly number[];

function runsOf(text: string): Runs {
  const runs = [];
  for (let at = 0; at < text.length; at++) {
    if (!isDigit(text.charCodeAt(at))) continue;
    runs.push(at);
    while (isDigit(text.charCodeAt(at))) at++;
    runs.push(at);
  }
  return runs;
}

/** Where something stands, and what. `groups` are the pattern's, from 1. */
export type Match = {
  readonly start: number;
  readonly end: number;
  readonly text: string;
  readonly groups: readonly (string | undefined)[];
};

/** A text as rules see it: there is no way to look at it that is not counted. */
export class CountedText {
  readonly length: number;
  readonly looks: Looks;
  readonly #text: string;
  #runs: Runs | null;
  readonly #longs: Longs | null;
  /** Of {@link #longs}: the first that ends behind the place where a stretch was last looked for. */
  #long = 0;
  /** What {@link endOf} passed over last, and need not again: values are often looked for in one another. */
  #passed: Alphabet | null = null;
  #passedFrom = 0;
  #passedTo = 0;

  /** `runs`, `longs`: its stretches of digits, and where long ones of anything may be, where they are known. */
  constructor(text: string, looks: Looks, runs: Runs | null = null, longs: Longs | null = null) {
    this.#text = text;
    this.looks = looks;
    this.length = text.length;
    this.#runs = runs;
    this.#longs = longs;
  }

  /** Another text as long, in which nothing is there that was not: parts of it are hidden. */
  hiding(text: string): CountedText {
    return new CountedText(text, this.looks, null, this.#longs);
  }

  /** The UTF-16 unit at `at`; NaN beyond the text. */
  code(at: number): number {
    this.looks.spend(1);
    return this.#text.charCodeAt(at);
  }

  /** As {@link code}, as a text; empty beyond the text. */
  char(at: number): string {
    this.looks.spend(1);
    return this.#text.charAt(at);
  }

  /** What stands between, as far as the text goes. */
  slice(from: number, to: number): string {
    const piece = this.#text.slice(from < 0 ? 0 : from, to);
    this.looks.spend(piece.length);
    return piece;
  }

  /** The whole text, to be passed over once. */
  whole(): string {
    this.looks.spend(this.length);
    return this.#text;
  }

  startsWith(word: string, at: number): boolean {
    this.looks.spend(word.length);
    return this.#text.startsWith(word, at);
  }

  /** −1 where it is not there. */
  indexOf(word: string, from = 0): number {
    const at = this.#text.indexOf(word, from);
    this.looks.spend((at < 0 ? Math.max(0, this.length - from) : at - from) + word.length);
    return at;
  }

  includes(word: string): boolean {
    return this.indexOf(word) >= 0;
  }

  /** The next of {@link words}. */
  next(word: RegExp, from: number): { readonly start: number; readonly end: number } | null {
    word.lastIndex = from;
    const match = word.exec(this.#text);
    if (match === null) {
      this.looks.spend(Math.max(0, this.length - from));
      return null;
    }
    const end = match.index + match[0].length;
    this.looks.spend(end - from);
    return { start: match.index, end };
  }

  /** The text's stretches of digits. */
  runs(): Runs {
    if (this.#runs === null) this.#runs = runsOf(this.whole());
    this.looks.spend(this.#runs.length);
    return this.#runs;
  }

  /** Tries a piece at `at`. */
  match({ sticky, back, reach }: Piece, at: number): Match | null {
    const from = Math.max(0, at - back);
    const window = this.#text.slice(from, at + reach);
    this.looks.spend(window.length);
    sticky.lastIndex = at - from;
    const match = sticky.exec(window);
    if (match === null) return null;
    return { start: at, end: at + match[0].length, text: match[0], groups: match };
  }

  /** Where the characters of the alphabet that begin at `from` end, at `limit` the latest. */
  endOf(characters: Alphabet, from: number, limit = this.length): number {
    const last = Math.min(limit, this.length);
    const known = characters === this.#passed && from >= this.#passedFrom && from <= this.#passedTo;
    const start = known ? this.#passedTo : from;
    let end = start;
    while (end < last && characters[Math.min(this.#text.charCodeAt(end), 128)] === 1) end++;
    this.looks.spend(end - start + 1);
    if (!known) {
      this.#passed = characters;
      this.#passedFrom = from;
    }
    this.#passedTo = end;
    return Math.min(end, Math.max(from, last));
  }

  /** The next place where the pattern matches. */
  find(pattern: Pattern, from: number): Match | null {
    for (let at = this.#nextStart(pattern, from); at >= 0;) {
      const match = this.match(pattern, at);
      if (match !== null) return match;
      // Not into the middle of a surrogate pair: a pattern by code points would step back to its start for ever.
      at = this.#nextStart(pattern, (this.#text.charCodeAt(at) & 0xfc00) === 0xd800 ? at + 2 : at + 1);
    }
    return null;
  }

  /** All places where the pattern matches, one behind the other. */
  each(pattern: Pattern, look: (match: Match) => void): void {
    for (let match = this.find(pattern, 0); match !== null; match = this.find(pattern, match.end)) {
      look(match);
    }
  }

  #nextStart({ start }: Pattern, from: number): number {
    start.lastIndex = from;
    const at = start.exec(this.#text)?.index ?? -1;
    const end = at < 0 ? this.length : start.lastIndex;
    if (end > from) this.looks.spend(end - from);
    return at;
  }

  /** The next stretch. Most of a text is passed over in steps as long as the shortest one. */
  stretch({ characters, min }: Stretches, from: number): Match | null {
    const text = this.#text;
    for (let at = this.#probe(from, min); at < this.length;) {
      if (characters[Math.min(text.charCodeAt(at), 128)] === 0) {
        at = this.#probe(at + 1, min);
        continue;
      }
      let start = at;
      while (start > from && characters[Math.min(text.charCodeAt(start - 1), 128)] === 1) start--;
      let end = at + 1;
      while (end < text.length && characters[Math.min(text.charCodeAt(end), 128)] === 1) end++;
      const goesOn = start === from && start > 0 &&
        characters[Math.min(text.charCodeAt(start - 1), 128)] === 1;
      if (end - start >= min && !goesOn) {
        this.looks.spend(2 * (end - from));
        return { start, end, text: text.slice(start, end), groups: [] };
      }
      at = this.#probe(end + 1, min);
    }
    this.looks.spend(2 * Math.max(0, this.length - from));
    return null;
  }

  /** The first place that must be within a stretch which begins at `from` or behind it. */
  #probe(from: number, min: number): number {
    const longs = this.#longs;
    if (longs === null || min < LONG_MIN) return from + min - 1;
    let long = this.#long;
    if (long > 0 && longs[long - 1]! > from) long = 0;
    while (long < longs.length && longs[long + 1]! < from + min) long += 2;
    this.#long = long;
    return long < longs.length ? Math.max(from, longs[long]!) + min - 1 : this.length;
  }
}
