import { isDigit, isWord } from "../checks.ts";
import { alphabet, type CountedText, type Runs } from "../counted_text.ts";
import { type Cue, cueBefore, hasCueAfter, isMeasured, isSomethingElse } from "./context.ts";
import { isInternational } from "./plans.ts";

/**
 * Telephone numbers: groups of digits that stand together, judged by their shape and by the words around them.
 *
 * A number is taken for a telephone number where it starts with `+` or `00` and fits its country's numbering plan; where
 * it is written in a way that hardly anything else is (North American 3-3-4, area code in parentheses, trunk 0 and
 * groups); or where a word before it says so, in any of some forty languages. Dates, amounts, lists of numbers and what
 * is called an order, a version or an id are left alone. Per group of digits at most nine are looked at.
 */
export function findPhones(text: CountedText, found: (start: number, end: number) => void): void {
  const runs = text.runs();
  for (let run = 0, floor = 0; run < runs.length; run += 2) {
    if (runs[run]! < floor) continue;
    const candidate = readCandidate(text, { runs, run, floor });
    const count = candidate === null ? 0 : accepted(text, candidate, floor);
    if (candidate === null || count === 0) continue;
    floor = withExtension(text, endOf(text, candidate, count));
    found(candidate.start, floor);
  }
}

const GROUPS_MAX = 9;
/** Patterns that what is written passes, each of which looks at all of it. */
const SHAPE_CHECKS = 16;
const DIGITS_MIN = 4;
const DIGITS_MAX = 17;
const SEPARATOR_MAX = 4;
const SEPARATORS: ReadonlySet<string> = new Set(
  [
    " ",
    "-",
    ".",
    "/",
    " - ",
    " (",
    "(",
    ")",
    ") ",
    ")-",
    ").",
    "-(",
    "  ",
    " / ",
    "- ",
    " -",
    ") - ",
    "ー",
    ".(",
    ")/",
    ")(",
    ") (",
  ],
);

const SINGLE = alphabet(/[ \-./()]/);

/** Groups of digits from one start on, as many as could belong to one number. */
type Candidate = {
  /** With an opening `+` or parenthesis. */
  readonly start: number;
  readonly plus: boolean;
  /** `00 33 6`: written with a calling code that may be followed by a single digit. */
  readonly zeros: boolean;
  readonly groups: readonly Group[];
};

type Group = { readonly start: number; readonly end: number };

/** The first `count` groups of a candidate. */
type Shape = {
  readonly start: number;
  readonly end: number;
  readonly written: string;
  readonly digits: string;
  /** One figure per group, 9 for nine and more. */
  readonly lengths: string;
  readonly separators: readonly string[];
  readonly plus: boolean;
  /** An area code in parentheses comes first. */
  readonly area: boolean;
  /** Other digits stand right before or after, with only a space between. */
  readonly crowded: boolean;
};

/** A stretch of digits, by where its start stands among the starts and ends. */
type At = { readonly runs: Runs; readonly run: number; readonly floor: number };

function readCandidate(text: CountedText, { runs, run, floor }: At): Candidate | null {
  const count = countGroups(text, runs, run);
  if (count === 0) return null;
  const at = runs[run]!;
  let start = at;
  while (start > floor && at - start < 3 && isOpening(text.code(start - 1))) start--;
  if (!opensHere(text, start)) return null;
  const groups: Group[] = [];
  for (let i = run; groups.length < count; i += 2) groups.push({ start: runs[i]!, end: runs[i + 1]! });
  const plus = start < at && text.slice(start, at).includes("+");
  return { start, plus, zeros: text.code(at) === 0x30 && text.code(at + 1) === 0x30, groups };
}

function isOpening(code: number): boolean {
  return code === 0x28 || code === 0x2b;
}

/** 0 where they have too few digits for any number. */
function countGroups(text: CountedText, runs: Runs, run: number): number {
  let digits = 0, count = 0;
  for (let i = run; i < runs.length && count < GROUPS_MAX; i += 2) {
    const end = runs[i + 1]!;
    if (digits + end - runs[i]! > DIGITS_MAX) break;
    digits += end - runs[i]!;
    count++;
    if (i + 2 === runs.length || !isSeparator(text, end, runs[i + 2]!)) break;
  }
  return digits < DIGITS_MIN ? 0 : count;
}

