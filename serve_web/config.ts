import type { ConsoleSettings } from "../contract/door.ts";
import { readConsole } from "../contract/door_settings.ts";
import { type Environment, EnvironmentReader } from "../runtime/environment.ts";
import type { FreshChoice } from "./build.ts";
import { readLog } from "../runtime/log.ts";

export type WebConfig = {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly fresh: FreshChoice;
  /** Who may use the console, as the app itself reads it. */
  readonly console: ConsoleSettings;
  /** What an operator is told at the start, beside who may come in. */
  readonly warnings: readonly string[];
};

/** Throws `ConfigurationError` with every problem. */
export function readWebConfig(environment: Environment): WebConfig {
  const env = new EnvironmentReader(environment);
  const host = env.text("HOST", "127.0.0.1");
  const publicUrl = env.url("PUBLIC_URL", "http://localhost:8000");
  const config: WebConfig = {
    host,
    port: env.port("WEB_PORT", 8000),
    fresh: env.oneOf<FreshChoice>("FRESH", ["jsr", "npm"], "probe"),
    console: readConsole(env, { host, publicUrl }),
    warnings: unknownPorts(env),
  };
  readLog(env); // Kept by who runs the service; what is wrong with it is said here, beside the rest.
  env.finish();
  return config;
}

/** Where the others are, as the app itself reads it: the address, else this machine at the port. */
const OTHERS = [
  { port: "INGEST_PORT", url: "INGEST_URL", otherwise: 3000 },
  { port: "PROCESSOR_PORT", url: "PROCESSOR_URL", otherwise: 3001 },
  { port: "POSTHOG_STAND_IN_PORT", url: "POSTHOG_HOST", otherwise: 8010 },
] as const;

function unknownPorts(env: EnvironmentReader): readonly string[] {
  return OTHERS.filter(({ port, url, otherwise }) =>
    env.port(port, otherwise) === 0 && env.optional(url) === undefined
  ).map(({ port, url, otherwise }) =>
    `${port} is 0, any free one, so nobody can know where that is: web asks port ${otherwise}. Set ${url}.`
  );
}
