/** Which route a request belongs to: exact paths first, then patterns in the order they were added. */
const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const;
export type Method = typeof METHODS[number];

export type Match<T> = {
  readonly pattern: string | null;
  readonly params: Record<string, string>;
  /** undefined: no route there, or none for this method. */
  readonly item: T | undefined;
};

type Route<T> = { readonly pattern: string; readonly byMethod: Map<string, T>; readonly url?: URLPattern };

/**
 * Finds what was added for a method and path: paths without a pattern first, then patterns in the order they were
 * added.
 */
export class Router<T> {
  readonly #exact = new Map<string, Route<T>>();
  readonly #patterns = new Map<string, Route<T>>();

  /** The first item for a method and pattern stands. */
  add(method: Method | "ALL", pattern: string, item: T): void {
    const routes = /[*:{}+?()]/.test(pattern) ? this.#patterns : this.#exact;
    const route = routes.get(pattern) ?? {
      pattern,
      byMethod: new Map<string, T>(),
      ...(routes === this.#patterns && { url: new URLPattern({ pathname: pattern }) }),
    };
    routes.set(pattern, route);
    for (const name of method === "ALL" ? METHODS : [method]) {
      if (!route.byMethod.has(name)) route.byMethod.set(name, item);
    }
  }

  /** HEAD falls back to GET. Throws URIError where a parameter cannot be decoded, as Fresh does. */
  match(method: string, url: URL): Match<T> {
    const { route, groups } = this.#find(url);
    if (!route) return { pattern: null, params: {}, item: undefined };
    const item = route.byMethod.get(method) ?? (method === "HEAD" ? route.byMethod.get("GET") : undefined);
    return { pattern: route.pattern, params: item === undefined ? {} : decoded(groups), item };
  }

  #find(url: URL): { route?: Route<T>; groups: Record<string, string | undefined> } {
    const exact = this.#exact.get(url.pathname) ?? this.#exact.get(otherSlash(url.pathname));
    if (exact) return { route: exact, groups: {} };
    for (const route of this.#patterns.values()) {
      const match = route.url?.exec(url);
      if (match) return { route, groups: match.pathname.groups };
    }
    return { groups: {} };
  }
}

/** The same path with or without a slash at its end: exact paths answer both. */
const otherSlash = (path: string) => path.endsWith("/") ? path.slice(0, -1) : `${path}/`;

/** As Fresh does: `decodeURI`, so `%2F` and `%40` stay escaped. */
function decoded(groups: Record<string, string | undefined>): Record<string, string> {
  return Object.fromEntries(Object.entries(groups).map(([key, value]) => [key, decodeURI(value ?? "")]));
}
