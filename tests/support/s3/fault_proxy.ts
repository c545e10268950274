import { bytes, Incoming, type Message, writeAll } from "./wire.ts";

/**
 * A proxy in front of a real S3 server that does what networks and busy servers do. Requests and answers pass byte for byte,
 * the Host header too, so that signatures hold; one fault hits one request. It takes whole messages before it hands them on:
 * back-pressure and slow bodies are not for it to show.
 */
export type FaultProxy = {
  /** For `AWS_ENDPOINT_URL`. */
  readonly endpoint: string;
  /** Asked for each request as it arrives; may be replaced at any time. */
  choose: ChooseFault;
  /** Faults so far, in the order in which their requests arrived. */
  readonly faults: readonly { readonly request: ProxiedRequest; readonly fault: Fault }[];
  stop(): Promise<void>;
};

export type ProxiedRequest = {
  /** From 1, in the order of arrival. */
  readonly number: number;
  readonly method: string;
  /** As it stands in the request line, with its query. */
  readonly path: string;
  /** It has `If-None-Match: *`. */
  readonly creates: boolean;
};

export type ChooseFault = (request: ProxiedRequest) => Fault | null;

export type Fault =
  /** It has its effect, and the connection ends without an answer. */
  | { readonly kind: "lose answer" }
  /** It reaches nobody, and the connection ends. */
  | { readonly kind: "lose request" }
  /** The answer's head, and so many bytes of its body; then the connection ends. */
  | { readonly kind: "cut answer"; readonly bytes: number }
  /** The same, and nothing more comes until then. */
  | { readonly kind: "stall answer"; readonly bytes: number; readonly until: Promise<unknown> }
  /** It reaches nobody; 503 SlowDown. */
  | { readonly kind: "slow down" }
  /** It reaches nobody; an error as a server has it that does not know such requests, or does not allow them. */
  | { readonly kind: "refuse"; readonly status: number; readonly code: string }
  /** It has its effect; a success is answered with 412 PreconditionFailed, as after a retry of somebody on the way. */
  | { readonly kind: "late 412" }
  /** It reaches the server only then. */
  | { readonly kind: "hold request"; readonly until: Promise<unknown> }
  /** It has its effect at once, and is answered only then. */
  | { readonly kind: "hold answer"; readonly until: Promise<unknown> }
  /** A request that arrived later is answered first: it waits for one, but at most OVERTAKEN_MS_MAX. */
  | { readonly kind: "overtaken" };

/** Where nothing comes behind it. */
const OVERTAKEN_MS_MAX = 100;

export function startFaultProxy(target: string, choose: ChooseFault = () => null): FaultProxy {
  const { hostname, port } = new URL(target);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<Deno.TcpConn>();
  const faults: { request: ProxiedRequest; fault: Fault }[] = [];
  let number = 0;
  let answered = Promise.withResolvers<void>();

  async function serve(client: Deno.TcpConn): Promise<void> {
    const server = await Deno.connect({ hostname, port: Number(port) });
    open.add(client).add(server);
    const [fromClient, fromServer] = [new Incoming(client), new Incoming(server)];
    try {
      for (;;) {
        const message = await fromClient.request();
        if (message === null) return;
        const request = { number: ++number, ...requestOf(message) };
        const fault = proxy.choose(request);
        if (fault !== null) faults.push({ request, fault });
        const answer = await pass(message, { request, fault, server, fromServer });
        if (answer === null) return;
        await writeAll(client, answer.head);
        const cut = fault?.kind === "cut answer";
        const begun = cut || fault?.kind === "stall answer" ? fault.bytes : answer.body.length;
        await writeAll(client, answer.body.subarray(0, begun));
        if (fault?.kind === "stall answer") await fault.until;
        if (!cut) await writeAll(client, answer.body.subarray(begun));
        answered.resolve();
        answered = Promise.withResolvers();
        if (cut || answer.headers.get("connection") === "close") return;
      }
    } finally {
      for (const connection of [client, server]) {
        open.delete(connection);
        close(connection);
      }
    }
  }

  /** The answer that the client gets; null where it gets none. */
  async function pass(
    message: Message,
    { request, fault, server, fromServer }: {
      readonly request: ProxiedRequest;
      readonly fault: Fault | null;
      readonly server: Deno.TcpConn;
      readonly fromServer: Incoming;
    },
  ): Promise<Pick<Message, "head" | "body" | "headers"> | null> {
    if (fault?.kind === "lose request") return null;
    if (fault?.kind === "slow down") return refusal(503, "SlowDown");
    if (fault?.kind === "refuse") return refusal(fault.status, fault.code);
    if (fault?.kind === "hold request") await fault.until;
    if (fault?.kind === "overtaken") await Promise.race([answered.promise, after(OVERTAKEN_MS_MAX)]);
    await writeAll(server, message.head);
    await writeAll(server, message.body);
    const answer = await fromServer.answer(request.method);
    if (fault?.kind === "lose answer") return null;
    if (fault?.kind === "hold answer") await fault.until;
    const isSuccess = /^HTTP\/1\.[01] 2/.test(answer.first);
    if (fault?.kind === "late 412" && isSuccess) {
      return refusal(412, "PreconditionFailed");
    }
    return answer;
  }

  const accepting = (async () => {
    for await (const client of listener) serve(client).catch(() => close(client));
  })();
  const proxy: FaultProxy = {
    endpoint: `http://127.0.0.1:${listener.addr.port}`,
    choose,
    faults,
    async stop() {
      close(listener);
      for (const connection of open) close(connection);
      await accepting.catch(() => {});
    },
  };
  return proxy;
}

/** The fault for the first `times` (default 1) requests that match. */
export function faultFor(
  matches: (request: ProxiedRequest) => boolean,
  fault: Fault,
  { times = 1 }: { readonly times?: number } = {},
): ChooseFault {
  let left = times;
  return (request) => left > 0 && matches(request) && left-- > 0 ? fault : null;
}

/** A share (0 to 1) of the requests gets one of the faults that end by themselves, as the seed has it. */
export function seededFaults(random: () => number, { share }: { readonly share: number }): ChooseFault {
  const kinds = ["lose answer", "lose request", "cut answer", "slow down", "late 412", "overtaken"] as const;
  return ({ creates }) => {
    if (random() >= share) return null;
    const kind = kinds[Math.floor(random() * kinds.length)]!;
    if (kind === "cut answer") return { kind, bytes: Math.floor(random() * 64) };
    // Nothing but a condition fails with 412.
    return { kind: kind === "late 412" && !creates ? "slow down" : kind };
  };
}

function requestOf({ first, headers }: Message): Omit<ProxiedRequest, "number"> {
  const [method, path] = first.split(" ");
  return { method: method!, path: path!, creates: headers.get("if-none-match") === "*" };
}

function refusal(status: number, code: string): Pick<Message, "head" | "body" | "headers"> {
  const body = bytes(
    `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>said by the proxy</Message></Error>`,
  );
  const head =
    `HTTP/1.1 ${status} ${code}\r\ncontent-type: application/xml\r\ncontent-length: ${body.length}\r\n`;
  // The server may have ended its own connection, as moto does after each answer.
  return {
    head: bytes(`${head}connection: close\r\n\r\n`),
    body,
    headers: new Map([["connection", "close"]]),
  };
}

const after = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

function close(one: { close(): void }): void {
  try {
    one.close();
  } catch {
    // It has ended by itself.
  }
}
