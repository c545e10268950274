import { isWord } from "./checks.ts";
import { alphabet, type CountedText, type Match, pattern, piece } from "./counted_text.ts";

/**
 * Addresses of machines. Only public internet addresses say anything about a person: private, loopback, link-local,
 * reserved and multicast ranges stay, and so do the resolvers that everybody names in examples.
 */

type Found = (start: number, end: number) => void;

const IPV4 = pattern(
  /(?<![\w.]|\d-)\d\d?\d?\.\d/,
  /(?<![\w.]|\d[-])(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}(?!\w|\.\w|-\w)/,
  17,
);
const VERSION_BEFORE =
  /(?:(?<![a-z])(?:version|ver|v|rev)|release|sections?|sec|chapters?|clauses?|articles?|figure|table|oid|build|firmware|driver|revision|§|[=<>~^]=|[a-z]\/|[a-z]-|#)\.?\s{0,2}[("']?$/i;
const ADDRESS_WORD =
  /\bip|addr|host|server|ping|subnet|client|connect|remote|ssh|dns|gateway|from|network|https?:|resolver|login|logged|proxy|peer|firewall|block/i;
/** The first three parts this small: rather a version or a section than one of the few addresses down there. */
const SMALL_PART_MAX = 31, SECTION_MAX = 99;

export function findIpv4(text: CountedText, found: Found): void {
  text.each(IPV4, ({ start, end, text: written }) => {
    const parts = written.split(".").map(Number);
    if (/(?:^|\.)0\d/.test(written) || !isPublicIpv4(parts)) return;
    const context = text.slice(start - 24, start);
    if (VERSION_BEFORE.test(context)) return;
    if (
      parts.every((part, i) => part <= (i < 3 ? SMALL_PART_MAX : SECTION_MAX)) && !ADDRESS_WORD.test(context)
    ) return;
    found(start, end);
  });
}

/** Resolvers that stand in documentation everywhere. */
const RESOLVERS: ReadonlySet<string> = new Set(
  ("8.8.8.8 8.8.4.4 1.1.1.1 1.0.0.1 1.1.1.2 1.1.1.3 9.9.9.9 149.112.112.112 208.67.222.222 208.67.220.220 4.2.2.1 4.2.2.2 " +
    "114.114.114.114 223.5.5.5 223.6.6.6 94.140.14.14 94.140.15.15 76.76.19.19 185.228.168.9").split(" "),
);

function isPublicIpv4(parts: readonly number[]): boolean {
  const [a, b, c, d] = parts as [number, number, number, number];
  if (a === 0 || a === 10 || a === 127 || a >= 224) return false;
  if ((a === 169 && b === 254) || (a === 172 && b >= 16 && b <= 31) || (a === 192 && b === 168)) return false;
  if (a === 100 && b >= 64 && b <= 127) return false;
  if (b === 0 && c === 0 && d === 0) return false;
  return !RESOLVERS.has(parts.join("."));
}

const IPV6_LENGTH_MAX = 45;
/** What begins four digits of a group, or fewer, before its first colon. */
const IPV6 = piece(/(?<![\w:.])[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]{1,38}(?:(?:\.\d{1,3}){3})?/, 55);
const HEX = alphabet(/[0-9A-Fa-f]/);
/** Loopback and unspecified, unique local, link-local, multicast. */
const UNROUTED = /^(?:0{1,4}:|f[cdef])/i;
const RESOLVERS_V6 = /^(?:2001:4860:4860:|2606:4700:4700:|2620:fe:|2620:119:)/i;

/** Public IPv6 addresses, shortened ones only of the range in use (2000::/3), and IPv4 ones written as IPv6. */
export function findIpv6(text: CountedText, found: Found): void {
  for (let colon = text.indexOf(":"), from = 0; colon >= 0;) {
    let start = colon;
    while (start > from && colon - start < 4 && HEX[text.code(start - 1)] === 1) start--;
    const match = text.match(IPV6, start);
    from = match?.end ?? colon + 1;
    if (match !== null) reportIpv6(text, match, found);
    colon = text.indexOf(":", from);
  }
}

function reportIpv6(text: CountedText, { start, text: match }: Match, found: Found): void {
  const written = match.endsWith(":") && !match.endsWith("::") ? match.slice(0, -1) : match;
  const end = start + written.length;
  if (written.length > IPV6_LENGTH_MAX || isWord(text.code(end))) return;
  if (text.char(end) === ":" && isWord(text.code(end + 1))) return;
  if (isPublicIpv6(written) && !RESOLVERS_V6.test(written)) found(start, end);
}

function isPublicIpv6(written: string): boolean {
  const mapped = /^(?:(?:0{1,4}:){5}|::)(?:ffff:)(\d{1,3}(?:\.\d{1,3}){3})$/i.exec(written) ??
    /^64:ff9b::(\d{1,3}(?:\.\d{1,3}){3})$/i.exec(written);
  if (mapped !== null) return isPublicIpv4(mapped[1]!.split(".").map(Number));
  const halves = written.split("::");
  if (halves.length > 2 || UNROUTED.test(written)) return false;
  const groups = halves.flatMap((half) => half === "" ? [] : half.split(":"));
  const size = groups.length + (written.includes(".") ? 1 : 0);
  if (groups.some((group) => group === "" || (group.length > 4 && !group.includes(".")))) return false;
  // With all eight groups it can be nothing else; shortened, `a::b` is a name in many languages.
  return halves.length === 1 ? size === 8 : size >= 2 && size <= 7 && /^[23][0-9a-f]{3}:/i.test(written);
}

const MAC = pattern(
  /(?<![\w:.-])[0-9A-Fa-f][0-9A-Fa-f](?:[:-]|[0-9A-Fa-f][0-9A-Fa-f]\.)[0-9A-Fa-f]/,
  /(?<![\w:.-])(?:[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4})(?![\w]|[:.-]\w)/,
  19,
);

/** Hardware addresses; the zero and the broadcast one are nobody's. */
export function findMacs(text: CountedText, found: Found): void {
  text.each(MAC, ({ start, end, text: written, groups }) => {
    const hex = written.replace(/[:.-]/g, "");
    if (/^(?:0+|f+)$/i.test(hex) || (groups[1] === undefined && /^\d+$/.test(hex))) return;
    const isNumbers = groups[1] === "-" && /^\d+$/.test(hex);
    if (isNumbers && !/mac|address|hardware|ethernet/i.test(text.slice(start - 24, start))) return;
    found(start, end);
  });
}
