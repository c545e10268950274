import { Buffer } from "node:buffer";
import { hash } from "node:crypto";
import { ERASE } from "./product_events.ts";

/**
 * How a webhook delivery lies in a record of the raw topic, and how it is read back.
 *
 * The value is the request body byte for byte; key, headers and timestamp say who, what and when. A record without
 * headers is read all the same: id and event are derived from its value. Only `source` and `redrives` cannot be.
 */

/** What PostHog said, whichever of its three body shapes it used; nothing inside `properties` has been looked at. */
export type PosthogEnvelope = {
  readonly event: string;
  readonly distinctId: string;
  /** Lower case; null where the sender gave none. */
  readonly uuid: string | null;
  /** The event's own time as it was written; null where it is missing or no string. */
  readonly timestamp: string | null;
  readonly properties: Readonly<Record<string, unknown>>;
  readonly person: { readonly id: string | null; readonly properties: Readonly<Record<string, unknown>> };
};

/** A parsed envelope, or the reason why this JSON is no PostHog event, in words for the dead letter. */
export type EnvelopeOutcome =
  | { readonly ok: true; readonly envelope: PosthogEnvelope }
  | { readonly ok: false; readonly reason: string };

/** Largest event name or distinct_id, in bytes of UTF-8. */
export const NAME_BYTES_MAX = 1000;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const EMPTY: Readonly<Record<string, unknown>> = Object.freeze({});
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8");
const strictDecoder = new TextDecoder("utf-8", { fatal: true });

/** The JSON value of UTF-8 bytes; throws `TypeError` where they are no UTF-8 and `SyntaxError` where they are no JSON. */
export function decodeJson(bytes: Uint8Array): unknown {
  const text = decoder.decode(bytes);
  // What is no UTF-8 leaves its mark, U+FFFD. Deno's strict decoder takes two and a half times as long.
  return JSON.parse(text.includes("\ufffd") ? strictDecoder.decode(bytes) : text);
}

/**
 * The event in a decoded body: PostHog's default `{event, person}`, a bare event, or the legacy REST hook
 * `{hook, data}`. Of duplicate keys the last has won already, in the JSON parser.
 */
export function parseEnvelope(body: unknown): EnvelopeOutcome {
  if (!isObject(body)) return no("body is no JSON object");
  if (isObject(body.hook) && isObject(body.data)) return parseLegacy(body.hook, body.data);
  if (isObject(body.event)) return parseEvent(body.event, body.person);
  if (typeof body.text === "string" && body.event === undefined) {
    return no("text-only action webhook carries no event: use PostHog's HTTP Webhook destination");
  }
  return parseEvent(body, body.person);
}

function parseEvent(event: Record<string, unknown>, person: unknown): EnvelopeOutcome {
  return build({
    event: event.event,
    distinctId: event.distinct_id,
    uuid: event.uuid,
    timestamp: event.timestamp,
    properties: event.properties,
    personId: isObject(person) ? person.id : null,
    personProperties: isObject(person) ? person.properties : null,
  });
}

/** The REST hook, and the Zapier template whose `hook.event` is the whole event and whose `data.event` may be null. */
function parseLegacy(hook: Record<string, unknown>, data: Record<string, unknown>): EnvelopeOutcome {
  const whole = isObject(hook.event) ? hook.event : EMPTY;
  const person = isObject(data.person) ? data.person : EMPTY;
  return build({
    event: data.event ?? whole.event,
    distinctId: data.distinctId ?? data.distinct_id ?? whole.distinct_id,
    uuid: data.eventUuid ?? data.uuid ?? whole.uuid,
    timestamp: data.timestamp ?? whole.timestamp,
    properties: data.properties ?? whole.properties,
    personId: person.uuid ?? person.id,
    personProperties: person.properties,
  });
}

function build(raw: Record<string, unknown>): EnvelopeOutcome {
  if (!isName(raw.event)) return no(`event is no text of 1 to ${NAME_BYTES_MAX} bytes`);
  if (!isName(raw.distinctId)) return no(`distinct_id is no text of 1 to ${NAME_BYTES_MAX} bytes`);
  if (raw.uuid !== undefined && raw.uuid !== null && !(typeof raw.uuid === "string" && UUID.test(raw.uuid))) {
    return no("uuid is no UUID");
  }
  const envelope: PosthogEnvelope = {
    event: raw.event.toWellFormed(),
    distinctId: raw.distinctId.toWellFormed(),
    uuid: typeof raw.uuid === "string" ? raw.uuid.toLowerCase() : null,
    timestamp: typeof raw.timestamp === "string" ? raw.timestamp : null,
    properties: isObject(raw.properties) ? raw.properties : EMPTY,
    person: {
      id: typeof raw.personId === "string" && raw.personId !== "" ? raw.personId : null,
      properties: isObject(raw.personProperties) ? raw.personProperties : EMPTY,
    },
  };
  return { ok: true, envelope };
}

