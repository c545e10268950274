import { createHash } from "node:crypto";
import { entropy } from "./checks.ts";
import { type CountedText, pattern } from "./counted_text.ts";
import { before } from "./numbers.ts";

type Found = (start: number, end: number) => void;

const BECH32 = pattern(
  /(?<![A-Za-z0-9])(?:bc1|tb1|ltc1)/,
  /(?<![A-Za-z0-9])(?:bc1|tb1|ltc1)[ac-hj-np-z02-9]{11,87}(?![A-Za-z0-9])/,
  92,
);
const ETHEREUM = pattern(
  /(?<![A-Za-z0-9])0x[0-9a-fA-F]/,
  /(?<![A-Za-z0-9])0x[0-9a-fA-F]{40}(?![A-Za-z0-9])/,
  43,
);
const BASE58 = pattern(
  /(?<![A-Za-z0-9_\-/+.])[13LMDT][1-9A-HJ-NP-Za-km-z][1-9A-HJ-NP-Za-km-z]/,
  /(?<![A-Za-z0-9_\-/+.])[13LMDT][1-9A-HJ-NP-Za-km-z]{25,33}(?![A-Za-z0-9_\-/+=])/,
  35,
);
const MONERO = pattern(
  /(?<![A-Za-z0-9])[48][1-9A-HJ-NP-Za-km-z][1-9A-HJ-NP-Za-km-z]/,
  /(?<![A-Za-z0-9])[48][1-9A-HJ-NP-Za-km-z]{94}(?![A-Za-z0-9])/,
  96,
);
const WALLET_WORD = /bitcoin|btc|wallet|crypto|litecoin|ltc|dogecoin|tron|address/i;

/** Wallet addresses: by their prefix and length, or by Base58Check's checksum, or with a word like "wallet" before them. */
export function findWallets(text: CountedText, found: Found): void {
  for (const wallet of [BECH32, ETHEREUM, MONERO]) {
    text.each(wallet, ({ start, end, text: address }) => {
      if (entropy(address) >= 2.5) found(start, end);
    });
  }
  text.each(BASE58, ({ start, end, text: address }) => {
    if (
      passesBase58Check(address) ||
      (/\d/.test(address.slice(1)) && WALLET_WORD.test(before(text, start, 40)))
    ) found(start, end);
  });
}

const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

function passesBase58Check(address: string): boolean {
  let value = 0n;
  for (const character of address) value = value * 58n + BigInt(ALPHABET.indexOf(character));
  const bytes = new Uint8Array(25);
  for (let i = 24; i >= 0; i--, value >>= 8n) bytes[i] = Number(value & 255n);
  if (value > 0n) return false;
  const sha256 = (data: Uint8Array) => createHash("sha256").update(data).digest();
  const sum = sha256(sha256(bytes.subarray(0, 21)));
  return sum.subarray(0, 4).every((byte, i) => byte === bytes[21 + i]);
}
