import { findCards, findIbans, findSocialSecurity, findTaxpayers } from "./numbers.ts";
import {
  CREDENTIAL_CUES,
  findCredentials,
  findForeignPasswords,
  findNamedKeys,
  findUrlPasswords,
  FOREIGN_PASSWORD_CUES,
} from "./credentials.ts";
import { findWallets } from "./crypto.ts";
import type { CountedText } from "./counted_text.ts";
import { COLUMN_BITS, createCues } from "./cues.ts";
import { DOCUMENT_CUES, findBankAccounts, findDriverLicences, findPassports } from "./documents.ts";
import { findEmails, findSpelledEmails, SPELLED_CUES } from "./emails.ts";
import { findJwts, findKeys, findKeyShapes, findPrivateKeys } from "./keys.ts";
import { findIpv4, findIpv6, findMacs } from "./network.ts";
import { findEastAsianIntroductions, findIntroductions, INTRODUCTION_CUES } from "./people.ts";
import { findNumberColumns } from "./persons/columns.ts";
import { findPersonNumbers } from "./persons/find.ts";
import { PERSON_ENTITIES, PERSON_NUMBER_CUES } from "./persons/kinds.ts";
import { findPhones } from "./phones/find.ts";
import { APART_CUES, findManifestSecrets, findPasswordFiles } from "./secrets/apart.ts";
import { ARMOUR_CUES, findArmouredKeys } from "./secrets/armour.ts";
import { COMMAND_CUES, findCommandPasswords } from "./secrets/command_lines.ts";
import { COOKIE_CUES, findCookies } from "./secrets/cookies.ts";
import { findPlacedPasswords, POSITION_CUES } from "./secrets/positions.ts";
import { findTableSecrets } from "./secrets/tables.ts";

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
  /** Longest stretch of letters, digits and `_-./+=$`, in UTF-16 units. */
  readonly stretch: number;
  /** Most digits with nothing but spaces and signs of numbers between them. */
  readonly dense: number;
  /** Longest stretch of digits. */
  readonly solid: number;
  /** Colons and dashes. */
  readonly joints: number;
  readonly at: boolean;
  readonly colon: boolean;
  readonly ascii: boolean;
  /** Nothing but printable ASCII, tabs and line ends: folds to itself, and has nothing to strip. */
  readonly plain: boolean;
  /** Bits of {@link CUE}: which words it may hold, in any case. */
  readonly cues: number;
};

/** One bit for each list of {@link CUES}. */
const CUE = {
  credential: 1,
  foreignPassword: 2,
  introduction: 4,
  spelledEmail: 8,
  document: 16,
  command: 32,
  position: 64,
  apart: 128,
  personNumber: 256,
} as const;
/** Lists that lack the words with letters beyond ASCII: a text with such letters may hold any of them. */
const ASCII_ONLY = CUE.foreignPassword | CUE.introduction;
const CUES = createCues([
  CREDENTIAL_CUES,
  FOREIGN_PASSWORD_CUES,
  INTRODUCTION_CUES,
  SPELLED_CUES,
  DOCUMENT_CUES,
  COMMAND_CUES,
  POSITION_CUES,
  [...APART_CUES, ...ARMOUR_CUES, ...COOKIE_CUES],
  PERSON_NUMBER_CUES,
]);

/** Reports where something stands, in units of the text it was given. */
export type Report = (entity: Entity, start: number, end: number) => void;

/**
 * One kind of personal data. Rules run in the order of the table, and what one has found is hidden from the next: the
 * order is the priority. `when` is cheap and says no to most texts.
 */
