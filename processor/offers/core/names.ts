import type { KeyedHashes } from "../../../contract/keyed_hash.ts";
import type { Offer } from "./offer.ts";

/**
 * The names that an offer carries outside: HMACs of its subject and earning record, so that a repeat carries the same
 * ones and nobody can guess another's.
 */

/** Crockford's base 32: no I, L, O, U, so that a code survives being read aloud. */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

type Named = Pick<Offer, "subject" | "position">;

/** 60 bits in three groups, `7Q2M-XK4T-0ZRA`; unique to the offer. */
export function offerCode(hashes: KeyedHashes, offer: Named): string {
  const digest = hashes.derive("discount code", nameOf(offer));
  const letters = Array.from(digest.subarray(0, 12), (byte) => ALPHABET[byte & 31]).join("");
  return letters.match(/.{4}/g)!.join("-");
}

/** A code as it is kept, from one as a person typed it. */
export function normalCode(code: string): string {
  const letters = code.toUpperCase().replace(/[\s-]/g, "").replace(/[IL]/g, "1").replaceAll("O", "0");
  return letters.length === 12 ? letters.match(/.{4}/g)!.join("-") : letters;
}

/** The Message-ID, with its angle brackets; `domain` is the sender's. */
export function offerMessageId(
  hashes: KeyedHashes,
  offer: Named & Pick<Offer, "edition">,
  domain: string,
): string {
  const digest = hashes.derive("Message-ID", `${nameOf(offer)}/${offer.edition}`);
  return `<${digest.toString("hex", 0, 16)}@${domain}>`;
}

function nameOf({ subject, position }: Named): string {
  return `${subject}@${position.partition}:${position.offset}`;
}
