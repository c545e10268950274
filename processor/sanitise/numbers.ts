import {
  digitsOf,
  isSocialSecurityNumber,
  isTaxpayerNumber,
  isWord,
  passesLuhn,
  passesMod97,
} from "./checks.ts";
import { type CountedText, pattern, piece } from "./counted_text.ts";

/**
 * Numbers of payment and of the state: cards, bank accounts, social security. Each is taken only with its checksum or
 * its numbering rule, or with the word that names it right before it.
 */

type Found = (start: number, end: number) => void;

/** Card numbers: 12 to 19 digits, plain or in groups with one kind of separator. */
const CARD = pattern(
  /(?<![\w.\-/+])\d[ -]?\d[ -]?\d[ -]?\d/,
  /(?<![\w.\-/+])\d(?:[ -]?\d){11,18}(?![\w]|[.\-/]\d)/,
  39,
);
const CARD_WORD =
  /card|credit|debit|visa|amex|maestro|diners|discover|master|pay|paid|charge|billing|\bcc\b|\bpan\b|kart|carte|cart[ãa]o|tarjeta|carta|карт|卡|カード|카드/i;
const NOT_A_CARD =
  /(?:imei|iccid|imsi|isbn|ean|upc|gtin|meid|serial|tracking|order|timestamp)[\W_]{0,3}(?:no|number|is|id)?\W{0,4}$/i;

export function findCards(text: CountedText, found: Found): void {
  for (let match = text.find(CARD, 0); match !== null;) {
    const { start, end, text: written } = match;
    const length = cardEnd(written);
    const taken = length > 0 && isCard(text, start, written.slice(0, length));
    if (taken) found(start, start + length);
    const space = written.indexOf(" ");
    match = text.find(CARD, taken ? start + length : space > 0 ? start + space : end);
  }
}

/** Card numbers of an uncommon length need a word before them: as many articles and devices are numbered like that. */
function isCard(text: CountedText, start: number, written: string): boolean {
  const digits = digitsOf(written);
  if (!isCardNumber(digits) || NOT_A_CARD.test(before(text, start, 24))) return false;
  const common = !/^(?:35(?:[01]|2[0-7]|9)|8)/.test(digits) &&
    (digits.length === 15 || digits.length === 16 ||
      (digits.length === 14 && written.length > 14));
  return common || CARD_WORD.test(before(text, start, 80));
}

/** Groups as cards have them: none, 4-4-4-4, 4-6-5, 4-6-4, 4-4-4-4-3, 4-4-5; 0 where they are no card's. */
function cardEnd(written: string): number {
  const groups =
    /^(?:\d{12,19}$|\d{4}([ -])\d{4}\1\d{4}\1\d{4}(?:\1\d{3}(?!\d))?(?!\d)|\d{4}([ -])\d{6}\2\d{4,5}(?!\d)|\d{4}([ -])\d{4}\3\d{4}(?:\3\d)?$)/
      .exec(written);
  return groups?.[0].length ?? 0;
}

/** Issuers' prefixes with their lengths, and Luhn. */
const ISSUERS: readonly (readonly [RegExp, readonly number[]])[] = [
  [/^4/, [13, 16, 19]],
  [/^(?:5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720)/, [16]],
  [/^3[47]/, [15]],
  [/^(?:30[0-5]|309|36|3[89])/, [14, 16]],
  [/^(?:6011|64[4-9]|65|62)/, [16, 17, 18, 19]],
  [/^35/, [16]],
  [/^(?:2131|1800)/, [15]],
  [/^(?:5018|502|503|506|56|57|58|6304|6390|67|0604|604)/, [12, 13, 14, 15, 16, 17, 18, 19]],
  [/^(?:60|81|82|508|353|356|220[0-4]|9792)/, [16]],
];

function isCardNumber(digits: string): boolean {
  if (!ISSUERS.some(([prefix, lengths]) => prefix.test(digits) && lengths.includes(digits.length))) {
    return false;
  }
  return passesLuhn(digits) && !/^(\d)\1+$/.test(digits);
}

