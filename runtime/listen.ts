import type { Handler } from "./http/connection.ts";
import { HttpServer } from "./http/server.ts";
import { portAdvice } from "./taken_port.ts";

/** Where a service listens, and what others call that place. */

export type Listener = {
  readonly server: HttpServer;
  readonly port: number;
  /** See {@link urlOf}. */
  readonly url: string;
};

export type ListenOptions = {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** The variable that sets the port: named where it is taken. */
  readonly portSetting: string;
  /** Where a fault of a handler or of the listening goes; default the log. */
  readonly report?: (text: string) => void;
};

/** Serves HTTP; throws with what to do where the port is taken. */
export function listen(
  handler: Handler,
  { host, port, portSetting, ...options }: ListenOptions,
): Listener {
  try {
    const server = new HttpServer(handler, { ...options, hostname: host.replace(/^\[(.*)\]$/, "$1"), port });
    return { server, port: server.addr.port, url: urlOf(host, server.addr.port) };
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    throw new Deno.errors.AddrInUse(
      `Cannot listen on ${host}:${port}: the port is taken. ${
        portAdvice({ host, port, setting: portSetting })
      }`,
      { cause: error },
    );
  }
}

/** How this machine reaches what listens on `host`. */
export function urlOf(host: string, port: number): string {
  return `http://${reachable(host)}:${port}`;
}

/** What a browser on this machine calls it: `localhost` where the machine itself is reached. */
export function browserUrlOf(host: string, port: number): string {
  const name = reachable(host);
  return `http://${["127.0.0.1", "[::1]"].includes(name) ? "localhost" : name}:${port}`;
}

/** Nobody can connect to an address that stands for all of a machine's. */
function reachable(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  if (host === "::" || host === "[::]") return "[::1]";
  return host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
}
