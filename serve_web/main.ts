/** `deno task web`: builds web/ with the Fresh that can be had and serves it. The same line serves both. */
import { pathToFileURL } from "node:url";
import { within } from "../runtime/clock.ts";
import { ConfigurationError } from "../runtime/environment.ts";
import { buildWeb, type WebBuild } from "./build.ts";
import { readWebConfig, type WebConfig } from "./config.ts";

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
    await within(server.shutdown(), { ms: DRAIN_LIMIT_MS });
  };
  return { url, port: server.addr.port, fresh, line: `web: ${url} (${words})`, stop };
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
