import { isDigit, isWord } from "../checks.ts";
import type { CountedText } from "../counted_text.ts";
import { type Kind, KINDS, LETTERED, type LetteredKind, type PersonEntity } from "./kinds.ts";

/**
 * Numbers that states give their people, outside the United States: identity, tax, insurance and health. Each is taken
 * only where its check digits are right, and with the word that names it before or behind it, or where it is written
 * in a way that hardly anything else is. From each group of digits 18 digits are looked at, the most that one has.
 */
export function findPersonNumbers(
  text: CountedText,
  found: (entity: PersonEntity, start: number, end: number) => void,
): void {
  const whole = text.whole();
  const runs = text.runs();
  for (let run = 0, floor = 0; run < runs.length; run += 2) {
    const start = runs[run]!, end = runs[run + 1]!;
    if (start < floor || end - start >= BEGINS.length) continue;
    const hit = numberAt(text, whole, { start, end });
    if (hit === null) continue;
    found(hit.entity, hit.start, hit.end);
    floor = hit.end;
  }
}

/** The longest number with all its separators, and what must not follow it. */
const WINDOW = 30;
/** Most that stands before the first digit of a number that holds letters, and one more. */
const LEAD = 10;
/** Fewest and most digits of a number without letters. */
const DIGITS_MIN = 8, DIGITS_MAX = 18;

type Hit = { readonly entity: PersonEntity; readonly start: number; readonly end: number };

/** What a cheap look looks at. */
const CHEAP_LOOKS = 6;

function numberAt(text: CountedText, whole: string, run: Run): Hit | null {
  text.looks.spend(CHEAP_LOOKS);
  const hit = mayHoldLetters(whole, run) ? letteredAt(text, run.start) : null;
  return hit === null && mayBeginGroups(whole, run) ? digitsAt(text, whole, run.start) : hit;
}

type Run = { readonly start: number; readonly end: number };

function mayHoldLetters(whole: string, { start, end }: Run): boolean {
  const length = end - start;
  const before = whole.charCodeAt(start - 1);
  if (isLetter(before)) return length === 2 || length === 4 || length === 6 || length === 7;
  if (length === 8) return isLetter(whole.charCodeAt(end)) || isLetter(whole.charCodeAt(end + 1));
  // Spaced and hyphenated: `AB 12`, `X-1234567`, `RSS MRA 85T10`, `12.345.678-Z`, `2 55 08 2A`.
  if ((before === 0x20 || before === 0x2d) && (length === 2 || length >= 6)) {
    const earlier = whole.charCodeAt(start - 2);
    if (earlier >= 65 && earlier <= 90) return true;
  }
  if (length === 2 && whole.charCodeAt(end) === 0x2e) return whole.charCodeAt(end + 4) === 0x2e;
  return (length === 1 || length === 6) && (whole.charCodeAt(start + 9) & ~3) === 64;
}

/** Lengths with which a number begins, and those of which it may be one group alone. */
const FIRST = 1, ALONE = 2;
const BEGINS = new Uint8Array(20);
const NEVER_BEFORE = new Set([..."_.-/+,"].map((sign) => sign.charCodeAt(0)));

function mayBeginGroups(whole: string, { start, end }: Run): boolean {
  const begins = BEGINS[end - start]!;
  if (begins === 0) return false;
  const before = whole.charCodeAt(start - 1);
  if (isLetter(before) || NEVER_BEFORE.has(before) && !(before === 0x2c && isCell(whole, start))) {
    return false;
  }
  if (before === 0x20 && isDigit(whole.charCodeAt(start - 2))) return false;
  return (begins & ALONE) !== 0 ||
    isDigit(whole.charCodeAt(end + 1)) && SEPARATORS.has(whole.charCodeAt(end));
}

/** `4711,498 848 7563` of CSV: behind a comma that parts no thousands. */
function isCell(whole: string, start: number): boolean {
  let digits = 0;
  while (digits < 4 && isDigit(whole.charCodeAt(start - 2 - digits))) digits++;
  return digits === 0 ? whole.charCodeAt(start - 2) !== 0x2e : digits === 4;
}

const SEPARATORS = new Set([..." -./"].map((sign) => sign.charCodeAt(0)));

function isLetter(code: number): boolean {
  return (code | 32) >= 97 && (code | 32) <= 122;
}

/** By the lengths of its groups, {@link keyOf}; none where a longer number begins so. */
const BY_GROUPS = new Map<number, Kind[]>();
for (const kind of KINDS) {
  for (const groups of kind.groups.split(" ")) {
    const lengths = groups.split(",").map(Number);
    BEGINS[lengths[0]!]! |= lengths.length > 1 ? FIRST : ALONE;
    let key = 0;
    for (const length of lengths) {
      key = keyOf(key, length);
      if (!BY_GROUPS.has(key)) BY_GROUPS.set(key, []);
    }
    BY_GROUPS.get(key)!.push(kind);
  }
}

/** Lengths one behind the other; at most eight of fewer than 20. */
function keyOf(before: number, length: number): number {
  return before * 20 + length;
}

