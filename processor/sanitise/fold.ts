/**
 * Folds text into the form that rules look at: what people and programs write in many ways is written in one.
 *
 * Digits of every script become ASCII, dashes and spaces one kind each, compatibility forms their plain letters (NFKC,
 * character by character), and what cannot be seen (zero-width and direction characters, control characters, terminal
 * escape sequences) is left out. A map leads every folded unit back to its place in the text.
 */
export type Folded = {
  readonly text: string;
  /** Where the characters behind the folded units `start`…`end` − 1 stand in the original, in UTF-16 units. */
  readonly locate: (start: number, end: number) => readonly [number, number];
};

const NOT_PLAIN = /[^\t\n\r\x20-\x7e]/;

export function fold(source: string): Folded {
  const first = NOT_PLAIN.exec(source)?.index ?? -1;
  if (first < 0) return { text: source, locate: (start, end) => [start, end] };
  let starts: Int32Array | null = null;
  return {
    text: new Folder(source, null).fold(first),
    // Most texts hold nothing to be located.
    locate: (start, end) => {
      if (starts === null) {
        new Folder(source, starts = new Int32Array(source.length * FOLDED_MAX + 1)).fold(first);
      }
      return [starts[start]!, characterEnd(source, starts[end - 1]!)];
    },
  };
}

/** The text without terminal escape sequences and control characters (but tab, line ends and U+0085), well-formed. */
export function stripControls(text: string): string {
  if (!STRIPPED.test(text)) return text.toWellFormed();
  let clean = "";
  let from = 0;
  for (let at = 0; at < text.length;) {
    const code = text.charCodeAt(at);
    if (!isStripped(code)) {
      at++;
      continue;
    }
    clean += text.slice(from, at);
    at = from = controlEnd(text, at);
  }
  return (clean + text.slice(from)).toWellFormed();
}

// deno-lint-ignore no-control-regex -- control characters are what it looks for
const STRIPPED = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]/;

function isStripped(code: number): boolean {
  if (code >= 0x20 && code < 0x7f || code > 0x9f) return false;
  return code !== 0x09 && code !== 0x0a && code !== 0x0d && code !== 0x85;
}

const ESC = 0x1b;
const CSI = 0x9b;

/**
 * Where the control character at `at`, with the escape sequence that it opens (ECMA-48), ends. Every scan stops at the
 * next control character, so that all of them together pass over the text once.
 */
function controlEnd(text: string, at: number): number {
  const code = text.charCodeAt(at);
  if (code === CSI) return controlSequenceEnd(text, at + 1);
  if (code !== ESC) return at + 1;
  const kind = text[at + 1];
  if (kind === "[") return controlSequenceEnd(text, at + 2);
  if (kind !== undefined && "]PX^_".includes(kind)) return controlStringEnd(text, at + 2);
  return kind !== undefined && kind >= "@" && kind <= "_" ? at + 2 : at + 1;
}

function controlSequenceEnd(text: string, from: number): number {
  let at = from;
  while (text.charCodeAt(at) >= 0x20 && text.charCodeAt(at) <= 0x3f) at++;
  return text.charCodeAt(at) >= 0x40 && text.charCodeAt(at) <= 0x7e ? at + 1 : from;
}

/** A title, a hyperlink's address and the like; where its end is missing only the opening goes. */
function controlStringEnd(text: string, from: number): number {
  let at = from;
  while (at < text.length && !isStripped(text.charCodeAt(at)) && text.charCodeAt(at) !== 0x0a) at++;
  if (text.charCodeAt(at) === 0x07 || text.charCodeAt(at) === 0x9c) return at + 1;
  return text.charCodeAt(at) === ESC && text[at + 1] === "\\" ? at + 2 : from;
}

class Folder {
  readonly #source: string;
  readonly #starts: Int32Array | null;
  #text = "";
  /** Start of the run of characters that fold to themselves and are not yet in `#text`. */
  #from = 0;
  #length = 0;

  /** `starts` is filled with where each folded unit begins in the source. */
  constructor(source: string, starts: Int32Array | null) {
    this.#source = source;
    this.#starts = starts;
  }

  /** `first`: where something stands that is not plain. */
  fold(first: number): string {
    const source = this.#source;
    for (let at = 0; at < first; at++) this.#push(at);
    for (let at = first; at < source.length;) {
      const code = source.charCodeAt(at);
      if (code < 0x7f && code >= 0x20) this.#push(at++);
      else at = this.#fold(code, at);
    }
    return this.#from === 0 ? source : this.#text + source.slice(this.#from);
  }

  /** Folds one character that is not printable ASCII; gives where the next one starts. */
  #fold(code: number, at: number): number {
    if (isStripped(code)) {
      const end = controlEnd(this.#source, at);
      this.#replace("", at, end);
      return end;
    }
    const end = characterEnd(this.#source, at);
    const folded = end - at === 1 ? foldUnit(code) : foldCharacter(this.#source.slice(at, end));
    if (folded !== null) this.#replace(folded, at, end);
    else for (let unit = at; unit < end; unit++) this.#push(unit);
    return end;
  }

  #replace(by: string, at: number, end: number): void {
    this.#text += this.#source.slice(this.#from, at) + by;
    this.#from = end;
    for (let i = 0; i < by.length; i++) this.#push(at);
  }

  #push(start: number): void {
    if (this.#starts !== null) this.#starts[this.#length++] = start;
  }
}

function characterEnd(text: string, at: number): number {
  return (text.charCodeAt(at) & 0xfc00) === 0xd800 && (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00
    ? at + 2
    : at + 1;
}

/** What each UTF-16 unit folds to, filled as they are met; null: to itself. */
const UNITS: (string | null | undefined)[] = [];

function foldUnit(code: number): string | null {
  const known = UNITS[code];
  if (known !== undefined) return known;
  return UNITS[code] = foldCharacter(String.fromCharCode(code));
}

/** Longest compatibility form that is taken over: beyond lie words written as one sign, such as U+FDFA. */
const FOLDED_MAX = 4;

function foldCharacter(character: string): string | null {
  if (character === "\t" || character === "\n" || character === "\r") return null;
  if (character === "\u0085") return "\n";
  if (/^\p{Default_Ignorable_Code_Point}$/u.test(character)) return "";
  if (/^\p{Zs}$/u.test(character)) return " ";
  if (/^[\u2010-\u2013\u2212\ufe58\ufe63\uff0d]$/.test(character)) return "-";
  if (/^\p{Nd}$/u.test(character)) return digit(character);
  const folded = character.toWellFormed().normalize("NFKC");
  if (folded === character || folded.length > FOLDED_MAX) return null;
  return /[\s\p{Nd}\p{Pd}]/u.test(folded) && folded.length > 1 ? null : folded;
}

/** Digits stand in order in Unicode, each script's ten together: the value is the distance to the first. */
function digit(character: string): string {
  let code = character.normalize("NFKC").codePointAt(0)!;
  if (isAsciiDigit(code)) return String.fromCharCode(code);
  let value = 0;
  while (value < 9 && /^\p{Nd}$/u.test(String.fromCodePoint(code - 1))) {
    code--;
    value++;
  }
  return String(value);
}

function isAsciiDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}
