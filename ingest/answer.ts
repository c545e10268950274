import { textResponse } from "../runtime/http/response.ts";
import type { Refusal } from "./webhook.ts";

/** How answers look. A body that nobody read to its end is the server's to end (runtime/http/connection.ts). */

const JSON_HEADERS = { "content-type": "application/json" };

/** Seconds after which a sender that was turned away may come again; PostHog keeps its own time. */
const RETRY_AFTER_SECONDS = "1";

/** A JSON answer; headers that are given win over those that every answer carries. */
export function json(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  return textResponse(JSON.stringify(body), { status, headers: { ...JSON_HEADERS, ...headers } });
}

/** The refusal as it goes out. */
export function refusalResponse(refusal: Refusal): Response {
  const { status, code, message } = refusal;
  return json(status, { error: { code, message } }, headersOf(refusal));
}

function headersOf(refusal: Refusal): Record<string, string> {
  switch (refusal.status) {
    case 401:
      return { "www-authenticate": "Bearer" };
    case 405:
      return refusal.allow === undefined ? {} : { allow: refusal.allow };
    case 503:
      return { "retry-after": RETRY_AFTER_SECONDS };
    default:
      return {};
  }
}
