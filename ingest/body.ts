import { Buffer } from "node:buffer";
import { headersIn, takeArrived } from "../runtime/http/request.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Place } from "../runtime/room.ts";
import type { IngestLimits } from "./config.ts";
import { type Deadline, Deadlines } from "./deadlines.ts";
import { type Refusal, tooLarge } from "./webhook.ts";

/** The bytes of a body, or why they could not be had. */
export type BodyOutcome =
  | { readonly bytes: Uint8Array; readonly refusal: null }
  | { readonly bytes: null; readonly refusal: Refusal };

/** A declared body up to here is read in one go, which costs half of what reading it in pieces does. */
const WHOLE_BYTES_MAX = 64 * 1024;

export const tooBusy: Refusal = {
  status: 503,
  code: "too_busy",
  message: "too much is in flight: try again later",
};
const tooSlow: Refusal = { status: 408, code: "body_too_slow", message: "the body did not come in time" };
/** 408 too, because PostHog tries that again and takes any other 4xx for the last word. */
const incomplete: Refusal = { status: 408, code: "body_incomplete", message: "the body did not come whole" };

export type BodyLimits = Pick<
  IngestLimits,
  "bodyReadMsMax" | "bodyPaceMs" | "bodyPaceBytes" | "bodiesUncountedBytesMax"
>;

/** Reads bodies within their bounds of size, time and room. */
export class BodyReader {
  readonly #pace: Pace;
  /** Announced bytes of the bodies that are being read in one go: of what has come of them nobody is told. */
  #uncounted = 0;

  constructor(clock: Clock, private readonly limits: BodyLimits) {
    const ms = Math.min(limits.bodyPaceMs, limits.bodyReadMsMax);
    this.#pace = {
      deadlines: new Deadlines(clock, ms),
      bytes: limits.bodyPaceBytes,
      most: Math.ceil(limits.bodyReadMsMax / ms),
    };
  }

  /** Reads a body; its bytes take their room at `place` as they come. */
  read(request: Request, place: Place, { bytesMax }: { readonly bytesMax: number }): Promise<BodyOutcome> {
    const length = declaredLength(request);
    if (length !== null && length > bytesMax) {
      return Promise.resolve({ bytes: null, refusal: tooLarge(bytesMax) });
    }
    const arrived = takeArrived(request);
    if (arrived !== null) {
      const refusal = arrived.length > bytesMax
        ? tooLarge(bytesMax)
        : place.take(arrived.length)
        ? null
        : tooBusy;
      return Promise.resolve(refusal === null ? { bytes: arrived, refusal } : { bytes: null, refusal });
    }
    // Who announces much and sends nothing drives others to the slower way only.
    return length !== null && length <= WHOLE_BYTES_MAX &&
        this.#uncounted + length <= this.limits.bodiesUncountedBytesMax
      ? this.#readWhole(request, place, length)
      : this.#readPieces(request, place, bytesMax);
  }

  #readWhole(request: Request, place: Place, length: number): Promise<BodyOutcome> {
    this.#uncounted += length;
    return new Promise((resolve) => {
      const refuse = (refusal: Refusal) => {
        this.#uncounted -= length;
        resolve({ bytes: null, refusal });
      };
      const watch = new Watch(place, this.#pace, refuse);
      // All but a byte may have come, for what is known of it.
      watch.arrived = length - 1;
      request.bytes().then((bytes) => {
        if (!watch.end()) return;
        if (!place.take(bytes.length)) return refuse(tooBusy);
        this.#uncounted -= length;
        resolve({ bytes, refusal: null });
      }, () => {
        if (watch.end()) refuse(incomplete);
      });
    });
  }

  async #readPieces(request: Request, place: Place, bytesMax: number): Promise<BodyOutcome> {
    if (request.body === null) return { bytes: new Uint8Array(0), refusal: null };
    const reader = request.body.getReader();
    const pieces: Uint8Array[] = [];
    const refuse = (refusal: Refusal): BodyOutcome => ({ bytes: null, refusal });
    const ended = Promise.withResolvers<Refusal>();
    const watch = new Watch(place, this.#pace, ended.resolve);
    try {
      for (;;) {
        const piece = await Promise.race([reader.read(), ended.promise]);
        if ("status" in piece) return refuse(piece);
        if (piece.done) {
          return { bytes: pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces), refusal: null };
        }
        watch.arrived += piece.value.length;
        if (watch.arrived > bytesMax) return refuse(tooLarge(bytesMax));
        if (!place.take(piece.value.length)) return refuse(tooBusy);
        pieces.push(piece.value);
      }
    } catch {
      return refuse(incomplete);
    } finally {
      watch.end();
    }
  }
}

/** Bytes that must have come at each deadline, and the most deadlines of a body. */
type Pace = { readonly deadlines: Deadlines; readonly bytes: number; readonly most: number };

/** Calls `refuse` once, where a body comes too slowly or its place is lost, unless `end` comes first. */
class Watch {
  /** Bytes that have come. */
  arrived = 0;

  #paces = 0;
  #deadline: Deadline | null;

  constructor(
    place: Place,
    private readonly pace: Pace,
    private readonly refuse: (refusal: Refusal) => void,
  ) {
    const late = () => {
      this.#paces++;
      if (this.#paces < pace.most && this.arrived >= this.#paces * pace.bytes) {
        this.#deadline = pace.deadlines.begin(late);
      } else if (this.end()) this.refuse(tooSlow);
    };
    this.#deadline = pace.deadlines.begin(late);
    place.onEvicted = () => {
      if (this.end()) this.refuse(tooBusy);
    };
  }

  /** False where it has ended already. */
  end(): boolean {
    if (this.#deadline === null) return false;
    this.pace.deadlines.met(this.#deadline);
    this.#deadline = null;
    return true;
  }
}

/** Null where the sender sends in chunks. HTTP holds a sender to it; one that does both is refused by the server. */
export function declaredLength(request: Request): number | null {
  const length = headersIn(request).get("content-length");
  return length === null ? null : Number(length);
}
