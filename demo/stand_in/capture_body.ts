import { Buffer } from "node:buffer";
import { gunzipSync } from "node:zlib";
import { isObject } from "../../contract/envelope.ts";

/**
 * Reads what PostHog's clients send to a capture endpoint: gzip, plain JSON or base64 in a form, holding a batch, an
 * array or one bare event. Headers and query are not believed: the bytes say what they are, as the real server has it.
 *
 * Pure: time and new ids are arguments.
 */

/** One event as the pipeline behind the endpoint sees it. */
export type CapturedEvent = {
  /** The client's, lower case; a new one where it sent none. */
  readonly uuid: string;
  readonly event: string;
  readonly distinctId: string;
  /** ISO 8601, UTC, corrected by the client's clock skew where it told when it sent. */
  readonly timestamp: string;
  /** With the top-level `$set`, `$set_once` and `$unset` moved in. */
  readonly properties: Readonly<Record<string, unknown>>;
};

/** Events and their project key, or the status and the plain text that PostHog refuses with. */
export type CaptureOutcome =
  | { readonly ok: true; readonly token: string; readonly events: readonly CapturedEvent[] }
  | { readonly ok: false; readonly status: 400 | 401 | 413; readonly message: string };

export type CaptureOptions = {
  readonly path: string;
  readonly query: URLSearchParams;
  /** Milliseconds since 1970 when the request came. */
  readonly receivedAt: number;
  readonly newUuid: () => string;
  /** Most bytes that a compressed body may grow to. */
  readonly decodedBytesMax: number;
};

/** Longest distinct_id that PostHog keeps, in UTF-16 units; the rest is cut off. */
const DISTINCT_ID_LENGTH_MAX = 200;
/** A form may hold base64 that holds gzip that holds JSON; nobody sends more layers. */
const LAYERS_MAX = 4;
/** Later than this in the future, PostHog takes the received time instead. */
const FUTURE_MS_MAX = 23 * 3_600_000;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/;
const PERSON_UPDATES = ["$set", "$set_once", "$unset"] as const;

/** A refusal travels as an exception inside this file only. */
class Refusal extends Error {
  constructor(readonly status: 400 | 401 | 413, message: string) {
    super(message);
  }
}

/** Reads a request's body, or `?data=` where it has none. */
export function readCapture(body: Uint8Array, options: CaptureOptions): CaptureOutcome {
  try {
    const payload = decodePayload(body.length > 0 ? body : dataOfQuery(options.query), options);
    const request = requestOf(payload);
    if (request.events.length === 0) throw new Refusal(400, "request holds no event");
    const token = tokenOf(request);
    const sentAt = parseTime(request.sentAt) ?? sentAtOfQuery(options.query);
    return { ok: true, token, events: request.events.map((raw) => readEvent(raw, { ...options, sentAt })) };
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, status: error.status, message: error.message };
    throw error;
  }
}

function dataOfQuery(query: URLSearchParams): Uint8Array {
  const data = query.get("data");
  if (data === null || data === "") throw new Refusal(400, "request missing data payload");
  return Buffer.from(data.replaceAll(" ", "+"), "utf8");
}

/** Peels layers until JSON appears. */
export function decodePayload(
  bytes: Uint8Array,
  { decodedBytesMax, layer = 0 }: { decodedBytesMax: number; layer?: number },
): unknown {
  if (layer > LAYERS_MAX) {
    throw new Refusal(400, "failed to decode request: too many encodings in each other");
  }
  const next = { decodedBytesMax, layer: layer + 1 };
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return decodePayload(gunzip(bytes, decodedBytesMax), next);
  const text = decodeText(bytes).trim();
  if (text === "") throw new Refusal(400, "request missing data payload");
  if (text.startsWith("{") || text.startsWith("[")) {
    return orRefuse(() => JSON.parse(text), "failed to parse request: no JSON");
  }
  if (/^(?:[a-z_]+=[^&]*&)*data=/i.test(text.slice(0, 200))) {
    const data = new URLSearchParams(text).get("data") ?? "";
    return decodePayload(Buffer.from(data.replaceAll(" ", "+"), "utf8"), next);
  }
  if (BASE64.test(text)) return decodePayload(Buffer.from(text, "base64"), next);
  throw new Refusal(400, "failed to decode request: neither JSON, gzip nor base64");
}

function gunzip(bytes: Uint8Array, bytesMax: number): Uint8Array {
  try {
    return gunzipSync(bytes, { maxOutputLength: bytesMax });
  } catch (error) {
    if ((error as { code?: string }).code === "ERR_BUFFER_TOO_LARGE") {
      throw new Refusal(413, `maximum event size exceeded: more than ${bytesMax} bytes when decompressed`);
    }
    throw new Refusal(400, "failed to decode request: invalid gzip data");
  }
}

function decodeText(bytes: Uint8Array): string {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  return orRefuse(() => decoder.decode(bytes), "failed to decode request: invalid body encoding");
}

function orRefuse<T>(read: () => T, message: string): T {
  try {
    return read();
  } catch {
    throw new Refusal(400, message);
  }
}

type RawRequest = {
  readonly token: unknown;
  readonly sentAt: unknown;
  readonly events: readonly Record<string, unknown>[];
};

