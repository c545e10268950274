/**
 * Who comes in by which door. It is decided from the address of the connection's other end and from a password; the Host
 * header, and what a proxy adds, are only ever a reason to refuse. Imports nothing: web imports it by path.
 */

/** Host names that a service answers to beside loopback names, each as {@link hostNameIn} writes it. */
export type HostSettings = {
  /** PUBLIC_URL's: only the public door is open under it, unless the password comes. */
  readonly publicHost: string;
  readonly allowedHosts: readonly string[];
};

/** What opens the operator's console. */
export type ConsoleSettings = HostSettings & {
  /** CONSOLE_PASSWORD; null: there is none, and the console is this machine's own. */
  readonly password: string | null;
  /** ALLOW_ANONYMOUS: the console is everybody's who reaches the port; false wherever there is a password. */
  readonly anonymous: boolean;
};

/** A request as the door sees it. */
export type Visit = {
  /** Address of the connection's other end; null where nobody knows it, which is then no loopback one. */
  readonly peer: string | null;
  /** The name it asks for; null where that is missing or no host at all. */
  readonly host: string | null;
  /** A proxy says that it hands on what somebody else has sent. */
  readonly forwarded: boolean;
  readonly authorization: string | null;
};

type ConnectionInfo = { readonly remoteAddr: { readonly hostname?: unknown } };

/** Why somebody does not come in, as it goes out. */
export type DoorRefusal = {
  readonly status: 400 | 401 | 403 | 421 | 429;
  readonly code: string;
  readonly message: string;
  readonly headers?: Readonly<Record<string, string>>;
};

/** Why a name is not answered to. */
export type HostRefusal = DoorRefusal & { readonly status: 400 | 421 };

/** Wrong passwords of one address within {@link FAILURES_WITHIN_MS} ms; with more, it has to wait. */
const FAILURES_MAX = 8;
const FAILURES_WITHIN_MS = 60_000;
/** Addresses whose wrong passwords are remembered; the one that is longest silent is forgotten first. */
const FAILED_ADDRESSES_MAX = 10_000;

const FORWARDING_HEADERS = [
  "cf-connecting-ip",
  "forwarded",
  "true-client-ip",
  "via",
  "x-client-ip",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-real-ip",
];

/** True for a host name or address that only this machine can reach. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host === "[::1]" || /^127(\.\d{1,3}){3}$/.test(host);
}

/** The host that a text such as `Shop.example.:8000` names, as URLs write it and without port; null where it is none. */
export function hostNameIn(text: string | null | undefined): string | null {
  if (!/^(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:\d{1,5})?$/i.test(text ?? "")) return null;
  return URL.parse(`http://${text}`)?.hostname.replace(/\.$/, "") || null;
}

/** @param info What the server says of the connection; null where the peer does not matter. */
export function visitOf({ url, headers }: Pick<Request, "url" | "headers">, info: unknown): Visit {
  const address = (info as Partial<ConnectionInfo> | null | undefined)?.remoteAddr?.hostname;
  return {
    peer: typeof address === "string" ? withoutMapping(address) : null,
    host: hostNameIn(headers.get("host") ?? authorityIn(url)),
    forwarded: FORWARDING_HEADERS.some((name) => headers.has(name)),
    authorization: headers.get("authorization"),
  };
}

/**
 * HTTP/2 names the host in `:authority`, which only the URL shows. HTTP/1.0 may name none, and servers then make up a
 * loopback one, so that this counts as none.
 */
function authorityIn(url: string): string | null {
  const host = URL.parse(url)?.host ?? null;
  return isLoopback(hostNameIn(host) ?? "localhost") ? null : host;
}

/** An IPv4 address as IPv6 sockets write it is that address. */
function withoutMapping(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, "");
}

/** True for a request of this very machine to a loopback name, past no proxy that says so: raw prompts are for it. */
export function isLocal({ peer, host, forwarded }: Visit): boolean {
  return peer !== null && isLoopback(peer) && host !== null && isLoopback(host) && !forwarded;
}

/** Why this service does not answer to the name that it was called by; null where it does. */
export function hostRefusal({ host }: Pick<Visit, "host">, settings: HostSettings): HostRefusal | null {
  if (host === null) {
    return { status: 400, code: "bad_host", message: "The Host header is missing, or names no host." };
  }
  if (answersTo(host, settings)) return null;
  const message = "This service does not answer to this host name. Add it to ALLOWED_HOSTS if it should.";
  return { status: 421, code: "misdirected", message };
}

/** True for a name that no stranger can turn to this machine. */
export function answersTo(host: string, { publicHost, allowedHosts }: HostSettings): boolean {
  return isLoopback(host) || host === publicHost || allowedHosts.includes(host);
}

/** The door of the operator's console; remembers who came with wrong passwords. */
export class ConsoleDoor {
  /** Times of an address's wrong passwords, oldest first. */
  readonly #failures = new Map<string, number[]>();

