import { passesLuhn } from "../checks.ts";

/**
 * What makes the numbers that states give their people valid: check digits, and the dates in them. All take the digits
 * (and letters, upper case) alone, are pure, and look at no more than 18 characters.
 */

/** The digits' sum by these weights, from the first digit on. */
function weighed(digits: string, weights: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < weights.length; i++) sum += weights[i]! * (digits.charCodeAt(i) - 48);
  return sum;
}

function isSame(digits: string): boolean {
  return digits === digits[0]!.repeat(digits.length);
}

/** `YYYY` or `YY`, then month and day of a calendar; February is taken to have 29 days. */
function isDay(month: number, day: number): boolean {
  return month >= 1 && month <= 12 && day >= 1 &&
    day <= [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]!;
}

function isDayAt(digits: string, at: number): boolean {
  return isDay(Number(digits.slice(at, at + 2)), Number(digits.slice(at + 2, at + 4)));
}

/** UK: ten digits, mod 11 (NHS Data Dictionary). */
export function isNhsNumber(digits: string): boolean {
  const check = 11 - weighed(digits, [10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
  return check !== 10 && check % 11 === Number(digits[9]) && !isSame(digits);
}

/** UK: prefixes that are given out, six digits, A to D (HMRC NIM39110). */
export function isNationalInsuranceNumber(written: string): boolean {
  return /^(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]$/.test(written);
}

const DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE";

/** Spain: eight digits and the letter of their remainder by 23; a foreigner's begins with X, Y or Z. */
export function isDni(written: string): boolean {
  const digits = written.slice(0, -1).replace(/^[XYZ]/, (letter) => String("XYZ".indexOf(letter)));
  return /^\d{8}$/.test(digits) && DNI_LETTERS[Number(digits) % 23] === written.slice(-1) &&
    Number(digits) > 0;
}

/** By character, 0–9 and A–Z: its value in an odd place of an Italian tax code (DM 23 December 1976). */
const ODD = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];

/** Italy: sixteen characters, the last one a check letter; digits may be replaced by letters where two people share one. */
export function isFiscalCode(written: string): boolean {
  const form = /^[A-Z]{6}[\dLMNP-V]{2}[ABCDEHLMPRST][\dLMNP-V]{2}[A-Z][\dLMNP-V]{3}[A-Z]$/;
  if (!form.test(written)) return false;
  let sum = 0;
  for (let i = 0; i < 15; i++) {
    const code = written.charCodeAt(i);
    const value = code < 58 ? code - 48 : code - 65;
    sum += i % 2 === 0 ? ODD[value]! : value;
  }
  return sum % 26 === written.charCodeAt(15) - 65;
}

/** France: sex, year, month, place, serial, and a key by 97 (INSEE); Corsica's places have a letter. */
export function isNir(written: string): boolean {
  const month = Number(written.slice(3, 5));
  if (!/^[12]\d{4}(?:\d\d|2[AB])\d{8}$/.test(written) || !(month <= 12 && month >= 1 || month >= 20)) {
    return false;
  }
  const island = written[6] === "A" ? 1_000_000 : written[6] === "B" ? 2_000_000 : 0;
  const number = Number(written.slice(0, 13).replace(/[AB]/, "0")) - island;
  return 97 - number % 97 === Number(written.slice(13));
}

/** Germany: eleven digits by ISO 7064 mod 11,10; of the first ten one or two come twice or three times. */
export function isGermanTaxId(digits: string): boolean {
  if (digits[0] === "0" || !isChecked(digits)) return false;
  const different = new Set(digits.slice(0, 10)).size;
  return different === 9 || different === 8;
}

function isChecked(digits: string): boolean {
  let product = 10;
  for (let i = 0; i < digits.length - 1; i++) {
    const sum = (digits.charCodeAt(i) - 48 + product) % 10 || 10;
    product = sum * 2 % 11;
  }
  return (11 - product) % 10 === Number(digits.at(-1));
}

/** Netherlands: nine digits by the eleven test. */
export function isBsn(digits: string): boolean {
  return weighed(digits, [9, 8, 7, 6, 5, 4, 3, 2, -1]) % 11 === 0 && !isSame(digits);
}

/** Sweden: a day of birth, a serial and Luhn over the last ten; a coordination number has 60 added to its day. */
export function isPersonnummer(digits: string): boolean {
  const short = digits.slice(-10);
  const day = Number(short.slice(4, 6));
  if (digits.length === 12 && !/^(?:18|19|20)/.test(digits)) return false;
  return isDay(Number(short.slice(2, 4)), day > 60 ? day - 60 : day) && passesLuhn(short);
}

/** Poland: a day of birth whose month tells the century, a serial and a check digit. */
export function isPesel(digits: string): boolean {
  const sum = weighed(digits, [1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]);
  return sum % 10 === 0 && isDay(Number(digits.slice(2, 4)) % 20, Number(digits.slice(4, 6)));
}

/** Brazil: a person's eleven digits, the last two each by 11. */
export function isCpf(digits: string): boolean {
  return !isSame(digits) && isCheckedBy11(digits, [10, 9, 8, 7, 6, 5, 4, 3, 2]) &&
    isCheckedBy11(digits, [11, 10, 9, 8, 7, 6, 5, 4, 3, 2]);
}

/** Brazil: a firm's fourteen digits, the last two each by 11. */
export function isCnpj(digits: string): boolean {
  return !isSame(digits) && isCheckedBy11(digits, [5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2]) &&
    isCheckedBy11(digits, [6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2]);
}

/** Whether the digit behind the weighed ones is theirs. */
function isCheckedBy11(digits: string, weights: readonly number[]): boolean {
  return weighed(digits, weights) * 10 % 11 % 10 === Number(digits[weights.length]);
}

/** Verhoeff's check: the dihedral group of order ten, and the permutation per place. */
const DIHEDRAL =
  "0123456789123406789523401789563401289567401239567859876043216598710432765982104387659321049876543210";
const PERMUTED = "01234567891576283094580379614289160435279453126870428657390127938064157046913258";

/** India: twelve digits by Verhoeff's check. */
export function isAadhaar(digits: string): boolean {
  if (/^[01]/.test(digits)) return false;
  let check = 0;
  for (let i = 0; i < digits.length; i++) {
    const digit = digits.charCodeAt(digits.length - 1 - i) - 48;
    check = Number(DIHEDRAL[check * 10 + Number(PERMUTED[i % 8 * 10 + digit])]);
  }
  return check === 0;
}

/** India: five letters, the fourth of which is the kind of holder, four digits and a letter; it has no check digit. */
export function isPan(written: string): boolean {
  return /^[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z]$/.test(written);
}

/** Australia: eight or nine digits by 11. */
export function isTaxFileNumber(digits: string): boolean {
  const weights = digits.length === 8 ? [10, 7, 8, 4, 6, 3, 5, 1] : [1, 4, 3, 7, 5, 8, 6, 9, 10];
  return weighed(digits, weights) % 11 === 0 && !isSame(digits);
}

/** Australia: a card's eight digits, their check digit, its issue, and perhaps the person on it. */
export function isMedicareNumber(digits: string): boolean {
  return /^[2-6]/.test(digits) && weighed(digits, [1, 3, 7, 9, 1, 3, 7, 9]) % 10 === Number(digits[8]);
}

/** Canada: nine digits by Luhn; none begins with 8, and 0 is for examples. */
export function isSocialInsuranceNumber(digits: string): boolean {
  return /^[^8]/.test(digits) && passesLuhn(digits) && !isSame(digits);
}

/** By the first letter: check letters by remainder, and what is added before dividing. */
const NRIC: Readonly<Record<string, readonly [letters: string, added: number]>> = {
  S: ["JZIHGFEDCBA", 0],
  T: ["JZIHGFEDCBA", 4],
  F: ["XWUTRQPNMLK", 0],
  G: ["XWUTRQPNMLK", 4],
  M: ["XWUTRQPNJLK", 3],
};

/** Singapore: a letter for kind and century, seven digits and a check letter. */
export function isNric(written: string): boolean {
  const row = NRIC[written[0]!];
  if (row === undefined) return false;
  const sum = weighed(written.slice(1, 8), [2, 7, 6, 5, 4, 3, 2]);
  return row[0][(sum + row[1]) % 11] === written[8];
}

/** South Korea: a day of birth, sex and century, and a check digit by 11 (given out until 2020). */
export function isResidentRegistration(digits: string): boolean {
  const check = (11 - weighed(digits, [2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]) % 11) % 10;
  return isDayAt(digits, 2) && /^[1-8]$/.test(digits[6]!) && check === Number(digits[12]);
}

/** China: place, day of birth, serial, and a check digit by ISO 7064 mod 11,2 (GB 11643). */
export function isChineseResident(written: string): boolean {
  if (!/^[1-8]\d{5}(?:19|20)\d{9}[\dX]$/.test(written) || !isDayAt(written, 10)) return false;
  const sum = weighed(written, [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]);
  return "10X98765432"[sum % 11] === written[17];
}