/** The three shapes: a batch with its envelope, an array (posthog-js until 2025), one bare event. */
function requestOf(payload: unknown): RawRequest {
  if (Array.isArray(payload)) return { token: undefined, sentAt: undefined, events: payload.map(objectOf) };
  if (!isObject(payload)) throw new Refusal(400, "failed to parse request: no event");
  if (!Array.isArray(payload.batch)) {
    return { token: undefined, sentAt: payload.sent_at, events: [payload] };
  }
  return {
    token: payload.api_key ?? payload.token,
    sentAt: payload.sent_at,
    events: payload.batch.map(objectOf),
  };
}

function objectOf(value: unknown): Record<string, unknown> {
  if (isObject(value)) return value;
  throw new Refusal(400, "failed to parse request: an event is no object");
}

function tokenOf(request: RawRequest): string {
  const named = new Set(request.token === undefined ? request.events.map(tokenOfEvent) : [request.token]);
  named.delete(undefined);
  if (named.size === 0) throw new Refusal(401, "event submitted without an api_key");
  if (named.size > 1) throw new Refusal(401, "batch submitted with inconsistent api_key values");
  const [token] = named;
  if (typeof token !== "string" || !/^phc_[\x21-\x7e]{1,60}$/.test(token)) {
    throw new Refusal(401, "API key is not valid: a project key begins with phc_");
  }
  return token;
}

function tokenOfEvent(raw: Record<string, unknown>): unknown {
  const inside = isObject(raw.properties) ? raw.properties.token : undefined;
  return raw.api_key ?? raw.token ?? raw.$token ?? inside ?? undefined;
}

function readEvent(
  raw: Record<string, unknown>,
  options: CaptureOptions & { sentAt: number | null },
): CapturedEvent {
  const properties = propertiesOf(raw);
  return {
    uuid: uuidOf(raw, options),
    event: nameOf(raw, options.path),
    distinctId: distinctIdOf(raw, properties),
    timestamp: new Date(timeOf(raw, { ...options, ignoreSentAt: properties.$ignore_sent_at === true }))
      .toISOString(),
    properties,
  };
}

/** `/engage` carries person updates without a name: PostHog makes `$identify` of them. */
function nameOf(raw: Record<string, unknown>, path: string): string {
  if (typeof raw.event === "string" && raw.event !== "") return raw.event;
  if (raw.event === undefined && path.startsWith("/engage")) return "$identify";
  throw new Refusal(400, "event submitted with an empty event name");
}

function uuidOf(raw: Record<string, unknown>, { newUuid }: CaptureOptions): string {
  if (raw.uuid === undefined || raw.uuid === null || raw.uuid === "") return newUuid();
  if (typeof raw.uuid === "string" && UUID.test(raw.uuid)) return raw.uuid.toLowerCase();
  throw new Refusal(400, "failed to parse request: uuid is no UUID");
}

/** Numbers and objects are taken as their JSON text, as the real server does. */
function distinctIdOf(raw: Record<string, unknown>, properties: Record<string, unknown>): string {
  const id = raw.distinct_id ?? raw.$distinct_id ?? properties.distinct_id;
  if (id === undefined || id === null || id === "") {
    throw new Refusal(400, "event submitted without a distinct_id");
  }
  const text = typeof id === "string" ? id : JSON.stringify(id);
  return text.slice(0, DISTINCT_ID_LENGTH_MAX).toWellFormed();
}

function propertiesOf(raw: Record<string, unknown>): Record<string, unknown> {
  const properties = isObject(raw.properties) ? { ...raw.properties } : {};
  for (const key of PERSON_UPDATES) {
    const update = raw[key];
    const inside = properties[key];
    if (isObject(update)) properties[key] = isObject(inside) ? { ...inside, ...update } : update;
    else if (Array.isArray(update)) properties[key] = update;
  }
  return properties;
}

/** A client's clock may be wrong; how far is known where it says when it sent: received − sent. */
function timeOf(
  raw: Record<string, unknown>,
  { receivedAt, sentAt, ignoreSentAt }: {
    receivedAt: number;
    sentAt: number | null;
    ignoreSentAt: boolean;
  },
): number {
  const own = parseTime(raw.timestamp);
  const time = own !== null
    ? (sentAt !== null && !ignoreSentAt ? receivedAt + (own - sentAt) : own)
    : receivedAt - (typeof raw.offset === "number" && Number.isFinite(raw.offset) ? raw.offset : 0);
  const year = new Date(time).getUTCFullYear();
  return time <= receivedAt + FUTURE_MS_MAX && year >= 1 && year <= 9999 ? time : receivedAt;
}

function parseTime(value: unknown): number | null {
  if (typeof value !== "string") return null;
  const time = Date.parse(value);
  return Number.isNaN(time) ? null : time;
}

/** Old posthog-js says when it sent in `_`, in milliseconds; seconds of still older ones lie before 2020. */
function sentAtOfQuery(query: URLSearchParams): number | null {
  const text = query.get("_") ?? "";
  const time = /^\d{10,15}$/.test(text) ? Number(text) : 0;
  return time > Date.UTC(2020, 0, 1) ? time : null;
}
