import { remembering } from "../../runtime/remember.ts";
import { digitsOf } from "./checks.ts";
import { type CountedText, type Looks, words } from "./counted_text.ts";
import { fold } from "./fold.ts";
import type { Entity, Report, Traits } from "./rules.ts";
import { NAMES_AND_WORDS } from "./words.ts";

/** What an event itself says about its person: looked for as whole words, whatever their case, accents or spacing. */
export type KnownValues = {
  readonly emails: readonly string[];
  readonly names: readonly string[];
  readonly phones: readonly string[];
  readonly ips: readonly string[];
};

export const NO_KNOWN_VALUES: KnownValues = { emails: [], names: [], phones: [], ips: [] };

/** Shortest value that is looked for, in characters: "Al" would be found in half of all sentences. */
const CHARACTERS_MIN = 4;
/** As {@link CHARACTERS_MIN}, of a name in Chinese, Japanese or Korean. */
const EAST_ASIAN_MIN = 2;
const EAST_ASIAN = /^[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Hangul}]+$/u;
/** Longest; a "name" beyond it is no name. */
const CHARACTERS_MAX = 320;
/** What stands in name fields where nobody gave a name. */
const NO_NAMES = /^(?:null|none|undefined|unknown|anonymous|guest|user|test|admin|name|true|false|n\/a)$/;

export function hasKnownValues({ emails, names, phones, ips }: KnownValues): boolean {
  return emails.length + names.length + phones.length + ips.length > 0;
}

/** False where no known value can stand in folded text, which costs a look for each value's first word. */
export function mayHoldKnownValues(
  text: string,
  { known, traits: { ascii, digits }, looks }: {
    readonly known: KnownValues;
    readonly traits: Traits;
    readonly looks: Looks;
  },
): boolean {
  const { firsts } = soughtIn(known);
  looks.spend((firsts.length + 1) * text.length);
  if (digits >= PHONE_DIGITS_MIN && known.phones.length > 0) return true;
  // What is beyond ASCII may be hidden, and the rest is then looked at as ASCII.
  return holdsOne(bareAscii(text).text, firsts) || !ascii && holdsOne(bare(text).text, firsts);
}

function holdsOne(text: string, words: readonly string[]): boolean {
  for (let i = 0; i < words.length; i++) if (text.includes(words[i]!)) return true;
  return false;
}

/** Finds known values in folded text. */
export function findKnownValues(
  text: CountedText,
  { known, traits: { ascii, digits } }: { readonly known: KnownValues; readonly traits: Traits },
  report: Report,
): void {
  const whole = text.whole();
  const view = ascii || ASCII.test(whole) ? bareAscii(whole) : bare(whole);
  let spaced: Bare | null = null;
  const { firsts, values, names, ips } = soughtIn(known);
  for (let i = 0; i < values.length; i++) {
    text.looks.spend(view.text.length);
    if (!view.text.includes(firsts[i]!)) continue;
    const value = values[i]!;
    const wanted = i < names ? wantedEmail(value) : i < ips ? wantedName(value) : wantedIp(value);
    if (wanted === null) continue;
    spaced ??= withSingleSpaces(view);
    findWhole(text, { view: spaced, wanted, whole }, report);
  }
  if (digits < PHONE_DIGITS_MIN || known.phones.length === 0) return;
  const digitsThere = digitsOf(whole);
  for (const phone of known.phones) {
    const digits = digitsOf(fold(phone).text);
    text.looks.spend(digitsThere.length);
    if (digitsThere.includes(digits.slice(-PHONE_DIGITS))) findPhone(text, digits, report);
  }
}

/** A value as it is looked for. */
type Wanted = {
  readonly entity: Entity;
  /** In lower case, without accents, one space between its words. */
  readonly text: string;
  /** By how many of its characters have been met: with how many to go on where the next one differs (Knuth, Morris, Pratt). */
  readonly fallback: Uint16Array;
  /** What makes a longer word of it, before or after. */
  readonly inside: RegExp;
  /** A name that is a word too: found only where its case says that it is a name. */
  readonly word: boolean;
};

