import { findCards, findIbans, findSocialSecurity, findTaxpayers } from "./numbers.ts";
import {
  CREDENTIAL_CUES,
  findCredentials,
  findForeignPasswords,
  findUrlPasswords,
  FOREIGN_PASSWORD_CUES,
  FOREIGN_PASSWORD_LETTERS,
} from "./credentials.ts";
import { findWallets } from "./crypto.ts";
import { alphabet, type CountedText, LONG_MIN, type Longs, type Runs } from "./counted_text.ts";
import { COLUMN_BITS, createCues } from "./cues.ts";
import {
  ACCOUNT_CUES,
  findBankAccounts,
  findDriverLicences,
  findPassports,
  LICENCE_CUES,
  PASSPORT_CUES,
} from "./documents.ts";
import { ESCAPED_AT_CUES, findEmails, findSpelledEmails, SPELLED_CUES } from "./emails.ts";
import { findJwts, findKeys, findKeyShapes, findPrivateKeys, SHAPE_CUES, SHAPE_STRETCH } from "./keys.ts";
import { findIpv4, findIpv6, findMacs } from "./network.ts";
import {
  EAST_ASIAN_LETTERS,
  findEastAsianIntroductions,
  findIntroductions,
  INTRODUCTION_CUES,
  INTRODUCTION_LETTERS,
} from "./people.ts";
import { COLUMN_CUES, findNumberColumns } from "./persons/columns.ts";
import { findPersonNumbers } from "./persons/find.ts";
import { PERSON_ENTITIES, PERSON_NUMBER_CUES } from "./persons/kinds.ts";
import { findPhones } from "./phones/find.ts";
import { APART_CUES, findManifestSecrets, findPasswordFiles } from "./secrets/apart.ts";
import { ARMOUR_CUES, findArmouredKeys } from "./secrets/armour.ts";
import { COMMAND_CUES, findCommandPasswords } from "./secrets/command_lines.ts";
import { COOKIE_CUES, findCookies } from "./secrets/cookies.ts";
import { findNamedKeys } from "./secrets/named_keys.ts";
import { findPlacedPasswords, POSITION_CUES } from "./secrets/positions.ts";
import { findTableSecrets, TITLE_CUES } from "./secrets/tables.ts";

/** What a placeholder can stand for; names are Presidio's where it has one. */
export const ENTITIES = [
  "EMAIL_ADDRESS",
  "PHONE_NUMBER",
  "CREDIT_CARD",
  "IBAN_CODE",
  "US_SSN",
  "US_ITIN",
  "IP_ADDRESS",
  "MAC_ADDRESS",
  "CRYPTO",
  "API_KEY",
  "JWT",
  "PRIVATE_KEY",
  "PASSWORD",
  "US_PASSPORT",
  "US_DRIVER_LICENSE",
  "US_BANK_NUMBER",
  "PERSON",
  ...PERSON_ENTITIES,
] as const;
export type Entity = typeof ENTITIES[number];

/** What a text holds at all, counted once, so that most rules need not look at it. */
export type Traits = {
  readonly digits: number;
  /** Where its stretches of digits stand. */
  readonly runs: Runs;
  readonly longs: Longs;
  /** Where words of the first list of {@link CUES} begin. */
  readonly stems: readonly number[];
  /** Longest stretch of letters, digits and `_-./+=$~`, in UTF-16 units; 0 where none has 12. */
  readonly stretch: number;
  /** Most digits with nothing but spaces and signs of numbers between them. */
  readonly dense: number;
  /** Longest stretch of digits. */
  readonly solid: number;
  /** Bits of {@link SIGN}. */
  readonly signs: number;
  readonly ascii: boolean;
  /** Nothing but printable ASCII, tabs and line ends: folds to itself, and has nothing to strip. */
  readonly plain: boolean;
  /** Bits of {@link CUE}: which words it may hold, in any case. */
  readonly cues: number;
};

/** Signs, alone and at distances. */
const SIGN = {
  /** `@`, or what may stand for one. */
  at: 1,
  colon: 2,
  newline: 4,
  /** Three full stops with at most three characters between each two. */
  dotted: 8,
  /** Five colons or dashes with two characters between each two, or two full stops with four. */
  pairs: 16,
  /** Six colons with at most four characters between each two, or two that stand together. */
  colons: 32,
} as const;
const AT_AND_COLON = SIGN.at | SIGN.colon;

