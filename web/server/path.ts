/**
 * A segment of the request's path, decoded: 0 is the first. Fresh decodes parameters as `decodeURI` does, which leaves
 * `%2F` and `%40` escaped, and an id may hold either.
 */
export function pathSegment(url: URL, index: number): string {
  return decodeURIComponent(url.pathname.split("/")[index + 1] ?? "");
}

/** False for a path such as `/offers/%E0%A4%A`, whose escapes are no UTF-8. */
export function isDecodable({ url }: { url: string }): boolean {
  try {
    decodeURIComponent(new URL(url).pathname);
    return true;
  } catch {
    return false;
  }
}

/** An address on the same host at which there is no page, for what can lead to none. */
export function nowhere({ url }: { url: string }): URL {
  return new URL("/no-such-address", url);
}
