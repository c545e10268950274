/** `fresh/runtime`: what components may use on the server and in the browser alike. */
export const IS_BROWSER: boolean = typeof document !== "undefined";

declare const __FRESH_BUILD_ID__: string | undefined;

/** Names this build of the static files; a URL that carries it may be cached for ever. */
export const BUILD_ID: string = typeof __FRESH_BUILD_ID__ === "string" ? __FRESH_BUILD_ID__ : "unbuilt";
export const BUILD_ID_PARAMETER = "__frsh_c";

/** URL of a file in `static/` that changes with each build, so that it is served with a cache lifetime of a year. */
export function asset(path: string): string {
  if (!path.startsWith("/") || path.startsWith("//")) return path;
  const url = new URL(path, "http://localhost");
  if (!url.searchParams.has(BUILD_ID_PARAMETER)) url.searchParams.set(BUILD_ID_PARAMETER, BUILD_ID);
  return url.pathname + url.search + url.hash;
}
