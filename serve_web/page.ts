import { passwordHeaders } from "../contract/door.ts";

/** What a visitor clicks first. A page that a build left empty answers 200 as well, so its status says nothing. */
export const PAGE_BUTTONS = ["Simulate Generation Failure", "Simulate Feature Usage"];
const PAGE_MS_MAX = 10_000;

/**
 * What the page at `url` does not show, as a sentence that says what to do; null where its buttons are there.
 * @param password The console's; null: none.
 */
export async function whatPageLacks(url: string, password: string | null = null): Promise<string | null> {
  let html: string;
  try {
    const response = await fetch(url, {
      headers: passwordHeaders(password),
      signal: AbortSignal.timeout(PAGE_MS_MAX),
      redirect: "manual",
    });
    html = await response.text();
  } catch (error) {
    return `Cannot look at the page at ${url}: ${error instanceof Error ? error.message : error}.`;
  }
  const missing = PAGE_BUTTONS.filter((name) => !html.includes(name));
  if (missing.length === 0) return null;
  return `The page at ${url} does not show its buttons (${missing.join(", ")}), so its build went wrong. ` +
    "FRESH=npm serves it without JSR; web/_fresh removed, it is built anew.";
}
