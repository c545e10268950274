/** What a browser may do with our pages: nothing from another host, no inline script but Fresh's own boot script. */
import { HttpError } from "fresh";
import { ErrorMessage } from "../components/ErrorMessage.tsx";
import { define } from "../utils.ts";

/** Where Fresh leaves the nonce of a rendered page, for middlewares such as its own `csp()`. */
const NONCE = Symbol.for("__freshNonce");

const HEADERS = {
  // A page says what is so now: the way back to it must not lead to what was so then.
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "referrer-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
};

/**
 * Sets the Content-Security-Policy and its neighbours on every answer, on error pages too: these are rendered here, because a header set
 * behind `ctx.next()` would not reach the page that `_error.tsx` renders further out. Fresh's own `csp()` is not used:
 * where nothing was rendered it falls back to `'unsafe-inline'`, and its `upgrade-insecure-requests` breaks a page that
 * is served by plain http to another machine. Here no nonce means no inline script. An answer that brings a header of
 * its own, as what other services said does, keeps it.
 */
export const policy = define.middleware(async (ctx) => {
  // Fresh's own "not found" throws before it returns a promise.
  const response = await (async () => await ctx.next())().catch((error) => {
    const status = error instanceof HttpError ? error.status : 500;
    if (status >= 500) console.error(error);
    return ctx.render(<ErrorMessage status={status} />, { status });
  });
  const policy = {
    ...HEADERS,
    "content-security-policy": pagePolicy((response as { [NONCE]?: string })[NONCE]),
  };
  for (const [name, value] of Object.entries(policy)) {
    if (!response.headers.has(name)) response.headers.set(name, value);
  }
  return response;
});

function pagePolicy(nonce: string | undefined): string {
  return [
    "default-src 'none'",
    `script-src 'self'${nonce ? ` 'nonce-${nonce}'` : ""}`,
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "frame-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
}

/**
 * For the HTML of a mail, which is somebody else's: no script, nothing fetched from anywhere, shown in our frame only.
 * Its links open elsewhere and learn nothing of this page.
 */
export const MAIL_POLICY = [
  "default-src 'none'",
  "style-src 'unsafe-inline'",
  "img-src data:",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'self'",
  "sandbox allow-popups allow-popups-to-escape-sandbox",
].join("; ");