/**
 * The id of a body that brings no uuid: a UUID of version 8 (RFC 9562) made of its SHA-256, so that the same bytes are
 * the same event.
 */
export function idFromBody(body: Uint8Array): string {
  return uuidOf(hash("sha256", body, "buffer"), 8);
}

/** The UUID of this version (RFC 9562) in a digest's first 16 bytes. */
export function uuidOf(digest: Buffer, version: 5 | 8): string {
  digest[6] = (digest[6]! & 0x0f) | version << 4;
  digest[8] = (digest[8]! & 0x3f) | 0x80;
  const hex = digest.toString("hex", 0, 16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** Where a record came from if not from a webhook; only a header can say it. */
export type RecordSource = "backfill" | "unsubscribe" | "erase";

/** The parts of a record that the envelope decides; structurally what the log's `publish` takes. */
export type EnvelopeRecord = {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
  readonly timestamp: number;
};

/** What ingest knows of a raw envelope that does not stand in its body. */
export type RecordDetails = {
  /** Milliseconds since 1970. */
  readonly receivedAt: number;
  readonly webhookId?: string;
  readonly source?: RecordSource;
};

/** The record of one delivery; `outcome` is what {@link parseEnvelope} said of the same body. */
export function toRecord(
  body: Uint8Array,
  outcome: EnvelopeOutcome,
  details: RecordDetails,
): EnvelopeRecord & {
  readonly id: string;
} {
  const id = (outcome.ok ? outcome.envelope.uuid : null) ?? idFromBody(body);
  const headers: Record<string, string> = { id };
  if (outcome.ok) headers.event = outcome.envelope.event;
  if (details.webhookId !== undefined) headers["webhook-id"] = details.webhookId;
  if (details.source !== undefined) headers.source = details.source;
  const key = encoder.encode(outcome.ok ? outcome.envelope.distinctId : id);
  return { id, key, value: body, headers, timestamp: details.receivedAt };
}

/** What headers say of a record without looking at its value; undefined parts must be derived from the value. */
export type RecordLabel = {
  readonly id: string | undefined;
  readonly event: string | undefined;
  readonly redrives: number;
  readonly source: RecordSource | undefined;
};

/** What a raw record's headers say; `redrives` is 0 where the header is missing or no number of at most four digits. */
export function readLabel(headers: Readonly<Record<string, string>>): RecordLabel {
  const redrives = headers.redrives;
  return {
    id: headers.id,
    event: headers.event,
    redrives: redrives === undefined ? 0 : /^\d{1,4}$/.test(redrives) ? Number(redrives) : 0,
    source: headers.source as RecordSource | undefined,
  };
}

/** The envelope in a record's value; a value that is no JSON is a reason too. */
export function readEnvelope(value: Uint8Array): EnvelopeOutcome {
  let body: unknown;
  try {
    body = decodeJson(value);
  } catch (error) {
    return no(error instanceof SyntaxError ? "body is no JSON" : "body is no UTF-8");
  }
  return parseEnvelope(body);
}

/** The id of a record: its header, else its uuid, else derived from its bytes. */
export function recordId(label: RecordLabel, value: Uint8Array): string {
  if (label.id !== undefined) return label.id;
  const outcome = readEnvelope(value);
  return (outcome.ok ? outcome.envelope.uuid : null) ?? idFromBody(value);
}

/** True for the record of the erase command; a webhook that carries the same event name is an ordinary event. */
export function isErasure(label: RecordLabel): boolean {
  return label.source === "erase" && label.event === ERASE;
}

/** An object that is no array. Own and inherited keys are told apart by the caller: `__proto__` is data to JSON.parse. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= NAME_BYTES_MAX &&
    (value.length * 3 <= NAME_BYTES_MAX || Buffer.byteLength(value, "utf8") <= NAME_BYTES_MAX);
}

function no(reason: string): EnvelopeOutcome {
  return { ok: false, reason };
}

/** What reading gives; null where it throws, whatever it throws. */
export function orNull<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}
