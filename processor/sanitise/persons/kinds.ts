import * as checks from "./checks.ts";

/** Presidio's names where it has one; `<country>_<name>` elsewhere. */
export const PERSON_ENTITIES = [
  "UK_NHS",
  "UK_NINO",
  "ES_NIF",
  "ES_NIE",
  "IT_FISCAL_CODE",
  "FR_NIR",
  "DE_TAX_ID",
  "NL_BSN",
  "SE_PERSONNUMMER",
  "PL_PESEL",
  "BR_CPF",
  "BR_CNPJ",
  "IN_AADHAAR",
  "IN_PAN",
  "AU_TFN",
  "AU_MEDICARE",
  "CA_SIN",
  "SG_NRIC_FIN",
  "KR_RRN",
  "CN_RESIDENT_ID",
] as const;
export type PersonEntity = typeof PERSON_ENTITIES[number];

/** One country's number of its people. */
export type Kind = {
  readonly entity: PersonEntity;
  /** Lengths of the groups of digits it is written in, any separators: `10 3,3,4`. */
  readonly groups: string;
  /** Whether its last digit may be an X. */
  readonly x?: true;
  readonly isValid: (written: string) => boolean;
  /** What people call it, tried on lower-case words with a space between each two. */
  readonly word: RegExp;
  /** How it is written where no word is needed: hardly anything else is, or fewer than 1 in 10,000 numbers pass. */
  readonly alone?: RegExp;
};

/** Numbers of digits alone, but for a last X. */
export const KINDS: readonly Kind[] = [
  {
    entity: "CN_RESIDENT_ID",
    groups: "18 17 6,8,4 6,8,3",
    x: true,
    isValid: checks.isChineseResident,
    word: /身份证|身份證|居民|resident| id |identity/,
    alone: /^/,
  },
  {
    entity: "BR_CPF",
    groups: "11 3,3,3,2 9,2",
    isValid: checks.isCpf,
    word: / cpf |cadastro de pessoa/,
    alone: /^\d{3}\.\d{3}\.\d{3}-/,
  },
  {
    entity: "BR_CNPJ",
    groups: "14 2,3,3,4,2 8,4,2",
    isValid: checks.isCnpj,
    word: / cnpj |cadastro nacional/,
    alone: /^\d\d\.\d{3}\.\d{3}\/\d{4}-/,
  },
  {
    entity: "FR_NIR",
    groups: "15 13,2 1,2,2,2,3,3,2 1,2,2,2,3,3 1,2,2,3,3,2",
    isValid: checks.isNir,
    word: /sécu|secu|social| nir | insee | nss | insured|assuré/,
    alone: /^\d[ .]\d\d[ .]\d\d[ .]\d[\dAB]/,
  },
  {
    entity: "KR_RRN",
    groups: "13 6,7",
    isValid: checks.isResidentRegistration,
    word: /주민|resident| rrn /,
    alone: /^\d{6}-/,
  },
  {
    entity: "SE_PERSONNUMMER",
    groups: "10 12 6,4 8,4",
    isValid: checks.isPersonnummer,
    word: /person ?n(?:umme)?r | pnr |samordning|personal identity|personal number|swedish/,
    alone: /^19\d{6}-/,
  },
  {
    entity: "UK_NHS",
    groups: "10 3,3,4",
    isValid: checks.isNhsNumber,
    word: / nhs |national health/,
  },
  {
    entity: "AU_MEDICARE",
    groups: "10 11 4,5,1 4,5,1,1 4,5,2",
    isValid: checks.isMedicareNumber,
    word: /medicare/,
  },
  {
    entity: "DE_TAX_ID",
    groups: "11 2,3,3,3 2,3,6 2,9",
    isValid: checks.isGermanTaxId,
    word: /steuer| idnr | id nr | tin |tax id|identifikationsn/,
  },
  { entity: "PL_PESEL", groups: "11 6,5", isValid: checks.isPesel, word: /pesel/ },
  {
    entity: "IN_AADHAAR",
    groups: "12 4,4,4",
    isValid: checks.isAadhaar,
    word: /aadh?aa?r|adhaar|uidai| uid |आधार|ఆధార్|ஆதார்|ಆಧಾರ್|ആധാർ|আধার/,
  },
  {
    entity: "NL_BSN",
    groups: "9 4,2,3 3,3,3 4,3,2 2,3,4",
    isValid: checks.isBsn,
    word: / bsn |burger ?service|sofi ?n|citizen service/,
  },
  {
    entity: "AU_TFN",
    groups: "8 9 3,3,3 3,3,2 2,3,3",
    isValid: checks.isTaxFileNumber,
    word: / tfn |tax file/,
  },
  {
    entity: "CA_SIN",
    groups: "9 3,3,3",
    isValid: checks.isSocialInsuranceNumber,
    word: / sin |social insurance|assurance sociale| nas /,
  },
];