/** One bit for each list of {@link CUES}. */
const CUE = {
  credential: 1,
  foreignPassword: 2,
  introduction: 4,
  spelledEmail: 8,
  passport: 16,
  licence: 32,
  account: 64,
  command: 128,
  position: 256,
  apart: 512,
  personNumber: 1024,
  title: 2048,
  escapedAt: 4096,
  column: 8192,
  shape: 16_384,
  eastAsian: 32_768,
} as const;
const CUES = createCues([
  CREDENTIAL_CUES,
  FOREIGN_PASSWORD_CUES,
  INTRODUCTION_CUES,
  SPELLED_CUES,
  PASSPORT_CUES,
  LICENCE_CUES,
  ACCOUNT_CUES,
  COMMAND_CUES,
  POSITION_CUES,
  [...APART_CUES, ...ARMOUR_CUES, ...COOKIE_CUES, "-----begin"],
  PERSON_NUMBER_CUES,
  TITLE_CUES,
  ESCAPED_AT_CUES,
  COLUMN_CUES,
  SHAPE_CUES,
]);
/** By UTF-16 unit beyond ASCII: the lists one of whose words may hold it, for words that have no cue in ASCII. */
const BEYOND = new Uint16Array(65_536);
const BEYOND_ASCII = 65_536;
for (
  const [letters, bit] of [
    [FOREIGN_PASSWORD_LETTERS, CUE.foreignPassword],
    [INTRODUCTION_LETTERS, CUE.introduction],
    [EAST_ASIAN_LETTERS, CUE.eastAsian],
  ] as const
) {
  for (const letter of letters.toLowerCase() + letters.toUpperCase()) BEYOND[letter.charCodeAt(0)]! |= bit;
}

/** What has been hidden since the rule last ran, in order; null where it runs for the first time. */
export type Hidden = () => readonly { readonly start: number; readonly end: number }[] | null;

/** Reports where something stands, in units of the text it was given. */
export type Report = (entity: Entity, start: number, end: number) => void;

/**
 * One kind of personal data. Rules run in the order of the table, and what one has found is hidden from the next: the
 * order is the priority. `when` is cheap and says no to most texts.
 */
export type Rule = {
  readonly name: string;
  readonly when: (traits: Traits, text: CountedText) => boolean;
  readonly find: (text: CountedText, report: Report, traits: Traits, hidden: Hidden) => void;
};

type Finder = (text: CountedText, found: (start: number, end: number) => void) => void;

function one(entity: Entity, finder: Finder): Rule["find"] {
  return (text, report) => finder(text, (start, end) => report(entity, start, end));
}

/** For finders that tell by a name what they found. */
function named(report: Report) {
  return {
    password: (start: number, end: number) => report("PASSWORD", start, end),
    key: (start: number, end: number) => report("API_KEY", start, end),
  };
}

