/** Whether a form or a call that changes something was sent by one of our own pages. */
import { answersTo, hostNameIn, type HostSettings } from "../../contract/door.ts";

/**
 * True where the browser says (`Origin`) that a page of this very host sent the request, and the host is one that this
 * service answers to. Any other name could have been turned to this machine by whoever owns it, and its pages would then
 * be of the same origin. Without `Origin` it is false: browsers send it. A password proves nothing here, since browsers
 * send it along with what another site's page makes them send.
 */
export function isOwnPage(request: Request, hosts: HostSettings): boolean {
  const origin = request.headers.get("origin");
  const host = request.headers.get("host");
  if (origin === null || host === null || !URL.canParse(origin)) return false;
  const name = hostNameIn(host);
  // The scheme is left out: behind a proxy that ends TLS it is another one here.
  return new URL(origin).host === host && name !== null && answersTo(name, hosts);
}
