/** A request to a service with a Host, or a peer's address, of one's own: fetch sets the first itself. */

export type Asked = {
  readonly path?: string;
  readonly method?: string;
  /** Null: none at all. */
  readonly host: string | null;
  /** The address to connect to; default: the one in `url`. */
  readonly hostname?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly version?: "1.0" | "1.1";
  /** When to leave an answer that has no end; default: never. */
  readonly enough?: (text: string) => boolean;
};

export type Answered = { readonly status: number; readonly head: string; readonly body: string };

export async function askAs(
  url: string,
  { path = "/", method = "GET", host, hostname, headers = {}, body, version = "1.1", enough = () => false }:
    Asked,
): Promise<Answered> {
  const to = new URL(url);
  using connection = await Deno.connect({ hostname: hostname ?? to.hostname, port: Number(to.port) });
  const length = body === undefined ? {} : { "content-length": new TextEncoder().encode(body).length };
  const lines = Object.entries({
    ...(host === null ? {} : { host }),
    ...headers,
    ...length,
    connection: "close",
  });
  const head = [`${method} ${path} HTTP/${version}`, ...lines.map(([name, value]) => `${name}: ${value}`)];
  await connection.write(new TextEncoder().encode(`${head.join("\r\n")}\r\n\r\n${body ?? ""}`));
  const decoder = new TextDecoder();
  const chunk = new Uint8Array(64 * 1024);
  let text = "";
  while (!enough(text)) {
    const length = await connection.read(chunk);
    if (length === null) break;
    text += decoder.decode(chunk.subarray(0, length), { stream: true });
  }
  const end = text.indexOf("\r\n\r\n");
  return { status: Number(text.split(" ")[1]), head: text.slice(0, end), body: text.slice(end + 4) };
}

/** An IPv4 address of this machine that is no loopback one, by which it reaches itself as another machine would. */
export function ownAddress(): string | null {
  const found = Deno.networkInterfaces().find(({ family, address }) =>
    family === "IPv4" && !address.startsWith("127.")
  );
  return found?.address ?? null;
}
