/**
 * posthog-js speaks to this server, and this hands every request on to POSTHOG_HOST: no other host is ever asked, path,
 * query and body go on byte for byte, cookies stay here. Rules of a PostHog reverse proxy: posthog.com's docs,
 * advanced/proxy.
 */
import { away, fetchWithin, readBounded, tooLarge } from "./upstream.ts";

/** Where posthog-js finds the relay; neutral, because blockers know the usual words. */
export const RELAY_PATH = "/relay";

/** What PostHog's own edge takes (recordings). */
const BODY_BYTES_MAX = 64 * 1024 * 1024;
const ANSWER_MS_MAX = 10_000;

/** Never handed on: what belongs to one connection, to this host's users, or is set anew. */
const KEPT_HERE = new Set([
  "authorization",
  "connection",
  "content-length",
  "cookie",
  "accept-encoding",
  "expect",
  "forwarded",
  "host",
  "keep-alive",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
]);

/** Never handed back: fetch has undone the encoding, and PostHog's cookies are not ours to set. */
const NOT_HANDED_BACK = [
  "connection",
  "content-encoding",
  "content-length",
  "keep-alive",
  "set-cookie",
  "transfer-encoding",
];

/** Relays one request; `clientAddress` is the browser's, for PostHog's geo-IP. */
export async function relay(
  request: Request,
  { posthogUrl, clientAddress }: { posthogUrl: string; clientAddress: string | null },
): Promise<Response> {
  const target = relayTarget(new URL(request.url), { posthogUrl });
  const body = await readBounded(request.body, { bytesMax: BODY_BYTES_MAX });
  if (body === null) return tooLarge(BODY_BYTES_MAX);
  try {
    const response = await fetchWithin(target, {
      method: request.method,
      headers: onwardHeaders(request.headers, { clientAddress }),
      body: request.method === "GET" || request.method === "HEAD" ? undefined : body,
      limitMs: ANSWER_MS_MAX,
    });
    if (response.status >= 300 && response.status < 400 && response.status !== 304) {
      await response.body?.cancel();
      return away("PostHog answered with a redirect, which is not followed. Look at POSTHOG_HOST.");
    }
    const headers = new Headers(response.headers);
    for (const name of NOT_HANDED_BACK) headers.delete(name);
    return new Response(response.body, { status: response.status, headers });
  } catch {
    return away("PostHog does not answer.");
  }
}

/**
 * The address at PostHog for a request below {@link RELAY_PATH}. PostHog's cloud serves `/static/` and `/array/` from its
 * assets host; anything else, and every other POSTHOG_HOST, takes the path as it is.
 */
export function relayTarget(from: URL, { posthogUrl }: { posthogUrl: string }): URL {
  const target = new URL(posthogUrl);
  const path = from.pathname.slice(RELAY_PATH.length) || "/";
  const cloud = /^(us|eu)\.i\.posthog\.com$/.exec(target.hostname);
  if (cloud && /^\/(static|array)\//.test(path)) target.hostname = `${cloud[1]}-assets.i.posthog.com`;
  target.pathname = target.pathname.replace(/\/+$/, "") + path;
  target.search = from.search;
  return target;
}

function onwardHeaders(headers: Headers, { clientAddress }: { clientAddress: string | null }): Headers {
  const onward = new Headers();
  for (const [name, value] of headers) {
    if (!KEPT_HERE.has(name) && !name.startsWith("sec-")) onward.set(name, value);
  }
  const hops = [headers.get("x-forwarded-for"), clientAddress].filter((hop) => hop);
  if (hops.length > 0) onward.set("x-forwarded-for", hops.join(", "));
  return onward;
}