function isSeparator(text: CountedText, start: number, end: number): boolean {
  if (end - start > SEPARATOR_MAX) return false;
  return end - start === 1 && SINGLE[text.code(start)] === 1 || SEPARATORS.has(text.slice(start, end));
}

/** Whether a number may begin here: not inside a word, a path, a decimal or an amount of money. */
function opensHere(text: CountedText, start: number): boolean {
  if (start === 0) return true;
  const code = text.code(start - 1);
  if (code === 0x20 || code === 0x0a) return true;
  const sign = String.fromCharCode(code);
  if (isWord(code) || NEVER_BEFORE.includes(sign)) return false;
  if (!".-/:,".includes(sign)) return code < 0x250 || !isSpacedLetter(sign);
  const earlier = text.code(start - 2);
  if (isDigit(earlier)) return code === 0x2c && isCell(text, start);
  return code === 0x3a || code === 0x2e || !isWord(earlier);
}

/** `4711,+49 30 …` of CSV: behind a comma that parts no thousands. */
function isCell(text: CountedText, start: number): boolean {
  return /(?:^|[^\d.])\d{4,20},$/.test(text.slice(start - 22, start));
}

const NEVER_BEFORE = "$€£¥₹₽#@&%\\^*~<>";

function closesHere(text: CountedText, end: number): boolean {
  const after = text.code(end);
  if (Number.isNaN(after)) return true;
  if (isWord(after)) return EXTENSION.test(text.slice(end, end + 24));
  const sign = String.fromCharCode(after);
  if ("%°$€£*^".includes(sign)) return false;
  if ("-/.:,+@_=".includes(sign)) {
    const next = text.code(end + 1);
    return !(isDigit(next) && sign !== ",") && !(isWord(next) && "-/@_=".includes(sign));
  }
  return after < 0x250 || !isSpacedLetter(sign);
}

const SPACED_LETTER =
  /[\p{sc=Latin}\p{sc=Cyrillic}\p{sc=Greek}\p{sc=Arabic}\p{sc=Hebrew}\p{sc=Armenian}\p{sc=Georgian}]/u;

function isSpacedLetter(character: string): boolean {
  return SPACED_LETTER.test(character);
}

/** How many groups make a telephone number, the most that do; 0 where none do. */
function accepted(text: CountedText, candidate: Candidate, floor: number): number {
  if (isYear(text, candidate)) return 0;
  let cue: Cue | null | undefined;
  const look = () => cue === undefined ? cue = cueBefore(text, candidate.start) : cue;
  for (let count = candidate.groups.length; count > 0; count--) {
    if (!isPossible(candidate, count)) continue;
    if (!candidate.plus && look() === null && !isLikely(text, candidate, count)) continue;
    const shape = shapeOf(text, candidate, count);
    text.looks.spend(SHAPE_CHECKS * shape.written.length);
    if (!isBalanced(shape.written) || !closesHere(text, shape.end) || isDate(shape.written)) continue;
    if (isTelephone(text, shape, { look, floor })) return count;
  }
  return 0;
}

/** `1984` alone: whatever stands around it, nobody is reached under it. */
function isYear(text: CountedText, { start, groups }: Candidate): boolean {
  if (groups.length > 1 || groups[0]!.start !== start || groups[0]!.end !== start + 4) return false;
  const century = text.code(start) * 10 + text.code(start + 1) - 11 * 0x30;
  return century === 19 || century === 20;
}

/** Four to sixteen digits, single ones nowhere but at the front. */
function isPossible({ groups, plus, zeros }: Candidate, count: number): boolean {
  let digits = 0;
  for (let i = 0; i < count; i++) {
    const length = groups[i]!.end - groups[i]!.start;
    if (length === 1 && i > 0 && !plus && !(zeros && i === 1)) return false;
    digits += length;
  }
  return digits >= DIGITS_MIN && digits <= 16;
}