export type Rule = {
  readonly name: string;
  readonly when: (traits: Traits, text: CountedText) => boolean;
  readonly find: (text: CountedText, report: Report) => void;
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
    when: (t, text) => t.stretch >= 5 && text.includes("-----BEGIN"),
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
    when: (t) => t.stretch >= 12 && t.digits > 0,
    find: one("API_KEY", findKeyShapes),
  },
  {
    name: "password in an address",
    when: (t, text) => t.at && t.colon && text.includes("://"),
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
      (t.cues & (CUE.credential | CUE.foreignPassword)) !== 0 &&
      (text.includes("\n") || text.includes("INSERT ") || text.includes("insert ")),
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
    find: (text, report) => findCredentials(text, named(report)),
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
    when: (t, text) => t.dense >= 6 && text.includes("\n"),
    find: findNumberColumns,
  },
  { name: "e-mail address", when: (t) => t.at, find: one("EMAIL_ADDRESS", findEmails) },
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
    when: (t) => t.joints >= 5 || t.stretch >= 14,
    find: one("MAC_ADDRESS", findMacs),
  },
  {
    name: "IPv6 address",
    when: (t, text) => t.joints >= 7 || t.colon && text.includes("::"),
    find: one("IP_ADDRESS", findIpv6),
  },
  { name: "IPv4 address", when: (t) => t.dense >= 4 && t.stretch >= 7, find: one("IP_ADDRESS", findIpv4) },
  { name: "wallet", when: (t) => t.stretch >= 26, find: one("CRYPTO", findWallets) },
  {
    name: "passport",
    when: (t) => t.dense >= 6 && (t.cues & CUE.document) !== 0,
    find: one("US_PASSPORT", findPassports),
  },
  {
    name: "driver licence",
    when: (t) => t.dense >= 3 && (t.cues & CUE.document) !== 0,
    find: one("US_DRIVER_LICENSE", findDriverLicences),
  },
  {
    name: "bank account",
    when: (t) => t.dense >= 8 && (t.cues & CUE.document) !== 0,
    find: one("US_BANK_NUMBER", findBankAccounts),
  },
  { name: "telephone number", when: (t) => t.dense >= 4, find: one("PHONE_NUMBER", findPhones) },
  {
    name: "introduction",
    when: (t) => (t.cues & CUE.introduction) !== 0,
    find: one("PERSON", findIntroductions),
  },
  { name: "East Asian introduction", when: (t) => !t.ascii, find: one("PERSON", findEastAsianIntroductions) },
];

/** Bits of {@link CLASS}. */
const DIGIT = 1, STRETCH = 2, NUMERIC = 4, JOINT = 8, AT = 16, ESCAPE = 32, COLON = 64, CONTROL = 128;
const CLASS = Uint8Array.from({ length: 128 }, (_, code) => {
  const character = String.fromCharCode(code);
  return (/[0-9]/.test(character) ? DIGIT : 0) | (/[A-Za-z0-9_\-./+=$]/.test(character) ? STRETCH : 0) |
    (/[-0-9 ().\/+]/.test(character) ? NUMERIC : 0) | (/[:-]/.test(character) ? JOINT : 0) |
    (character === "@" ? AT : 0) | (/[%&\\]/.test(character) ? ESCAPE : 0) | (character === ":" ? COLON : 0) |
    (/[^\t\n\r\x20-\x7e]/.test(character) ? CONTROL : 0);
});

/** Counts a folded text's {@link Traits} in one pass. */
export function traitsOf(text: string): Traits {
  const { columnOf, next, bits } = CUES;
  let digits = 0,
    stretch = 0,
    run = 0,
    dense = 0,
    together = 0,
    solid = 0,
    joints = 0,
    seen = 0,
    ascii = true;
  let state = 0, cues = 0, digitsFrom = 0, digitsEnd = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 127) {
      ascii = false;
      run = together = state = 0;
      continue;
    }
    const kind = CLASS[code]!;
    seen |= kind;
    state = next[state + columnOf[code]!]!;
    cues |= bits[state >> COLUMN_BITS]!;
    if ((kind & STRETCH) === 0) run = 0;
    else if (++run > stretch) stretch = run;
    if ((kind & (DIGIT | JOINT)) !== 0) {
      digits += kind & DIGIT;
      joints += (kind & JOINT) >> 3;
      together += kind & DIGIT;
      if (together > dense) dense = together;
      if ((kind & DIGIT) !== 0) {
        if (digitsEnd !== i) digitsFrom = i;
        digitsEnd = i + 1;
        if (digitsEnd - digitsFrom > solid) solid = digitsEnd - digitsFrom;
      }
    }
    if ((kind & NUMERIC) === 0) together = 0;
  }
  return {
    digits,
    stretch,
    dense,
    solid,
    joints,
    at: (seen & AT) !== 0 || (seen & ESCAPE) !== 0 && /%40|&#|&commat|\\[ux]0{0,2}40/i.test(text),
    colon: (seen & COLON) !== 0,
    ascii,
    plain: ascii && (seen & CONTROL) === 0,
    cues: ascii ? cues : cues | ASCII_ONLY,
  };
}
