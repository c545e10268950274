import { Buffer } from "node:buffer";
import { timingSafeEqual } from "node:crypto";
import { createHmacSha256 } from "./keyed_hash.ts";

/**
 * The proof that the application itself says what an event says: PostHog's project key is public, so an event alone
 * proves nothing. As Intercom's and Crisp's identity verification.
 */
export type EmailProofs = {
  /** Lower-case hex HMAC-SHA256 of `distinctId`, a line feed and `said`: the address as sent, or the other id of a join. */
  make(distinctId: string, said: string): string;
  /** True where `proof` is just that; anything but a text of 64 hex digits in lower case is none, and none holds for an id with a line feed. */
  holds(claim: { readonly distinctId: string; readonly said: string; readonly proof: unknown }): boolean;
};

/** The property that carries the proof, beside what it proves. */
export const EMAIL_PROOF = "email_proof";

const PROOF = /^[0-9a-f]{64}$/;

/** Proofs under `IDENTITY_SECRET`, which only the application's own server and the processor know. */
export function createEmailProofs(identitySecret: string): EmailProofs {
  const hmac = createHmacSha256(identitySecret);
  const digest = (distinctId: string, said: string) => hmac(`${distinctId}\n${said}`);
  return {
    make: (distinctId, said) => digest(distinctId, said).toString("hex"),
    holds: ({ distinctId, said, proof }) =>
      // A line feed in the id would make one proof fit two claims.
      typeof proof === "string" && PROOF.test(proof) && !distinctId.includes("\n") &&
      timingSafeEqual(digest(distinctId, said), Buffer.from(proof, "hex")),
  };
}
