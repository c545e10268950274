type RequestHead = {
  readonly method: string;
  readonly url: string;
  readonly headers: [string, string][];
};

/** Looks a header up, by its name in lower case. */
export type HeaderReader = Pick<Headers, "get">;

/** A body: bytes that have come, or what reads on. */
export type Content = Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>> | null;

/**
 * A request as handlers get it: a `Request` in all that they ask of it, made only as far as they ask. A real one costs
 * as much as the rest of reading a request (measured), and most handlers look at its address, a header and the bytes.
 */
class IncomingRequest {
  #headers: Headers | null = null;
  #body: ReadableStream<Uint8Array<ArrayBuffer>> | null = null;
  #whole: Request | null = null;
  #taken = false;

  constructor(private readonly head: RequestHead, private readonly content: Content) {}

  get method(): string {
    return this.head.method;
  }

  get url(): string {
    return this.head.url;
  }

  get headers(): Headers {
    return this.#headers ??= new Headers(this.head.headers);
  }

  /** What `headers` says, without them where nobody has asked for them; names in lower case. */
  get header(): HeaderReader {
    return this.#headers ?? { get: (name) => valueOf(this.head.headers, name) };
  }

  get body(): ReadableStream<Uint8Array<ArrayBuffer>> | null {
    if (this.#whole !== null) return this.#whole.body;
    return this.content instanceof Uint8Array ? this.#body ??= streamOf(this.content) : this.content;
  }

  get bodyUsed(): boolean {
    return this.#taken || (this.#whole?.bodyUsed ?? false);
  }

  async bytes(): Promise<Uint8Array<ArrayBuffer>> {
    const arrived = this.takeArrived();
    if (arrived !== null) return arrived;
    if (this.#taken) throw new TypeError("Body already consumed.");
    return await this.whole.bytes();
  }

  /** The body, taken, where it came with the head and nobody took it yet; else null, and nothing is taken. */
  takeArrived(): Uint8Array<ArrayBuffer> | null {
    if (!(this.content instanceof Uint8Array) || this.#taken || this.#body !== null || this.#whole !== null) {
      return null;
    }
    this.#taken = true;
    return this.content;
  }

  /** The same as a real `Request`, for whoever must have one. */
  get whole(): Request {
    return this.#whole ??= new Request(this.url, {
      method: this.method,
      headers: this.headers,
      body: this.#taken ? null : this.body,
    });
  }
}

for (const name of ["arrayBuffer", "blob", "formData", "json", "text", "clone"] as const) {
  Object.defineProperty(IncomingRequest.prototype, name, {
    value(this: IncomingRequest) {
      return this.whole[name]();
    },
  });
}
for (const name of ["signal", "redirect", "mode", "cache", "credentials", "referrer", "integrity"] as const) {
  Object.defineProperty(IncomingRequest.prototype, name, {
    get(this: IncomingRequest) {
      return this.whole[name];
    },
  });
}
Object.setPrototypeOf(IncomingRequest.prototype, Request.prototype);

export function requestOf(head: RequestHead, content: Content): Request {
  return new IncomingRequest(head, content) as unknown as Request;
}

/** The body of a request that came whole with its head; null where it has to be waited for, or was taken. */
export function takeArrived(request: Request): Uint8Array<ArrayBuffer> | null {
  return request instanceof IncomingRequest ? request.takeArrived() : null;
}

/** A request's headers for whoever only looks one up, by its name in lower case: a `Headers` costs as much as ten look-ups. */
export function headersIn(request: Request): HeaderReader {
  return request instanceof IncomingRequest ? request.header : request.headers;
}

/** Null where there is none; what came in several lines is joined, as `Headers` does. */
function valueOf(lines: readonly (readonly [string, string])[], wanted: string): string | null {
  let found: string | null = null;
  for (const [name, value] of lines) {
    if (name.length !== wanted.length || name.toLowerCase() !== wanted) continue;
    found = found === null ? value : `${found}, ${value}`;
  }
  return found;
}

/** A real `Request`, for a library that builds others from it. */
export function wholeRequest(request: Request): Request {
  return request instanceof IncomingRequest ? request.whole : request;
}

function streamOf(bytes: Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({
    pull(controller) {
      controller.enqueue(bytes);
      controller.close();
    },
  }, { highWaterMark: 0 });
}
