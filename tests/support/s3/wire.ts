/** HTTP/1.1 as it stands on a connection: messages are taken whole and handed on byte for byte, so that signatures hold. */
export type Message = {
  /** Request line or status line. */
  readonly first: string;
  /** By name in small letters. */
  readonly headers: ReadonlyMap<string, string>;
  /** The lines up to the empty one, with it. */
  readonly head: Uint8Array<ArrayBuffer>;
  /** With the framing of its chunks, where it has any. */
  readonly body: Uint8Array<ArrayBuffer>;
};

const HEAD_END = "\r\n\r\n";

/** What comes in on one connection. */
export class Incoming {
  #rest = new Uint8Array(0);
  constructor(readonly connection: Deno.TcpConn) {}

  /** Null where the connection ends before one begins. Who waits to be asked for the body of a request is asked for it. */
  async request(): Promise<Message | null> {
    return await this.#message((headers) => {
      if (/100-continue/i.test(headers.get("expect") ?? "")) return "ask";
      return headers.has("content-length") || headers.has("transfer-encoding") ? "framed" : "none";
    });
  }

  async answer(method: string): Promise<Message> {
    const answer = await this.#message((headers, first) => {
      if (method === "HEAD" || /^HTTP\/1\.1 (1\d\d|204|304)/.test(first)) return "none";
      return headers.has("content-length") || headers.has("transfer-encoding") ? "framed" : "to end";
    });
    if (answer === null) throw new Deno.errors.UnexpectedEof("the server has closed the connection");
    return answer;
  }

  async #message(
    bodyOf: (headers: ReadonlyMap<string, string>, first: string) => "ask" | "framed" | "none" | "to end",
  ): Promise<Message | null> {
    let head = await this.#upTo(HEAD_END);
    if (head === null) return null;
    const [first, ...lines] = text(head).trimEnd().split("\r\n");
    const headers = new Map(
      lines.map((
        line,
      ) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]),
    );
    const kind = bodyOf(headers, first!);
    if (kind === "ask") {
      await writeAll(this.connection, bytes("HTTP/1.1 100 Continue" + HEAD_END));
      head = bytes(text(head).replace(/^expect:.*\r\n/im, ""));
    }
    return { first: first!, headers, head, body: await this.#body(kind, headers) };
  }

  async #body(kind: string, headers: ReadonlyMap<string, string>): Promise<Uint8Array<ArrayBuffer>> {
    if (kind === "none") return new Uint8Array(0);
    if (kind === "to end") return await this.#toEnd();
    if (headers.get("transfer-encoding") === undefined) {
      return await this.#exactly(Number(headers.get("content-length") ?? 0));
    }
    const parts: Uint8Array<ArrayBuffer>[] = [];
    for (;;) {
      const line = (await this.#upTo("\r\n"))!;
      const size = parseInt(text(line), 16);
      parts.push(line, await this.#exactly(size + 2));
      if (size === 0) return joined(parts);
    }
  }

  async #more(): Promise<boolean> {
    const block = new Uint8Array(64 * 1024);
    const read = await this.connection.read(block);
    if (read === null) return false;
    this.#rest = joined([this.#rest, block.subarray(0, read)]);
    return true;
  }

  async #upTo(mark: string): Promise<Uint8Array<ArrayBuffer> | null> {
    for (;;) {
      const at = text(this.#rest).indexOf(mark);
      if (at >= 0) return this.#take(at + mark.length);
      if (!await this.#more()) return null;
    }
  }

  async #exactly(length: number): Promise<Uint8Array<ArrayBuffer>> {
    const whole = new Uint8Array(length);
    const begun = this.#take(Math.min(length, this.#rest.length));
    whole.set(begun);
    for (let at = begun.length; at < length;) {
      const read = await this.connection.read(whole.subarray(at));
      if (read === null) throw new Deno.errors.UnexpectedEof("a body ended early");
      at += read;
    }
    return whole;
  }

  async #toEnd(): Promise<Uint8Array<ArrayBuffer>> {
    while (await this.#more());
    return this.#take(this.#rest.length);
  }

  #take(length: number): Uint8Array<ArrayBuffer> {
    const taken = this.#rest.slice(0, length);
    this.#rest = this.#rest.slice(length);
    return taken;
  }
}

export async function writeAll(connection: Deno.TcpConn, whole: Uint8Array): Promise<void> {
  for (let at = 0; at < whole.length;) at += await connection.write(whole.subarray(at));
}

export const bytes = (line: string) => new TextEncoder().encode(line);
const text = (part: Uint8Array) => new TextDecoder("latin1").decode(part);

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
