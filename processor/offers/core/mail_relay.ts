import { isLoopback } from "../../../contract/door.ts";

/** The server that takes our mails, and how to speak to it. Plain data, for a Worker. */
export type SmtpRelay = SmtpAddress & {
  /** `require`: no mail without TLS; `opportunistic`: TLS where the server offers it. Credentials: {@link mayLogIn}. */
  readonly tls: "require" | "opportunistic";
  /** What we call ourselves in EHLO. */
  readonly clientName: string;
};

/** What SMTP_URL says. */
export type SmtpAddress = {
  /** A name in lower-case ASCII, or an address without brackets. */
  readonly host: string;
  readonly port: number;
  /** TLS from the first byte, `smtps:`. */
  readonly implicitTls: boolean;
  readonly login: { readonly user: string; readonly pass: string } | null;
};

const NAME = /^(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;

/**
 * Reads `smtp://user:pass@host:port` (port 587) or `smtps://…` (port 465); else the words for what is wrong with it,
 * which quote nothing: a password may stand anywhere in a URL that went wrong.
 */
export function readSmtpUrl(text: string): SmtpAddress | string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^smtps?:$/.test(url.protocol)) {
    return "expected smtp://user:pass@host:port or smtps://…, what is special in the password percent-encoded";
  }
  const host = hostOf(url);
  if (host === null) return "it names no host, or one that no server can have";
  if (/[?#]/.test(text) || !/^\/?$/.test(url.pathname)) {
    return "nothing may follow host and port: SMTP_TLS says how it is encrypted, and certificates are always verified; " +
      "a ?, # or / in the password is percent-encoded";
  }
  const [user, pass] = [decoded(url.username), decoded(url.password)];
  if (user === null || pass === null) return "a % in user or password is written %25";
  if ((user === "") !== (pass === "")) return "user and password come together, or neither";
  const implicitTls = url.protocol === "smtps:";
  return {
    host,
    port: url.port === "" ? implicitTls ? 465 : 587 : Number(url.port),
    implicitTls,
    login: user === "" ? null : { user, pass },
  };
}

/** What SMTP_TLS is where it is not set. */
export function defaultTls({ host, login }: SmtpAddress): SmtpRelay["tls"] {
  return login !== null && !isLoopback(host) ? "require" : "opportunistic";
}

/** The name for EHLO (RFC 5321, 4.1.3): a domain (an IDN becomes punycode), or `[192.0.2.1]`, `[IPv6:…]`; else null. */
export function readClientName(text: string): string | null {
  const [, v4, v6] = /^\[(?:((?:\d{1,3}\.){3}\d{1,3})|IPv6:([0-9A-Fa-f:.]{2,45}))\]$/.exec(text) ?? [];
  if (v4 !== undefined) return hostNameOf(v4) === v4 ? text : null;
  if (v6 !== undefined) return URL.canParse(`http://[${v6}]`) ? text : null;
  const name = asciiName(text);
  return name === null || name.includes("_") || /(^|\.)\d+$/.test(name) ? null : name;
}

/**
 * Whether user and password may go over this connection: it is encrypted, or both the name it was asked for and the
 * address it reached are this machine's. The name alone proves nothing: `localhost` is asked of DNS as well.
 */
export function mayLogIn(
  connection: { readonly isEncrypted: boolean; readonly host: string; readonly peer: string | undefined },
): boolean {
  const peer = connection.peer?.replace(/^::ffff:/i, "") ?? "";
  return connection.isEncrypted || (isLoopback(connection.host) && isLoopback(peer));
}

function hostOf(url: URL): string | null {
  if (url.hostname.startsWith("[")) return url.hostname.slice(1, -1);
  const name = decoded(url.hostname);
  return name === null ? null : asciiName(name);
}

function asciiName(text: string): string | null {
  if (/[/:?#@[\]\\%\s]/.test(text)) return null;
  const name = hostNameOf(text)?.replace(/\.$/, "") ?? "";
  return NAME.test(name) ? name : null;
}

/** The URL parser's, of http: that of smtp: leaves a name as it is. */
function hostNameOf(text: string): string | null {
  return URL.canParse(`http://${text}`) ? new URL(`http://${text}`).hostname : null;
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
