/** Debian's chromium, driven by playwright-core, for browser tests: where to find it, how to start and how to leave it. */
import { type Browser, type BrowserContext, chromium } from "playwright-core";

const CHROMIUM = Deno.env.get("CHROMIUM") ?? "/usr/bin/chromium";

/** Why no browser can be started here; null where one can. */
export const noBrowser: string | null = exists(CHROMIUM)
  ? null
  : `no chromium at ${CHROMIUM}: install it (apt-get install chromium), or name another one by CHROMIUM`;

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** A headless browser of its own, with a new profile. Close it at the end. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM, headless: true, args: ARGUMENTS });
}

/** Everything a visit may leave behind that nobody asked for. */
export type Complaints = {
  /** Errors and warnings of the console, and exceptions nobody caught. */
  readonly console: string[];
  /** Requests to any host but the page's. */
  readonly otherHosts: string[];
};

/** Notes what goes wrong in a context's pages while a test looks at something else. */
export function watch(context: BrowserContext, { origin }: { origin: string }): Complaints {
  const complaints: Complaints = { console: [], otherHosts: [] };
  context.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.console.push(message.text());
  });
  context.on("weberror", (error) => complaints.console.push(String(error.error())));
  context.on("request", (request) => {
    const { protocol, origin: asked } = new URL(request.url());
    if (/^(https?|wss?):$/.test(protocol) && asked !== origin) complaints.otherHosts.push(request.url());
  });
  return complaints;
}
