import { alphabet, type CountedText, type Piece, piece, words } from "./counted_text.ts";

/**
 * Numbers that only the word before them gives away: passports, driver licences, bank accounts. Without the word ten
 * digits are ten digits, so each of these needs it right before the number.
 */

type Found = (start: number, end: number) => void;

/** The longest of the numbers, with what must not follow it. */
const NUMBER_REACH = 36;
const GAP =
  "(?:[\\s_]?(?:no|number|num|nr|#|n°|id|is|code))*[.\\s:#=\"'()|-]{0,6}(?:(?:is|was|of)[\\s:\"']{1,3})?(?:[A-Z]{2}[ :-]{1,2})?";
/** A text without any of these has none of the names. */
export const PASSPORT_CUES: readonly string[] = ["passp", "reisep", "pasap", "passap"];
const PASSPORT = numbered(
  /passp|reisep|pasap|passap/i,
  `(?:passports?|reisepass|passeport|pasaporte|passaporte|passaporto)(?: card| book)?${GAP}`,
  "(?=[A-Z0-9]{0,2}\\d)[A-Z]{0,2}\\d{6,9}[A-Z]?",
);
export const LICENCE_CUES: readonly string[] = ["licen", "drivi", "driver", "dl", "d.l"];
const LICENCE = numbered(
  /licen|driv[ei]|\bdl|\bd\.l\./i,
  `(?:driv(?:er|ing)(?:['’]?s)?[ _-]?(?:licen[sc]e|permit|lic)|licen[sc]e|\\bDL|\\bD\\.L\\.)${GAP}`,
  "(?=[A-Z0-9*-]{0,6}\\d{3})(?:[A-Z]{1,2}\\d{3,14}|[A-Z]\\d{2,4}(?:-\\d{2,6}){1,4}|\\d{7,10}|[A-Z]{3}\\d{6,10}|[A-Z]{1,5}[A-Z0-9*]{4,9}\\d{2}[A-Z0-9]{0,3})",
);
export const ACCOUNT_CUES: readonly string[] = ["account", "acct", "a/c", "routing", "bank", "aba", "rtn"];
const ACCOUNT = numbered(
  /account|acct|a\/c|routing|bank|\baba|\brtn/i,
  `(?:(?:bank |checking |savings |deposit )?(?:account(?!_?ids?\\b)|acct|a/c)|routing|\\bABA|bank|\\bRTN)${GAP}`,
  "\\d(?:[ -]?\\d){7,16}",
);

/** The name in any case, the number in capitals; the match is the number alone. */
function numbered(named: RegExp, name: string, number: string): Numbered {
  return {
    named: words(named),
    name: new RegExp(`(?<![A-Za-z])(?:${name})$`, "i"),
    number: piece(new RegExp(`(?<![\\w.\\-/])${number}(?![\\w]|[.-]\\d)`), NUMBER_REACH),
  };
}

/** `named`: a part of the name, to search for. */
type Numbered = { readonly named: RegExp; readonly name: RegExp; readonly number: Piece };

export function findPassports(text: CountedText, found: Found): void {
  findNumbered(text, PASSPORT, found);
}

export function findDriverLicences(text: CountedText, found: Found): void {
  findNumbered(text, LICENCE, found);
}

export function findBankAccounts(text: CountedText, found: Found): void {
  findNumbered(text, ACCOUNT, found);
}

const NAME_REACH = 48;

/** Only what stands within reach of such a name is looked at. */
function findNumbered(text: CountedText, { named, name, number }: Numbered, found: Found): void {
  let at = 0;
  for (let cue = text.next(named, 0); cue !== null; cue = text.next(named, cue.end)) {
    const limit = Math.min(cue.start + NAME_REACH, text.length);
    at = Math.max(at, cue.start);
    while (at < limit) {
      const match = BEGINS[text.code(at)] === 1 ? text.match(number, at) : null;
      if (match !== null && name.test(inWords(text.slice(at - NAME_REACH, at)))) found(at, match.end);
      at = match?.end ?? at + 1;
    }
  }
}

/** `passportNo` as "passport No". */
function inWords(context: string): string {
  return context.replace(/([a-z])(?=[A-Z](?!d\b))/g, "$1 ");
}

const BEGINS = alphabet(/[A-Z0-9]/);