/** Remembered values: events of the same people come again and again. */
const WANTED_MAX = 10_000;
/** Longest value that is remembered, in UTF-16 units; what is looked for is hardly ever longer. */
const REMEMBERED_UNITS_MAX = 320;
const wantedEmail = wantedAs("EMAIL_ADDRESS", /[\p{L}\p{N}_.+-]/u);
const wantedName = wantedAs("PERSON", /[\p{L}\p{N}]/u);
const wantedIp = (value: string) => value.includes(":") ? wantedIpv6(value) : wantedIpv4(value);
const wantedIpv6 = wantedAs("IP_ADDRESS", /[\p{L}\p{N}_.:]/u);
/** A port may follow it. */
const wantedIpv4 = wantedAs("IP_ADDRESS", /[\p{L}\p{N}_.]/u);

function wantedAs(entity: Entity, inside: RegExp): (value: string) => Wanted | null {
  const make = (value: string): Wanted | null => {
    const text = bareValue(value);
    const min = entity === "PERSON" && EAST_ASIAN.test(text) ? EAST_ASIAN_MIN : CHARACTERS_MIN;
    if ([...text].length < min || text.length > CHARACTERS_MAX) return null;
    if (entity === "PERSON" && NO_NAMES.test(text)) return null;
    const wanted = text.split(/\s+/).join(" ");
    return {
      entity,
      text: wanted,
      fallback: fallbackOf(wanted),
      inside,
      word: entity === "PERSON" && NAMES_AND_WORDS.has(wanted),
    };
  };
  const remembered = remembering(make, { entriesMax: WANTED_MAX });
  return (value) => value.length > REMEMBERED_UNITS_MAX ? make(value) : remembered(value);
}

function bareValue(value: string): string {
  const folded = fold(value).text;
  return (ASCII.test(folded) ? bareAscii(folded) : bare(folded)).text.trim();
}

/**
 * What is looked for, e-mail addresses first, and of each its first word: most texts lack it, so that no more of the value
 * need be made ready.
 */
type Sought = {
  readonly known: KnownValues;
  readonly values: readonly string[];
  readonly firsts: readonly string[];
  /** Index of the first name, and of the first address of the network. */
  readonly names: number;
  readonly ips: number;
};

/** The values looked for last: a record's texts are sanitised one after the other. */
let last: Sought | null = null;

function soughtIn(known: KnownValues): Sought {
  if (last?.known === known) return last;
  const values = [...known.emails];
  for (const name of known.names) {
    values.push(name);
    // As lists of people have it.
    const space = name.indexOf(" ");
    if (space > 0 && FIRST_AND_LAST.test(name)) {
      values.push(`${name.slice(space + 1)}, ${name.slice(0, space)}`);
    }
  }
  const ips = values.length;
  for (const ip of known.ips) values.push(ip);
  return last = { known, values, firsts: values.map(firstWord), names: known.emails.length, ips };
}

const FIRST_AND_LAST = /^\S{2,40} \S{2,40}$/;

/** The first word of a value as it is looked for. */
function firstWord(value: string): string {
  // Printable ASCII folds to itself.
  for (let at = 0; at <= value.length; at++) {
    const code = value.charCodeAt(at);
    if (code > 32 && code < 127) continue;
    if (at === value.length || code === 32 && at > 0) return value.slice(0, at).toLowerCase();
    break;
  }
  return value.length > REMEMBERED_UNITS_MAX ? bareFirstWord(value) : rememberedFirstWord(value);
}

function bareFirstWord(value: string): string {
  const text = bareValue(value);
  const end = text.search(/\s/);
  return end < 0 ? text : text.slice(0, end);
}

const rememberedFirstWord = remembering(bareFirstWord, { entriesMax: WANTED_MAX });

/** Lower case without accents; `at` leads back where dropping accents moved anything. */
type Bare = { readonly text: string; readonly at: Int32Array | null };

