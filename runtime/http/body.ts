import type { Framing } from "./head.ts";

/** The bytes of a connection as they come: what is buffered first, then what is read. */
export type ByteSource = {
  /** Takes at most `max` bytes, waiting for some; null at the client's end. They are the taker's own. */
  take(max: number): Promise<Uint8Array<ArrayBuffer> | null>;
  /** Takes a line without its CRLF, at most `max` bytes long; null where it is longer, or the client ended. */
  takeLine(max: number): Promise<string | null>;
};

/** A body that is no body: it ended early, or its chunks cannot be read. The connection is of no use any more. */
export class BrokenBodyError extends Error {
  override readonly name = "BrokenBodyError";
}

const PIECE_BYTES_MAX = 64 * 1024;
const CHUNK_LINE_BYTES_MAX = 256;
const TRAILER_LINES_MAX = 32;
const TRAILER_BYTES_MAX = 1024;

/** Reads a request's body piece by piece: RFC 9112, 6 and 7.1. Chunk extensions and trailers are passed over. */
export class BodyReader {
  /** Bytes left of the length, or of the chunk at hand. */
  #left: number;
  #first = true;
  done: boolean;

  constructor(private readonly source: ByteSource, private readonly framing: Framing) {
    this.#left = framing.is === "length" ? framing.bytes : 0;
    this.done = framing.is === "none";
  }

  /** Bytes to come; Infinity where only the chunks will tell. */
  get left(): number {
    return this.framing.is === "chunked" ? Infinity : this.#left;
  }

  /** The next piece, or null at the body's end. Throws {@link BrokenBodyError}. */
  async next(): Promise<Uint8Array<ArrayBuffer> | null> {
    if (this.done) return null;
    if (this.framing.is === "chunked" && this.#left === 0 && !await this.#nextChunk()) return null;
    const piece = await this.source.take(Math.min(this.#left, PIECE_BYTES_MAX));
    if (piece === null) throw new BrokenBodyError("the body ended early");
    this.#left -= piece.length;
    if (this.framing.is === "length" && this.#left === 0) this.done = true;
    return piece;
  }

  /** False where it was the last. */
  async #nextChunk(): Promise<boolean> {
    if (!this.#first && await this.source.takeLine(0) !== "") {
      throw new BrokenBodyError("a chunk does not end");
    }
    this.#first = false;
    const line = await this.source.takeLine(CHUNK_LINE_BYTES_MAX);
    const size = /^([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?$/.exec(line ?? "")?.[1];
    if (size === undefined) throw new BrokenBodyError("a chunk's size cannot be read");
    this.#left = parseInt(size, 16);
    if (this.#left > 0) return true;
    for (let lines = 0; lines <= TRAILER_LINES_MAX; lines++) {
      const trailer = await this.source.takeLine(TRAILER_BYTES_MAX);
      // Another reader might take a bare line end for the body's.
      if (trailer === null || /[\r\n]/.test(trailer)) break;
      if (trailer !== "") continue;
      this.done = true;
      return false;
    }
    throw new BrokenBodyError("the trailers do not end");
  }
}
