import { Buffer } from "node:buffer";
import type { Deadlines } from "./deadlines.ts";
import type { InFlight } from "./in_flight.ts";
import { type Refusal, tooLarge } from "./webhook.ts";

/** The bytes of a body, or why they could not be had. `taken` bytes of the in-flight room are held in either case. */
export type BodyOutcome =
  & { readonly taken: number }
  & (
    | { readonly bytes: Uint8Array; readonly refusal: null }
    /** `rest` reads what has not been read yet. */
    | { readonly bytes: null; readonly refusal: Refusal; readonly rest: BodyPieces | null }
  );

/** A body read piece by piece, which somebody else can go on with, also in the middle of a read. */
export class BodyPieces {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #pending: Promise<ReadableStreamReadResult<Uint8Array>> | null = null;

  constructor(body: ReadableStream<Uint8Array>) {
    this.#reader = body.getReader();
  }

  /** The next piece; the same one again while it has not come. */
  next(): Promise<ReadableStreamReadResult<Uint8Array>> {
    return this.#pending ??= this.#reader.read().finally(() => this.#pending = null);
  }

  /** Resolves with true when no read is under way. */
  async settled(): Promise<void> {
    await this.#pending?.catch(() => {});
  }

  async cancel(): Promise<void> {
    await this.#reader.cancel().catch(() => {});
  }
}

export type BodyOptions = {
  readonly bytesMax: number;
  readonly deadlines: Deadlines;
  readonly inFlight: InFlight;
};

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

/** Reads a body within its bounds of size, time and room. */
export function readBody(request: Request, options: BodyOptions): Promise<BodyOutcome> {
  const length = declaredLength(request);
  if (length !== null && length > options.bytesMax) {
    return Promise.resolve({ taken: 0, bytes: null, refusal: tooLarge(options.bytesMax), rest: null });
  }
  return length !== null && length <= WHOLE_BYTES_MAX
    ? readWhole(request, length, options)
    : readPieces(request, options);
}

/** Null where the sender sends in chunks. HTTP holds a sender to it; one that does both is refused by Deno itself. */
export function declaredLength(request: Request): number | null {
  const length = request.headers.get("content-length");
  return length === null ? null : Number(length);
}

function readWhole(request: Request, length: number, options: BodyOptions): Promise<BodyOutcome> {
  const { deadlines, inFlight } = options;
  if (!inFlight.take(length)) return Promise.resolve({ taken: 0, bytes: null, refusal: tooBusy, rest: null });
  return new Promise((resolve) => {
    const refuse = (refusal: Refusal) => resolve({ taken: length, bytes: null, refusal, rest: null });
    const deadline = deadlines.begin(() => refuse(tooSlow));
    request.bytes().then(
      (bytes) => {
        if (deadlines.met(deadline)) resolve({ taken: length, bytes, refusal: null });
      },
      () => {
        if (deadlines.met(deadline)) refuse(incomplete);
      },
    );
  });
}

async function readPieces(request: Request, options: BodyOptions): Promise<BodyOutcome> {
  if (request.body === null) return { taken: 0, bytes: new Uint8Array(0), refusal: null };
  const rest = new BodyPieces(request.body);
  const pieces: Uint8Array[] = [];
  let taken = 0;
  const refuse = (refusal: Refusal): BodyOutcome => ({ taken, bytes: null, refusal, rest });

  const late = Promise.withResolvers<"late">();
  const deadline = options.deadlines.begin(() => late.resolve("late"));
  try {
    for (;;) {
      const piece = await Promise.race([rest.next(), late.promise]);
      if (piece === "late") return refuse(tooSlow);
      if (piece.done) {
        return { taken, bytes: pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces), refusal: null };
      }
      if (taken + piece.value.length > options.bytesMax) return refuse(tooLarge(options.bytesMax));
      if (!options.inFlight.take(piece.value.length)) return refuse(tooBusy);
      taken += piece.value.length;
      pieces.push(piece.value);
    }
  } catch {
    return refuse(incomplete);
  } finally {
    options.deadlines.met(deadline);
  }
}