/** A cheap look that says no to nearly all numbers without a cue that could not be telephone numbers by their shape. */
function isLikely(text: CountedText, { start, groups }: Candidate, count: number): boolean {
  let digits = 0;
  for (let i = 0; i < count; i++) digits += groups[i]!.end - groups[i]!.start;
  if (digits < 7 && (digits < 6 || count === 1 || !" -".includes(text.char(groups[0]!.end)))) return false;
  if (isLikeDate(text, groups)) return false;
  if (isLetterAfter(text, groups[count - 1]!.end)) return true;
  if (count === 1) return digits === 11 && text.char(start) === "1";
  const end = groups[count - 1]!.end;
  if (text.char(groups[0]!.end) === " " && text.char(end) === " " && isDigit(text.code(end + 1))) {
    return false;
  }
  if (digits < 9 || count > SHAPES_MAX_GROUPS || !startsLikeOne(text, start, groups)) return false;
  return digits <= 12 || text.startsWith("00", start) || text.startsWith("011", start);
}

/** `2024-05-…`: no telephone number begins so without a word before it. */
function isLikeDate(text: CountedText, groups: Candidate["groups"]): boolean {
  const [first, second] = groups;
  return second !== undefined && first!.end - first!.start === 4 && second.end - second.start <= 2 &&
    /[12]/.test(text.char(first!.start));
}

/** Most groups of a number that is known by its shape alone. */
const SHAPES_MAX_GROUPS = 6;

