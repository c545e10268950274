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
  };
  readLog(env); // Kept by who runs the service; what is wrong with it is said here, beside the rest.
  env.finish();
  return config;
}
