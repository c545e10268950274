import { digitsOf } from "./sanitise_checks.ts";
import { fold } from "./sanitise_fold.ts";
import type { Entity } from "./sanitise_rules.ts";

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

type Found = (start: number, end: number, entity: Entity) => void;

/** Finds known values in folded text. */
export function findKnownValues(text: string, known: KnownValues, found: Found): void {
  const view = bare(text);
  const search = (value: string, entity: Entity, inside: RegExp) => {
    const wanted = bare(fold(value).text).text.trim();
    if ([...wanted].length < CHARACTERS_MIN || wanted.length > CHARACTERS_MAX) return;
    if (entity === "PERSON" && NO_NAMES.test(wanted)) return;
    findWhole(view, wanted, { inside, found: (start, end) => found(start, end, entity) });
  };
  for (const email of known.emails) search(email, "EMAIL_ADDRESS", /[\p{L}\p{N}_.+-]/u);
  for (const name of known.names) search(name, "PERSON", /[\p{L}\p{N}]/u);
  for (const ip of known.ips) search(ip, "IP_ADDRESS", /[\p{L}\p{N}_.:]/u);
  for (const phone of known.phones) findPhone(text, digitsOf(fold(phone).text), found);
}

/** Lower case without accents; `at` leads back where dropping accents moved anything. */
type Bare = { readonly text: string; readonly at: Int32Array | null };

function bare(text: string): Bare {
  // deno-lint-ignore no-control-regex -- ASCII is what it looks for
  if (/^[\x00-\x7f]*$/.test(text)) return { text: text.toLowerCase(), at: null };
  const at = new Int32Array(text.length * 2 + 1);
  let plain = "";
  for (let i = 0; i < text.length; i++) {
    const unit = bareUnit(text[i]!);
    for (let j = 0; j < unit.length; j++) at[plain.length + j] = i;
    plain += unit;
  }
  at[plain.length] = text.length;
  return { text: plain, at };
}

const BARE = new Map<string, string>();

function bareUnit(unit: string): string {
  const known = BARE.get(unit);
  if (known !== undefined) return known;
  let made = unit;
  if (/[‘’ʼ´`]/.test(unit)) made = "'";
  else if (/\p{M}/u.test(unit)) made = "";
  else if (!/[\ud800-\udfff]/.test(unit)) {
    const letters = unit.normalize("NFD").replace(/\p{M}+/gu, "").toLowerCase();
    if (letters.length > 0 && letters.length <= 2) made = letters;
  }
  BARE.set(unit, made);
  return made;
}

type Search = { readonly inside: RegExp; readonly found: (start: number, end: number) => void };

function findWhole({ text, at }: Bare, wanted: string, { inside, found }: Search): void {
  const spaced = /\s/.test(wanted)
    ? new RegExp(wanted.split(/\s+/).map(RegExp.escape).join("\\s{1,4}"), "g")
    : null;
  let from = 0;
  for (;;) {
    const match = spaced === null ? plainMatch(text, wanted, from) : spacedMatch(text, spaced, from);
    if (match === null) return;
    const [start, end] = match;
    from = start + 1;
    if (isInside(text, { start, end, inside })) continue;
    from = end;
    found(at === null ? start : at[start]!, at === null ? end : at[end - 1]! + 1);
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

function findPhone(text: string, digits: string, found: Found): void {
  if (digits.length < PHONE_DIGITS_MIN || digits.length > 15) return;
  const decisive = digits.slice(-PHONE_DIGITS).split("").join("[ ().\\-/]{0,3}");
  const pattern = new RegExp(
    `(?<![\\p{L}\\p{N}_])(?:\\+?\\(?\\d[\\d ().\\-/]{0,8})?${decisive}(?![\\p{L}\\p{N}_])`,
    "gu",
  );
  for (const match of text.matchAll(pattern)) {
    found(match.index, match.index + match[0].length, "PHONE_NUMBER");
  }
}