export const RULES: readonly Rule[] = [
  {
    name: "private key",
    when: (t) => (t.cues & CUE.apart) !== 0,
    find: one("PRIVATE_KEY", findPrivateKeys),
  },
  {
    name: "private key in other armour",
    when: (t) => t.stretch >= 16 && (t.cues & CUE.apart) !== 0,
    find: one("PRIVATE_KEY", findArmouredKeys),
  },
  {
    name: "JSON web token",
    when: (t, text) => t.stretch >= 16 && text.includes("eyJ"),
    find: one("JWT", findJwts),
  },
  { name: "key with a provider's prefix", when: (t) => t.stretch >= 16, find: one("API_KEY", findKeys) },
  {
    name: "key with a provider's shape",
    when: (t) =>
      t.digits > 0 && (t.stretch >= SHAPE_STRETCH || t.stretch >= 12 && (t.cues & CUE.shape) !== 0),
    find: (text, report, { stretch, cues }) =>
      findKeyShapes(
        text,
        { stretch, cued: (cues & CUE.shape) !== 0 },
        (start, end) => report("API_KEY", start, end),
      ),
  },
  {
    name: "password in an address",
    when: (t, text) => (t.signs & AT_AND_COLON) === AT_AND_COLON && text.includes("://"),
    find: one("PASSWORD", findUrlPasswords),
  },
  {
    name: "password in a command line",
    when: (t) => (t.cues & CUE.command) !== 0,
    find: one("PASSWORD", findCommandPasswords),
  },
  {
    name: "cookie",
    when: (t) => (t.cues & CUE.apart) !== 0,
    find: one("API_KEY", findCookies),
  },
  {
    name: "secret in a manifest",
    when: (t) => (t.cues & CUE.apart) !== 0,
    find: (text, report) => findManifestSecrets(text, named(report)),
  },
  {
    name: "password in a file of passwords",
    when: (t) => (t.cues & CUE.apart) !== 0,
    find: one("PASSWORD", findPasswordFiles),
  },
  {
    name: "column of credentials",
    when: (t, text) =>
      (t.cues & (CUE.title | CUE.foreignPassword)) !== 0 &&
      ((t.signs & SIGN.newline) !== 0 || text.includes("INSERT ") || text.includes("insert ")),
    find: (text, report) => findTableSecrets(text, named(report)),
  },
  {
    name: "password by its place",
    when: (t) => (t.cues & CUE.position) !== 0,
    find: (text, report) => findPlacedPasswords(text, named(report)),
  },
  {
    name: "credential by its name",
    when: (t) => (t.cues & CUE.credential) !== 0,
    find: (text, report, { stems }, hidden) =>
      findCredentials(text, { stems, hidden: hidden() }, named(report)),
  },
  {
    name: "password in another language",
    when: (t) => (t.cues & CUE.foreignPassword) !== 0 && (!t.ascii || t.digits > 0),
    find: one("PASSWORD", findForeignPasswords),
  },
  {
    name: "key by the words before it",
    when: (t) => t.stretch >= 20 && t.digits >= 2,
    find: one("API_KEY", findNamedKeys),
  },
  {
    name: "column of numbers",
    when: (t) => t.dense >= 6 && (t.signs & SIGN.newline) !== 0 && (t.cues & CUE.column) !== 0,
    find: findNumberColumns,
  },
  { name: "e-mail address", when: (t) => (t.signs & SIGN.at) !== 0, find: one("EMAIL_ADDRESS", findEmails) },
  {
    name: "spelled e-mail address",
    when: (t) => (t.cues & CUE.spelledEmail) !== 0,
    find: one("EMAIL_ADDRESS", findSpelledEmails),
  },
  { name: "IBAN", when: (t) => t.digits >= 9, find: one("IBAN_CODE", findIbans) },
  {
    name: "number of a person by a state",
    when: (t) =>
      t.solid >= 6 || t.dense >= 9 || t.stretch >= 16 && t.digits >= 7 ||
      t.digits >= 4 && (t.cues & CUE.personNumber) !== 0,
    find: findPersonNumbers,
  },
  { name: "payment card", when: (t) => t.dense >= 12, find: one("CREDIT_CARD", findCards) },
  { name: "social security number", when: (t) => t.dense >= 9, find: one("US_SSN", findSocialSecurity) },
  { name: "taxpayer number", when: (t) => t.dense >= 9, find: one("US_ITIN", findTaxpayers) },
  {
    name: "hardware address",
    when: (t) => (t.signs & SIGN.pairs) !== 0,
    find: one("MAC_ADDRESS", findMacs),
  },
  {
    name: "IPv6 address",
    when: (t) => (t.signs & SIGN.colons) !== 0,
    find: one("IP_ADDRESS", findIpv6),
  },
  { name: "IPv4 address", when: (t) => (t.signs & SIGN.dotted) !== 0, find: one("IP_ADDRESS", findIpv4) },
  { name: "wallet", when: (t) => t.stretch >= 26, find: one("CRYPTO", findWallets) },
  {
    name: "passport",
    when: (t) => t.dense >= 6 && (t.cues & CUE.passport) !== 0,
    find: one("US_PASSPORT", findPassports),
  },
  {
    name: "driver licence",
    when: (t) => t.dense >= 3 && (t.cues & CUE.licence) !== 0,
    find: one("US_DRIVER_LICENSE", findDriverLicences),
  },
  {
    name: "bank account",
    when: (t) => t.dense >= 8 && (t.cues & CUE.account) !== 0,
    find: one("US_BANK_NUMBER", findBankAccounts),
  },
  { name: "telephone number", when: (t) => t.dense >= 4, find: one("PHONE_NUMBER", findPhones) },
  {
    name: "introduction",
    when: (t) => (t.cues & CUE.introduction) !== 0,
    find: one("PERSON", findIntroductions),
  },
  {
    name: "East Asian introduction",
    when: (t) => (t.cues & CUE.eastAsian) !== 0,
    find: one("PERSON", findEastAsianIntroductions),
  },
];

/** Whether no rule asks for so little: few digits, no long stretch, nor any sign or cue. */
export function isBare({ cues, signs, stretch, dense, digits }: Traits): boolean {
  return cues === 0 && (signs & ~(SIGN.colon | SIGN.newline)) === 0 && stretch < 16 && dense < 4 &&
    digits < 9;
}

/** By ASCII code: what it is, above the column of the automaton that it leads to. */
const DIGIT = 64,
  DOT = 128,
  JOINT = 256,
  NUMERIC = 512,
  AT = 1024,
  COLON = 2048,
  NEWLINE = 4096,
  CONTROL = 8192;
