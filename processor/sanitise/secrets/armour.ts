import { type CountedText, piece, words } from "../counted_text.ts";
import { base64End } from "../keys.ts";

type Found = (start: number, end: number) => void;

/** A text without any of these holds nothing for {@link findArmouredKeys}. */
export const ARMOUR_CUES: readonly string[] = [
  "private-lines:",
  "---- begin ssh2",
  "kty",
  "<rsakeyvalue",
  "<rsaparameters",
  ..."privatekey presharedkey private_key private-key preshared_key preshared-key".split(" "),
  "ls0tls1crudjti",
  "b3blbnnzac1rzxktdj",
];

/** Private keys in armour that is not PEM's: PuTTY's, SSH2's, JSON web keys, .NET's XML, WireGuard's, and Base64 of PEM. */
export function findArmouredKeys(text: CountedText, found: Found): void {
  findPutty(text, found);
  findSsh2(text, found);
  findJsonWebKeys(text, found);
  if (text.includes("<RSAKeyValue") || text.includes("<RSAParameters")) findXmlKeys(text, found);
  findWireGuard(text, found);
  findEncoded(text, found);
}

/** Of a `.ppk` the private lines; the public ones and the comment stay. */
const PRIVATE_LINES = words(/private-lines: /i);
const COUNT = piece(/\d{1,4}/, 4);

function findPutty(text: CountedText, found: Found): void {
  for (let line = text.next(PRIVATE_LINES, 0); line !== null; line = text.next(PRIVATE_LINES, line.end)) {
    const count = text.match(COUNT, line.end);
    if (count === null) continue;
    const gap = /^(?:\\[rn]|\s|>){1,8}/.exec(text.slice(count.end, count.end + 8))?.[0].length ?? 0;
    const start = count.end + gap;
    const end = base64End(text, start);
    if (end - start >= 20) found(start, end);
  }
}

const SSH2 = words(/---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----|---- BEGIN SSH2 PRIVATE KEY ----/i);
const SSH2_END = "---- END SSH2";
/** Longest key of SSH2 and of JSON, in UTF-16 units. */
const KEY_MAX = 16_384;

function findSsh2(text: CountedText, found: Found): void {
  for (let begin = text.next(SSH2, 0); begin !== null;) {
    const close = text.slice(begin.end, begin.end + KEY_MAX).indexOf(SSH2_END);
    const tail = /^[^\n\0]{0,40}?----/.exec(
      text.slice(begin.end + close + SSH2_END.length, begin.end + close + 60),
    );
    const end = close < 0
      ? base64End(text, begin.end)
      : begin.end + close + SSH2_END.length + (tail?.[0].length ?? 0);
    found(begin.start, end);
    begin = text.next(SSH2, Math.max(end, begin.end + (close < 0 ? KEY_MAX : 0)));
  }
}

const KTY = words(/["']kty/);
/** Private members of RFC 7518: of RSA and elliptic curves, and the symmetric key. */
const MEMBER =
  /\\{0,3}["'](?:d|p|q|dp|dq|qi|k)\\{0,3}["']\s{0,3}:\s{0,3}\\{0,3}["']([A-Za-z0-9_\-+/]{16,1400}={0,2})(?=\\{0,3}["'])/dg;

function findJsonWebKeys(text: CountedText, found: Found): void {
  for (let kty = text.next(KTY, 0), floor = 0; kty !== null;) {
    const from = Math.max(floor, kty.start - KEY_MAX);
    const before = text.slice(from, kty.start);
    const start = from + before.lastIndexOf("{") + 1;
    const ahead = text.slice(kty.end, kty.end + KEY_MAX);
    const close = ahead.indexOf("}");
    floor = kty.end + (close < 0 ? ahead.length : close);
    for (const member of text.slice(start, floor).matchAll(MEMBER)) {
      const [first, last] = member.indices![1]!;
      found(start + first, start + last);
    }
    kty = text.next(KTY, floor);
  }
}

const ELEMENT = words(/<D>|<P>|<Q>|<DP>|<DQ>|<InverseQ>/);
const ELEMENT_BODY = piece(/\s{0,8}([A-Za-z0-9+/]{20,1400}={0,2})\s{0,8}<\//, 1420);

function findXmlKeys(text: CountedText, found: Found): void {
  for (let element = text.next(ELEMENT, 0); element !== null; element = text.next(ELEMENT, element.end)) {
    const body = text.match(ELEMENT_BODY, element.end);
    if (body === null) continue;
    const start = element.end + body.text.indexOf(body.groups[1]!);
    found(start, start + body.groups[1]!.length);
  }
}

/** 32 bytes of Base64 under WireGuard's names. */
const WIREGUARD = words(/private[_-]?key|preshared[_-]?key/i);
const WIREGUARD_KEY = piece(
  /\\{0,3}["']?\s{0,3}[:=]\s{0,3}\\{0,3}["']?([A-Za-z0-9+/]{43}=)(?![A-Za-z0-9+/=])/,
  64,
);

function findWireGuard(text: CountedText, found: Found): void {
  for (let name = text.next(WIREGUARD, 0); name !== null; name = text.next(WIREGUARD, name.end)) {
    const key = text.match(WIREGUARD_KEY, name.end);
    if (key !== null) found(key.end - 44, key.end);
  }
}

/** `-----BEGIN … PRIVATE KEY` and OpenSSH's `openssh-key-v1` in Base64, as kubeconfigs have them. */
const ENCODED = words(/LS0tLS1CRUdJTi|b3BlbnNzaC1rZXktdj/);
const PRIVATE = /^[A-Za-z0-9+/]{0,32}(?:UFJJVkFURS|QUklWQVRF|BSSVZBVEUg|b3BlbnNzaC1rZXktdj)/;

function findEncoded(text: CountedText, found: Found): void {
  for (let begin = text.next(ENCODED, 0); begin !== null;) {
    const head = text.slice(begin.start, begin.start + 60);
    const end = PRIVATE.test(head) && !/[A-Za-z0-9+/]/.test(text.char(begin.start - 1))
      ? base64End(text, begin.start)
      : begin.end;
    if (end > begin.end) found(begin.start, end);
    begin = text.next(ENCODED, Math.max(end, begin.end));
  }
}
