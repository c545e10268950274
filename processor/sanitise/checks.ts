/** Checksums and measures that tell a real number or key from one that only looks like it. All are pure and linear. */

/** The Luhn check of payment cards (ISO/IEC 7812-1); `digits` holds ASCII digits only. */
export function passesLuhn(digits: string): boolean {
  let sum = 0;
  for (let i = digits.length - 1, twice = false; i >= 0; i--, twice = !twice) {
    const digit = digits.charCodeAt(i) - 48;
    sum += twice ? (digit > 4 ? digit * 2 - 9 : digit * 2) : digit;
  }
  return sum % 10 === 0;
}

/** The mod-97 check of ISO 13616 (IBAN); `iban` holds upper-case letters and digits only. */
export function passesMod97(iban: string): boolean {
  let remainder = 0;
  for (let i = 0; i < iban.length; i++) {
    const code = iban.charCodeAt((i + 4) % iban.length);
    remainder = code < 58 ? (remainder * 10 + code - 48) % 97 : (remainder * 100 + code - 55) % 97;
  }
  return remainder === 1;
}

/** Whether nine digits can be a US social security number: area, group and serial that have been given out. */
export function isSocialSecurityNumber(digits: string): boolean {
  const area = digits.slice(0, 3);
  return digits.length === 9 && area !== "000" && area !== "666" && area < "900" &&
    digits.slice(3, 5) !== "00" && digits.slice(5) !== "0000";
}

/** Whether nine digits can be a US individual taxpayer number (IRS: 9xx, group 50–65, 70–88, 90–92, 94–99). */
export function isTaxpayerNumber(digits: string): boolean {
  const group = Number(digits.slice(3, 5));
  return digits.length === 9 && digits.startsWith("9") &&
    ((group >= 50 && group <= 65) || (group >= 70 && group <= 88) ||
      (group >= 90 && group <= 99 && group !== 93));
}

/** What {@link entropy} looks at of a longer text. */
const ENTROPY_UNITS_MAX = 128;
const counts = new Uint8Array(128);

/** Shannon entropy of the first 128 characters, in bits per character; all beyond ASCII count as one. 0 for no text. */
export function entropy(text: string): number {
  const length = Math.min(text.length, ENTROPY_UNITS_MAX);
  counts.fill(0);
  let first = 127, last = 0;
  for (let i = 0; i < length; i++) {
    const code = Math.min(text.charCodeAt(i), 127);
    counts[code]!++;
    if (code < first) first = code;
    if (code > last) last = code;
  }
  let bits = 0;
  for (let code = first; code <= last; code++) {
    const count = counts[code]!;
    if (count > 0) bits -= count / length * Math.log2(count / length);
  }
  return bits;
}

/** How many ASCII digits the text holds. */
export function countDigits(text: string): number {
  let count = 0;
  for (let i = 0; i < text.length; i++) if (isDigit(text.charCodeAt(i))) count++;
  return count;
}

/** The text's ASCII digits, in order. */
export function digitsOf(text: string): string {
  return text.replace(/\D+/g, "");
}

export function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

/** Whether a UTF-16 unit is an ASCII letter, a digit or `_`; NaN (beyond the text) is not. */
export function isWord(code: number): boolean {
  return isDigit(code) || (code >= 65 && code <= 90) || (code >= 97 && code <= 122) || code === 95;
}
