import { backOffMs } from "../retry.ts";
import { type Clock, systemClock } from "../clock.ts";
import { clientOf } from "../room.ts";
import { Connection, type Handler, type Phase } from "./connection.ts";
import { log } from "../log.ts";

/**
 * HTTP/1.1 on connections that are counted, dated and shared out: what `Deno.serve` has no settings for, and `node:http`
 * on Deno does not survive (docs/decisions/http-server.md). No HTTP/2, no upgrade, no TLS: a proxy in front has these.
 */

export type HttpLimits = {
  /** Most connections at once. The one more takes the place of whoever has waited longest at the address with the most. */
  readonly connectionsMax: number;
  /** Milliseconds that a connection may be at one thing without a byte going; a handler at work has its own bounds. */
  readonly msMax: Readonly<Record<Exclude<Phase, "work">, number>>;
  /** Milliseconds between two looks at them. */
  readonly sweepMs: number;
  /** First and longest wait after an accept that failed, in milliseconds. */
  readonly acceptMsFirst: number;
  readonly acceptMsMax: number;
};

export const HTTP_LIMITS: HttpLimits = {
  connectionsMax: 4_000,
  // Proxies keep a connection for a minute: ours lives longer, so that theirs ends it.
  msMax: { idle: 75_000, head: 10_000, body: 30_000, write: 30_000, linger: 2_000 },
  sweepMs: 500,
  acceptMsFirst: 50,
  acceptMsMax: 1_000,
};

export type ServeOptions = {
  readonly hostname: string;
  readonly port: number;
  readonly limits?: HttpLimits;
  readonly clock?: Clock;
  readonly report?: (text: string) => void;
};

/** Fewest connections that are taken, however few descriptors the process finds. */
const CONNECTIONS_MIN = 8;
/** Milliseconds that a request may still take to come once the server takes nothing new. */
const LAST_HEAD_MS_MAX = 1_000;
/** Milliseconds after which who has taken nothing of an answer waits too. */
const STALLED_MS = 1_000;
/** Milliseconds between two reports of the same trouble. */
const REPORT_MS = 60_000;

const logged = (text: string) => log("error", text);

/** A server at work. Its figures count since the start. */
export class HttpServer {
  readonly addr: Deno.NetAddr;
  accepted = 0;
  /** Cut off to make room, or not taken at all. */
  shed = 0;
  /** Cut off because their time was over. */
  expired = 0;
  acceptFailures = 0;

  readonly #listener: Deno.TcpListener;
  readonly #connections = new Map<Connection, string>();
  readonly #handler: Handler;
  readonly #limits: HttpLimits;
  readonly #clock: Clock;
  readonly #report: (text: string) => void;
  readonly #closing = new AbortController();
  #emptied = () => {};
  /** Below `connectionsMax` while the process is short of descriptors. */
  #room: number;
  #reportedAt = -Infinity;
  #now: number;

  /** Throws what `Deno.listen` does. */
  constructor(handler: Handler, options: ServeOptions) {
    const { hostname, port, limits = HTTP_LIMITS, clock = systemClock, report = logged } = options;
    this.#listener = Deno.listen({ hostname, port });
    this.addr = this.#listener.addr as Deno.NetAddr;
    this.#handler = handler;
    this.#limits = limits;
    this.#clock = clock;
    this.#report = report;
    this.#now = clock.monotonic();
    this.#room = limits.connectionsMax;
    void this.#accept();
    void this.#sweep();
  }

  get open(): number {
    return this.#connections.size;
  }

