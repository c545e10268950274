import { Buffer } from "node:buffer";
import { hash, timingSafeEqual } from "node:crypto";
import type { Clock } from "../runtime/clock.ts";
import type { HeaderReader } from "../runtime/http/request.ts";
import { createHmacSha256 } from "../contract/keyed_hash.ts";
import type { Refusal } from "./webhook.ts";

/**
 * Whether a request comes from who may publish. Two steps, so that a request without the right headers costs no
 * reading of its body: a signature stands over the raw bytes and can only be checked when they are there.
 */
export type Authenticity = {
  /** Whether headers in which nothing is wrong prove who sends them: a static secret does, a signature only with the body. */
  readonly headersProve: boolean;
  /** Static secret; presence, form and age of a signature. */
  checkHeaders(headers: HeaderReader): Refusal | null;
  /** The signature over the body as it came. */
  checkBody(headers: HeaderReader, body: Uint8Array): Refusal | null;
};

export type AuthenticityOptions = {
  /** Null: none is asked for. */
  readonly secret: string | null;
  /** Decoded keys of Standard Webhooks; any of them is good. Empty: no signature is asked for. */
  readonly signingKeys: readonly Uint8Array[];
  readonly clock: Pick<Clock, "now">;
};

/** How far `webhook-timestamp` may lie from now, in seconds, as Standard Webhooks advises. */
export const TOLERANCE_SECONDS = 300;

/** Signatures looked at in one header: a rotation needs two. */
const SIGNATURES_MAX = 16;

/**
 * Checks webhooks against the configured secret and signing keys; null from a check means that nothing is wrong.
 * Values are compared in constant time.
 */
export function createAuthenticity(options: AuthenticityOptions): Authenticity {
  const secretDigest = options.secret === null ? null : digest(options.secret);
  const hmacs = options.signingKeys.map(createHmacSha256);
  return {
    headersProve: secretDigest !== null,
    checkHeaders(headers) {
      const wrong = secretDigest === null ? null : checkSecret(headers, secretDigest);
      return wrong ?? (hmacs.length === 0 ? null : checkSigned(headers, options.clock.now()));
    },
    checkBody(headers, body) {
      if (hmacs.length === 0) return null;
      const signed = Buffer.concat([
        Buffer.from(`${headers.get("webhook-id")}.${headers.get("webhook-timestamp")}.`, "utf8"),
        body,
      ]);
      const given = signaturesOf(headers);
      // Every pair is compared, whether or not an earlier one was right.
      let right = false;
      for (const hmac of hmacs) {
        const expected = hmac(signed);
        for (const signature of given) {
          if (signature.length === expected.length && timingSafeEqual(signature, expected)) right = true;
        }
      }
      return right
        ? null
        : refuse("signature_wrong", "webhook-signature fits no signing secret of this ingest");
    },
  };
}

function checkSecret(headers: HeaderReader, expected: Buffer): Refusal | null {
  const bearer = /^bearer +(.+)$/i.exec(headers.get("authorization") ?? "")?.[1];
  const plain = headers.get("x-webhook-secret");
  if (bearer === undefined && plain === null) {
    return refuse("secret_missing", "expected the secret as Authorization: Bearer … or X-Webhook-Secret");
  }
  // Digests have one length, so the comparison tells nothing about the secret's.
  const right = [bearer, plain].some((given) =>
    typeof given === "string" && timingSafeEqual(digest(given), expected)
  );
  return right ? null : refuse("secret_wrong", "the secret of this request is not the one of this ingest");
}

function checkSigned(headers: HeaderReader, now: number): Refusal | null {
  const timestamp = headers.get("webhook-timestamp");
  if (timestamp === null || !headers.get("webhook-id") || !headers.get("webhook-signature")) {
    return refuse("signature_missing", "expected webhook-id, webhook-timestamp and webhook-signature");
  }
  if (!/^\d{1,12}$/.test(timestamp)) {
    return refuse("timestamp_unreadable", "expected webhook-timestamp in whole seconds since 1970");
  }
  if (Math.abs(now / 1000 - Number(timestamp)) > TOLERANCE_SECONDS) {
    return refuse(
      "timestamp_stale",
      `webhook-timestamp lies more than ${TOLERANCE_SECONDS} s from this clock`,
    );
  }
  return null;
}

function signaturesOf(headers: HeaderReader): readonly Buffer[] {
  return (headers.get("webhook-signature") ?? "").split(" ", SIGNATURES_MAX)
    .filter((one) => one.startsWith("v1,"))
    // A header sent twice comes joined by commas; base64 itself holds none.
    .map((one) => Buffer.from(one.slice(3).split(",", 1)[0]!, "base64"));
}

function digest(text: string): Buffer {
  return hash("sha256", text, "buffer");
}

function refuse(code: string, message: string): Refusal {
  return { status: 401, code, message };
}