// deno-lint-ignore no-control-regex -- ASCII is what it looks for
const ASCII = /^[\x00-\x7f]*$/;

function bareAscii(text: string): Bare {
  return { text: text.toLowerCase(), at: null };
}

function bare(text: string): Bare {
  const at = new Int32Array(text.length * 2 + 1);
  let plain = "";
  for (let i = 0; i < text.length; i++) {
    const unit = bareUnit(text.charCodeAt(i));
    for (let j = 0; j < unit.length; j++) at[plain.length + j] = i;
    plain += unit;
  }
  at[plain.length] = text.length;
  return { text: plain, at };
}

/** What each UTF-16 unit becomes, filled as they are met. */
const BARE: (string | undefined)[] = [];

function bareUnit(code: number): string {
  return BARE[code] ??= makeBare(String.fromCharCode(code));
}

function makeBare(unit: string): string {
  if (/[‘’ʼ´`]/.test(unit)) return "'";
  if (/\p{M}/u.test(unit)) return "";
  if (/[\ud800-\udfff\uac00-\ud7a3]/.test(unit)) return unit;
  const letters = unit.normalize("NFD").replace(/\p{M}+/gu, "").toLowerCase();
  return letters.length > 0 && letters.length <= 2 ? letters : unit;
}

/** Most units of white space between two words of a value. */
const SPACES_MAX = 4;

/** As it is, with one space for white space that may stand between the words of a value, and two for more. */
function withSingleSpaces({ text, at }: Bare): Bare {
  const places = new Int32Array(text.length + 1);
  let single = "";
  let from = 0;
  const take = (to: number, spaces: string) => {
    for (let i = from; i < to; i++) places[single.length + i - from] = at === null ? i : at[i]!;
    single += text.slice(from, to);
    for (let i = 0; i < spaces.length; i++) places[single.length + i] = at === null ? to : at[to]!;
    single += spaces;
  };
  for (const { index, 0: { length } } of text.matchAll(/\s+/g)) {
    take(index, length > SPACES_MAX ? "  " : " ");
    from = index + length;
  }
  take(text.length, "");
  return { text: single, at: places };
}

function fallbackOf(wanted: string): Uint16Array {
  const fallback = new Uint16Array(wanted.length + 1);
  for (let i = 1, met = 0; i < wanted.length; i++) {
    met = goOn(met, wanted.charCodeAt(i), { text: wanted, fallback });
    fallback[i + 1] = met;
  }
  return fallback;
}

/** How many of the characters have been met once the next one has. */
function goOn(met: number, code: number, { text, fallback }: Pick<Wanted, "text" | "fallback">): number {
  let now = met;
  while (now > 0 && text.charCodeAt(now) !== code) now = fallback[now]!;
  return text.charCodeAt(now) === code ? now + 1 : 0;
}

type Place = { readonly view: Bare; readonly wanted: Wanted; readonly whole: string };

/** One pass, however often the value nearly stands there: a name may be made to keep the search busy. */
function findWhole(counted: CountedText, { view: { text, at }, wanted, whole }: Place, report: Report): void {
  counted.looks.spend(2 * text.length);
  let floor = 0;
  for (let i = 0, met = 0; i < text.length; i++) {
    met = goOn(met, text.charCodeAt(i), wanted);
    if (met < wanted.text.length) continue;
    met = wanted.fallback[met]!;
    const [start, end] = [i + 1 - wanted.text.length, i + 1];
    if (start < floor || isInside(text, { start, end, inside: wanted.inside })) continue;
    floor = end;
    if (wanted.word && !isNameByCase(whole, at![start]!)) continue;
    report(wanted.entity, at![start]!, at![end - 1]! + 1);
  }
}

/** `Will` within a sentence, not `will`, `WILL`, nor the first word of a sentence, which says nothing. */
function isNameByCase(whole: string, start: number): boolean {
  if (!/^\p{Lu}\p{Ll}/u.test(whole.slice(start, start + 2))) return false;
  return !/(?:^|[.!?:;\n\r\0…。！？])[\s"'“‘«([*_#>\-]{0,8}$/u.test(
    whole.slice(Math.max(0, start - 9), start),
  );
}

const UNSPACED = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Hangul}\p{sc=Thai}]/u;

/** Whether the place is only a part of a longer word. A full stop after it ends the sentence, not the word. */
function isInside(
  text: string,
  { start, end, inside }: { start: number; end: number; inside: RegExp },
): boolean {
  const before = text[start - 1] ?? "";
  const after = text[end] ?? "";
  if (isPartOfUnspaced(text, start, end)) return true;
  const afterPoint = /[.:+-]/.test(after) && !/[\p{L}\p{N}]/u.test(text[end + 1] ?? "");
  return (inside.test(before) && !UNSPACED.test(text[start]!)) ||
    (inside.test(after) && !afterPoint && !UNSPACED.test(text[end - 1]!));
}

const HANGUL = /\p{sc=Hangul}/u, KATAKANA = /[\p{sc=Katakana}ー]/u;
/** What is written right behind a Korean name. */
const PARTICLES = /^[은는이가을를의에와과도님씨아야께랑한만]/u;

/** `지우` in `지우개`, `アン` in `アンケート`: words of scripts that nothing parts, as far as it can be told. */
function isPartOfUnspaced(text: string, start: number, end: number): boolean {
  const [before, first, last, after] = [text[start - 1] ?? "", text[start]!, text[end - 1]!, text[end] ?? ""];
  if (KATAKANA.test(first) && KATAKANA.test(before) || KATAKANA.test(last) && KATAKANA.test(after)) {
    return true;
  }
  if (!HANGUL.test(first)) return false;
  return HANGUL.test(before) || end - start === 2 && HANGUL.test(after) && !PARTICLES.test(after);
}

/** Digits of a subscriber's number that decide: calling code and trunk 0 come and go. */
const PHONE_DIGITS = 9;
const PHONE_DIGITS_MIN = 7;

const DIGIT = words(/\d/);
/** Most signs between two digits of one number. */
const GAP_MAX = 3;
const GAP = new RegExp(`^[ ().\\-/]{0,${GAP_MAX}}$`);
/** What may stand before the digits that decide: a calling code, a trunk 0. */
const PHONE_START = /(?<![\p{L}\p{N}_])(?:\+?\(?\d[\d ().\-/]{0,8})?$/gu;
const PHONE_START_MAX = 11;

function findPhone(text: CountedText, digits: string, report: Report): void {
  if (digits.length < PHONE_DIGITS_MIN || digits.length > 15) return;
  const wanted = digits.slice(-PHONE_DIGITS);
  const fallback = fallbackOf(wanted);
  /** Where the last digits stood, in a ring. */
  const places = new Int32Array(wanted.length);
  let count = 0, met = 0, last = 0, floor = 0;
  for (let digit = text.next(DIGIT, 0); digit !== null; digit = text.next(DIGIT, digit.end)) {
    const { start: at, end } = digit;
    if (met > 0 && at > last + 1 && !GAP.test(text.slice(last + 1, Math.min(at, last + GAP_MAX + 2)))) {
      met = 0;
    }
    met = goOn(met, text.code(at), { text: wanted, fallback });
    places[count++ % wanted.length] = last = at;
    if (met < wanted.length) continue;
    met = fallback[met]!;
    const start = phoneStart(text, places[count % wanted.length]!, floor);
    if (start < 0 || /^[\p{L}\p{N}_]/u.test(text.slice(end, end + 2))) continue;
    report("PHONE_NUMBER", start, end);
    floor = end;
  }
}

/** Where the number begins of which the digits that decide begin at `at`; −1 where a longer word or number does. */
function phoneStart(text: CountedText, at: number, floor: number): number {
  // Two units more, for what must not stand before it.
  const from = Math.max(floor - 2, at - PHONE_START_MAX - 2, 0);
  PHONE_START.lastIndex = Math.max(0, floor - from);
  const match = PHONE_START.exec(text.slice(from, at));
  return match === null ? -1 : from + match.index;
}
