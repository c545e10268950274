/** The unsubscribe links of our mails point here (PUBLIC_URL); the door itself is ingest's. */
import { within } from "../../runtime/clock.ts";
import { away, fetchWithin, problem, readBounded, tooLarge } from "./upstream.ts";

/** A one-click body is `List-Unsubscribe=One-Click`; nothing longer is meant for this path. */
const BODY_BYTES_MAX = 16 * 1024;
/** A one-click body comes together with its head. */
const BODY_MS_MAX = 4_000;
const ANSWER_MS_MAX = 10_000;
const HANDED_BACK = ["content-type", "content-security-policy", "retry-after", "allow", "referrer-policy"];

/** Hands a GET or POST on to ingest's `/unsubscribe`, query and body as they came, and its answer back. */
export async function unsubscribe(
  request: Request,
  { ingestUrl, bodyMsMax = BODY_MS_MAX }: { ingestUrl: string; bodyMsMax?: number },
): Promise<Response> {
  const body = await within(readBounded(request.body, { bytesMax: BODY_BYTES_MAX }), { ms: bodyMsMax });
  if (body === "late") {
    const response = problem(408, "body_too_slow", "The body did not come in time.");
    response.headers.set("connection", "close");
    return response;
  }
  if (body === null) return tooLarge(BODY_BYTES_MAX);
  try {
    const response = await fetchWithin(`${ingestUrl}/unsubscribe${new URL(request.url).search}`, {
      method: request.method,
      headers: only(request.headers, ["accept", "content-type"]),
      body: request.method === "POST" ? body : undefined,
      limitMs: ANSWER_MS_MAX,
    });
    const headers = only(response.headers, HANDED_BACK);
    headers.set("cache-control", "no-store");
    headers.set("x-content-type-options", "nosniff");
    return new Response(response.body, { status: response.status, headers });
  } catch {
    return away("Unsubscribing is not possible right now. Please use the link again in a minute.");
  }
}

function only(headers: Headers, names: readonly string[]): Headers {
  return new Headers([...headers].filter(([name]) => names.includes(name)));
}
