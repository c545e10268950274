type TextInit = {
  readonly status?: number;
  /** Names in lower case, names and values of this program's own: nobody checks them. */
  readonly headers?: Readonly<Record<string, string>>;
};

/**
 * A response whose body is known as a text: a `Response` in all that is asked of it, made only as far as is asked. The
 * server needs neither the stream of a real one nor its headers, which cost as much as writing both (measured).
 */
class TextResponse {
  #whole: Response | null = null;

  constructor(private readonly known: string, private readonly init: TextInit) {}

  get status(): number {
    return this.init.status ?? 200;
  }

  get statusText(): string {
    return "";
  }

  /** The same as a real `Response`, for whoever looks further. */
  get whole(): Response {
    return this.#whole ??= new Response(this.known, this.init as ResponseInit);
  }

  /** Undefined once somebody has read it. */
  get unread(): string | undefined {
    return this.#whole?.bodyUsed ? undefined : this.known;
  }

  /** Null once somebody may have changed them. */
  get plainHeaders(): Readonly<Record<string, string>> | null {
    return this.#whole === null ? this.init.headers ?? {} : null;
  }
}

for (const name of ["body", "bodyUsed", "headers", "ok", "redirected", "type", "url"] as const) {
  Object.defineProperty(TextResponse.prototype, name, {
    get(this: TextResponse) {
      return this.whole[name];
    },
  });
}
for (const name of ["arrayBuffer", "blob", "bytes", "clone", "formData", "json", "text"] as const) {
  Object.defineProperty(TextResponse.prototype, name, {
    value(this: TextResponse) {
      return this.whole[name]();
    },
  });
}
Object.setPrototypeOf(TextResponse.prototype, Response.prototype);

/** See {@link TextResponse}. Whoever makes another response of it loses that and nothing else. */
export function textResponse(text: string, init: TextInit): Response {
  return new TextResponse(text, init) as unknown as Response;
}

/** The body of a {@link textResponse} that nobody has read; else undefined. */
export function textOf(response: Response): string | undefined {
  return response instanceof TextResponse ? response.unread : undefined;
}

/** A response's headers, names in lower case. */
export function headersOf(response: Response): Iterable<readonly [name: string, value: string]> {
  const plain = response instanceof TextResponse ? response.plainHeaders : null;
  return plain === null ? response.headers : Object.entries(plain);
}

/** One of them; `name` in lower case. */
export function headerOf(response: Response, name: string): string | null {
  const plain = response instanceof TextResponse ? response.plainHeaders : null;
  return plain === null ? response.headers.get(name) : plain[name] ?? null;
}