function startsLikeOne(text: CountedText, start: number, groups: Candidate["groups"]): boolean {
  if (/[(0]/.test(text.char(start))) return true;
  const first = groups[0]!.end - groups[0]!.start;
  const second = groups[1]!.end - groups[1]!.start;
  if (first === 2) return (second === 3 || second === 5) && text.char(groups[1]!.end) === "-";
  return first === 3 ? second === 3 || second === 4 || second === 7 : first === 1 && second === 3;
}

/** `4155550132 is my cell`: what follows may say what it is. */
function isLetterAfter(text: CountedText, end: number): boolean {
  const first = text.code(end);
  if (first === 0x2c && text.code(end + 1) === 0x20) return text.startsWith("my", end + 2);
  const code = first < 128 && APART[first] === 1 ? text.code(end + 1) : first;
  return code > 0x250 || OPENS_WORD[code] === 1;
}

const APART = alphabet(/[ ,(\-/|=[]/);
const OPENS_WORD = alphabet(/[A-Za-z(\-/|=[]/);

function shapeOf(text: CountedText, { start, plus, groups }: Candidate, count: number): Shape {
  const used = groups.slice(0, count);
  const end = endOf(text, { groups }, count);
  const parts = used.map((group) => text.slice(group.start, group.end));
  const separators = used.slice(1).map((group, i) => text.slice(used[i]!.end, group.start));
  const written = text.slice(start, end);
  return {
    start,
    end,
    written,
    digits: parts.map((part, i) => part === "0" && isParenthesised(text, used[i]!) ? "" : part).join(""),
    lengths: parts.map((part) => Math.min(part.length, 9)).join(""),
    separators,
    plus,
    area: written.startsWith("(") && /^\(\d{1,5}(?:-\d{1,4})?\)/.test(written),
    crowded: (text.char(start - 1) === " " &&
      (isDigit(text.code(start - 2)) || HEX_PAIR.test(text.slice(start - 4, start)))) ||
      (text.char(end) === " " && isDigit(text.code(end + 1))),
  };
}

/** `48 8B 05 12 00 00 00`: bytes. */
const HEX_PAIR = /(?:^|\W)(?:\d[a-f]|[a-f]\d) $/i;

function isParenthesised(text: CountedText, group: { start: number; end: number }): boolean {
  return text.char(group.start - 1) === "(" && text.char(group.end) === ")";
}

function endOf(text: CountedText, { groups }: Pick<Candidate, "groups">, count: number): number {
  const end = groups[count - 1]!.end;
  return text.char(end) === ")" && isOpen(text, groups[0]!.start, end) ? end + 1 : end;
}

/** Whether a parenthesis opened before the last group is still open, `06 (12)`. */
function isOpen(text: CountedText, from: number, end: number): boolean {
  const written = text.slice(from - 2, end);
  return written.lastIndexOf("(") > written.lastIndexOf(")");
}

function isBalanced(written: string): boolean {
  let open = 0;
  for (const character of written) {
    if (character === "(") open++;
    else if (character === ")") open--;
    if (open < 0 || open > 1) return false;
  }
  return open === 0;
}

const DATE =
  /^\(?(?:(?:19|20)\d\d[-./ ]\d{1,2}[-./ ]\d{1,2}(?!\d)|\d{1,2}[-./ ]\d{1,2}[-./ ](?:19|20)\d\d(?!\d)|(?:19|20)\d\d ?[-/] ?(?:19|20)\d\d$|\d{1,2}\/\d{1,2}\/\d\d$|.{1,40} \((?:19|20)\d\d\)$)/;
const ADDRESS_OR_AMOUNT = /^\d{1,3}(?:\.\d{1,3}){3}$|^\d+\.\d+$|^\d{1,3}(?:\.\d{3})+$/;

function isDate(written: string): boolean {
  return DATE.test(written);
}

type Around = { readonly look: () => Cue | null; readonly floor: number };

function isTelephone(text: CountedText, shape: Shape, around: Around): boolean {
  if (/^0{4}/.test(shape.digits) || IPV4.test(shape.written) || lastOf(shape.lengths) === "1") return false;
  if (shape.plus && isPlanned(shape)) return !isMeasured(text, shape.end);
  if (shape.plus && isMixed(shape)) return !isMeasured(text, shape.end);
  if (shape.lengths === "324" && shape.separators.every((separator) => separator === "-")) return false;
  const shaped = isShaped(text, shape);
  if (!shaped && !isCued(text, shape, around)) return false;
  if (isMeasured(text, shape.end) || isSomethingElse(text, shape.start)) return false;
  return !shaped || !isListed(text, shape) || around.look() !== null;
}

const IPV4 = /^\d{1,3}(?:\.\d{1,3}){3}$/;

function lastOf(lengths: string): string {
  return lengths.length > 1 ? lengths.slice(-1) : "";
}

/** As long as its country's numbers; `+1` in one piece must be followed by an area code, `+10011010010` is none. */
function isPlanned({ digits, separators }: Shape): boolean {
  return digits.length >= 7 && isInternational(digits) && (separators.length > 0 || !/^1[01]/.test(digits));
}

/** `+6-48 793-1842`: nobody's plan, but nothing else is written with a plus and two kinds of separators. */
function isMixed({ digits, separators, lengths }: Shape): boolean {
  return digits.length >= 10 && digits.length <= 15 && separators.length >= 2 && separators.length <= 5 &&
    new Set(separators).size >= 2 && !/1/.test(lengths.slice(1));
}

/** Written as hardly anything but a telephone number is. */
function isShaped(text: CountedText, shape: Shape): boolean {
  const { lengths, digits, separators } = shape;
  if (separators.length === 0) return isChineseMobile(text, shape);
  if (
    /^00(?:[1-9]|\D)|^011(?:[2-9]|\D)/.test(shape.written) &&
    isInternational(digits.replace(/^0{2}|^011/, ""))
  ) return true;
  if (lengths === "334" || lengths === "1334" && digits.startsWith("1")) return isNorthAmerican(shape);
  if (lengths === "37" && digits.length === 10 && (shape.area || separators[0] === "-")) {
    return /^(?:[2-9]|0[1-9])/.test(digits);
  }
  if (shape.area) return isWithArea(shape);
  if (/^13322$|^1334$|^1343$/.test(lengths) && /^[78]/.test(digits)) {
    return separators[0]!.includes("(") || lengths === "13322" && /^[78][3-9]/.test(digits) && !shape.crowded;
  }
  if (lengths === "344" && /^1[3-9]/.test(digits)) {
    return isUniform(separators, "-") || isUniform(separators, " ") && !shape.crowded;
  }
  if (lengths === "254" && /^[1-9][1-9]9/.test(digits)) return separators.join("") === " -";
  if (lengths === "2322" || lengths === "3222") return isUniform(separators, "-") && !/^0{2}/.test(digits);
  return isWithTrunk(shape);
}

function isUniform(separators: readonly string[], separator: string): boolean {
  return separators.every((other) => other === separator);
}

function isNorthAmerican({ digits, separators, area, crowded }: Shape): boolean {
  if (/^1?000/.test(digits) || /\($/.test(separators.at(-1)!) || /^\. {1,2}$/.test(separators.join(""))) {
    return false;
  }
  if (area || separators.some((separator) => /[-.()]/.test(separator))) {
    return !separators.includes("/") || separators.join("") === "/-" || separators.join("") === "/.";
  }
  return !crowded && /^1?[2-9]\d\d[2-9]/.test(digits);
}

function isWithArea({ digits, lengths, separators, written }: Shape): boolean {
  if (digits.length < 9 || digits.length > 12 || /^\((?:19|20)\d\d\)/.test(written)) return false;
  return written[1] === "0" ||
    (lengths.length > 2 && separators.slice(1).every((separator) => separator === "-" || separator === "."));
}

/** 06 12 34 56 78, 020 7946 0958, 0151 23456789, 03-1234-5678. */
function isWithTrunk({ digits, lengths, separators, crowded, written }: Shape): boolean {
  if (digits === "0102030405" || lengths === "3333" || ADDRESS_OR_AMOUNT.test(written)) return false;
  if (!/^0[1-9]/.test(digits) || digits.length < 9 || digits.length > 12 || crowded) return false;
  if (!/^[2-5][2-8]{1,4}$/.test(lengths)) return false;
  if (separators.some((separator) => separator.includes("/"))) return /^[3-5][5-8]$/.test(lengths);
  if (new Set(separators.filter((separator) => !separator.includes("("))).size > 2) return false;
  return digits.length >= 10 || lengths.length >= 3;
}

function isChineseMobile(text: CountedText, { digits, start, end }: Shape): boolean {
  return /^1[3-9]\d{9}$/.test(digits) &&
    /\p{sc=Han}/u.test(text.slice(start - 3, start) + text.slice(end, end + 2));
}

/** Stands in a list of other numbers, which are no telephone numbers themselves. */
function isListed(text: CountedText, { start, end, plus }: Shape): boolean {
  if (plus) return false;
  const before = /(?:^|[\s,[(])([\d(][\d ().\-]{0,24})\s?,\s{0,2}$/.exec(
    text.slice(start - 30, start),
  );
  if (before !== null) return !/\d{3}\D{1,2}\d{3,4}|\d\D\d{2}\D\d{2}/.test(before[1]!);
  return /^\s?,\s{0,2}\d{5,9}(?![\d\-. ])/.test(text.slice(end, end + 16));
}

/** What a word before it, or right after it, makes a telephone number. */
function isCued(text: CountedText, shape: Shape, { look, floor }: Around): boolean {
  const { lengths, written } = shape;
  if (ADDRESS_OR_AMOUNT.test(written) && !/^\d\d(?:\.\d\d){2,4}$/.test(written)) return false;
  if (lengths.length > 1 && /1/.test(lengths.slice(1)) && !shape.plus) return false;
  if (YEARS.test(written)) return false;
  return isCuedBefore(shape, { cue: look(), text, floor }) || isCuedAfter(text, shape);
}

const YEARS = /^(?:19|20)\d\d(?:[ \-/]{1,3}(?:19|20)\d\d)+$/;

type Before = { readonly cue: Cue | null; readonly text: CountedText; readonly floor: number };

function isCuedBefore(shape: Shape, { cue, text, floor }: Before): boolean {
  if (cue === null) return false;
  const between = text.slice(Math.max(floor, shape.start - cue.distance), shape.start);
  const grouped = shape.separators.length > 0;
  if (/\d/.test(between) && !(grouped && shape.digits.length >= 8)) return false;
  return cue.strength === "strong" ? isStronglyCued(shape, cue) : isWeaklyCued(shape, cue);
}

function isCuedAfter(text: CountedText, shape: Shape): boolean {
  const { digits, lengths, separators } = shape;
  if (digits.length > 12 || digits.length < 7 && !(digits.length === 6 && isLocal(lengths))) return false;
  return !isAmount(shape) && (separators.length > 0 || digits.length >= 7) && hasCueAfter(text, shape.end);
}

/** Numbers of a town, without its area code: `52 37 15`, `555-0132`. */
function isLocal(lengths: string): boolean {
  return /^(?:222|33|34|43|44|322|232|223|2222)$/.test(lengths);
}

/** `1 200`, `12 000 000`. */
function isAmount({ written, digits }: Shape): boolean {
  return /^[1-9]\d{0,2}(?: \d{3})+$/.test(written) && (digits.length !== 9 || written.includes("000"));
}

/** A number after "call" or "number", or after "office:", must look like a telephone number by itself. */
function isWeaklyCued(shape: Shape, { strength, distance, between }: Cue): boolean {
  const { digits, separators, lengths, written } = shape;
  const direct = REACHED.test(between);
  if (digits.length > (direct && digits.startsWith("0") ? 14 : 12) || between.includes("\n")) return false;
  if (strength === "label" && !direct) return false;
  const label = strength === "label";
  if (separators.length === 0) {
    const min = label && /[:=#]/.test(between) ? 6 : direct ? 8 : 9;
    return digits.length >= min && distance <= 25 && !/^(?:19|20)\d{4}$/.test(digits);
  }
  const bare = /^\s*$/.test(between);
  if (label && bare && (digits.length < 7 || lengths === "44")) return false;
  if (digits.length < 7) {
    return direct && digits.length === 6 && isLocal(lengths) && !isAmount(shape) &&
      (label || !separators.includes(" ") || !/^:?\s*$/.test(between) || bare);
  }
  if (!direct && separators.includes(".") && separators.includes(" ")) return false;
  return !/^[1-9]\d{0,2}(?: \d{3})+$/.test(written) ||
    (direct && digits.length === 9 && !written.includes("000"));
}

/** "call me at …", "number: …", "office line …": nothing else stands between the word and the number. */
const REACHED =
  /^[\s:#=\-."'`(+]{0,5}(?:(?:of |)(?:me|us|him|her|them|is|to|back|no|nr|number|an|Sie|mich|uns|moi|nous|free|line)[.:]{0,2} ?){0,2}(?:(?:at|on|under|is|to|unter|pod|po|на|по|au|al|el|le|les|en|op|på|em|o|no|an|the|der|è|é|är|est|es|ist|am|pe|na)[:]? ){0,2}[\s:"'`(+]{0,4}$/i;

function isStronglyCued({ digits, separators, written, lengths }: Shape, cue: Cue): boolean {
  if (digits.length > 12) {
    const planned = isInternational(digits.replace(/^0{2}/, "")) ||
      (digits.length <= 14 && digits.startsWith("0"));
    return planned && cue.distance <= 12;
  }
  if (digits.length >= 7) return true;
  if (digits.length === 6 && isLocal(lengths) && REACHED.test(cue.between)) return true;
  const adjacent = /^[\s:.=#\-()"'`]{0,6}(?:is|number|no|nr|n[°º]|est|es|ist|é|è)?[\s:.=#\-("'`]{0,4}$/iu
    .test(cue.between);
  if (!adjacent || /^(?:19|20)\d\d$/.test(written)) return false;
  return separators.length > 0 || digits.length >= 5 || /[:.]/.test(cue.between);
}

const EXTENSION =
  /^ ?[,;]? ?(?:x|ext\.?|extn\.?|extension|доб\.?|poste|durchwahl|anexo|ramal) ?[.:]? ?\d{1,6}(?![\p{L}\d_])/iu;

function withExtension(text: CountedText, end: number): number {
  return end + (EXTENSION.exec(text.slice(end, end + 24))?.[0].length ?? 0);
}
