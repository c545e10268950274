/** `deno task web`: builds web/ with the Fresh that can be had and serves it. The same line serves both. */
import { pathToFileURL } from "node:url";
import { ConfigurationError, type Environment, EnvironmentReader } from "../runtime/environment.ts";
import { buildWeb, type FreshChoice, type WebBuild } from "./build.ts";

export type WebConfig = {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly fresh: FreshChoice;
};

export type RunningWeb = {
  readonly url: string;
  readonly port: number;
  readonly fresh: WebBuild["fresh"];
  /** For people: the address and which Fresh serves it. */
  readonly line: string;
  /** Takes no new request and waits for those under way, but two seconds at most: an event stream has no end. */
  readonly stop: () => Promise<void>;
};

const DRAIN_LIMIT_MS = 2_000;

/** Throws `ConfigurationError` with every problem. */
export function readWebConfig(environment: Environment): WebConfig {
  const env = new EnvironmentReader(environment);
  const config: WebConfig = {
    host: env.text("HOST", "127.0.0.1"),
    port: env.port("WEB_PORT", 8000),
    fresh: env.oneOf<FreshChoice>("FRESH", ["jsr", "npm"], "probe"),
  };
  env.finish();
  return config;
}

/**
 * Builds web/ and serves it in this process. The app reads its own environment (INGEST_URL, PROCESSOR_URL, POSTHOG_HOST,
 * POSTHOG_KEY); FRESH is set in it to the one that was chosen, so that the page can name it.
 */
export async function startWeb({ host, port, fresh: choice }: WebConfig): Promise<RunningWeb> {
  const { fresh, words, serverModulePath } = await buildWeb(choice);
  Deno.env.set("FRESH", fresh);
  const { default: app } = await import(pathToFileURL(serverModulePath).href) as {
    default: Deno.ServeDefaultExport;
  };
  const server = listen({ hostname: host, port }, app.fetch);
  const url = `http://${nameOf(host)}:${server.addr.port}`;
  const stop = async () => {
    const { promise: patience, resolve } = Promise.withResolvers<void>();
    const limit = setTimeout(resolve, DRAIN_LIMIT_MS);
    await Promise.race([server.shutdown(), patience]);
    clearTimeout(limit);
  };
  return { url, port: server.addr.port, fresh, line: `web: ${url} (${words})`, stop };
}

/** What a visitor clicks first. A page that a build left empty answers 200 as well, so its status says nothing. */
export const PAGE_BUTTONS = ["Simulate Generation Failure", "Simulate Feature Usage"];
const PAGE_MS_MAX = 10_000;

/** What the page at `url` does not show, as a sentence that says what to do; null where its buttons are there. */
export async function whatPageLacks(url: string): Promise<string | null> {
  let html: string;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(PAGE_MS_MAX), redirect: "manual" });
    html = await response.text();
  } catch (error) {
    return `Cannot look at the page at ${url}: ${error instanceof Error ? error.message : error}.`;
  }
  const missing = PAGE_BUTTONS.filter((name) => !html.includes(name));
  if (missing.length === 0) return null;
  return `The page at ${url} does not show its buttons (${missing.join(", ")}), so its build went wrong. ` +
    "FRESH=npm serves it without JSR; web/_fresh removed, it is built anew.";
}

function listen(
  options: { hostname: string; port: number },
  handler: Deno.ServeHandler,
): Deno.HttpServer<Deno.NetAddr> {
  try {
    return Deno.serve({ ...options, automaticCompression: true, onListen: () => {} }, handler);
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    throw new Error(
      `Cannot listen on ${options.hostname}:${options.port}: something else does. Set WEB_PORT to another port.`,
    );
  }
}

/** What a browser on this machine calls the address. */
function nameOf(host: string): string {
  if (["127.0.0.1", "::1", "0.0.0.0", "::"].includes(host)) return "localhost";
  return host.includes(":") ? `[${host}]` : host;
}

const HELP = `deno task web: builds web/ and serves it.
HOST (127.0.0.1), WEB_PORT (8000; 0: any free port), FRESH (jsr or npm; unset: JSR where it answers),
INGEST_URL, PROCESSOR_URL, POSTHOG_HOST, POSTHOG_KEY: where web finds the others.`;

async function main(): Promise<void> {
  if (Deno.args.includes("--help")) return console.log(HELP);
  const signalled = Promise.withResolvers<void>();
  // Ctrl-C reaches a service under `deno task` twice; the second one changes nothing.
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => signalled.resolve());
  }
  const starting = startWeb(readWebConfig(Deno.env.toObject()));
  const web = await Promise.race([starting, signalled.promise]);
  if (web) {
    console.log(web.line);
    await signalled.promise;
    await web.stop();
  }
  Deno.exit(0);
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    Deno.exit(error instanceof ConfigurationError ? 2 : 1);
  }
}
