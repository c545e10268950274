/**
 * What Fresh adds to links within the site, so that they say whether they lead to the page they stand on. Marks of a link with these props on a page: `page` where it leads there, `true` where the page lies below it; `/` has
 * every page below it. A link whose query is another than the page's counts as one further up. None for a link that
 * says `aria-current` itself, whatever it says, and for one that leads elsewhere.
 */
export function linkMarks(
  props: Readonly<Record<string, unknown>>,
  page: URL,
): Record<string, string> | null {
  const { href, "aria-current": own } = props;
  if (own !== undefined || typeof href !== "string" || !href.startsWith("/")) return null;
  const { pathname, search } = new URL(href, "http://localhost");
  const [to, at] = [pathname, page.pathname].map(withoutSlash);
  if (to === at && (search === "" || search === page.search)) {
    return { "data-current": "true", "aria-current": "page" };
  }
  return to === at || to === "/" || at!.startsWith(`${to}/`)
    ? { "data-ancestor": "true", "aria-current": "true" }
    : null;
}

const withoutSlash = (path: string) => path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path;
