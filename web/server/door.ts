/** In front of every page and file: the public door is open to everybody, everything else is the operator's console. */
import {
  ConsoleDoor,
  type ConsoleSettings,
  hostRefusal,
  isLocal,
  refusalAnswer,
  visitOf,
} from "../../contract/door.ts";
import { isReadable } from "./path.ts";
import { RELAY_PATH } from "./relay.ts";

const door = new ConsoleDoor(() => performance.now());

/** The answer for who does not come in, null for who does; `info` is what the server says of the connection. */
export function turnedAway(request: Request, info: unknown, settings: ConsoleSettings): Response | null {
  const visit = visitOf(request, info);
  const refusal = isPublic(request) ? hostRefusal(visit, settings) : door.refusal(visit, settings);
  return refusal && refusalAnswer(refusal);
}

/** The unsubscribe link and the relay need no other address: ingest's page brings its style with it. */
function isPublic(request: Request): boolean {
  if (!isReadable(request)) return false;
  const { pathname } = new URL(request.url);
  return pathname === "/unsubscribe" || pathname.startsWith(`${RELAY_PATH}/`);
}

/**
 * Whether a request may see prompts as typed: these are for the developer at this machine. Who comes from elsewhere, or by
 * a foreign name that leads here, gets the same stream without them.
 */
export function mayShowRaw({ req, info }: { readonly req: Request; readonly info: unknown }): boolean {
  return isLocal(visitOf(req, info));
}
