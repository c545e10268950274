import { countDigits, entropy, isWord } from "./checks.ts";
import {
  type Alphabet,
  alphabet,
  type CountedText,
  type Pattern,
  pattern,
  stretches,
} from "./counted_text.ts";
import { KEY_FORMATS, type KeyFormat } from "./key_formats.ts";
import { isSurprising } from "./secrets/drawn.ts";

type Found = (start: number, end: number) => void;

/**
 * Keys with a provider's prefix. The text's long unbroken stretches are looked at once; at each start of a word in them
 * the prefixes with the same two first letters are tried.
 */
export function findKeys(text: CountedText, found: Found): void {
  for (let match = text.stretch(STRETCH, 0); match !== null; match = text.stretch(STRETCH, match.end)) {
    const { start, end: to, text: written } = match;
    for (let at = start; at < to; at++) {
      const row = firstTwo(written, at - start);
      if (OPENS[row] === 0) continue;
      if (at > start ? isAlnum(written.charCodeAt(at - 1 - start)) : isAlnum(text.code(at - 1))) continue;
      const end = keyEnd(text, at, to);
      if (end < 0) continue;
      found(at, end);
      at = end - 1;
    }
  }
}

/** Shortest stretch that can hold a key. */
const STRETCH = stretches(/[\w\-./+$]/, 16);

/** Bodies may go on with these, in segments: `SG.….…`, `xoxb-…-…`. */
const BODIES: Record<KeyFormat["body"], Alphabet> = {
  hex: alphabet(/[0-9a-fA-F]/),
  alnum: alphabet(/[A-Za-z0-9]/),
  word: alphabet(/[A-Za-z0-9_-]/),
  base64: alphabet(/[A-Za-z0-9_\-+/=.]/),
};

type Row = { readonly prefix: string; readonly format: KeyFormat };
const ROWS = new Map<number, Row[]>();
/** By {@link firstTwo}: whether any prefix begins so. */
const OPENS = new Uint8Array(1 << 14);
for (const format of KEY_FORMATS) {
  for (const prefix of format.prefixes.split(" ")) {
    const key = firstTwo(prefix, 0);
    OPENS[key] = 1;
    ROWS.set(
      key,
      [...ROWS.get(key) ?? [], { prefix, format }].sort((a, b) => b.prefix.length - a.prefix.length),
    );
  }
}

function firstTwo(word: string, at: number): number {
  return word.charCodeAt(at) << 7 | word.charCodeAt(at + 1);
}

/** Characters that tell whether a body was drawn by lot. */
const SAMPLE = 96;

function keyEnd(text: CountedText, at: number, to: number): number {
  for (const { prefix, format } of ROWS.get(text.code(at) << 7 | text.code(at + 1))!) {
    if (!text.startsWith(prefix, at)) continue;
    const from = at + prefix.length;
    if (to - from < format.min || (format.random && isLowerCase(text.slice(from, from + 16)))) continue;
    const enough = bodyEnd(text, { from, limit: from + Math.max(format.min, SAMPLE) }, format);
    if (enough - from < format.min || !isDrawn(text.slice(from, Math.min(enough, from + SAMPLE)), format)) {
      continue;
    }
    const end = tailEnd(text, bodyEnd(text, { from, limit: to }, format));
    // `def test_vectorFunctionNoReference():`
    return text.char(end) === "(" ? -1 : end;
  }
  return -1;
}

/** A cheap look: sixteen characters drawn by lot hold a digit or a capital. */
function isLowerCase(body: string): boolean {
  return !/[0-Z]/.test(body);
}

type Reach = { readonly from: number; readonly limit: number };

/** Where the key's characters end, at `limit` the latest; `from` where a longer word goes on behind them. */
function bodyEnd(text: CountedText, { from, limit }: Reach, { body, min, exact }: KeyFormat): number {
  const last = exact ? from + min : limit;
  let end = text.endOf(BODIES[body], from, last);
  const goesOn = (exact || end < last) && isAlnum(text.code(end));
  if (goesOn) return from;
  while (end > from && ".-+/".includes(text.char(end - 1))) end--;
  return end;
}

