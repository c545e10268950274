import { Buffer } from "node:buffer";
import { stackOf } from "../uncaught.ts";
import {
  chunkOf,
  CONTINUE,
  headOf,
  LAST_CHUNK,
  lastAnswer,
  latin1,
  ownAnswer,
  wholeAnswer,
} from "./answer.ts";
import { BodyReader, BrokenBodyError, type ByteSource } from "./body.ts";
import { type Head, type HeadRefusal, parseHead } from "./head.ts";
import { type Content, requestOf } from "./request.ts";
import { headerOf, textOf } from "./response.ts";

export type Handler = (
  request: Request,
  info: { readonly remoteAddr: Deno.NetAddr },
) => Response | Promise<Response>;

/**
 * What a connection is at. `idle`: between two requests · `head`: a request's head is coming · `body`: the handler waits
 * for bytes of the body · `work`: the handler is at work · `write`: the client must take an answer · `linger`: an answer
 * is out, and what the client still sends is passed over until it has read that.
 */
export type Phase = "idle" | "head" | "body" | "work" | "write" | "linger";

export type ConnectionOptions = {
  readonly handler: Handler;
  /** Monotonic milliseconds, as of the server's last look at its connections. */
  readonly now: () => number;
  readonly report: (text: string) => void;
  /** True once the server takes nothing new. */
  readonly closing: () => boolean;
};

/** Bytes of a request's line and headers together. */
const HEAD_BYTES_MAX = 32 * 1024;
/** A connection's buffer: what it begins with, and what it grows to while much comes at once. */
const BUFFER_BYTES = 4 * 1024;
const BUFFER_BYTES_MAX = 64 * 1024;
/** Bytes of a body nobody wanted that are passed over so that its sender can read the answer. */
const LINGER_BYTES_MAX = 4 * 1024 * 1024;

/** One client's connection: its requests one after the other, each answered before the next is read. */
export class Connection implements ByteSource {
  phase: Phase = "head";
  /** When the phase began, or bytes last went in it: monotonic milliseconds. */
  since: number;

  #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
  #start = 0;
  #end = 0;
  #filling: Promise<boolean> | null = null;
  #closed = false;
  /** The client left while an answer streamed. */
  #gone = false;
  /** The handler has answered: whoever still reads the request's body comes second. */
  #answering = false;

  constructor(
    private readonly conn: Deno.TcpConn,
    private readonly peer: Deno.NetAddr,
    private readonly options: ConnectionOptions,
  ) {
    this.since = options.now();
  }