/** Characters at which more is to be done than to pass over them. */
const STOPS = DIGIT | DOT | JOINT;
const COLUMN = (1 << COLUMN_BITS) - 1;
const CLASS = Uint16Array.from({ length: 128 }, (_, code) => {
  const character = String.fromCharCode(code);
  return CUES.columnOf[code]! | (/[0-9]/.test(character) ? DIGIT : 0) | (character === "." ? DOT : 0) |
    (/[:-]/.test(character) ? JOINT : 0) | (/[-0-9 ().\/+]/.test(character) ? NUMERIC : 0) |
    (character === "@" ? AT : 0) | (character === ":" ? COLON : 0) | (character === "\n" ? NEWLINE : 0) |
    (/[^\t\n\r\x20-\x7e]/.test(character) ? CONTROL : 0);
});
const STRETCH = alphabet(/[A-Za-z0-9_\-./+=$~]/);

const HEX = alphabet(/[0-9A-Fa-f]/);

/** Counts a folded text's {@link Traits} in one pass. */
export function traitsOf(text: string): Traits {
  const { next, bits, lengths, ends } = CUES;
  const runs: number[] = [], stems: number[] = [];
  let seen = 0, signs = 0, beyond = 0, cues = 0, state = 0;
  let digits = 0, together = 0, dense = 0, solid = 0, digitsFrom = -1, digitsEnd = -1;
  let dot = -9, dots = 0, joint = -9, pairs = 0, colon = -9, colons = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 127) {
      beyond |= BEYOND[code]! | BEYOND_ASCII;
      state = 0;
      continue;
    }
    const kind = CLASS[code]!;
    seen |= kind;
    state = next[state << COLUMN_BITS | kind & COLUMN]!;
    if (state >= ends) {
      cues |= bits[state]!;
      if ((bits[state]! & CUE.credential) !== 0) stems.push(i + 1 - lengths[state]!);
    }
    if ((kind & STOPS) === 0) continue;
    if ((kind & DIGIT) !== 0) {
      if (digitsEnd !== i) {
        if (digitsEnd >= 0) {
          runs.push(digitsFrom, digitsEnd);
          if (!isNumeric(text, digitsEnd, i)) together = 0;
        }
        digitsFrom = i;
      }
      digitsEnd = i + 1;
      digits++;
      if (++together > dense) dense = together;
      if (digitsEnd - digitsFrom > solid) solid = digitsEnd - digitsFrom;
    } else if ((kind & DOT) !== 0) {
      dots = i - dot <= 4 ? dots + 1 : 1;
      if (dots === 3) signs |= SIGN.dotted;
      if (i - dot === 5 && HEX[Math.min(text.charCodeAt(i - 1), 128)] === 1) {
        signs |= SIGN.pairs;
      }
      dot = i;
    } else {
      pairs = i - joint === 3 ? pairs + 1 : 1;
      if (pairs === 5) signs |= SIGN.pairs;
      joint = i;
      if ((kind & COLON) === 0) continue;
      colons = i - colon <= 5 ? colons + 1 : 1;
      if (colons === 6 || i - colon === 1) signs |= SIGN.colons;
      colon = i;
    }
  }
  if (digitsEnd >= 0) runs.push(digitsFrom, digitsEnd);
  const longs = longsOf(text);
  let stretch = 0;
  for (let i = 0; i < longs.length; i += 2) stretch = Math.max(stretch, longs[i + 1]! - longs[i]!);
  const ascii = beyond === 0;
  cues |= beyond & ~BEYOND_ASCII;
  return {
    digits,
    runs,
    stems,
    longs,
    stretch,
    dense,
    solid,
    signs: signs | ((seen & AT) !== 0 || (cues & CUE.escapedAt) !== 0 ? SIGN.at : 0) |
      ((seen & COLON) !== 0 ? SIGN.colon : 0) | ((seen & NEWLINE) !== 0 ? SIGN.newline : 0),
    ascii,
    plain: ascii && (seen & CONTROL) === 0,
    cues,
  };
}

function isNumeric(text: string, from: number, to: number): boolean {
  for (let at = from; at < to; at++) {
    const code = text.charCodeAt(at);
    if (code > 127 || (CLASS[code]! & NUMERIC) === 0) return false;
  }
  return true;
}

/** Looks back from every twelfth place, or from as far behind the last sign. */
function longsOf(text: string): number[] {
  const longs = [];
  for (let from = 0, at = LONG_MIN - 1; at < text.length; at = from + LONG_MIN - 1) {
    let start = at + 1;
    while (start > from && STRETCH[Math.min(text.charCodeAt(start - 1), 128)] === 1) start--;
    if (start === from) {
      let end = at + 1;
      while (end < text.length && STRETCH[Math.min(text.charCodeAt(end), 128)] === 1) end++;
      longs.push(start, end);
      start = end + 1;
    }
    from = start;
  }
  return longs;
}