/** Further segments of the same key, `.…` or `_…`, are part of it. */
function tailEnd(text: CountedText, end: number): number {
  if (!/^[.$_:-][A-Za-z0-9_-]/.test(text.slice(end, end + 2))) return end;
  const tail = /^(?:[.$_:-][A-Za-z0-9_-]{8,256}){1,4}/.exec(text.slice(end, end + 1024));
  return tail !== null && /\d/.test(tail[0]) ? end + tail[0].length : end;
}

function isDrawn(body: string, { random, exact }: KeyFormat): boolean {
  if (/x{6}|X{6}|\*{4}|\.{3}|your|YOUR|example|EXAMPLE_|placeholder/.test(body)) return false;
  if (random === undefined) return entropy(body) >= 2.2;
  // The length says it too: any body but words will do.
  if (exact) return entropy(body) >= 2.2 && (countDigits(body) > 0 || isSurprising(body)) && !isWords(body);
  if (isSurprising(body)) return entropy(body) >= 2.6;
  return entropy(body) >= 3 && (countDigits(body) >= 2 || countCaseChanges(body) >= 6) && !isWords(body);
}

function countCaseChanges(text: string): number {
  let changes = 0;
  for (let i = 1; i < text.length; i++) {
    if (isAlnum(text.charCodeAt(i)) && (text.charCodeAt(i) & 32) !== (text.charCodeAt(i - 1) & 32)) changes++;
  }
  return changes;
}

/** `fading-circle-animation-2x-10`, `newTokenProvider_2`: words with signs and figures between them, not drawn by lot. */
export function isWords(text: string): boolean {
  const parts = text.split(/[-_./:+=]/).map((part) => part.replace(/^\d{1,4}|\d{1,4}$/g, ""));
  const words = parts.filter((part) => WORDS.test(part));
  return words.join("").length > 0.7 * text.replace(/[-_./:+=]/g, "").length;
}

const WORDS = /^(?:[A-Z]?[a-z]{2,}|[A-Z]{2,}|[a-z]{2,}(?:[A-Z][a-z]{2,})+|(?:[A-Z][a-z]{2,})+)$/;

function isAlnum(code: number): boolean {
  return code !== 95 && isWord(code);
}

/**
 * Keys whose shape speaks for itself without standing at the start of a word: webhook paths, bot tokens, connection
 * strings. `needs` is a text that each of them holds; `min`: letters, digits and `_-./+=$` that stand together in it.
 */
