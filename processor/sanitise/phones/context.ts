import { alphabet, type CountedText } from "../counted_text.ts";
import {
  NOT_A_PHONE,
  PHONE_CUES,
  PHONE_CUES_UNSPACED,
  PHONE_GLUE,
  PHONE_LABELS,
  PHONE_LABELS_AFTER,
  UNITS,
} from "./words.ts";

/** How far before a number a word may stand that says what it is, in UTF-16 units. */
const REACH = 52;

/** What the words around a number say about it. `distance`: units between the cue's end and the number. */
export type Cue = {
  readonly strength: "strong" | "weak" | "label";
  readonly distance: number;
  readonly between: string;
};

const STRONG = wordSet(PHONE_CUES.map((row) => row.strong).join(" "));
const WEAK = wordSet(PHONE_CUES.map((row) => row.weak ?? "").join(" "));
const LABEL = wordSet(PHONE_LABELS);
const LABEL_AFTER = wordSet(PHONE_LABELS_AFTER);
const GLUE = wordSet(PHONE_GLUE);
const NEGATIVE = wordSet(NOT_A_PHONE);
const UNIT = wordSet(UNITS);
const UNSPACED = new Map<string, string[]>();
/** By UTF-16 unit: whether any of them begins so. */
const OPENS_UNSPACED = new Uint8Array(65_536);
for (const word of PHONE_CUES_UNSPACED) OPENS_UNSPACED[word.charCodeAt(0)] = 1;
for (const word of PHONE_CUES_UNSPACED) UNSPACED.set(word[0]!, [...UNSPACED.get(word[0]!) ?? [], word]);

/** A word's letters from last to first, in lower case: whether any word of the lists has that hash. */
const MAY_BE_CUE = new Uint8Array(1 << 14);
for (const word of [...STRONG, ...WEAK, ...LABEL, ...GLUE]) {
  let hash = 0;
  for (let i = word.length - 1; i >= 0; i--) hash = hashed(hash, word.charCodeAt(i));
  MAY_BE_CUE[hash] = 1;
}

function hashed(hash: number, code: number): number {
  return (hash * 31 + code) & 0x3fff;
}

/** By UTF-16 unit, filled as they are met: its small letter; {@link NO_ONE} where that is more, or the word decides. */
const LOWER = new Uint16Array(65_536);
const NO_ONE = 1;

function lowerOf(code: number): number {
  return LOWER[code] ||= makeLower(String.fromCharCode(code));
}

function makeLower(unit: string): number {
  const lower = unit.toLowerCase();
  return lower.length === 1 && unit !== "Σ" ? lower.charCodeAt(0) : NO_ONE;
}

function isCapital(code: number): boolean {
  return code >= 65 && code <= 90;
}

function wordSet(words: string): ReadonlySet<string> {
  return new Set(words.normalize("NFKC").split(/\s+/).filter((word) => word !== ""));
}

/**
 * The nearest cue before `start`. Context ends at a replaced value, at a blank line, at a semicolon, and, where the
 * number is the value of a quoted or assigned field, at that field's name: `"phone":"…","n":12345678` says nothing
 * about n.
 */
export function cueBefore(text: CountedText, start: number): Cue | null {
  const context = contextIn(text.slice(start - REACH - 1, start));
  const cue = nearestCue(context);
  if (cue !== null) return cue;
  return isAfterPoint(context) && SIGNATURE_LETTER.test(context.slice(-4))
    ? { strength: "weak", distance: 1, between: "" }
    : null;
}

function isAfterPoint(context: string): boolean {
  const last = context.charCodeAt(context.length - 1), before = context.charCodeAt(context.length - 2);
  return last === 0x2e || last === 0x3a || before === 0x2e || before === 0x3a;
}

