import { NOT_A_PHONE, PHONE_CUES, PHONE_CUES_UNSPACED, UNITS } from "./words.ts";

/** How far before a number a word may stand that says what it is, in UTF-16 units. */
const REACH = 52;

/** What the words around a number say about it. `distance`: units between the cue's end and the number. */
export type Cue = {
  readonly strength: "strong" | "weak";
  readonly distance: number;
  readonly between: string;
};

const STRONG = wordSet(PHONE_CUES.map((row) => row.strong).join(" "));
const WEAK = wordSet(PHONE_CUES.map((row) => row.weak ?? "").join(" "));
const NEGATIVE = wordSet(NOT_A_PHONE);
const UNIT = wordSet(UNITS);
const UNSPACED = new Map<string, string[]>();
for (const word of PHONE_CUES_UNSPACED) UNSPACED.set(word[0]!, [...UNSPACED.get(word[0]!) ?? [], word]);

function wordSet(words: string): ReadonlySet<string> {
  return new Set(words.normalize("NFKC").split(/\s+/).filter((word) => word !== ""));
}

/**
 * The nearest cue before `start`. Context ends at a replaced value, at a blank line, at a semicolon, and, where the
 * number is the value of a quoted or assigned field, at that field's name: `"phone":"…","n":12345678` says nothing
 * about n.
 */
export function cueBefore(text: string, start: number): Cue | null {
  const limit = contextStart(text, start);
  const cue = nearestCue(text, start, limit);
  if (cue !== null) return cue;
  return start - limit > 1 && SIGNATURE_LETTER.test(text.slice(Math.max(limit, start - 4), start))
    ? { strength: "weak", distance: 1, between: "" }
    : null;
}

/** `T: +44…`, as at the end of mails. */
const SIGNATURE_LETTER = /(?:^|[\s|,(])[TMPFCtmpfc][:.]\s?$/;
/** `"name": "` and `name=`; the group is the name. */
const FIELD_NAME =
  /(["'`])[^"'`\n]{1,40}["'`]\s{0,2}[:=]\s{0,2}["'`]?\(?\+?$|[\w.-]{1,40}\s?=\s?["'`]?\(?\+?$/;

function contextStart(text: string, start: number): number {
  let at = start;
  let field = false;
  for (; at > 0 && start - at < REACH; at--) {
    const code = text.charCodeAt(at - 1);
    if (code === 0 || code === 0x3b || (code === 0x0a && text.charCodeAt(at - 2) === 0x0a)) break;
    if (code === 0x3d || code === 0x3a) field = true;
  }
  const name = field ? FIELD_NAME.exec(text.slice(at, start)) : null;
  return name === null ? at : at + name.index;
}

/** Reads words backwards; a strong word right before a weak one ("phone number") makes that strong. */
function nearestCue(text: string, start: number, limit: number): Cue | null {
  let weak = -1;
  for (let at = start; at > limit && (weak < 0 || weak - at <= 14);) {
    if (!isLetter(text, at - 1)) {
      at--;
      continue;
    }
    let from = at - 1;
    while (from > limit && isLetter(text, from - 1)) from--;
    const found = cueIn(text.slice(from, at));
    if (found !== null && found.strength === "strong") {
      return cueAt(text, weak < 0 ? from + found.end : weak, start);
    }
    if (found !== null && weak < 0) weak = from + found.end;
    at = from;
  }
  return weak < 0 ? null : { ...cueAt(text, weak, start), strength: "weak" };
}

function cueAt(text: string, end: number, start: number): Cue {
  return { strength: "strong", distance: start - end, between: text.slice(end, start) };
}

const APOSTROPHES = "'ʼʻ";
const LETTER = /[\p{L}\p{M}]/u;
const letters: (boolean | undefined)[] = [];

function isLetter(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  if (code < 128) return (code | 32) >= 97 && (code | 32) <= 122 || code === 39;
  return letters[code] ??= LETTER.test(text[at]!) || APOSTROPHES.includes(text[at]!);
}

type FoundCue = { readonly strength: "strong" | "weak"; readonly end: number };

/** The last cue in an unbroken run of letters: the run itself, a part of `camelCase`, or a word of an unspaced script. */
function cueIn(run: string): FoundCue | null {
  const word = run.toLowerCase().replace(/'s$/, "");
  if (STRONG.has(word)) return { strength: "strong", end: run.length };
  if (WEAK.has(word)) return { strength: "weak", end: run.length };
  if (run.charCodeAt(run.length - 1) < 128 && run.charCodeAt(0) < 128) return camelCue(run);
  for (let at = run.length - 1; at >= 0; at--) {
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
export function isSomethingElse(text: string, start: number): boolean {
  const before = text.slice(Math.max(0, start - 32), start);
  const match =
    /([\p{L}\p{M}]+)(?:[ _.-]{0,2}(?:no|nr|num|number|numbers|n[°º]|is|was|of|ist|är|est|es)[.:]?)?[\s:#="'`.([_-]{0,5}$/iu
      .exec(before);
  return match !== null && NEGATIVE.has(match[1]!.toLowerCase());
}

/** Whether what follows the number is a unit: it counts or measures something. */
export function isMeasured(text: string, end: number): boolean {
  const match = /^ ?(%|°|[\p{L}]+)/u.exec(text.slice(end, end + 16));
  return match !== null && UNIT.has(match[1]!.toLowerCase());
}

/** "4155550132 is my cell", "415 555 0132 (mobile)". */
export function hasCueAfter(text: string, end: number): boolean {
  const match = /^[ ,\-]{0,2}[([]?(?:is |as |= )?(?:my |the |our |his |her |a )?([\p{L}]+)/u.exec(
    text.slice(end, end + 32),
  );
  return match !== null && STRONG.has(match[1]!.toLowerCase());
}
