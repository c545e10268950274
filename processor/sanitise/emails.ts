import { isDigit } from "./checks.ts";
import { alphabet, type CountedText, type Match, pattern, piece, stretches, words } from "./counted_text.ts";
import { FILE_EXTENSIONS } from "./words.ts";

/**
 * E-mail addresses, found from their `@` outwards: no step passes an `@`, so that any text is read at most twice.
 *
 * Known spellings of the `@`: itself, percent-encoded, as an HTML or JavaScript escape; see {@link findSpelledEmails}
 * for "jane at example dot com".
 */
export function findEmails(text: CountedText, found: (start: number, end: number) => void): void {
  let floor = 0;
  for (let at = text.find(AT, 0); at !== null; at = text.find(AT, floor)) {
    const end = domainEnd(text, at.end);
    const start = end < 0 ? -1 : localStart(text, at.start, floor);
    const taken = start >= 0 && isAddress(text, { start, at: at.start, domain: at.end, end });
    if (taken) found(start, end);
    floor = taken ? end : at.end;
  }
}

const AT = pattern(/@|%4|&[#c]|\\[ux]/, /@|%40|&#0{0,4}64;|&#[xX]0{0,4}40;|&commat;|\\u0040|\\x40/, 10);
/** Without an `@`, a text without any of these has none of its other spellings. */
export const ESCAPED_AT_CUES: readonly string[] = [
  "%40",
  "&#",
  "&commat",
  ...["\\u", "\\x"].flatMap((escape) => ["40", "040", "0040"].map((code) => escape + code)),
];
const LOCAL_MAX = 64;
const DOMAIN_MAX = 253;
/** Scripts that are written without spaces: an address stands in them with nothing before or after it. */
const UNSPACED =
  /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Hangul}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]/u;
