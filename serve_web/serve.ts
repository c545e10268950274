/**
 * Serves a build of web/; the same line serves both Freshes. As a program: the build that lies there, which is what web's
 * image runs.
 */
import { Hono } from "hono";
import { compress } from "hono/compress";
import { pathToFileURL } from "node:url";
import { within } from "../runtime/clock.ts";
import type { Handler } from "../runtime/http/connection.ts";
import { wholeRequest } from "../runtime/http/request.ts";
import { browserUrlOf, listen } from "../runtime/listen.ts";
import { log } from "../runtime/log.ts";
import { type RunningService, runService } from "../runtime/service.ts";
import { foundBuild, type WebBuild } from "./build.ts";
import { readWebConfig, type WebConfig } from "./config.ts";

type Info = Parameters<Handler>[1];
type App = { fetch(request: Request, info: Info): Response | Promise<Response> };

/** For requests under way: an event stream has no end. */
const DRAIN_LIMIT_MS = 2_000;

/** What web's programs have to say of themselves beside their first line. */
export const WEB_SETTINGS =
  `INGEST_URL, PROCESSOR_URL, POSTHOG_HOST, POSTHOG_KEY: where web finds the others (unset: on this machine, at INGEST_PORT,
PROCESSOR_PORT, POSTHOG_STAND_IN_PORT).
CONSOLE_PASSWORD, ALLOW_ANONYMOUS, PUBLIC_URL, ALLOWED_HOSTS: who may see more than /unsubscribe.`;

/**
 * Serves a build in this process. The app reads its own environment (INGEST_URL, PROCESSOR_URL, POSTHOG_HOST,
 * POSTHOG_KEY); FRESH is set in it to the one that it was built with, so that the page can name it.
 */
export async function serveWeb(
  { host, port, warnings }: Pick<WebConfig, "host" | "port" | "warnings">,
  { fresh, words, serverModulePath }: WebBuild,
): Promise<RunningService> {
  for (const words of warnings) log("warn", words);
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

const USAGE = `serve_web/serve.ts: serves web/ as it was built, and builds nothing.
HOST (127.0.0.1), WEB_PORT (8000; 0: any free port),
${WEB_SETTINGS}`;

if (import.meta.main) {
  const program = { name: "web", usage: USAGE };
  Deno.exit(
    await runService(
      program,
      async (environment) => serveWeb(readWebConfig(environment), await foundBuild()),
    ),
  );
}