function digitsAt(text: CountedText, whole: string, start: number): Hit | null {
  text.looks.spend(WINDOW);
  let hit: Hit | null = null;
  for (let at = start, key = 0, digits = 0; digits <= DIGITS_MAX;) {
    let end = at;
    while (isDigit(whole.charCodeAt(end)) && end - at <= DIGITS_MAX) end++;
    key = keyOf(key, end - at);
    digits += end - at;
    const kinds = BY_GROUPS.get(key);
    if (kinds === undefined) break;
    if (kinds.length > 0 && endsHere(whole, at, end)) hit = oneOf(text, kinds, { start, end, digits }) ?? hit;
    if (!SEPARATORS.has(whole.charCodeAt(end)) || !isDigit(whole.charCodeAt(end + 1))) break;
    at = end + 1;
  }
  return hit;
}

/** Not inside a word, a decimal, a path, nor a row of groups of the same length. */
function endsHere(whole: string, from: number, end: number): boolean {
  const after = whole.charCodeAt(end);
  if (isWord(after)) return (after | 32) === 0x78 && !isWord(whole.charCodeAt(end + 1));
  if (!isDigit(whole.charCodeAt(end + 1))) return true;
  if (after !== 0x20) return !SEPARATORS.has(after);
  let next = end + 1;
  while (next - end <= end - from + 1 && isDigit(whole.charCodeAt(next))) next++;
  return next - end - 1 !== end - from;
}

type Digits = Run & { readonly digits: number };

function oneOf(text: CountedText, kinds: readonly Kind[], { start, end, digits }: Digits): Hit | null {
  const written = text.slice(start, end);
  const x = (text.code(end) | 32) === 0x78 ? "X" : "";
  const bare = (digits === written.length ? written : written.replace(/\D/g, "")) + x;
  const valid = kinds.filter((kind) =>
    (x !== "" ? kind.x === true : bare.length >= DIGITS_MIN) && kind.isValid(bare)
  );
  if (valid.length === 0) return null;
  const all = { start, end: end + x.length };
  const named = namedOf(text, valid, all) ?? valid.find(({ alone }) => alone?.test(written));
  return named === undefined ? null : { entity: named.entity, ...all };
}

/** How far before and behind a number its word may stand, in UTF-16 units. */
const WORD_BEFORE = 56, WORD_AFTER = 28;

/** The kind whose word stands before the number, else behind it. */
function namedOf<Any extends { readonly word: RegExp }>(
  text: CountedText,
  kinds: readonly Any[],
  { start, end }: { readonly start: number; readonly end: number },
): Any | undefined {
  const before = wordsOf(text.slice(start - WORD_BEFORE, start).split("\0").at(-1)!);
  const named = kinds.find(({ word }) => word.test(before));
  if (named !== undefined) return named;
  const after = wordsOf(/^[^\0\n]*/.exec(text.slice(end, end + WORD_AFTER))![0]);
  return kinds.find(({ word }) => word.test(after));
}

/** `"nhsNumber": ` and `nhs_number=` as ` nhs number `. */
function wordsOf(context: string): string {
  return ` ${
    context.replace(/([a-z])(?=[A-Z])/g, "$1 ").toLowerCase().replace(/[^\p{L}\p{M}\p{N}]+/gu, " ")
  } `;
}

/** Right before a number that holds letters: it is a thing's. */
const A_THING =
  / (?:part|order|sku|serial|model|ref|reference|ticket|invoice|batch|lot|product|item|tracking|version|build|flight|device)(?: (?:no|nr|number|id|code|is))* +$/;

function letteredAt(text: CountedText, digit: number): Hit | null {
  const from = Math.max(0, digit - LEAD);
  const around = text.slice(from, digit + WINDOW);
  const upper = around.toUpperCase();
  if (upper.length !== around.length) return null;
  for (const kind of LETTERED) {
    const at = digit - kind.lead - from;
    if (at < 0 || !opensHere(around, at)) continue;
    const shape = kind.shape.exec(upper.slice(at))?.[0];
    if (shape === undefined || /^(?:\w|[.\-/@]\w)/.test(around.slice(at + shape.length))) continue;
    const written = around.slice(at, at + shape.length);
    const hit = { entity: kind.entity, start: from + at, end: from + at + shape.length };
    if (kind.isValid(shape.replace(/[^\dA-Z]/g, "")) && isTaken(text, kind, { ...hit, written })) return hit;
  }
  return null;
}

function opensHere(around: string, at: number): boolean {
  return !isWord(around.charCodeAt(at - 1)) && (at === 0 || !"-./+@".includes(around[at - 1]!));
}

function isTaken(text: CountedText, kind: LetteredKind, hit: Hit & { readonly written: string }): boolean {
  if (namedOf(text, [kind], hit) !== undefined) return true;
  return kind.alone !== undefined && kind.alone.test(hit.written) &&
    hit.written === hit.written.toUpperCase() &&
    !A_THING.test(wordsOf(text.slice(hit.start - WORD_BEFORE, hit.start)));
}
