/** `deno task web`: builds web/ with the Fresh that can be had and serves it. The same line serves both. */
import { Hono } from "hono";
import { compress } from "hono/compress";
import { pathToFileURL } from "node:url";
import { within } from "../runtime/clock.ts";
import type { Environment } from "../runtime/environment.ts";
import type { Handler } from "../runtime/http/connection.ts";
import { wholeRequest } from "../runtime/http/request.ts";
import { browserUrlOf, listen } from "../runtime/listen.ts";
import { type RunningService, runService } from "../runtime/service.ts";
import { buildWeb } from "./build.ts";
import { readWebConfig } from "./config.ts";

type Info = Parameters<Handler>[1];
type App = { fetch(request: Request, info: Info): Response | Promise<Response> };

/** For requests under way: an event stream has no end. */
const DRAIN_LIMIT_MS = 2_000;

/**
 * Builds web/ and serves it in this process. The app reads its own environment (INGEST_URL, PROCESSOR_URL, POSTHOG_HOST,
 * POSTHOG_KEY); FRESH is set in it to the one that was chosen, so that the page can name it.
 */
async function startWeb(environment: Environment): Promise<RunningService> {
  const { host, port, fresh: choice } = readWebConfig(environment);
  const { fresh, words, serverModulePath } = await buildWeb(choice);
  Deno.env.set("FRESH", fresh);
  const { default: app } = await import(pathToFileURL(serverModulePath).href) as { default: App };
  const compressed = new Hono<{ Bindings: Info }>().use(compress()).all(
    "*",
    (c) => app.fetch(wholeRequest(c.req.raw), c.env),
  );
  const web = listen((request, info) => compressed.fetch(request, info), {
    host,
    port,
    portSetting: "WEB_PORT",
  });
  return {
    line: `${browserUrlOf(host, web.port)} (${words})`,
    stop: async () => void await within(web.server.shutdown(), { ms: DRAIN_LIMIT_MS }),
  };
}

const USAGE = `deno task web: builds web/ and serves it.
HOST (127.0.0.1), WEB_PORT (8000; 0: any free port), FRESH (jsr or npm; unset: JSR where it answers),
INGEST_URL, PROCESSOR_URL, POSTHOG_HOST, POSTHOG_KEY: where web finds the others.
CONSOLE_PASSWORD, ALLOW_ANONYMOUS, PUBLIC_URL, ALLOWED_HOSTS: who may see more than /unsubscribe.`;

if (import.meta.main) Deno.exit(await runService({ name: "web", usage: USAGE }, startWeb));
