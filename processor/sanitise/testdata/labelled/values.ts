import { createHash } from "node:crypto";
import type { Entity } from "../../mod.ts";
import { FORMS } from "../phone_sentences.ts";
import type { Draws } from "./draws.ts";
import { luhn, NATIONAL_NUMBERS } from "./national_numbers.ts";

/** One value of each kind, as it is written; valid where validity is defined. */
export const VALUES: Readonly<Record<Entity, (draws: Draws) => string>> = {
  ...NATIONAL_NUMBERS,
  EMAIL_ADDRESS: (d) => {
    const [first, last] = nameOf(d).toLowerCase().split(" ").map((part) => part.replace(/[^a-z]/g, "")) as [
      string,
      string,
    ];
    const local = d.one([`${first}.${last}`, `${first[0]}${last}`, `${last}+news`, `${first}${d.digits(2)}`]);
    return `${local}@${
      d.one(["example.com", "mail.example.org", "firma-beispiel.de", "acme.io", "correo.es", "post.no"])
    }`;
  },
  PHONE_NUMBER: (d) => {
    const { home, abroad } = FORMS[d.one(Object.keys(FORMS))]!;
    return d.one(d.below(2) === 0 ? home : abroad).replace(
      /[#$]/g,
      (sign) => String(sign === "#" ? d.below(10) : 2 + d.below(8)),
    );
  },
  CREDIT_CARD: (d) => {
    const amex = d.below(5) === 0;
    const body = d.one(amex ? ["34", "37"] : ["4", "51", "55", "2223", "6011"]);
    const most = body + d.digits((amex ? 14 : 15) - body.length);
    const n = most + luhn(most);
    const spaced = amex
      ? n.replace(/^(.{4})(.{6})(.{5})$/, "$1 $2 $3")
      : n.replace(/(.{4})(?=.)/g, d.one(["$1 ", "$1-"]));
    return d.one([n, spaced]);
  },
  IBAN_CODE: (d) => {
    const [country, form] = d.one([["DE", 18], ["FR", 23], ["ES", 20], ["AT", 16], ["BE", 12]] as const);
    const bban = d.digits(form);
    const value = BigInt(`${bban}${[...country].map((sign) => sign.charCodeAt(0) - 55).join("")}00`);
    const n = `${country}${String(98n - value % 97n).padStart(2, "0")}${bban}`;
    return d.one([n, n.replace(/(.{4})(?=.)/g, "$1 ")]);
  },
  US_SSN: (d) => {
    const area = d.one(["219", "457", "536", "078", "612"]);
    return `${area}-${d.two(10, 89)}-${1000 + d.below(8999)}`;
  },
  US_ITIN: (d) => `9${d.two(10, 99)}-${d.one(["70", "72", "78", "81", "90", "94"])}-${1000 + d.below(8999)}`,
  IP_ADDRESS: (d) =>
    d.below(4) === 0
      ? d.one([
        `2a02:${d.hex(3)}f:${d.hex(4)}::${1 + d.below(9)}${d.hex(2)}`,
        `2001:db8:${d.hex(4)}:${d.hex(4)}:${d.hex(4)}:${d.hex(4)}:${d.hex(4)}:${d.hex(4)}`,
      ])
      : `${d.one([31, 45, 81, 93, 142, 185, 203])}.${d.below(256)}.${d.below(256)}.${1 + d.below(254)}`,
  MAC_ADDRESS: (d) => {
    const pairs = Array.from({ length: 6 }, () => d.hex(2));
    const joined = d.one([pairs.join(":"), pairs.join("-")]);
    return d.one([joined, joined.toUpperCase()]);
  },
  CRYPTO: (d) =>
    d.one([`0x${d.hex(40)}`, base58Check(d), `bc1q${d.of("023456789acdefghjklmnpqrstuvwxyz", 38)}`]),
  API_KEY: (d) =>
    d.one([
      () => `AKIA${d.of("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)}`,
      () => `ghp_${d.alnum(36)}`,
      () => `sk_live_${d.alnum(24)}`,
      () => `AIza${d.alnum(35)}`,
      () => d.alnum(32),
      () => d.alnum(20),
      () => d.hex(32),
      () => d.hex(40),
      () => d.of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", 28),
    ])(),
  JWT: (d) =>
    `eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.${base64url(`{"sub":"${d.digits(9)}","iat":17${d.digits(8)}}`)}.${
      d.alnum(43)
    }`,
  PRIVATE_KEY: (d) => {
    const kind = d.one(["RSA PRIVATE KEY", "PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY"]);
    const lines = Array.from({ length: 4 }, () => d.alnum(64));
    return [`-----BEGIN ${kind}-----`, ...lines, `${d.alnum(42)}==`, `-----END ${kind}-----`].join("\n");
  },
  PASSWORD: (d) => {
    const word = d.one(["Winter", "dragon", "Berlin", "monkey", "Sommer", "liverpool", "Tiger", "qwerty"]);
    return d.one([
      () => `${word}${d.digits(4)}${d.one(["!", "", "#"])}`,
      () => d.alnum(10),
      () => d.alnum(16),
      () => `${word}_${d.of("abcdefghkmnp23456789!$%", 6)}`,
      () => `${d.alnum(4)}-${d.alnum(4)}-${d.alnum(4)}`,
      () => d.of("abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789@#%^*", 14),
    ])();
  },
  US_PASSPORT: (d) => d.one([d.digits(9), `A${d.digits(8)}`]),
  US_DRIVER_LICENSE: (d) =>
    d.one([`${d.one([..."BDFKNRSY"])}${d.digits(7)}`, `S${d.digits(12)}`, d.digits(8)]),
  US_BANK_NUMBER: (d) => d.digits(9 + d.below(4)),
  PERSON: nameOf,
};

const FIRST = [
  "Maria",
  "John",
  "Anna",
  "Karim",
  "Lucía",
  "Pieter",
  "Jürgen",
  "Chloé",
  "Giulia",
  "Priya",
  "Tomasz",
];
const LAST = [
  "Schmidt",
  "O'Neill",
  "Garcia",
  "Dubois",
  "Rossi",
  "Kowalski",
  "Andersson",
  "Patel",
  "de Vries",
];

function nameOf(d: Draws): string {
  return `${d.one(FIRST)} ${d.one(LAST)}`;
}

function base64url(text: string): string {
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

const BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/** A bitcoin address of the oldest kind, with its checksum. */
function base58Check(d: Draws): string {
  const body = `00${d.hex(40)}`;
  const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();
  const sum = sha256(sha256(Uint8Array.from(body.match(/../g)!, (pair) => parseInt(pair, 16)))).toString(
    "hex",
  );
  let value = BigInt(`0x${body}${sum.slice(0, 8)}`);
  let out = "";
  for (; value > 0n; value /= 58n) out = BASE58[Number(value % 58n)] + out;
  return `1${out}`;
}
