import { resolve } from "node:path";

const ROOT = resolve(import.meta.dirname!, "../..");

/** By which a service's task bounds V8's heap. */
export function v8FlagsOf(service: string): string {
  const file = Deno.readTextFileSync(`${ROOT}/runtime/telemetry/${service}.env`);
  const flags = /^DENO_V8_FLAGS=(.+)$/m.exec(file)?.[1];
  if (flags === undefined) throw new Error(`Nothing bounds V8's heap in runtime/telemetry/${service}.env.`);
  return flags;
}