const LOCAL_ASCII = alphabet(/[\w.+\-%']/);
const HOST_ASCII = alphabet(/[A-Za-z0-9-]/);
const LOCAL = /[\p{L}\p{M}\p{N}]/u;
/** `=`, `:`, `/`, `&`, a space and others that end what stands before an address, percent-encoded. */
const ENCODED_DELIMITER = /^(?:.*)%(?:3[ABCDEF]|2[0236789BCF]|5[BD]|7[BCD]|0[9AD])/is;

type Parts = { readonly start: number; readonly at: number; readonly domain: number; readonly end: number };

function localStart(text: CountedText, at: number, floor: number): number {
  const limit = Math.max(floor, at - LOCAL_MAX);
  if (text.char(at - 1) === '"') return quotedStart(text, at, limit);
  let start = at;
  while (start > limit && isLocal(text, start - 1)) start--;
  start = afterUnspaced(text, start, at);
  const encoded = text.slice(start, at);
  if (encoded.includes("%")) start += ENCODED_DELIMITER.exec(encoded)?.[0].length ?? 0;
  if (text.char(start - 1) === "\\" && /[nrtbf]/.test(text.char(start))) start++;
  while (start < at && ".-'%+".includes(text.char(start))) start++;
  return start < at && text.char(at - 1) !== "." ? start : -1;
}

function quotedStart(text: CountedText, at: number, limit: number): number {
  for (let start = at - 2; start >= limit; start--) {
    const sign = text.char(start);
    if (sign === '"') return at - start > 2 ? start : -1;
    if (sign === "\n" || sign === "\0") return -1;
  }
  return -1;
}

function isLocal(text: CountedText, at: number): boolean {
  const code = text.code(at);
  if (code < 128) return LOCAL_ASCII[code] === 1;
  return LOCAL.test(String.fromCharCode(code)) || (code & 0xf800) === 0xd800 && isAstralLetter(text, at);
}

function isAstralLetter(text: CountedText, at: number): boolean {
  const start = (text.code(at) & 0xfc00) === 0xdc00 ? at - 1 : at;
  return /^[\p{L}\p{M}]/u.test(text.slice(start, start + 2));
}

/** `我的邮箱是jane` is a sentence and a name: the name is what stands in plain letters at its end. */
function afterUnspaced(text: CountedText, start: number, at: number): number {
  let plain = at;
  while (plain > start && text.code(plain - 1) < 0x250) plain--;
  return plain < at && plain > start && UNSPACED.test(text.char(plain - 1)) ? plain : start;
}

/** Where the domain that starts at `from` ends, or −1 where none does. */
function domainEnd(text: CountedText, from: number): number {
  if (text.char(from) === "[") return literalEnd(text, from);
  const limit = Math.min(text.length, from + DOMAIN_MAX);
  let at = from;
  let label = from;
  let end = -1;
  let script: "plain" | "unspaced" | null = null;
  /** What parts its labels: a full stop, or, in all places, the one of Chinese and Japanese. */
  let dot = 0;
  for (; at <= limit; at++) {
    const code = at < limit ? text.code(at) : NaN;
    const plain = code < 128 && HOST_ASCII[code] === 1;
    if (
      plain ||
      code >= 128 &&
        (LOCAL.test(String.fromCharCode(code)) || (code & 0xf800) === 0xd800 && isAstralLetter(text, at))
    ) {
      const now = code >= 128 && UNSPACED.test(String.fromCharCode(code)) ? "unspaced" : "plain";
      if (at === label || script === null) script = now;
      if (now === script) continue;
    }
    if (at > label && label > from && isTopLevel(text.slice(label, at))) end = trimmed(text, label, at);
    if (code !== 46 && !isWideDot(text, at) || at === label || dot !== 0 && dot !== code) break;
    dot = code;
    label = at + 1;
    script = null;
  }
  return end;
}

/** `jane@example。org`; before anything but a small letter it ends a sentence. */
function isWideDot(text: CountedText, at: number): boolean {
  const next = text.code(at + 1);
  return text.code(at) === 0x3002 && next >= 97 && next <= 122;
}

function trimmed(text: CountedText, label: number, at: number): number {
  let end = at;
  while (end > label && text.char(end - 1) === "-") end--;
  return end;
}

function literalEnd(text: CountedText, from: number): number {
  const literal = /^\[(?:\d{1,3}(?:\.\d{1,3}){3}|IPv6:[0-9a-fA-F:.]{2,45})\]/.exec(
    text.slice(from, from + 60),
  );
  return literal === null ? -1 : from + literal[0].length;
}

function isTopLevel(label: string): boolean {
  const name = label.replace(/-+$/, "");
  if (/^xn--[a-z0-9-]{2,59}$/i.test(name)) return true;
  return name.length >= 2 && name.length <= 24 && /^[\p{L}\p{M}]+$/u.test(name);
}

/** `zod@3.21.4-rc.alpha`. */
const VERSION = /^v?\d+\.\d+/;
/** Words before an `@` that make it a label, a decorator or a checkout and no mailbox. */
const CODE_LOCALS = /^(?:this|super|return|break|continue|npm|jsr)$/;

function isAddress(text: CountedText, { start, at, domain, end }: Parts): boolean {
  const local = text.slice(start, at);
  const host = text.slice(domain, end);
  const written = host.slice(host.lastIndexOf(".") + 1);
  const last = written.toLowerCase();
  if (CODE_LOCALS.test(local) || VERSION.test(text.slice(domain, domain + 12))) return false;
  if (
    local === "git" &&
    (/[:/]/.test(text.char(end)) || /^(?:github|gitlab|bitbucket)\./.test(host) ||
      text.startsWith("//", start - 2))
  ) return false;
  if (FILE_EXTENSIONS.has(last) && isDigit(host.charCodeAt(0)) || NEVER_TOP_LEVEL.test(last)) return false;
  if (ALGORITHMS_OF.test(host) && /[\d-]/.test(local)) return false;
  if (COMMON_TOP_LEVEL.test(last) || /[^a-z-]/.test(last)) return true;
  if (/[a-z][A-Z]/.test(written)) return false;
  // `q@k.transpose(…)`, `X.T@y.flatten`, `x@self.weight`: products of matrices.
  return text.char(end) !== "(" && !/^(?:self|this|np|tf|torch)\./.test(host) &&
    !/(?:^|\.)[^.]$/.test(host.slice(0, -last.length - 1));
}

/** Whose names name ways of encryption, `aes256-gcm@openssh.com`. */
const ALGORITHMS_OF = /^(?:openssh\.com|libssh\.org|lysator\.liu\.se)$/i;
/** Ends of files, of systemd's units and of expressions, which are no domain's. */
const NEVER_TOP_LEVEL =
  /^(?:png|jpe?g|gif|svg|webp|bmp|css|scss|less|json|jsx?|tsx?|html?|xml|ya?ml|toml|txt|csv|tgz|jar|exe|dll|service|socket|timer|target|mount|automount|slice|scope|swap|weights?|bias|data|grad|shape|dtype|values|transpose|reshape|flatten|squeeze|unsqueeze|permute|detach|clone|numpy|astype)$/;
/** Those that nearly all addresses have: what follows does not matter. */
const COMMON_TOP_LEVEL =
  /^(?:com|org|net|edu|gov|info|biz|io|co|me|ai|xyz|dev|app|de|fr|uk|nl|es|ch|eu|us|ca|au|jp|br|ru|pl|se|cn|kr|mx|be|dk|fi|cz|gr|pt|tr|ua|za|nz|ie|tw|hk|sg|ar|cl|ro|hu|example|test|local)$/;

/**
 * Addresses spelled to fool harvesters: `john.smith [at] gmail [dot] com`, `john dot smith at gmail dot com`.
 * Without brackets, both "at" and "dot" must be there, and what follows must be a common top-level domain.
 */
export function findSpelledEmails(text: CountedText, found: (start: number, end: number) => void): void {
  if (text.next(SPELLED_AT, 0) === null) return;
  for (let name = text.stretch(NAMES, 0); name !== null;) {
    const match = opensSpelled(text, name) ? text.match(SPELLED, name.start) : null;
    if (match !== null) reportSpelled(match, found);
    name = text.stretch(NAMES, match?.end ?? name.end);
  }
}

function opensSpelled(text: CountedText, { start, end }: Match): boolean {
  return end - start <= NAME_MAX && /^(?: dot | at |\.|\s{0,2}[[({<])/i.test(text.slice(end, end + 5)) &&
    text.char(start - 1) !== ".";
}

function reportSpelled({ start, end, groups }: Match, found: (start: number, end: number) => void): void {
  const [, local, bracketedAt, dot] = groups;
  const bare = bracketedAt === undefined;
  if ((bare && dot === ".") || (bare && COMMON_WORDS.test(lastWord(local!)))) return;
  const skipped = bare && !/ dot /i.test(local!) ? local!.length - lastWord(local!).length : 0;
  found(start + skipped, end);
}

/** Every spelled address has one of these between its parts. */
const SPELLED_AT = words(/ dot |[[({<] ?(?:at|@|arroba|chez) ?[\])}>]/i);
/** An ASCII text without any of these has none of them. */
export const SPELLED_CUES: readonly string[] = [
  " dot ",
  ...["[", "(", "{", "<"].flatMap((open) =>
    ["at", "@", "arroba", "chez"].flatMap((at) => [open + at, `${open} ${at}`])
  ),
];

const NAME_MAX = 40;
const NAMES = stretches(/[A-Za-z0-9_+%-]/, 1);
const NAME = `[a-z0-9_+%-]{1,${NAME_MAX}}`;
const DOT_OPEN = "\\s{0,2}[\\[({<]\\s?(?:dot|\\.|punkt|punto|point)\\s?[\\])}>]\\s{0,2}";
const SPELLED = piece(
  new RegExp(
    `(?<![a-z0-9_+%.-])(${NAME}(?:(?: dot |${DOT_OPEN}|\\.)${NAME}){0,4})` +
      `(?:\\s{0,2}([\\[({<]\\s?(?:at|@|arroba|chez)\\s?[\\])}>])\\s{0,2}| at )` +
      `[a-z0-9-]{1,40}(?:(?: dot |${DOT_OPEN}|\\.)[a-z0-9-]{1,40}(?= dot |${DOT_OPEN}|\\.)){0,3}` +
      `( dot |${DOT_OPEN}|\\.)(?:com|net|org|edu|gov|io|co|dev|app|ai|me|info|biz|de|uk|fr|es|it|nl|eu|ca|au|in|jp|br|ch|at|us|ru|pl|se)` +
      `(?![a-z0-9_-])`,
    "i",
  ),
  540,
);
/** "look at google dot com": what stands before the "at" is no mailbox. */
const COMMON_WORDS =
  /^(?:me|us|it|look|looking|available|found|find|hosted|visit|live|located|read|more|only|site|page|online|work|works|is|are|was|here|sold|shop|buy|see|directly|service|account|mailbox|data)$/i;

function lastWord(local: string): string {
  return local.slice(local.lastIndexOf(" ") + 1);
}
