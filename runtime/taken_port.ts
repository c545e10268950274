/** What to do about a port that somebody else listens on. */

/** Ports above the taken one that are tried. */
const NEXT_TRIED_MAX = 100;

/** `Stop process 4711 (deno), which listens there: kill 4711. Or take the next free port: INGEST_PORT=3002.` */
export function portAdvice(
  { host, port, setting, not = [] }: {
    readonly host: string;
    readonly port: number;
    /** The variable that sets it. */
    readonly setting: string;
    /** Ports that are free and spoken for. */
    readonly not?: readonly number[];
  },
): string {
  const next = nextFreePort(port, { host, not });
  const other = next === null
    ? `set ${setting} to another port`
    : `take the next free port: ${setting}=${next}`;
  return `${howToFree(port)}. Or ${other}.`;
}

/** Null where none of the next {@link NEXT_TRIED_MAX} is free. */
function nextFreePort(taken: number, { host, not }: { host: string; not: readonly number[] }): number | null {
  for (let port = taken + 1; port <= Math.min(65_535, taken + NEXT_TRIED_MAX); port++) {
    if (not.includes(port)) continue;
    try {
      Deno.listen({ hostname: host.replace(/^\[(.*)\]$/, "$1"), port }).close();
      return port;
    } catch {
      // Taken too.
    }
  }
  return null;
}

function howToFree(port: number): string {
  const owner = ownerOf(port);
  if (owner !== null) {
    return `Stop process ${owner.pid} (${owner.name}), which listens there: kill ${owner.pid}`;
  }
  return Deno.build.os === "linux"
    ? `Stop what listens there: fuser -k ${port}/tcp`
    : `Stop what listens there: kill $(lsof -t -iTCP:${port} -sTCP:LISTEN)`;
}

/** Null where it is another user's, this system is no Linux, or the right to look is missing (Deno reads /proc with -A). */
function ownerOf(port: number): { readonly pid: number; readonly name: string } | null {
  try {
    const sockets = new Set(["tcp", "tcp6"].flatMap((name) => listenersIn(name, port)));
    for (const { name: pid } of Deno.readDirSync("/proc")) {
      if (!/^\d+$/.test(pid) || !holds(pid, sockets)) continue;
      return { pid: Number(pid), name: Deno.readTextFileSync(`/proc/${pid}/comm`).trim().slice(0, 40) };
    }
  } catch {
    // Nobody can say.
  }
  return null;
}

/** Inodes of the sockets that listen on the port: proc(5), `0A` is LISTEN. */
function listenersIn(name: string, port: number): string[] {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return Deno.readTextFileSync(`/proc/net/${name}`).split("\n").flatMap((line) => {
    const [, local = "", , state, , , , , , inode = ""] = line.trim().split(/\s+/);
    return local.endsWith(wanted) && state === "0A" ? [`socket:[${inode}]`] : [];
  });
}

function holds(pid: string, sockets: ReadonlySet<string>): boolean {
  try {
    return [...Deno.readDirSync(`/proc/${pid}/fd`)].some(({ name }) => {
      try {
        return sockets.has(Deno.readLinkSync(`/proc/${pid}/fd/${name}`));
      } catch {
        return false; // It was closed in between.
      }
    });
  } catch {
    return false; // Another user's, or ended.
  }
}
