/** `deno task web`: builds web/ with the Fresh that can be had and serves it. */
import { runService } from "../runtime/service.ts";
import { buildWeb } from "./build.ts";
import { readWebConfig } from "./config.ts";
import { serveWeb, WEB_SETTINGS } from "./serve.ts";

const USAGE = `deno task web: builds web/ and serves it.
HOST (127.0.0.1), WEB_PORT (8000; 0: any free port), FRESH (jsr or npm; unset: JSR where it answers),
${WEB_SETTINGS}`;

if (import.meta.main) {
  const program = { name: "web", usage: USAGE };
  Deno.exit(
    await runService(program, async (environment) => {
      const config = readWebConfig(environment);
      return await serveWeb(config, await buildWeb(config.fresh));
    }),
  );
}
