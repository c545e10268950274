/**
 * A segment of the request's path, decoded: 0 is the first. Fresh decodes parameters as `decodeURI` does, which leaves
 * `%2F` and `%40` escaped, and an id may hold either.
 */
export function pathSegment(url: URL, index: number): string {
  const segment = url.pathname.split("/")[index + 1] ?? "";
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