/** `T: +44…`, as at the end of mails. */
const SIGNATURE_LETTER = /(?:^|[\s|,(])(?:[TMPFCtmfc][:.]|p:)\s?$/;
/** Titles of columns, whose last one says nothing about the first cell of the next line. */
const CSV_HEAD = /,\w{1,24}\r?\n$/;
/** `"name": "` and `name=`; the group is the name. */
const FIELD_NAME =
  /(["'`])[^"'`\n]{1,40}["'`]\s{0,2}[:=]\s{0,2}["'`]?\(?\+?$|[\w.-]{1,40}\s?=\s?["'`]?\(?\+?$/;

function contextIn(before: string): string {
  let at = before.length;
  let field = false;
  for (; at > 0 && before.length - at < REACH; at--) {
    const code = before.charCodeAt(at - 1);
    if (code === 0 || code === 0x3b || (code === 0x0a && before.charCodeAt(at - 2) === 0x0a)) break;
    if (code === 0x0a && at === before.length && CSV_HEAD.test(before)) break;
    if (code === 0x3d || code === 0x3a) field = true;
  }
  const context = before.slice(at);
  const name = field && endsField(context) ? FIELD_NAME.exec(context) : null;
  return name === null ? context : context.slice(name.index);
}

/** Whether at most five signs that may open a value follow a colon or `=`. */
function endsField(context: string): boolean {
  for (let at = context.length - 1; at >= context.length - 6; at--) {
    const code = context.charCodeAt(at);
    if (code === 0x3a || code === 0x3d) return true;
    if (OPENS_VALUE[Math.min(code, 128)] !== 1) return false;
  }
  return false;
}

const OPENS_VALUE = alphabet(/[\s"'`(+]/, true);

/** Reads words backwards; a strong word right before a weak one ("phone number") makes that strong. */
function nearestCue(context: string): Cue | null {
  let weak = -1;
  let label = -1;
  let glued = true;
  for (let at = context.length; at > 0 && (weak < 0 || weak - at <= 14);) {
    if (!isLetter(context.charCodeAt(at - 1))) {
      at--;
      continue;
    }
    let from = at;
    let hash = 0, plain = true;
    while (from > 0 && isLetter(context.charCodeAt(from - 1))) {
      const code = context.charCodeAt(--from);
      const lower = lowerOf(code);
      // A capital within a word, an apostrophe, a cue of a script without spaces.
      if (at - from > 1 && isCapital(context.charCodeAt(from + 1)) || lower === NO_ONE || code === 39) {
        plain = false;
      } else if (OPENS_UNSPACED[code] === 1) plain = false;
      hash = hashed(hash, lower);
    }
    if (plain && MAY_BE_CUE[hash] === 0) {
      glued = false;
      at = from;
      continue;
    }
    const word = context.slice(from, at);
    const found = cueIn(word);
    if (glued && label < 0 && found === null && isLabel(context, from, at)) label = at;
    glued &&= GLUE.has(word.toLowerCase());
    if (found !== null && found.strength === "strong") {
      return cueAt(context, weak < 0 ? from + found.end : weak);
    }
    if (found !== null && weak < 0) weak = from + found.end;
    at = from;
  }
  if (weak >= 0) return { ...cueAt(context, weak), strength: "weak" };
  return label < 0 ? null : { ...cueAt(context, label), strength: "label" };
}

/** Not a part of a name in code; what is free must be toll-free. */
function isLabel(context: string, from: number, end: number): boolean {
  const word = context.slice(from, end).toLowerCase();
  if (!LABEL.has(word) || context[from - 1] === "_") return false;
  return word !== "free" || /toll[ -]?$/i.test(context.slice(0, from));
}

function cueAt(context: string, end: number): Cue {
  return { strength: "strong", distance: context.length - end, between: context.slice(end) };
}

const APOSTROPHES = "'ʼʻ";
const LETTER = /[\p{L}\p{M}]/u;
const letters: (boolean | undefined)[] = [];

function isLetter(code: number): boolean {
  if (code < 128) return (code | 32) >= 97 && (code | 32) <= 122 || code === 39;
  return letters[code] ??= isLetterBeyondAscii(String.fromCharCode(code));
}

function isLetterBeyondAscii(character: string): boolean {
  return LETTER.test(character) || APOSTROPHES.includes(character);
}

type FoundCue = { readonly strength: "strong" | "weak"; readonly end: number };

/** The last cue in an unbroken run of letters: the run itself, a part of `camelCase`, or a word of an unspaced script. */
function cueIn(run: string): FoundCue | null {
  const word = run.toLowerCase().replace(/'s$/, "");
  if (STRONG.has(word)) return { strength: "strong", end: run.length };
  if (WEAK.has(word)) return { strength: "weak", end: run.length };
  if (run.charCodeAt(run.length - 1) < 128 && run.charCodeAt(0) < 128) return camelCue(run);
  for (let at = run.length - 1; at >= 0; at--) {
    if (OPENS_UNSPACED[run.charCodeAt(at)] === 0) continue;
    const found = UNSPACED.get(run[at]!)?.find((cue) => run.startsWith(cue, at));
    if (found !== undefined) return { strength: "strong", end: at + found.length };
  }
  return null;
}

function camelCue(run: string): FoundCue | null {
  if (!/[a-z][A-Z]/.test(run) || /^i[A-Z]/.test(run)) return null;
  let end = 0;
  let last: FoundCue | null = null;
  for (const part of run.split(/(?<=[a-z])(?=[A-Z])/)) {
    end += part.length;
    if (STRONG.has(part.toLowerCase())) last = { strength: "strong", end };
  }
  return last;
}

/** Whether the word right before the number says that it is an order, a version, an amount… */
export function isSomethingElse(text: CountedText, start: number): boolean {
  const before = text.slice(start - 32, start);
  const match =
    /([\p{L}\p{M}]+)(?:[ _.-]{0,2}(?:no|nr|num|number|numbers|n[°º]|is|was|of|ist|är|est|es)[.:]?)?[\s:#="'`.([_-]{0,5}$/iu
      .exec(before);
  return match !== null && NEGATIVE.has(match[1]!.toLowerCase()) && !TELEPHONE_LINE.test(before);
}

/** The one of those words that is a telephone's too. */
const TELEPHONE_LINE =
  /(?:main|direct|home|office|support|phone|land|help|hot|customer|business|emergency|crisis|info|private|outside|service|care)[ _-]?lines?\P{L}{0,6}(?:is\P{L}{1,4})?$|(?:calls?|texts?|sms|voicemail) from\P{L}{0,4}$|caller ?id\P{L}{0,4}$/iu;

/** Whether what follows the number is a unit: it counts or measures something. */
export function isMeasured(text: CountedText, end: number): boolean {
  const match = /^ ?(%|°|[\p{L}]+)/u.exec(text.slice(end, end + 16));
  return match !== null && UNIT.has(match[1]!.toLowerCase());
}

/** "4155550132 is my cell", "415 555 0132 (mobile)", "415 555 0132 - Office". */
export function hasCueAfter(text: CountedText, end: number): boolean {
  const after = text.slice(end, end + 48);
  if (IS_MY_NUMBER.test(after)) return true;
  const match = WORD_AFTER.exec(after);
  if (match === null) return false;
  const [, apart, open, , mine, word] = match;
  const name = word!.toLowerCase();
  if (STRONG.has(name)) return true;
  // "12 34 56 - work in progress": a label ends with its parenthesis, its field or its line.
  return LABEL_AFTER.has(name) && (apart !== "" || open !== "" || mine !== "") &&
    LABEL_END.test(after.slice(match[0].length));
}

/** What parts it from the number, a parenthesis, a verb, whose it is, and the word. */
const WORD_AFTER =
  /^(\s?[,;|/=\-]\s?| )?([([]?)(is |was |as |= )?((?:my |the |our |his |her |their |your |a |new |best )*)([\p{L}\p{M}]+)/u;
const LABEL_END = /^(?:[- ](?:free|line|number|phone|no))?\s?(?:[)\]|,;.\n"]|$)/i;
const IS_MY_NUMBER =
  /^ ?(?:is|was|=) (?:my|our|his|her|their) (?:(?:new|old|current|other|direct|cell|phone|mobile|home|work|office|best|personal|private|usual|main) ){0,2}(?:number|line)(?!\p{L})|^ ?is the (?:\p{L}{1,10} ){0,2}number (?:to|for|where|you|i|that reaches)(?: (?:call|dial|ring|reach|text|use|me|us|him|her))/iu;
