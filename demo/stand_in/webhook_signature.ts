import { Buffer } from "node:buffer";
import { createHmacSha256 } from "../../contract/keyed_hash.ts";

/** Signs a webhook as PostHog does with a signing secret: Standard Webhooks, symmetric (`v1`). */

/** Fewest bytes of a decoded signing secret: PostHog refuses to send with a shorter one. */
export const SIGNING_KEY_BYTES_MIN = 24;

/** The key in `whsec_<base64>` (the prefix may be missing); null where it is no base64 or too short. */
export function signingKey(secret: string): Uint8Array | null {
  const text = secret.replace(/^whsec_/, "");
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return null;
  const key = Buffer.from(text, "base64");
  return key.length >= SIGNING_KEY_BYTES_MIN ? key : null;
}

/** The three headers over `id.timestamp.body`; `at` is the attempt's time in ms since 1970. */
export function signatureHeaders(
  body: Uint8Array,
  { key, id, at }: { key: Uint8Array; id: string; at: number },
): Record<string, string> {
  const timestamp = String(Math.floor(at / 1000));
  const signed = Buffer.concat([Buffer.from(`${id}.${timestamp}.`, "utf8"), body]);
  const signature = createHmacSha256(key)(signed).toString("base64");
  return { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": `v1,${signature}` };
}