/** Length of an IBAN per country (SWIFT's registry). */
const IBAN_LENGTHS: ReadonlyMap<string, number> = new Map(
  ("AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 ES24 FI18 " +
    "FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 " +
    "LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 " +
    "SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30")
    .split(" ").map((row) => [row.slice(0, 2), Number(row.slice(2))] as const),
);
const IBAN_START = piece(/(?<![\p{L}\p{N}])[A-Za-z]{2}\d{2}(?=[ -]?[A-Za-z0-9])/u, 6);

export function findIbans(text: CountedText, found: Found): void {
  const runs = text.runs();
  const whole = text.whole();
  for (let run = 0, floor = 0; run < runs.length; run += 2) {
    const start = runs[run]! - 2;
    if (start < floor || runs[run + 1]! < start + 4 || !isLetter(whole.charCodeAt(start + 1))) continue;
    const match = text.match(IBAN_START, start);
    if (match === null) continue;
    const length = IBAN_LENGTHS.get(match.text.slice(0, 2).toUpperCase());
    const end = length === undefined ? -1 : ibanEnd(text, start, length);
    if (end >= 0) found(start, end);
    floor = end >= 0 ? end : match.end;
  }
}

function isLetter(code: number): boolean {
  return isWord(code) && code >= 65 && code !== 95;
}

/** With hyphens only in fours: other groups are a UUID's, one of some thousands of which passes the check by chance. */
const HYPHENATED_FOURS = /^[A-Za-z0-9]{4}(?:-[A-Za-z0-9]{4}){0,8}(?:-[A-Za-z0-9]{1,4})?$/;

function ibanEnd(text: CountedText, start: number, length: number): number {
  let at = start;
  for (let count = 0; count < length; at++) {
    const code = text.code(at);
    if (isWord(code) && code !== 95) count++;
    else if ((code !== 32 && code !== 45) || !isWord(text.code(at + 1))) return -1;
  }
  if (isWord(text.code(at))) return -1;
  const written = text.slice(start, at);
  if (written.includes("-") && !HYPHENATED_FOURS.test(written)) return -1;
  return passesMod97(written.replace(/[ -]/g, "").toUpperCase()) ? at : -1;
}

const SSN = pattern(
  /(?<![\w.\-/+])\d\d\d[- .]?\d\d[- .]?\d\d/,
  /(?<![\w.\-/+])\d{3}([- .]?)\d{2}\1\d{4}(?![\w]|[.\-/]\d)/,
  13,
);
const SSN_WORD =
  /\bssns?\b|social[ _-]?sec|socialsecurity|\bss ?(?:#|no|number)|\btin\b|taxpayer|seguro social|\bitin\b/i;
const ITIN_WORD = /itins?(?![a-z])|\btin\b|taxpayer|tax (?:id|number)/i;

const ITIN_AFTER = /^[^\n\0]{0,12}\bitin\b/i;

/** Nine digits of the US state; dashed ones speak for themselves, others need the word before them. */
export function findSocialSecurity(text: CountedText, found: Found): void {
  text.each(SSN, ({ start, end, text: written, groups }) => {
    if (!isSocialSecurityNumber(digitsOf(written))) return;
    if (groups[1] === "-" || SSN_WORD.test(before(text, start, 40))) found(start, end);
  });
}

/** US taxpayer numbers of people without a social security number: only with the word before them. */
export function findTaxpayers(text: CountedText, found: Found): void {
  text.each(SSN, ({ start, end, text: written }) => {
    if (!isTaxpayerNumber(digitsOf(written))) return;
    if (ITIN_WORD.test(before(text, start, 40)) || ITIN_AFTER.test(text.slice(end, end + 24))) {
      found(start, end);
    }
  });
}

/** The end of what stands before `at`, without anything before an already replaced value. */
export function before(text: CountedText, at: number, reach: number): string {
  const context = text.slice(at - reach, at);
  return context.slice(context.lastIndexOf("\0") + 1);
}
