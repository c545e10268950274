import { Buffer, isUtf8 } from "node:buffer";
import { type EnvelopeRecord, isObject } from "./envelope.ts";

/**
 * A webhook that was answered 200 and that the log then refused for good, as it lies in a file of
 * `DATA_DIR/spool/refused/`: JSON for a person to read, with the record whole and the log's words. Key and value are text,
 * or base64 (`encoding`) where one of them is no UTF-8.
 */
export type RefusedWebhook = { readonly record: EnvelopeRecord; readonly reason: string };

/** Below DATA_DIR. */
export const REFUSED_DIRECTORY = ["spool", "refused"] as const;
export const REFUSED_NAME_END = ".json";
/**
 * Behind the name of such a file: it was dismissed. That second file holds JSON, `{"words":"…"}`, and lies beside the
 * first, which stays to the byte as ingest wrote it.
 */
export const DISMISSED_NAME_END = ".dismissed";

/** The file of a refused webhook. */
export function refusedFile({ record, reason }: RefusedWebhook): Uint8Array {
  const isText = isUtf8(record.key) && isUtf8(record.value);
  const textOf = (bytes: Uint8Array) => Buffer.from(bytes).toString(isText ? "utf8" : "base64");
  const text = JSON.stringify({
    reason,
    receivedAt: new Date(record.timestamp).toISOString(),
    key: textOf(record.key),
    headers: record.headers,
    value: textOf(record.value),
    ...(isText ? {} : { encoding: "base64" }),
  });
  return new TextEncoder().encode(text + "\n");
}

/** What such a file holds; null where it is none. */
export function readRefusedFile(bytes: Uint8Array): RefusedWebhook | null {
  let file: unknown;
  try {
    file = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
  if (!isObject(file) || typeof file.key !== "string" || typeof file.value !== "string") return null;
  const encoding = file.encoding === "base64" ? "base64" : "utf8";
  const timestamp = Date.parse(String(file.receivedAt));
  return {
    reason: String(file.reason ?? ""),
    record: {
      key: Buffer.from(file.key, encoding),
      value: Buffer.from(file.value, encoding),
      headers: isObject(file.headers) ? file.headers as Record<string, string> : {},
      timestamp: Number.isNaN(timestamp) ? 0 : timestamp,
    },
  };
}