  /** Serves until either side ends it; never rejects. */
  async serve(): Promise<void> {
    try {
      while (await this.#serveOne());
    } catch (error) {
      // That the client left, or was cut off by `close`, is no news.
      if (!this.#closed && !isConnectionError(error)) this.#report("a connection failed", error);
    } finally {
      this.close();
    }
  }

  /** Cuts the connection; whoever reads or writes it fails. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.conn.close();
  }

  /** Cuts it after a last word to a client whose request has begun and did not come in time. */
  expire(): void {
    const late = this.phase === "head" && this.#end > this.#start;
    if (!late) return this.close();
    this.#enter("linger");
    this.conn.write(lastAnswer(408, "the request did not come in time")).catch(() => {}).finally(() =>
      this.close()
    );
  }

  /** One request; false where the connection ends with it. */
  async #serveOne(): Promise<boolean> {
    const head = await this.#readHead();
    if (head === null) return false;
    if ("refused" in head) {
      await this.#write(lastAnswer(head.refused, head.message));
      await this.#linger();
      return false;
    }
    this.#enter("work");
    this.#answering = false;
    const body = new BodyReader(this, head.framing);
    const response = await this.#handle(head, body);
    this.#answering = true;
    // What is left of a body cannot be told from a next request.
    const ends = !head.keepAlive || this.options.closing() || !await this.#isAtEnd(body) ||
      /\bclose\b/i.test(headerOf(response, "connection") ?? "");
    const whole = await this.#answer(response, { head, ends, watches: body.done });
    // It may have begun to close while the answer went out.
    if (whole && !ends && !this.options.closing()) {
      this.#shrink();
      this.#enter(this.#end > this.#start ? "head" : "idle");
      return true;
    }
    if (whole && !body.done) await this.#linger();
    return false;
  }

  /** Null at the client's end. */
  async #readHead(): Promise<Head | HeadRefusal | null> {
    for (let scanned = 0;;) {
      const bytes = this.#buffer.subarray(this.#start, this.#end);
      const found = headEndOf(bytes, Math.max(0, scanned - 3));
      // One empty line before a request is passed over (RFC 9112, 2.2).
      if (found === 0) this.#start += 2;
      else if (found > 0) {
        const from = bytes[0] === 13 && bytes[1] === 10 ? 2 : 0;
        this.#start += found + 4;
        return parseHead(bytes.toString("latin1", from, found));
      } else {
        if (bytes.length > HEAD_BYTES_MAX) {
          return { refused: 431, message: `a head of more than ${HEAD_BYTES_MAX} bytes` };
        }
        scanned = bytes.length;
        if (!await this.#fill()) return null;
        if (this.phase === "idle") this.#enter("head");
      }
    }
  }

  async #handle(head: Head, body: BodyReader): Promise<Response> {
    try {
      // Fetch knows no such bodies.
      const bodyless = body.done || head.method === "GET" || head.method === "HEAD";
      const request = requestOf(head, bodyless ? null : await this.#contentOf(head, body));
      return await this.options.handler(request, { remoteAddr: this.peer });
    } catch (error) {
      this.#report("a request failed", error);
      return ownAnswer(500, "internal error: see the service's log");
    }
  }

  /** A body that has come with its head is given as it is: no stream is made for it. */
  async #contentOf(head: Head, body: BodyReader): Promise<Content> {
    const { framing } = head;
    if (framing.is === "length" && framing.bytes <= this.#end - this.#start) return (await body.next())!;
    let told = !head.expectsContinue;
    return new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull: async (controller) => {
        try {
          // In the middle of an answer it would be taken for a part of that.
          if (!told && !this.#answering) {
            await this.#write(CONTINUE);
            this.#enter("work");
          }
          told = true;
          const piece = await body.next();
          if (piece === null) controller.close();
          else controller.enqueue(piece);
        } catch (error) {
          controller.error(
            error instanceof BrokenBodyError ? error : new BrokenBodyError("the client is gone"),
          );
        }
      },
    }, { highWaterMark: 0 });
  }

  /** True where nothing of the body is left but what has come already, which is passed over; nothing is waited for. */
  async #isAtEnd(body: BodyReader): Promise<boolean> {
    if (this.#filling === null) {
      while (!body.done && body.left <= this.#end - this.#start) {
        await body.next();
      }
    }
    return body.done;
  }

  /** False where the answer broke off. */
  async #answer(
    response: Response,
    { head, ends, watches }: { readonly head: Head; readonly ends: boolean; readonly watches: boolean },
  ): Promise<boolean> {
    const bare = head.method === "HEAD" || response.status === 204 || response.status === 304;
    const { text, length } = headOf(response, { ends });
    // Before `body` is looked at: that would make the stream that a known text goes without.
    const known = bare || length !== null ? undefined : textOf(response);
    if (known !== undefined) {
      await this.#write(wholeAnswer(text, known));
      return true;
    }
    if (bare || response.body === null) {
      await response.body?.cancel().catch(() => {});
      await this.#write(latin1(`${text}${bare || length !== null ? "" : "content-length: 0\r\n"}\r\n`));
      return true;
    }
    const reader: ReadableStreamDefaultReader<Uint8Array> = response.body.getReader();
    const read = () => {
      const reading = reader.read();
      reading.catch(() => {});
      return reading;
    };
    let begun = false;
    try {
      const { value: first = EMPTY, done } = await read();
      let next = done ? null : read();
      // What was made of a text or of bytes ends at once, and its length is known; what streams leaves as it comes.
      const isWhole = next === null || (await Promise.race([next, settled()]))?.done === true;
      begun = true;
      if (isWhole && length === null) {
        await this.#write(Buffer.concat([latin1(`${text}content-length: ${first.length}\r\n\r\n`), first]));
        return true;
      }
      const chunked = length === null && !head.old;
      await this.#write(latin1(`${text}${chunked ? "transfer-encoding: chunked\r\n" : ""}\r\n`));
      if (watches) void this.#watch(() => reader.cancel());
      let left = length ?? Infinity;
      for (let piece = first;;) {
        left -= piece.length;
        if (left < 0) throw new Error("it is longer than its content-length");
        if (piece.length > 0) await this.#write(chunked ? chunkOf(piece) : piece);
        this.#enter("work");
        const { value } = await next ?? {};
        if (value === undefined) break;
        piece = value;
        next = read();
      }
      if (this.#gone) return false;
      if (left > 0 && length !== null) throw new Error("it is shorter than its content-length");
      if (chunked) await this.#write(LAST_CHUNK);
      return chunked || length !== null || ends;
    } catch (error) {
      if (this.#closed || isConnectionError(error)) return false;
      this.#report("an answer broke off", error);
      if (!begun) await this.#write(lastAnswer(500, "internal error: see the service's log"));
      return false;
    } finally {
      reader.cancel().catch(() => {});
    }
  }

  /** Reads on while an answer streams: only so is it seen that the client has left. */
  async #watch(gone: () => Promise<void>): Promise<void> {
    const streaming = () => this.phase === "work" || this.phase === "write";
    const room = () => this.#end - this.#start < BUFFER_BYTES_MAX;
    while (streaming() && room()) {
      if (await this.#fill().catch(() => false)) continue;
      this.#gone = streaming();
      if (this.#gone) await gone().catch(() => {});
      return;
    }
  }

  /** After the last answer: a socket closed with bytes unread is reset, and the answer might be lost with it. */
  async #linger(): Promise<void> {
    this.#enter("linger");
    await this.conn.closeWrite();
    for (let passed = this.#end - this.#start; passed <= LINGER_BYTES_MAX; passed += this.#end) {
      this.#start = this.#end = 0;
      if (!await this.#fill()) return;
    }
  }

  async take(max: number): Promise<Uint8Array<ArrayBuffer> | null> {
    if (this.#end === this.#start && !await this.#fillBody()) return null;
    const end = Math.min(this.#end, this.#start + max);
    // Allocated for itself alone, so its bytes begin where the buffer's do.
    const bytes = new Uint8Array(this.#buffer.buffer.slice(this.#start, end));
    this.#start = end;
    return bytes;
  }

  async takeLine(max: number): Promise<string | null> {
    for (;;) {
      const bytes = this.#buffer.subarray(this.#start, this.#end);
      const end = bytes.indexOf("\r\n");
      if (end > max || (end < 0 && bytes.length > max + 1)) return null;
      if (end >= 0) {
        this.#start += end + 2;
        return bytes.toString("latin1", 0, end);
      }
      if (!await this.#fillBody()) return null;
    }
  }

  /** Once an answer is on its way, its time is the one that counts, whatever still comes of the body. */
  async #fillBody(): Promise<boolean> {
    if (this.phase === "linger") return false;
    if (this.phase === "work") this.#enter("body");
    const came = await this.#fill();
    if (this.#is("body")) this.#enter("work");
    return came && !this.#is("linger");
  }

  #is(phase: Phase): boolean {
    return this.phase === phase;
  }

  /** Reads what comes next into the buffer; false at the client's end. Whoever asks meanwhile gets the same read. */
  #fill(): Promise<boolean> {
    return this.#filling ??= this.#read();
  }

  async #read(): Promise<boolean> {
    try {
      this.#makeRoom();
      const count = await this.conn.read(this.#buffer.subarray(this.#end));
      this.#end += count ?? 0;
      return count !== null;
    } finally {
      this.#filling = null;
    }
  }

  #makeRoom(): void {
    if (this.#start === this.#end) this.#start = this.#end = 0;
    if (this.#end < this.#buffer.length) return;
    const kept = this.#buffer.subarray(this.#start, this.#end);
    // Full from end to end: much comes at once, or a long head.
    if (this.#start === 0) this.#buffer = Buffer.allocUnsafeSlow(Math.min(2 * this.#end, BUFFER_BYTES_MAX));
    kept.copy(this.#buffer);
    this.#end = kept.length;
    this.#start = 0;
  }

  /** A connection that waits for its next request holds no more than it began with. */
  #shrink(): void {
    if (this.#start !== this.#end || this.#buffer.length === BUFFER_BYTES || this.#filling !== null) return;
    this.#buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
    this.#start = this.#end = 0;
  }

  async #write(bytes: Uint8Array): Promise<void> {
    this.#enter("write");
    await this.#writeAll(bytes);
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes;;) {
      const count = await this.conn.write(rest);
      if (count === rest.length) return;
      rest = rest.subarray(count);
      this.since = this.options.now();
    }
  }

  #enter(phase: Phase): void {
    this.phase = phase;
    this.since = this.options.now();
  }

  #report(what: string, error: unknown): void {
    this.options.report(`${what}: ${stackOf(error)}`);
  }
}

const EMPTY = new Uint8Array();
const [CR, LF] = [13, 10];

/** Undefined, once everything that is settled already had its turn. */
async function settled(): Promise<undefined> {
  for (let turn = 0; turn < 6; turn++) await null;
}

/** Where the empty line after a head begins; −1 where it has not come. Deno's `indexOf` for texts costs many times as much. */
function headEndOf(bytes: Uint8Array, from: number): number {
  for (let at = from; (at = bytes.indexOf(CR, at)) >= 0; at++) {
    if (bytes[at + 1] === LF && bytes[at + 2] === CR && bytes[at + 3] === LF) return at;
  }
  return -1;
}

function isConnectionError(error: unknown): boolean {
  return [
    Deno.errors.ConnectionReset,
    Deno.errors.ConnectionAborted,
    Deno.errors.BrokenPipe,
    Deno.errors.NotConnected,
    Deno.errors.TimedOut,
    Deno.errors.BadResource,
    Deno.errors.Interrupted,
    Deno.errors.UnexpectedEof,
  ].some((kind) => error instanceof kind);
}
