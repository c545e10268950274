/** Whether a form or a call that changes something was sent by one of our own pages. */
import { isLoopback } from "../../contract/loopback.ts";

/**
 * True where the browser says (`Origin`) that a page of this very host sent the request, and the host is one that can only
 * be this one: a loopback name, an address, or PUBLIC_URL's. Any other name could have been turned to this machine by
 * whoever owns it, and its pages would then be of the same origin. Without `Origin` it is false: browsers send it.
 */
export function isOwnPage(request: Request, { publicUrl }: { readonly publicUrl: string }): boolean {
  const origin = request.headers.get("origin");
  const host = request.headers.get("host");
  if (origin === null || host === null || !URL.canParse(origin)) return false;
  const from = new URL(origin);
  // The scheme is left out: behind a proxy that ends TLS it is another one here.
  return from.host === host && (isLoopback(from.hostname) || isAddress(from.hostname) ||
    from.host === new URL(publicUrl).host);
}

function isAddress(hostname: string): boolean {
  return hostname.startsWith("[") || /^\d{1,3}(\.\d{1,3}){3}$/.test(hostname);
}
