import { countDigits, entropy } from "../checks.ts";

/**
 * The 200 pairs of letters that are most frequent in the words of English texts and of names in programs, where they
 * make up 88 % of all pairs: by first letter, the letters that follow it. Of pairs drawn by lot they are 30 %.
 */
const FREQUENT = new Uint8Array(32 * 32);
for (
  const row of ("abcdgilmnprstu baeilorsu cacehiklortu daeiosu eabcdefglmnprstvwx faefiloru gehiors haeio " +
    "iabcdefglmnoprstvz kei ladeilostuy maeiop nacdefgiostu obcdglmnoprstuvw paeiloprstu qu racdeimnorstuy " +
    "sacehiopstuy tacehilorstuy ubceilmnprst vaei waei xt yp ze").split(" ")
) {
  for (let i = 1; i < row.length; i++) FREQUENT[pairOf(row.charCodeAt(0), row.charCodeAt(i))] = 1;
}

/** Of two letters, in any case. */
function pairOf(first: number, second: number): number {
  return (first & 31) << 5 | second & 31;
}

/** Pairs of neighbours that surprise, and pairs of letters. */
export type Surprise = { readonly rare: number; readonly changes: number; readonly pairs: number };

const UPPER = 1, LOWER = 2, DIGIT = 3, OTHER = 0;

function classOf(code: number): number {
  if (code >= 97 && code <= 122) return LOWER;
  if (code >= 65 && code <= 90) return UPPER;
  return code >= 48 && code <= 57 ? DIGIT : OTHER;
}

/**
 * How much a value surprises: `rare` pairs of letters within a word (a new word begins at a capital behind a small
 * letter), and `changes` between letter and digit. Of at most 64 characters.
 */
export function surpriseOf(value: string): Surprise {
  let rare = 0, changes = 0, pairs = 0, last = OTHER;
  for (let i = 0; i < value.length && i < 64; i++) {
    const now = classOf(value.charCodeAt(i));
    const both = last !== OTHER && now !== OTHER;
    if (both && (last === DIGIT) !== (now === DIGIT)) changes++;
    else if (both && now !== DIGIT && !(last === LOWER && now === UPPER)) {
      pairs++;
      if (FREQUENT[pairOf(value.charCodeAt(i - 1), value.charCodeAt(i))] === 0) rare++;
    }
    last = now;
  }
  return { rare, changes, pairs };
}

/** Shortest value that is looked at. */
export const DRAWN_UNITS_MIN = 12;

/** Whether 12 characters or more look drawn by lot, and not like words with signs and figures between them. */
export function isDrawn(value: string): boolean {
  if (value.length < DRAWN_UNITS_MIN || entropy(value) < 2.5) return false;
  return isHex(value) ? surpriseOf(value).changes >= 3 || countDigits(value) >= 8 : isSurprising(value);
}

/** Whether four pairs of neighbours or more surprise, and not only because there are many. */
export function isSurprising(value: string): boolean {
  const { rare, changes, pairs } = surpriseOf(value);
  return rare + changes >= 4 && (changes >= 3 || rare >= 0.4 * pairs);
}

function isHex(value: string): boolean {
  return /^(?:[0-9a-f]+|[0-9A-F]+)$/.test(value) && countDigits(value) > 0 &&
    countDigits(value) < value.length;
}
