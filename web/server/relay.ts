/**
 * posthog-js speaks to this server, and this hands what it captures on to POSTHOG_HOST: no other host is ever asked, query
 * and body go on byte for byte, as they come. Rules of a PostHog reverse proxy: posthog.com's docs, advanced/proxy.
 */
import { type Clock, systemClock } from "../../runtime/clock.ts";
import { type Place, Room } from "../../runtime/room.ts";
import { away, problem, tooLarge } from "./upstream.ts";

/** Where posthog-js finds the relay; neutral, because blockers know the usual words. */
export const RELAY_PATH = "/relay";

/**
 * What posthog-js captures by, with our page's options: `/e/`, or what PostHog's settings name in its place. Flags,
 * recordings, surveys and scripts from PostHog are off there (`browser/person.ts`), so nobody needs them here.
 */
const CAPTURE_PATHS = new Set(["/e", "/e/", "/i/v0/e", "/i/v0/e/"]);

/** Handed on; `x-forwarded-for` is set anew. */
const HANDED_ON = ["accept", "content-encoding", "content-type", "user-agent"];
const HANDED_BACK = ["content-type", "retry-after"];

export type RelayLimits = {
  /** Bytes of one request's body; an event of more than 1 MiB is taken by no ingest. */
  readonly bodyBytesMax: number;
  /** Least pace of a body: bytes that must have come for each `paceMs` milliseconds gone by. */
  readonly paceBytes: number;
  readonly paceMs: number;
  /** Milliseconds until a request must be answered, in whole paces. */
  readonly msMax: number;
  /** Bytes of PostHog's answer, which is a line of JSON. */
  readonly answerBytesMax: number;
  /** Requests and bytes of bodies under way for all clients together. */
  readonly requestsMax: number;
  readonly bytesMax: number;
  /** Milliseconds without `progressBytes` more bytes after which a request gives way where room is short. */
  readonly stalledMs: number;
  readonly progressBytes: number;
};

const LIMITS: RelayLimits = {
  bodyBytesMax: 4 * 1024 * 1024,
  paceBytes: 32 * 1024,
  paceMs: 2_000,
  msMax: 14_000,
  answerBytesMax: 64 * 1024,
  requestsMax: 128,
  bytesMax: 64 * 1024 * 1024,
  stalledMs: 500,
  progressBytes: 8 * 1024,
};

/** Who sends, and where to. */
type Way = {
  readonly posthogUrl: string;
  /** The peer's, which PostHog's geo-IP is told; null where it is unknown. */
  readonly clientAddress: string | null;
};

/** True for what the relay hands on: it is public, and everything else below {@link RELAY_PATH} is not there. */
export function isCapture({ method, url }: { readonly method: string; readonly url: string }): boolean {
  const { pathname } = new URL(url);
  return method === "POST" && pathname.startsWith(RELAY_PATH) &&
    CAPTURE_PATHS.has(pathname.slice(RELAY_PATH.length));
}

/** A relay with room of its own, within {@link LIMITS} unless told otherwise. */
export function createRelay(
  { limits: given, clock = systemClock }: { limits?: Partial<RelayLimits>; clock?: Clock } = {},
): (request: Request, way: Way) => Promise<Response> {
  const limits = { ...LIMITS, ...given };
  const { requestsMax, bytesMax } = limits;
  const room = new Room(clock, { ...limits, unprovenRequestsMax: requestsMax, unprovenBytesMax: bytesMax });

  return async (request, way) => {
    if (!isCapture(request)) return problem(404, "not_found", "Only what posthog-js captures goes this way.");
    if (Number(request.headers.get("content-length")) > limits.bodyBytesMax) {
      return tooLarge(limits.bodyBytesMax);
    }
    const place = room.enter({ from: way.clientAddress, proven: false });
    if (place === null) return busy();
    const passing = new Passing(request, place, limits);
    try {
      return await Promise.race([passing.through(way), passing.givenUp]);
    } finally {
      place.leave();
      passing.end();
    }
  };
}

/** One request on its way to PostHog and back. */
class Passing {
  /** Resolves with the answer of a request that takes too much, too long, or the place of others. */
  readonly givenUp: Promise<Response>;

  readonly #giveUp: (answer: Response) => void;
  readonly #upstream = new AbortController();
  readonly #timer: ReturnType<typeof setInterval>;
  #leaveUpstream = () => this.#upstream.abort();
  #received = 0;
  /** Who is waited for: the client's next bytes, or PostHog. */
  #waitsForClient = false;
  #bodyIsWhole = false;

