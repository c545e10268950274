import { Buffer } from "node:buffer";
import { STATUS_CODES } from "node:http";
import { headersOf, textOf, textResponse } from "./response.ts";

/** Answers as bytes: their heads, their chunks, and what the server itself has to say. */

export const CONTINUE = latin1("HTTP/1.1 100 Continue\r\n\r\n");
export const LAST_CHUNK = latin1("0\r\n\r\n");
/** How a connection is framed is decided here. */
const NOT_THE_HANDLERS = new Set(["connection", "keep-alive", "transfer-encoding", "upgrade"]);

/** The head of an answer but for its last lines; `length` is the body's, where the handler said it. */
export function headOf(
  response: Response,
  { ends }: { readonly ends: boolean },
): { text: string; length: number | null } {
  const { status, statusText } = response;
  let text = `HTTP/1.1 ${status} ${statusText || (STATUS_CODES[status] ?? "")}\r\n`;
  let length: number | null = null;
  for (const [name, value] of headersOf(response)) {
    if (NOT_THE_HANDLERS.has(name)) continue;
    if (name === "content-length") length = Number(value);
    text += `${name}: ${value}\r\n`;
  }
  text += `date: ${dateNow()}\r\n`;
  return { text: ends ? `${text}connection: close\r\n` : text, length };
}

const encoder = new TextEncoder();

/** An answer whose body is a text; `head` is what {@link headOf} gave. */
export function wholeAnswer(head: string, body: string): Uint8Array {
  const bytes = Buffer.byteLength(body);
  const whole = `${head}content-length: ${bytes}\r\n\r\n${body}`;
  // Nearly all are ASCII throughout, and then one pass over both writes what latin1 and UTF-8 would: a quarter of the cost.
  return Buffer.byteLength(whole) === whole.length
    ? encoder.encode(whole)
    : Buffer.concat([latin1(whole.slice(0, whole.length - body.length)), Buffer.from(body)]);
}

let date = { second: 0, text: "" };
function dateNow(): string {
  const second = Math.floor(Date.now() / 1000);
  if (date.second !== second) date = { second, text: new Date(second * 1000).toUTCString() };
  return date.text;
}

/** What the server itself has to say, in the pipeline's error shape, which no browser takes for anything else. */
const OWN_HEADERS = {
  "content-type": "application/json",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
};

const OWN_CODES: Readonly<Record<number, string>> = {
  400: "bad_request",
  405: "method_not_allowed",
  408: "request_too_slow",
  417: "expectation_failed",
  431: "head_too_large",
  500: "internal",
  501: "not_implemented",
  505: "http_version",
};

export function ownAnswer(status: number, message: string): Response {
  return textResponse(JSON.stringify({ error: { code: OWN_CODES[status], message } }), {
    status,
    headers: OWN_HEADERS,
  });
}

/** The same as bytes, for where no answer follows. */
export function lastAnswer(status: number, message: string): Uint8Array {
  const answer = ownAnswer(status, message);
  const text = textOf(answer)!;
  return latin1(`${headOf(answer, { ends: true }).text}content-length: ${text.length}\r\n\r\n${text}`);
}

export function chunkOf(piece: Uint8Array): Uint8Array {
  return Buffer.concat([latin1(`${piece.length.toString(16)}\r\n`), piece, latin1("\r\n")]);
}

export function latin1(text: string): Buffer<ArrayBuffer> {
  return Buffer.from(text, "latin1");
}
