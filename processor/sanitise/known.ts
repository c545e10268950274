import { remembering } from "../../runtime/remember.ts";
import { digitsOf } from "./checks.ts";
import { fold } from "./fold.ts";
import type { Entity, Report } from "./rules.ts";

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
/** Longest; a "name" beyond it is no name. */
const CHARACTERS_MAX = 320;
/** What stands in name fields where nobody gave a name. */
const NO_NAMES = /^(?:null|none|undefined|unknown|anonymous|guest|user|test|admin|name|true|false|n\/a)$/;

export function hasKnownValues({ emails, names, phones, ips }: KnownValues): boolean {
  return emails.length + names.length + phones.length + ips.length > 0;
}

/** Finds known values in folded text; `ascii` where it is known to hold nothing else. */
export function findKnownValues(
  text: string,
  { known, ascii }: { readonly known: KnownValues; readonly ascii: boolean },
  report: Report,
): void {
  const view = ascii || ASCII.test(text) ? bareAscii(text) : bare(text);
  for (const wanted of wantedOf(known)) {
    if (view.text.includes(wanted.first)) findWhole(view, wanted, report);
  }
  for (const phone of known.phones) findPhone(text, digitsOf(fold(phone).text), report);
}

/** A value as it is looked for. */
type Wanted = {
  readonly entity: Entity;
  readonly text: string;
  /** Where it has several words: what may stand between them. */
  readonly spaced: RegExp | null;
  /** Its first word: most texts lack it, so that no more of it need be looked for. */
  readonly first: string;
  /** What makes a longer word of it, before or after. */
  readonly inside: RegExp;
};

/** Remembered values: events of the same people come again and again. */
const WANTED_MAX = 10_000;
/** Longest value that is remembered, in UTF-16 units; what is looked for is hardly ever longer. */
const REMEMBERED_UNITS_MAX = 320;
const wantedEmail = wantedAs("EMAIL_ADDRESS", /[\p{L}\p{N}_.+-]/u);
const wantedName = wantedAs("PERSON", /[\p{L}\p{N}]/u);
const wantedIp = wantedAs("IP_ADDRESS", /[\p{L}\p{N}_.:]/u);

function wantedAs(entity: Entity, inside: RegExp): (value: string) => Wanted | null {
  const make = (value: string): Wanted | null => {
    const folded = fold(value).text;
    const text = (ASCII.test(folded) ? bareAscii(folded) : bare(folded)).text.trim();
    if ([...text].length < CHARACTERS_MIN || text.length > CHARACTERS_MAX) return null;
    if (entity === "PERSON" && NO_NAMES.test(text)) return null;
    const words = text.split(/\s+/);
    const spaced = words.length > 1 ? new RegExp(words.map(RegExp.escape).join("\\s{1,4}"), "g") : null;
    return { entity, text, spaced, first: words[0]!, inside };
  };
  const remembered = remembering(make, { entriesMax: WANTED_MAX });
  return (value) => value.length > REMEMBERED_UNITS_MAX ? make(value) : remembered(value);
}

/** The values looked for last: a record's texts are sanitised one after the other. */
let last: { readonly known: KnownValues; readonly wanted: readonly Wanted[] } | null = null;

function wantedOf(known: KnownValues): readonly Wanted[] {
  if (last?.known === known) return last.wanted;
  const wanted: Wanted[] = [];
  const add = (one: Wanted | null) => one !== null && wanted.push(one);
  for (const email of known.emails) add(wantedEmail(email));
  for (const name of known.names) add(wantedName(name));
  for (const ip of known.ips) add(wantedIp(ip));
  last = { known, wanted };
  return wanted;
}

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
  if (/[\ud800-\udfff]/.test(unit)) return unit;
  const letters = unit.normalize("NFD").replace(/\p{M}+/gu, "").toLowerCase();
  return letters.length > 0 && letters.length <= 2 ? letters : unit;
}

function findWhole({ text, at }: Bare, wanted: Wanted, report: Report): void {
  let from = 0;
  for (;;) {
    const match = wanted.spaced === null
      ? plainMatch(text, wanted.text, from)
      : spacedMatch(text, wanted.spaced, from);
    if (match === null) return;
    const [start, end] = match;
    from = start + 1;
    if (isInside(text, { start, end, inside: wanted.inside })) continue;
    from = end;
    report(wanted.entity, at === null ? start : at[start]!, at === null ? end : at[end - 1]! + 1);
  }
}

function plainMatch(text: string, wanted: string, from: number): readonly [number, number] | null {
  const start = text.indexOf(wanted, from);
  return start < 0 ? null : [start, start + wanted.length];
}

function spacedMatch(text: string, wanted: RegExp, from: number): readonly [number, number] | null {
  wanted.lastIndex = from;
  const match = wanted.exec(text);
  return match === null ? null : [match.index, match.index + match[0].length];
}

const UNSPACED = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Hangul}\p{sc=Thai}]/u;

/** Whether the place is only a part of a longer word. A full stop after it ends the sentence, not the word. */
function isInside(
  text: string,
  { start, end, inside }: { start: number; end: number; inside: RegExp },
): boolean {
  const before = text[start - 1] ?? "";
  const after = text[end] ?? "";
  const afterPoint = /[.:+-]/.test(after) && !/[\p{L}\p{N}]/u.test(text[end + 1] ?? "");
  return (inside.test(before) && !UNSPACED.test(text[start]!)) ||
    (inside.test(after) && !afterPoint && !UNSPACED.test(text[end - 1]!));
}

/** Digits of a subscriber's number that decide: calling code and trunk 0 come and go. */
const PHONE_DIGITS = 9;
const PHONE_DIGITS_MIN = 7;

function findPhone(text: string, digits: string, report: Report): void {
  if (digits.length < PHONE_DIGITS_MIN || digits.length > 15) return;
  const decisive = digits.slice(-PHONE_DIGITS).split("").join("[ ().\\-/]{0,3}");
  const pattern = new RegExp(
    `(?<![\\p{L}\\p{N}_])(?:\\+?\\(?\\d[\\d ().\\-/]{0,8})?${decisive}(?![\\p{L}\\p{N}_])`,
    "gu",
  );
  for (const match of text.matchAll(pattern)) {
    report("PHONE_NUMBER", match.index, match.index + match[0].length);
  }
}