/** A number that holds letters, in upper case. */
export type LetteredKind = {
  readonly entity: PersonEntity;
  /** Characters before its first digit: where in it a digit is met. */
  readonly lead: number;
  /** All of it; the longest has 24 characters. */
  readonly shape: RegExp;
  readonly isValid: (written: string) => boolean;
  readonly word: RegExp;
  /** How it is written where no word is needed. */
  readonly alone?: RegExp;
};

const NINO = {
  entity: "UK_NINO",
  shape: /^[A-Z]{2}(?: \d\d \d\d \d\d |-\d\d-\d\d-\d\d-| ?\d{6} ?)[A-D]/,
  isValid: checks.isNationalInsuranceNumber,
  word: / nino |national insurance| ni n|insurance n/,
  alone: /^\w+$/,
} as const;
const FISCAL_CODE = {
  entity: "IT_FISCAL_CODE",
  isValid: checks.isFiscalCode,
  word: /fiscale| cf | c f |fiscal code|tax code/,
  alone: /^/,
} as const;

export const LETTERED: readonly LetteredKind[] = [
  {
    entity: "ES_NIF",
    lead: 0,
    shape: /^(?:\d{8}|\d\d\.\d{3}\.\d{3})[ -]?[A-Z]/,
    isValid: (written) => checks.isDni(written) && !/^(?:19|20)\d\d(?:0[1-9]|1[0-2])/.test(written),
    word: / dni | nif |identidad|documento/,
    alone: /^/,
  },
  {
    entity: "FR_NIR",
    lead: 0,
    shape: /^[12] ?\d\d ?\d\d ?2[AB] ?\d{3} ?\d{3} ?\d\d/,
    isValid: checks.isNir,
    word: /sécu|secu|social| nir | insee /,
    alone: /^/,
  },
  {
    entity: "ES_NIE",
    lead: 1,
    shape: /^[XYZ]\d{7}-?[A-Z]/,
    isValid: checks.isDni,
    word: / nie |extranjer/,
    alone: /^/,
  },
  {
    entity: "ES_NIE",
    lead: 2,
    shape: /^[XYZ]-\d{7}-?[A-Z]/,
    isValid: checks.isDni,
    word: / nie |extranjer/,
    alone: /^/,
  },
  {
    entity: "SG_NRIC_FIN",
    lead: 1,
    shape: /^[STFGM]\d{7}[A-Z]/,
    isValid: checks.isNric,
    word: /nric| fin /,
    alone: /^/,
  },
  { ...NINO, lead: 2 },
  { ...NINO, lead: 3 },
  {
    entity: "IN_PAN",
    lead: 5,
    shape: /^[A-Z]{5}\d{4}[A-Z]/,
    isValid: checks.isPan,
    word: / pan |permanent account|income tax/,
  },
  { ...FISCAL_CODE, lead: 6, shape: /^[A-Z]{6}[\dL-V]{2}[A-Z][\dL-V]{2}[A-Z][\dL-V]{3}[A-Z]/ },
  { ...FISCAL_CODE, lead: 8, shape: /^[A-Z]{3} [A-Z]{3} \d\d[A-Z]\d\d [A-Z]\d{3}[A-Z]/ },
];

/** Names of those of them that have fewer than nine digits, and fewer than six in one piece. */
export const PERSON_NUMBER_CUES: readonly string[] = [
  "nino",
  "dni",
  "nif",
  "fiscale",
  "ni n",
  "ni_n",
  "ninum",
  "national insurance",
  "insurance n",
  ...[..." :=_-\"#.'*"].map((sign) => `pan${sign}`),
  "pannum",
  "panno",
  "pancard",
  "permanent account",
  "income tax",
];
