import { createHash } from "node:crypto";
import { entropy } from "./checks.ts";
import { type CountedText, type Match, type Piece, piece, stretches } from "./counted_text.ts";
import { before } from "./numbers.ts";

type Found = (start: number, end: number) => void;

/** Where letters and digits stand together, as many as the shortest address has: nothing of an address is elsewhere. */
const WORDS = stretches(/[A-Za-z0-9]/, 14);
const BECH32 = piece(/(?:bc1|tb1|ltc1)[ac-hj-np-z02-9]{11,87}(?![A-Za-z0-9])/, 92);
const ETHEREUM = piece(/0x[0-9a-fA-F]{40}(?![A-Za-z0-9])/, 43);
const BASE58 = piece(/(?<![_\-/+.])[13LMDT][1-9A-HJ-NP-Za-km-z]{25,33}(?![A-Za-z0-9_\-/+=])/, 35);
const MONERO = piece(/[48][1-9A-HJ-NP-Za-km-z]{94}(?![A-Za-z0-9])/, 96);
/** By the character with which they begin. */
const WALLETS = new Map<string, Piece>([
  ...[..."btl"].map((first) => [first, BECH32] as const),
  ...[..."48"].map((first) => [first, MONERO] as const),
  ...[..."13LMDT"].map((first) => [first, BASE58] as const),
  ["0", ETHEREUM],
]);
const WALLET_WORD = /bitcoin|btc|wallet|crypto|litecoin|ltc|dogecoin|tron|address/i;

/** Wallet addresses: by their prefix and length, or by Base58Check's checksum, or with a word like "wallet" before them. */
export function findWallets(text: CountedText, found: Found): void {
  for (let word = text.stretch(WORDS, 0); word !== null; word = text.stretch(WORDS, word.end)) {
    const wallet = WALLETS.get(word.text[0]!);
    const match = wallet === undefined ? null : text.match(wallet, word.start);
    if (match !== null && (wallet === BASE58 ? isBase58(text, match) : entropy(match.text) >= 2.5)) {
      found(match.start, match.end);
    }
  }
}

function isBase58(text: CountedText, { start, text: address }: Match): boolean {
  return passesBase58Check(address) ||
    (/\d/.test(address.slice(1)) && WALLET_WORD.test(before(text, start, 40)));
}

const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

function passesBase58Check(address: string): boolean {
  const bytes = new Uint8Array(25);
  for (const character of address) {
    let carry = ALPHABET.indexOf(character);
    for (let i = 24; i >= 0; i--, carry >>= 8) bytes[i] = (carry += bytes[i]! * 58) & 255;
    if (carry > 0) return false;
  }
  const sha256 = (data: Uint8Array) => createHash("sha256").update(data).digest();
  const sum = sha256(sha256(bytes.subarray(0, 21)));
  return sum.subarray(0, 4).every((byte, i) => byte === bytes[21 + i]);
}
