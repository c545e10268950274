import { remembering } from "../remember.ts";

/**
 * The head of an HTTP/1.1 request, from its bytes: RFC 9112, read strictly. What two readers could take for two
 * different requests (both lengths, folded lines, bare line ends, spaces before a colon) is refused, never repaired.
 */

export type Head = {
  readonly method: string;
  /** Absolute, with the Host that the client named. */
  readonly url: string;
  /** In the order and spelling in which they came; values are byte strings. */
  readonly headers: [string, string][];
  readonly framing: Framing;
  /** False where the connection ends with this request. */
  readonly keepAlive: boolean;
  /** The client speaks HTTP/1.0, which knows no chunks. */
  readonly old: boolean;
  /** The client waits to be told before it sends the body. */
  readonly expectsContinue: boolean;
};

/** Where the body ends: there is none, after so many bytes, or after the last chunk. */
export type Framing = { readonly is: "none" } | { readonly is: "length"; readonly bytes: number } | {
  readonly is: "chunked";
};

/** What is answered to a head that cannot be read; the connection ends with it. */
export type HeadRefusal = { readonly refused: 400 | 405 | 417 | 431 | 501 | 505; readonly message: string };

export const HEADERS_MAX = 100;

const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([\x21-\x7e]+) HTTP\/(\d)\.(\d)$/;
// deno-lint-ignore no-control-regex
const HEADER_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):([^\x00-\x08\x0a-\x1f\x7f]*)$/;
const HOST = /^(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/;

/** @param text The head without the empty line at its end, each byte one character. */
export function parseHead(text: string): Head | HeadRefusal {
  const lines = text.split("\r\n");
  const [, method, target, major, minor] = REQUEST_LINE.exec(lines[0]!) ?? [];
  if (method === undefined || target === undefined) return refuse(400, "the request line cannot be read");
  if (major !== "1" || (minor !== "0" && minor !== "1")) return refuse(505, "only HTTP/1.1 is spoken here");
  // Fetch has no such requests.
  if (/^(CONNECT|TRACE|TRACK)$/i.test(method)) return refuse(405, `${method} is not served`);
  if (lines.length - 1 > HEADERS_MAX) return refuse(431, `more than ${HEADERS_MAX} headers`);

  const headers: [string, string][] = [];
  const only: Record<string, string | undefined> = {};
  for (let i = 1; i < lines.length; i++) {
    const [, name, value] = HEADER_LINE.exec(lines[i]!) ?? [];
    if (name === undefined || value === undefined) return refuse(400, "a header line cannot be read");
    const trimmed = withoutBlanks(value);
    headers.push([name, trimmed]);
    const key = name.toLowerCase();
    if (!ONCE.has(key)) continue;
    if (only[key] !== undefined) return refuse(400, `${key} came twice`);
    only[key] = trimmed;
  }
  const url = urlOf(target, only["host"]);
  if (url === null) return refuse(400, "Host and address name no place");
  const old = minor === "0";
  const framing = framingOf(only, { old });
  if ("refused" in framing) return framing;
  const expect = only["expect"]?.toLowerCase();
  if (expect !== undefined && expect !== "100-continue") {
    return refuse(417, "Expect: only 100-continue is known");
  }
  const closes = /(?:^|,)[ \t]*close[ \t]*(?:,|$)/i.test(only["connection"] ?? "");
  return {
    method,
    url,
    headers,
    framing,
    keepAlive: !old && !closes,
    old,
    expectsContinue: !old && expect !== undefined && framing.is !== "none",
  };
}

/**
 * Without spaces and tabs around it, and nothing else: `trim` would also take the byte A0, so the end of a letter, or what
 * makes a length none. By hand, as a pattern for it is quadratic in the blanks that a stranger sends.
 */
function withoutBlanks(value: string): string {
  const isBlank = (at: number) => value[at] === " " || value[at] === "\t";
  let [from, to] = [0, value.length];
  while (from < to && isBlank(from)) from++;
  while (from < to && isBlank(to - 1)) to--;
  return value.slice(from, to);
}

/** Headers that steer this server: each may come once. */
const ONCE = new Set(["host", "content-length", "transfer-encoding", "connection", "expect"]);

function framingOf(
  only: Readonly<Record<string, string | undefined>>,
  { old }: { readonly old: boolean },
): Framing | HeadRefusal {
  const length = only["content-length"];
  const coding = only["transfer-encoding"];
  if (coding !== undefined) {
    if (length !== undefined || old) return refuse(400, "Transfer-Encoding beside what forbids it");
    return coding.toLowerCase() === "chunked"
      ? { is: "chunked" }
      : refuse(501, "Transfer-Encoding: only chunked");
  }
  if (length === undefined) return { is: "none" };
  if (!/^\d{1,15}$/.test(length)) return refuse(400, "Content-Length is no length");
  return Number(length) === 0 ? { is: "none" } : { is: "length", bytes: Number(length) };
}

/** A proxy's absolute address names the host itself (RFC 9112, 3.2.2); a Host must say the same, whoever looks at which. */
function urlOf(target: string, host: string | undefined): string | null {
  if (host === undefined || !HOST.test(host)) return null;
  const absolute = /^http:\/\/([^/?#]*)(.*)$/i.exec(target);
  const [place, path] = absolute ? [absolute[1]!, absolute[2]!.replace(/^(?!\/)/, "/")] : [host, target];
  // A backslash would become a slash in a URL, here and nowhere before here; a fragment is never sent.
  if (place.toLowerCase() !== host.toLowerCase() || !/^\/[^\\#]*$/.test(path)) return null;
  return isPlace(place) ? `http://${place}${path}` : null;
}

/** Only a host can make such an address unreadable: `1.2.3.4.5`, a port of 99999. */
const isPlace = remembering((host) => URL.canParse(`http://${host}/`), { entriesMax: 1_000 });

function refuse(refused: HeadRefusal["refused"], message: string): HeadRefusal {
  return { refused, message };
}
