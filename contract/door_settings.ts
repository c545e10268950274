import type { EnvironmentReader } from "../runtime/environment.ts";
import { type ConsoleSettings, hostNameIn, type HostSettings, isLoopback } from "./door.ts";

/** Reads ALLOWED_HOSTS: comma-separated host names, none by default; notes what is no host name. */
export function readHosts(env: EnvironmentReader, publicUrl: string): HostSettings {
  const allowedHosts = env.list("ALLOWED_HOSTS", []).flatMap((text) => {
    const name = hostNameIn(text);
    if (name === null) {
      env.refuse(`Cannot read ALLOWED_HOSTS "${text}": expected host names such as shop.example,10.0.0.7.`);
    }
    return name ?? [];
  });
  return { publicHost: new URL(publicUrl).hostname.replace(/\.$/, ""), allowedHosts };
}

/**
 * Reads CONSOLE_PASSWORD and ALLOW_ANONYMOUS beside the hosts; notes it where neither is set and the service listens on
 * more than loopback.
 */
export function readConsole(
  env: EnvironmentReader,
  { host, publicUrl }: { readonly host: string; readonly publicUrl: string },
): ConsoleSettings {
  const password = env.optional("CONSOLE_PASSWORD") ?? null;
  const anonymous = env.flag("ALLOW_ANONYMOUS", false) && password === null;
  // deno-lint-ignore no-control-regex
  if (/[\0-\x1f\x7f]/.test(password ?? "")) {
    env.refuse("Cannot use CONSOLE_PASSWORD: no browser sends control characters. Make one of other signs.");
  }
  if (!isLoopback(host) && password === null && !anonymous) {
    env.refuse(
      `Cannot open the console on HOST "${host}" to everybody who reaches it: it shows addresses, codes and mails. ` +
        "Set CONSOLE_PASSWORD, or ALLOW_ANONYMOUS=1 if this is meant.",
    );
  }
  return { ...readHosts(env, publicUrl), password, anonymous };
}