  /** @param now Milliseconds that never go back. */
  constructor(private readonly now: () => number) {}

  /** Why this visit does not get in, in the order in which it is asked: its host, then its password; null: come in. */
  refusal(visit: Visit, settings: ConsoleSettings): DoorRefusal | null {
    const misdirected = hostRefusal(visit, settings);
    if (misdirected !== null) return misdirected;
    if (settings.password !== null) return this.#withPassword(visit, settings.password);
    if (isLocal(visit)) return null;
    const isPublic = visit.host === settings.publicHost && !isLoopback(visit.host);
    return settings.anonymous && !isPublic && !visit.forwarded ? null : NOT_FROM_ELSEWHERE;
  }

  #withPassword({ peer, authorization }: Visit, password: string): DoorRefusal | null {
    const given = passwordIn(authorization);
    if (given === null) return PASSWORD_WANTED;
    const address = networkOf(peer ?? "");
    const now = this.now();
    const failures = (this.#failures.get(address) ?? []).filter((at) => now - at < FAILURES_WITHIN_MS);
    if (failures.length >= FAILURES_MAX) return tooManyFailures(failures[0]! + FAILURES_WITHIN_MS - now);
    if (isSame(given, new TextEncoder().encode(password))) return null;
    this.#failures.delete(address);
    if (this.#failures.size >= FAILED_ADDRESSES_MAX) {
      this.#failures.delete(this.#failures.keys().next().value!);
    }
    this.#failures.set(address, [...failures, now]);
    return PASSWORD_WANTED;
  }
}

const NOT_FROM_ELSEWHERE: DoorRefusal = {
  status: 403,
  code: "forbidden",
  message:
    "This is the operator's console. Without a password it answers this machine alone, under a loopback " +
    "name and through no proxy: set CONSOLE_PASSWORD to reach it from elsewhere.",
};

const PASSWORD_WANTED: DoorRefusal = {
  status: 401,
  code: "unauthorized",
  message: "This is the operator's console: send CONSOLE_PASSWORD by HTTP Basic, with any user name.",
  headers: { "www-authenticate": 'Basic realm="console", charset="UTF-8"' },
};

function tooManyFailures(waitMs: number): DoorRefusal {
  return {
    status: 429,
    code: "too_many_failures",
    message: `More than ${FAILURES_MAX} wrong passwords within a minute: try again later.`,
    headers: { "retry-after": String(Math.ceil(waitMs / 1000)) },
  };
}

/** The bytes of a Basic password (RFC 7617); empty where it cannot be read, null where none is given. */
function passwordIn(authorization: string | null): Uint8Array | null {
  const basic = /^basic +(\S+)$/i.exec(authorization ?? "")?.[1];
  if (basic === undefined) return null;
  try {
    const pair = atob(basic);
    return Uint8Array.from(pair.slice(pair.indexOf(":") + 1), (sign) => sign.charCodeAt(0));
  } catch {
    return new Uint8Array();
  }
}

/** Takes as long for every password of one length, right or wrong: how much of it is right cannot be measured. */
function isSame(given: Uint8Array, secret: Uint8Array): boolean {
  let differs = given.length ^ secret.length;
  for (let i = 0; i < given.length; i++) differs |= given[i]! ^ secret[i % secret.length]!;
  return differs === 0;
}

/** What one guesser has for itself: an IPv4 address, or the first 64 bits of an IPv6 one. */
function networkOf(address: string): string {
  if (!address.includes(":")) return address;
  const [head = "", tail] = address.split("::");
  const groups = (part: string) => part.split(":").filter((group) => group !== "");
  const behind = tail === undefined ? [] : groups(tail);
  const zeros = Math.max(0, 8 - groups(head).length - behind.length);
  return [...groups(head), ...Array<string>(zeros).fill("0"), ...behind].slice(0, 4).join(":");
}

/** The refusal as an answer: JSON in the pipeline's error shape, kept by nobody. */
export function refusalAnswer({ status, code, message, headers }: DoorRefusal): Response {
  return Response.json({ error: { code, message } }, {
    status,
    headers: {
      ...headers,
      "cache-control": "no-store",
      "content-security-policy": "default-src 'none'",
      "x-content-type-options": "nosniff",
    },
  });
}

/** What a request to a console carries; nothing where there is no password. */
export function passwordHeaders(password: string | null): Record<string, string> {
  if (password === null) return {};
  const bytes = new TextEncoder().encode(`:${password}`);
  return { authorization: `Basic ${btoa(String.fromCharCode(...bytes))}` };
}

/** What the operator of a console is told at every start, in whole sentences. */
export function consoleWarnings({ anonymous }: ConsoleSettings, host: string): readonly string[] {
  if (!anonymous || isLoopback(host)) return [];
  return [
    `ALLOW_ANONYMOUS: everybody who reaches ${host} may read addresses, codes and mails, and redrive. ` +
    "Set CONSOLE_PASSWORD before the port is opened to others.",
  ];
}
