/** The unsubscribe links of our mails point here (PUBLIC_URL); the door itself is ingest's. */
import { away, fetchWithin, readBounded } from "./upstream.ts";

/** A one-click body is `List-Unsubscribe=One-Click`; nothing longer is meant for this path. */
const BODY_BYTES_MAX = 16 * 1024;
const ANSWER_MS_MAX = 10_000;
const HANDED_BACK = ["content-type", "content-security-policy", "retry-after", "allow", "referrer-policy"];

/** Hands a GET or POST on to ingest's `/unsubscribe`, query and body as they came, and its answer back. */
export async function unsubscribe(request: Request, { ingestUrl }: { ingestUrl: string }): Promise<Response> {
  const body = await readBounded(request.body, { bytesMax: BODY_BYTES_MAX });
  if (body === null) return new Response("The body is too long.", { status: 413 });
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
