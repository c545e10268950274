import { Buffer } from "node:buffer";
import { timingSafeEqual } from "node:crypto";
import { type EnvelopeRecord, idFromBody, isObject } from "./envelope.ts";
import type { KeyedHashes } from "./keyed_hash.ts";
import { EMAIL_UNSUBSCRIBED } from "./product_events.ts";

/** Who wants no more mail, as keyed hashes only: neither the token nor the record tells a name or an address. */
export type UnsubscribeClaims = {
  /** 32 hex digits, see `KeyedHashes.subject` (with its prefix where it is a person.id's). */
  readonly subject: string;
  /** 32 hex digits, see `KeyedHashes.mailbox`. */
  readonly mailbox: string;
};

const PURPOSE = "unsubscribe token";
const SUBJECT = /^(p-)?[0-9a-f]{32}$/;
const MAILBOX = /^[0-9a-f]{32}$/;
const SIGNATURE_BYTES = 16;

/** The token of an unsubscribe link: `subject.mailbox.signature`; the same claims give the same token, for ever. */
export function makeUnsubscribeToken(hashes: KeyedHashes, claims: UnsubscribeClaims): string {
  const text = `${claims.subject}.${claims.mailbox}`;
  return `${text}.${sign(hashes, text)}`;
}

/** The claims of a token that this pipeline made; null for any other text. */
export function checkUnsubscribeToken(hashes: KeyedHashes, token: string): UnsubscribeClaims | null {
  const [subject, mailbox, signature, ...rest] = token.split(".");
  if (subject === undefined || mailbox === undefined || signature === undefined || rest.length > 0) {
    return null;
  }
  if (!SUBJECT.test(subject) || !MAILBOX.test(mailbox) || signature.length > 64) return null;
  // The texts are compared and not what they decode to: base64url has several spellings of the same bytes.
  const given = Buffer.from(signature, "utf8");
  const right = Buffer.from(sign(hashes, `${subject}.${mailbox}`), "utf8");
  return given.length === right.length && timingSafeEqual(given, right) ? { subject, mailbox } : null;
}

/** The record that ingest publishes for a valid token. A repeat of the same request is another record: it harms nothing. */
export function unsubscribeRecord(claims: UnsubscribeClaims, receivedAt: number): EnvelopeRecord {
  const value = new TextEncoder().encode(JSON.stringify({
    event: EMAIL_UNSUBSCRIBED,
    at: new Date(receivedAt).toISOString(),
    subject: claims.subject,
    mailbox: claims.mailbox,
  }));
  return {
    key: new TextEncoder().encode(claims.subject),
    value,
    headers: { id: idFromBody(value), event: EMAIL_UNSUBSCRIBED, source: "unsubscribe" },
    timestamp: receivedAt,
  };
}

/** The claims in the value of a record whose header says `source: unsubscribe`; null where they are not there. */
export function readUnsubscribe(value: Uint8Array): UnsubscribeClaims | null {
  const body: unknown = JSON.parse(new TextDecoder().decode(value));
  if (!isObject(body) || typeof body.subject !== "string" || typeof body.mailbox !== "string") return null;
  return SUBJECT.test(body.subject) && MAILBOX.test(body.mailbox)
    ? { subject: body.subject, mailbox: body.mailbox }
    : null;
}

function sign(hashes: KeyedHashes, text: string): string {
  return hashes.derive(PURPOSE, text).subarray(0, SIGNATURE_BYTES).toString("base64url");
}
