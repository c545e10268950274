import { type CountedText, type Pattern, pattern, words } from "./counted_text.ts";

/**
 * Numbers that only the word before them gives away: passports, driver licences, bank accounts. Without the word ten
 * digits are ten digits, so each of these needs it right before the number.
 */

type Found = (start: number, end: number) => void;

/** The longest of the numbers, with what must not follow it. */
const NUMBER_REACH = 36;
const GAP =
  "(?:[\\s_]?(?:no|number|num|nr|#|n°|id|is|code))*[.\\s:#=\"'()|-]{0,6}(?:(?:is|was|of)[\\s:\"']{1,3})?(?:[A-Z]{2}[ :-]{1,2})?";
const PASSPORT = numbered(
  `(?:passports?|reisepass|passeport|pasaporte|passaporte|passaporto)(?: card| book)?${GAP}`,
  "(?=[A-Z0-9]{0,2}\\d)[A-Z]{0,2}\\d{6,9}[A-Z]?",
);
const LICENCE = numbered(
  `(?:driv(?:er|ing)(?:['’]?s)?[ _-]?(?:licen[sc]e|permit|lic)|licen[sc]e|\\bDL|\\bD\\.L\\.)${GAP}`,
  "(?=[A-Z0-9*-]{0,6}\\d{3})(?:[A-Z]{1,2}\\d{3,14}|[A-Z]\\d{2,4}(?:-\\d{2,6}){1,4}|\\d{7,10}|[A-Z]{3}\\d{6,10}|[A-Z]{1,5}[A-Z0-9*]{4,9}\\d{2}[A-Z0-9]{0,3})",
);
const ACCOUNT = numbered(
  `(?:(?:bank |checking |savings |deposit )?(?:account(?!_?ids?\\b)|acct|a/c)|routing|\\bABA|bank|\\bRTN)${GAP}`,
  "\\d(?:[ -]?\\d){7,16}",
);

/** The name in any case, the number in capitals; the match is the number alone. */
function numbered(name: string, number: string): Numbered {
  return {
    name: new RegExp(`(?<![A-Za-z])(?:${name})$`, "i"),
    number: pattern(
      /(?<![\w.\-/])[A-Z0-9]/,
      new RegExp(`(?<![\\w.\\-/])${number}(?![\\w]|[.-]\\d)`),
      NUMBER_REACH,
    ),
  };
}

type Numbered = { readonly name: RegExp; readonly number: Pattern };

export function findPassports(text: CountedText, found: Found): void {
  findNumbered(text, PASSPORT, found);
}

export function findDriverLicences(text: CountedText, found: Found): void {
  findNumbered(text, LICENCE, found);
}

export function findBankAccounts(text: CountedText, found: Found): void {
  findNumbered(text, ACCOUNT, found);
}

/** Each of the names has one of these. */
const NAMED = words(
  /passp|reisep|pasap|passap|licen|drivi|\bd\.?l(?:\b|_)|acc(?:oun)?t|a\/c|routing|bank|\b(?:aba|rtn)\b/i,
);
/** An ASCII text without any of these has none of the names. */
export const DOCUMENT_CUES: readonly string[] = [
  "passp",
  "reisep",
  "pasap",
  "passap",
  "licen",
  "drivi",
  "dl",
  "d.l",
  "acct",
  "account",
  "a/c",
  "routing",
  "bank",
  "aba",
  "rtn",
];
const NAME_REACH = 48;

function findNumbered(text: CountedText, { name, number }: Numbered, found: Found): void {
  if (text.next(NAMED, 0) === null) return;
  text.each(number, ({ start, end }) => {
    const context = text.slice(start - NAME_REACH, start).replace(/([a-z])(?=[A-Z](?!d\b))/g, "$1 ");
    if (name.test(context)) found(start, end);
  });
}