export const KEY_SHAPES: readonly {
  readonly provider: string;
  readonly needs: string;
  readonly min: number;
  readonly shape: Pattern;
}[] = [
  {
    provider: "Slack webhook",
    needs: "hooks.slack",
    min: 20,
    shape: pattern(
      /(?<=s\/)[A-Za-z0-9_/]/,
      /(?<=hooks\.slack(?:-gov)?\.com\/(?:services|workflows|triggers)\/)[A-Za-z0-9_/]{20,150}/,
      150,
      32,
    ),
  },
  {
    provider: "Discord webhook",
    needs: "/webhooks/",
    min: 40,
    shape: pattern(
      /(?<=webhooks\/)\d/,
      /(?<=\/api\/(?:v\d{1,2}\/)?webhooks\/)\d{16,20}\/[\w-]{40,100}/,
      121,
      18,
    ),
  },
  {
    provider: "Teams webhook",
    needs: ".webhook.office",
    min: 12,
    shape: pattern(
      /(?<=webhookb2\/)[\w@\-/]/,
      /(?<=\.webhook\.office\.com\/webhookb2\/)[\w@\-/]{40,200}/,
      200,
      30,
    ),
  },
  {
    provider: "Zapier webhook",
    needs: "hooks.zapier",
    min: 12,
    shape: pattern(
      /(?<=hooks\/catch\/)\d/i,
      /(?<=hooks\.zapier\.com\/hooks\/catch\/)\d{4,12}\/[a-z0-9]{5,20}/i,
      33,
      29,
    ),
  },
  {
    provider: "Google Chat webhook",
    needs: "chat.googleapis",
    min: 12,
    shape: pattern(
      /(?<=messages\?)[^\s"'<>\0]/,
      /(?<=chat\.googleapis\.com\/v1\/spaces\/[\w-]{5,40}\/messages\?)[^\s"'<>\0]{20,300}/,
      300,
      82,
    ),
  },
  {
    provider: "Telegram bot",
    needs: ":A",
    min: 33,
    shape: pattern(
      /(?<![A-Za-z0-9])\d\d\d\d\d\d\d\d\d?\d?:A/,
      /(?<![A-Za-z0-9])\d{8,10}:A[A-Za-z0-9_-]{32,35}(?![A-Za-z0-9_-])/,
      48,
    ),
  },
  {
    provider: "Discord bot",
    needs: ".",
    min: 58,
    shape: pattern(
      /(?<![A-Za-z0-9_-])[MNO][A-Za-z0-9_-][A-Za-z0-9_-]/,
      /(?<![A-Za-z0-9_-])[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40}(?![A-Za-z0-9_-])/,
      77,
    ),
  },
  {
    provider: "Mailchimp",
    needs: "-us",
    min: 36,
    shape: pattern(
      /(?<![A-Za-z0-9])[0-9a-f][0-9a-f][0-9a-f]/,
      /(?<![A-Za-z0-9])[0-9a-f]{32}-us\d{1,2}(?![A-Za-z0-9])/,
      38,
    ),
  },
  {
    provider: "Azure AD client secret",
    needs: "Q~",
    min: 12,
    shape: pattern(
      /(?<![A-Za-z0-9])[A-Za-z0-9_~.-][A-Za-z0-9_~.-][A-Za-z0-9_~.-]\dQ~/,
      /(?<![A-Za-z0-9])[A-Za-z0-9_~.-]{3}\dQ~[A-Za-z0-9_~.-]{31,34}(?![A-Za-z0-9_~-])/,
      41,
    ),
  },
  {
    provider: "Azure DevOps",
    needs: "AZDO",
    min: 84,
    shape: pattern(
      /(?<![A-Za-z0-9])[A-Za-z0-9][A-Za-z0-9][A-Za-z0-9]/,
      /(?<![A-Za-z0-9])[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}(?![A-Za-z0-9])/,
      85,
    ),
  },
  {
    provider: "Azure key",
    needs: "AccountKey=",
    min: 40,
    shape: pattern(
      /(?<=Key=)[A-Za-z0-9+/]/,
      /(?<=(?:AccountKey|SharedAccessKey)=)[A-Za-z0-9+/]{40,100}={0,2}/,
      102,
      16,
    ),
  },
  {
    provider: "Azure key",
    needs: "SharedAccessKey=",
    min: 40,
    shape: pattern(/(?<=Key=)[A-Za-z0-9+/]/, /(?<=SharedAccessKey=)[A-Za-z0-9+/]{40,100}={0,2}/, 102, 16),
  },
  {
    provider: "AWS signature",
    needs: "X-Amz-Signature=",
    min: 64,
    shape: pattern(/(?<=re=)[0-9a-f][0-9a-f]/, /(?<=X-Amz-Signature=)[0-9a-f]{64}/, 64, 18),
  },
  {
    provider: "SonarQube",
    needs: "sonar.login=",
    min: 40,
    shape: pattern(/(?<=login=)[0-9a-f]/, /(?<=sonar\.login=)[0-9a-f]{40}(?![0-9a-z])/, 41, 14),
  },
  {
    provider: "OpenWeather",
    needs: "appid=",
    min: 32,
    shape: pattern(/(?<=appid=)[0-9a-f]/, /(?<=\bappid=)[0-9a-f]{32}(?![0-9a-z])/, 33, 9),
  },
  {
    provider: "OpenWeather",
    needs: "APPID=",
    min: 32,
    shape: pattern(/(?<=APPID=)[0-9a-f]/, /(?<=\bAPPID=)[0-9a-f]{32}(?![0-9a-z])/, 33, 9),
  },
  {
    provider: "Azure shared access signature",
    needs: "sig=",
    min: 12,
    shape: pattern(/(?<=[?&]sig=)[A-Za-z0-9%+/]/, /(?<=[?&]sig=)[A-Za-z0-9%+/]{30,120}={0,2}/, 122, 5),
  },
  {
    provider: "Terraform Cloud",
    needs: ".atlasv1.",
    min: 83,
    shape: pattern(
      /(?<![A-Za-z0-9])[A-Za-z0-9][A-Za-z0-9][A-Za-z0-9]/,
      /(?<![A-Za-z0-9])[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,80}/,
      103,
    ),
  },
  {
    provider: "Airtable",
    needs: "pat",
    min: 82,
    shape: pattern(
      /(?<![A-Za-z0-9])pat[A-Za-z0-9]/,
      /(?<![A-Za-z0-9])pat[A-Za-z0-9]{14}\.[0-9a-f]{64}(?![A-Za-z0-9])/,
      83,
    ),
  },
  {
    provider: "Asana",
    needs: "/",
    min: 32,
    shape: pattern(
      /(?<![\w./-])[0-2]\/[0-9a-f]/,
      /(?<![\w./-])[0-2]\/(?:\d{10,20}(?:\/\d{10,20})?:)?[0-9a-f]{32}(?![\w/])/,
      77,
    ),
  },
  {
    provider: "Salesforce",
    needs: "00D",
    min: 15,
    shape: pattern(
      /(?<![A-Za-z0-9])00D/,
      /(?<![A-Za-z0-9])00D[A-Za-z0-9]{12,15}![A-Za-z0-9._]{60,120}/,
      139,
    ),
  },
  {
    provider: "Sentry DSN",
    needs: "@",
    min: 32,
    shape: pattern(
      /(?<=:\/\/)[0-9a-f][0-9a-f]/,
      /(?<=https?:\/\/)[0-9a-f]{32}(?=(?::[0-9a-f]{32})?@[\w.-]{1,80}\/\d)/,
      148,
      8,
    ),
  },
  {
    provider: "Twitter bearer",
    needs: "AAAAAAAAA",
    min: 27,
    shape: pattern(
      /(?<![A-Za-z0-9])AAAAAAAAA/,
      /(?<![A-Za-z0-9])A{18,22}[A-Za-z0-9%+/=]{60,120}/,
      142,
    ),
  },
  {
    provider: "HTTP basic",
    needs: "asic ",
    min: 8,
    shape: pattern(
      /(?<=\bBasic )[A-Za-z0-9+/]/,
      /(?<=\bBasic )[A-Za-z0-9+/]{8,200}={0,2}(?![A-Za-z0-9+/=])/,
      203,
      8,
    ),
  },
];

/** A text without any of these has none of them, but where a stretch is as long. */
export const SHAPE_STRETCH = 32;
const isCued = ({ needs, min }: typeof KEY_SHAPES[number]) => needs.length > 3 || min < SHAPE_STRETCH;
export const SHAPE_CUES: readonly string[] = KEY_SHAPES.filter(isCued).map(({ needs }) =>
  needs.toLowerCase()
);
const UNCUED = KEY_SHAPES.filter((row) => !isCued(row));

/** `stretch`: the text's longest, which most of them are longer than; `cued`: whether it holds any of the cues. */
export function findKeyShapes(
  text: CountedText,
  { stretch, cued }: { readonly stretch: number; readonly cued: boolean },
  found: Found,
): void {
  for (const { needs, min, shape } of cued ? KEY_SHAPES : UNCUED) {
    if (stretch < min || !text.includes(needs)) continue;
    text.each(shape, ({ start, end, text: key }) => {
      if (entropy(key) >= 2.5 && countDigits(key) > 0) found(start, end);
    });
  }
}

/** JSON web tokens, signed or encrypted: two to five Base64url parts of which the first is an object. */
export function findJwts(text: CountedText, found: Found): void {
  for (let at = text.indexOf("eyJ"); at >= 0;) {
    const end = jwtEnd(text, at);
    if (end > 0 && !isWord(text.code(at - 1))) found(at, end);
    at = text.indexOf("eyJ", end > 0 ? end : Math.max(at + 3, partEnd(text, at)));
  }
}

function jwtEnd(text: CountedText, at: number): number {
  let end = partEnd(text, at);
  if (end - at < 10) return -1;
  let parts = 1;
  for (; parts < 5 && text.char(end) === "."; parts++) {
    const next = partEnd(text, end + 1);
    if (next === end + 1 && !(parts === 2 || parts === 1)) break;
    if (parts === 1 && next - end < 6) return -1;
    if (next === end + 1) break;
    end = next;
  }
  return parts >= 2 ? end : -1;
}

function partEnd(text: CountedText, from: number): number {
  return text.endOf(BODIES.word, from);
}

/**
 * Private keys in PEM's armour, from BEGIN to END; where the end is missing, as far as lines of Base64 go. Newlines may
 * be written `\n`.
 */
export function findPrivateKeys(text: CountedText, found: Found): void {
  let close = 0;
  for (let at = text.indexOf(BEGIN); at >= 0;) {
    const label = LABEL.exec(text.slice(at + BEGIN.length, at + BEGIN.length + 70));
    const body = at + BEGIN.length + (label?.[0].length ?? 0);
    const next = text.indexOf(BEGIN, body);
    if (label !== null) {
      if (close >= 0 && close < body) close = text.indexOf(END, body);
      const closed = close >= 0 && (next < 0 || close < next) && close - body <= ARMOUR_MAX;
      const end = closed ? armourEnd(text, close) : base64End(text, body);
      const isCode = closed && CODE.test(text.slice(body, body + CODE_MAX));
      // The header alone, in a sentence, is no key.
      if (!isCode && end > body) found(at, end);
    }
    at = next;
  }
}

/** What joins BEGIN and END in a program, and no key. */
const CODE = /^(?:\\n|\s|["'`;+])*(?:\$\{|\.\w+\(|[\w.]+\(|[a-z]+ [\w ]+=)/;
const CODE_MAX = 80;
const LABEL = /^(?:[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?|OpenVPN Static key V1)-----/;
const END = "-----END ";
const BEGIN = "-----BEGIN ";
/** Largest armour with an end that is replaced whole; a 16,384-bit RSA key has 13 KB. */
const ARMOUR_MAX = 65_536;

function armourEnd(text: CountedText, close: number): number {
  const end = text.slice(close, close + 90).indexOf("-----", END.length);
  return end >= 0 ? close + end + 5 : close + END.length;
}

/** A header, or Base64 with something that a word has not: its padding, a checksum, a figure or a sign. */
const ARMOUR_LINE =
  /^(?:(?:Proc-Type|DEK-Info|Comment|Version|Hash): [^\n\\]{0,80}|[A-Za-z0-9+/]{1,19}={1,2}|=[A-Za-z0-9+/]{4}(?![A-Za-z0-9])|[A-Za-z0-9+/]*[0-9+/][A-Za-z0-9+/]*(?![\w:.]))/;
const ARMOUR_LINE_MAX = 92;
/** Base64 of at least this length is a line of the key whatever it holds. */
const LINE_UNITS_MIN = 20;
const BASE64 = alphabet(/[A-Za-z0-9+/]/);

/** As far as lines of Base64 go, with whatever joins them in programs, mails and comments. */
export function base64End(text: CountedText, from: number): number {
  let end = from;
  for (;;) {
    const at = gapEnd(text, end);
    const next = lineEnd(text, at);
    if (next === at) return end;
    end = next;
  }
}

/** What stands between two lines: white space, also written `\n`, and the signs that join texts in programs. */
function gapEnd(text: CountedText, from: number): number {
  for (let at = from;;) {
    const sign = text.char(at);
    if (sign === "\\" && /[nr]/.test(text.char(at + 1))) at += 2;
    else if (/[\s"',>]/.test(sign)) at++;
    else return at;
  }
}

function lineEnd(text: CountedText, at: number): number {
  let end = text.endOf(BASE64, at);
  if (end - at < LINE_UNITS_MIN) {
    return at + (ARMOUR_LINE.exec(text.slice(at, at + ARMOUR_LINE_MAX))?.[0].length ?? 0);
  }
  for (let padding = 0; padding < 2 && text.char(end) === "="; padding++) end++;
  return end;
}
