import { decodeJson, type EnvelopeRecord, parseEnvelope, toRecord } from "../contract/envelope.ts";
import type { HeaderReader } from "../runtime/http/request.ts";

/** Why ingest says no; `code` is stable, `message` is for people and never quotes the request. */
export type Refusal = {
  readonly status: 400 | 401 | 404 | 405 | 408 | 413 | 415 | 421 | 500 | 503;
  readonly code: string;
  readonly message: string;
  /** Methods that the address takes: 405 only. */
  readonly allow?: string;
};

/** What a body turned out to be: a record to publish and the answer that follows, or a refusal. */
export type WebhookOutcome =
  | {
    readonly is: "event";
    readonly record: EnvelopeRecord & { readonly id: string };
  }
  | {
    /** JSON that is no PostHog event: published all the same, and set aside by the processor. */
    readonly is: "dead_letter";
    readonly record: EnvelopeRecord & { readonly id: string };
    readonly reason: string;
  }
  | { readonly is: "refused"; readonly refusal: Refusal };

/** Longest `webhook-id` kept with a record, in characters; a longer one is checked but not kept. */
const WEBHOOK_ID_LENGTH_MAX = 256;

/** Longest content type looked at: the pattern below must not be run over a header of any length. */
const TYPE_LENGTH_MAX = 256;
const JSON_TYPE =
  /^(?:application\/json|[\w.!#$&^-]+\/[\w.!#$&^+-]+\+json)\s*(?:;\s*charset="?utf-?8"?\s*)?;?\s*$/i;

/** Refuses what the headers alone show to be unreadable: content type, content encoding, declared length. */
export function checkContent(
  headers: HeaderReader,
  { bodyBytesMax }: { bodyBytesMax: number },
): Refusal | null {
  const type = headers.get("content-type");
  if (type !== "application/json" && !isJsonType(type)) {
    return {
      status: 415,
      code: "content_type",
      message: "expected Content-Type application/json (or …+json) in UTF-8",
    };
  }
  const encoding = headers.get("content-encoding");
  if (encoding !== null && encoding.trim().toLowerCase() !== "identity" && encoding.trim() !== "") {
    return { status: 415, code: "content_encoding", message: "expected a body without Content-Encoding" };
  }
  const length = headers.get("content-length");
  return length !== null && Number(length) > bodyBytesMax ? tooLarge(bodyBytesMax) : null;
}

function isJsonType(type: string | null): boolean {
  return type !== null && type.length <= TYPE_LENGTH_MAX && JSON_TYPE.test(type);
}

/** The refusal of a body over the limit, in bytes: 413 with code `body_too_large`. */
export function tooLarge(bodyBytesMax: number): Refusal {
  return { status: 413, code: "body_too_large", message: `expected a body of at most ${bodyBytesMax} bytes` };
}

/**
 * The record of a body. Anything that is JSON in UTF-8 becomes one: what it means is the processor's business.
 *
 * @param receivedAt Milliseconds since 1970, UTC.
 */
export function readWebhook(
  headers: HeaderReader,
  body: Uint8Array,
  { receivedAt }: { receivedAt: number },
): WebhookOutcome {
  let json: unknown;
  try {
    json = decodeJson(body);
  } catch (error) {
    return { is: "refused", refusal: unreadable(error) };
  }
  const outcome = parseEnvelope(json);
  const webhookId = headers.get("webhook-id");
  const record = toRecord(body, outcome, {
    receivedAt,
    ...(webhookId && webhookId.length <= WEBHOOK_ID_LENGTH_MAX ? { webhookId } : {}),
  });
  return outcome.ok ? { is: "event", record } : { is: "dead_letter", record, reason: outcome.reason };
}

function unreadable(error: unknown): Refusal {
  return error instanceof TypeError
    ? { status: 400, code: "not_utf8", message: "expected a body in UTF-8" }
    : { status: 400, code: "not_json", message: "expected a body that is JSON" };
}