  constructor(
    private readonly request: Request,
    private readonly place: Place,
    private readonly limits: RelayLimits,
  ) {
    const { promise, resolve } = Promise.withResolvers<Response>();
    this.givenUp = promise;
    this.#giveUp = resolve;
    place.onEvicted = () => resolve(busy());
    let paces = 0;
    this.#timer = setInterval(() => {
      paces++;
      const behind = !this.#bodyIsWhole && this.#received < paces * limits.paceBytes;
      if (behind || paces * limits.paceMs >= limits.msMax) resolve(this.#waitsForClient ? tooSlow() : slow());
    }, limits.paceMs);
  }

  async through({ posthogUrl, clientAddress }: Way): Promise<Response> {
    try {
      const headers = only(this.request.headers, HANDED_ON);
      if (clientAddress !== null) headers.set("x-forwarded-for", clientAddress);
      const response = await fetch(relayTarget(new URL(this.request.url), { posthogUrl }), {
        method: "POST",
        headers,
        body: this.#body(),
        redirect: "manual",
        signal: this.#upstream.signal,
      });
      const answer = await this.#answerOf(response);
      if (response.status >= 300 && response.status < 400) {
        return away("PostHog answered with a redirect, which is not followed. Look at POSTHOG_HOST.");
      }
      if (answer === null) return away("PostHog's answer is too long.");
      const back = only(response.headers, HANDED_BACK);
      back.set("cache-control", "no-store");
      return new Response(answer, { status: response.status, headers: back });
    } catch {
      return this.#waitsForClient
        ? problem(400, "body_incomplete", "The body did not come whole.")
        : away("PostHog does not answer.");
    }
  }

  end(): void {
    clearInterval(this.#timer);
    this.#leaveUpstream();
  }

  /** The body as it comes, and no faster than PostHog takes it. */
  #body(): ReadableStream<Uint8Array<ArrayBuffer>> | Uint8Array<ArrayBuffer> {
    const body = this.request.body;
    if (body === null) {
      this.#bodyIsWhole = true;
      return new Uint8Array();
    }
    const reader = body.getReader();
    return new ReadableStream({
      pull: async (controller) => {
        this.#waitsForClient = true;
        const { value, done } = await reader.read();
        this.#waitsForClient = false;
        if (done) {
          this.#bodyIsWhole = true;
          controller.close();
          return;
        }
        this.#received += value.length;
        if (this.#received > this.limits.bodyBytesMax) this.#giveUp(tooLarge(this.limits.bodyBytesMax));
        else if (this.place.take(value.length)) controller.enqueue(value);
      },
    }, { highWaterMark: 0 });
  }

  /** The answer's bytes; null where they are too many. Left by cancelling it, as an aborted one often never ends. */
  async #answerOf(response: Response): Promise<Uint8Array<ArrayBuffer> | null> {
    if (response.body === null) return new Uint8Array();
    const reader = response.body.getReader();
    this.#leaveUpstream = () => void reader.cancel().catch(() => {});
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    for (let bytes = 0;;) {
      const { value, done } = await reader.read();
      if (done) return await new Blob(pieces).bytes();
      bytes += value.length;
      if (bytes > this.limits.answerBytesMax) return null;
      pieces.push(value);
    }
  }
}

/** The address at PostHog for a request below {@link RELAY_PATH}. */
export function relayTarget(from: URL, { posthogUrl }: { posthogUrl: string }): URL {
  const target = new URL(posthogUrl);
  target.pathname = target.pathname.replace(/\/+$/, "") + from.pathname.slice(RELAY_PATH.length);
  target.search = from.search;
  return target;
}

function only(headers: Headers, names: readonly string[]): Headers {
  return new Headers([...headers].filter(([name]) => names.includes(name)));
}

function busy(): Response {
  return closing(problem(503, "too_busy", "Too much is under way: try again later."));
}

function tooSlow(): Response {
  return closing(problem(408, "body_too_slow", "The body did not come in time."));
}

function slow(): Response {
  return closing(problem(504, "upstream_slow", "PostHog does not answer in time."));
}

/** The rest of the request's body is wanted by nobody. */
function closing(response: Response): Response {
  response.headers.set("connection", "close");
  return response;
}
