import { type Environment, EnvironmentReader } from "../runtime/environment.ts";
import type { FreshChoice } from "./build.ts";

export type WebConfig = {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly fresh: FreshChoice;
};

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
