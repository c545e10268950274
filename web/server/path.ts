/**
 * A segment of the request's path, decoded: 0 is the first. Fresh decodes parameters as `decodeURI` does, which leaves
 * `%2F` and `%40` escaped, and an id may hold either.
 */
export function pathSegment(url: URL, index: number): string {
  return decodeURIComponent(url.pathname.split("/")[index + 1] ?? "");
}

/** False for an address that leads nowhere: a path such as `/offers/%E0%A4%A`, whose escapes are no UTF-8, or a Host that is none. */
export function isReadable({ url }: { url: string }): boolean {
  try {
    decodeURIComponent(new URL(url).pathname);
    return true;
  } catch {
    return false;
  }
}

/**
 * What is asked in place of a request whose address cannot be read: a page that is not there. Nothing of the request is
 * copied, since its Host may be what cannot be read, and its method one that a copy refuses.
 */
export function nowhere(): Request {
  return new Request("http://localhost/no-such-address");
}