  /** Takes nothing new, and resolves when every request under way is answered. */
  async shutdown(): Promise<void> {
    this.#close();
    for (const connection of this.#connections.keys()) if (connection.phase === "idle") connection.close();
    if (this.open > 0) await new Promise<void>((resolve) => this.#emptied = resolve);
  }

  /** Cuts every connection. */
  abort(): void {
    this.#close();
    for (const connection of this.#connections.keys()) connection.close();
  }

  #close(): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    this.#listener.close();
  }

  async #accept(): Promise<void> {
    for (let failures = 0; !this.#closing.signal.aborted;) {
      try {
        this.#take(await this.#listener.accept());
        failures = 0;
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        this.acceptFailures++;
        this.#makeRoom(error);
        const waitMs = backOffMs(++failures, {
          msFirst: this.#limits.acceptMsFirst,
          msMax: this.#limits.acceptMsMax,
        });
        await this.#clock.wait(waitMs, this.#closing.signal);
      }
    }
  }

  /** A process without descriptors cannot open its own files either: fewer connections leave it some. */
  #makeRoom(error: unknown): void {
    const words = error instanceof Error ? error.message : String(error);
    const short = ["EMFILE", "ENFILE"].includes((error as { code?: string }).code ?? "");
    if (short) {
      this.#room = Math.max(CONNECTIONS_MIN, Math.floor(this.open * 3 / 4));
      while (this.open > this.#room && this.#shedOne(null));
    }
    const now = this.#clock.monotonic();
    if (now - this.#reportedAt < REPORT_MS) return;
    this.#reportedAt = now;
    this.#report(
      `a connection cannot be taken: ${words}. It is tried again` +
        (short
          ? `, with at most ${this.#room} connections: raise the limit of open files (ulimit -n).`
          : "."),
    );
  }

  #take(conn: Deno.TcpConn): void {
    const peer = peerOf(conn);
    const client = clientOf(peer.hostname);
    if (this.open >= this.#room && !this.#shedOne(client)) {
      this.shed++;
      return conn.close();
    }
    this.accepted++;
    conn.setNoDelay(true);
    const connection = new Connection(conn, peer, {
      handler: this.#handler,
      now: () => this.#now,
      report: this.#report,
      closing: () => this.#closing.signal.aborted,
    });
    this.#connections.set(connection, client);
    void connection.serve().then(() => {
      this.#connections.delete(connection);
      if (this.open === 0) this.#emptied();
    });
  }

  /**
   * Closes the connection that has waited longest, of whoever has most of those that wait: for its next request, for a
   * head, for a body, for a client that takes nothing of its answer. False where the newcomer would take the place of somebody who has fewer.
   */
  #shedOne(newcomer: string | null): boolean {
    const held = new Map<string, number>();
    for (const holder of this.#connections.values()) held.set(holder, (held.get(holder) ?? 0) + 1);
    let victim: Connection | null = null;
    let most = newcomer === null ? 0 : held.get(newcomer) ?? 0;
    for (const [connection, holder] of this.#connections) {
      if (!this.#waits(connection)) continue;
      const count = held.get(holder)!;
      if (count < most || (count === most && victim !== null && victim.since <= connection.since)) continue;
      [victim, most] = [connection, count];
    }
    if (victim === null) return false;
    this.shed++;
    victim.close();
    this.#connections.delete(victim);
    return true;
  }

  #waits({ phase, since }: Connection): boolean {
    return phase !== "work" && (phase !== "write" || this.#now - since >= STALLED_MS);
  }

  /** Ends whoever is over their time. */
  async #sweep(): Promise<void> {
    let heldSince = this.#clock.monotonic();
    while (!this.#closing.signal.aborted || this.open > 0) {
      await this.#clock.wait(this.#limits.sweepMs);
      const now = this.#now = this.#clock.monotonic();
      for (const connection of this.#connections.keys()) {
        if (now - connection.since <= this.#msMax(connection.phase)) continue;
        this.expired++;
        connection.expire();
      }
      // A minute without trouble: twice as many are tried.
      if (now - this.#reportedAt < REPORT_MS || now - heldSince < REPORT_MS) continue;
      heldSince = now;
      this.#room = Math.min(this.#limits.connectionsMax, this.#room * 2);
    }
  }

  /** Who has connected and not yet asked when the server closes may be about to, and is not waited for as long. */
  #msMax(phase: Phase): number {
    if (phase === "work") return Infinity;
    const ms = this.#limits.msMax[phase];
    return phase === "head" && this.#closing.signal.aborted ? Math.min(ms, LAST_HEAD_MS_MAX) : ms;
  }
}

function peerOf(conn: Deno.TcpConn): Deno.NetAddr {
  const { hostname, ...rest } = conn.remoteAddr as Deno.NetAddr;
  // A socket for both families names an IPv4 client so.
  return { ...rest, hostname: hostname.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, "") };
}
