import { countDigits, entropy, isWord } from "./checks.ts";
import { KEY_FORMATS, type KeyFormat } from "./key_formats.ts";

type Found = (start: number, end: number) => void;

/**
 * Keys with a provider's prefix. The text's long unbroken stretches are looked at once; at each start of a word in them
 * the prefixes with the same two first letters are tried.
 */
export function findKeys(text: string, found: Found): void {
  STRETCH.lastIndex = 0;
  for (let match = STRETCH.exec(text); match !== null; match = STRETCH.exec(text)) {
    const from = match.index;
    const to = from + match[0].length;
    for (let at = from; at < to; at++) {
      if (isAlnum(text.charCodeAt(at - 1))) continue;
      const end = keyEnd(text, at, to);
      if (end < 0) continue;
      found(at, end);
      at = end - 1;
    }
  }
}

/** Shortest stretch that can hold a key. */
const STRETCH = /[\w\-./+$]{16,}/g;

/** Bodies may go on with these, in segments: `SG.….…`, `xoxb-…-…`. */
const BODIES = {
  hex: /[0-9a-fA-F]/,
  alnum: /[A-Za-z0-9]/,
  word: /[A-Za-z0-9_-]/,
  base64: /[A-Za-z0-9_\-+/=.]/,
} as const;
const BODY: Record<KeyFormat["body"], Uint8Array> = {
  hex: table(BODIES.hex),
  alnum: table(BODIES.alnum),
  word: table(BODIES.word),
  base64: table(BODIES.base64),
};

function table(pattern: RegExp): Uint8Array {
  return Uint8Array.from({ length: 128 }, (_, code) => pattern.test(String.fromCharCode(code)) ? 1 : 0);
}

type Row = { readonly prefix: string; readonly format: KeyFormat };
const ROWS = new Map<number, Row[]>();
for (const format of KEY_FORMATS) {
  for (const prefix of format.prefixes.split(" ")) {
    const key = firstTwo(prefix, 0);
    ROWS.set(
      key,
      [...ROWS.get(key) ?? [], { prefix, format }].sort((a, b) => b.prefix.length - a.prefix.length),
    );
  }
}

function firstTwo(text: string, at: number): number {
  return text.charCodeAt(at) * 65536 + text.charCodeAt(at + 1);
}

/** Characters that tell whether a body was drawn by lot. */
const SAMPLE = 96;

function keyEnd(text: string, at: number, to: number): number {
  for (const { prefix, format } of ROWS.get(firstTwo(text, at)) ?? []) {
    if (!text.startsWith(prefix, at)) continue;
    const from = at + prefix.length;
    if (to - from < format.min || (format.random && isLowerCase(text, from, from + 16))) continue;
    const enough = bodyEnd(text, { from, limit: from + Math.max(format.min, SAMPLE) }, format);
    if (enough - from < format.min || !isDrawn(text.slice(from, Math.min(enough, from + SAMPLE)), format)) {
      continue;
    }
    return tailEnd(text, bodyEnd(text, { from, limit: to }, format));
  }
  return -1;
}

/** A cheap look: sixteen characters drawn by lot hold a digit or a capital. */
function isLowerCase(text: string, from: number, to: number): boolean {
  for (let at = from; at < to; at++) {
    const code = text.charCodeAt(at);
    if (code >= 48 && code <= 90) return false;
  }
  return true;
}

type Reach = { readonly from: number; readonly limit: number };

/** Where the key's characters end, at `limit` the latest; `from` where a longer word goes on behind them. */
function bodyEnd(text: string, { from, limit }: Reach, { body, min, exact }: KeyFormat): number {
  const allowed = BODY[body];
  const last = exact ? from + min : limit;
  let end = from;
  while (end < last && allowed[text.charCodeAt(end)] === 1) end++;
  const goesOn = (exact || end < last) && isAlnum(text.charCodeAt(end));
  if (goesOn) return from;
  while (end > from && ".-+/".includes(text[end - 1]!)) end--;
  return end;
}

/** Further segments of the same key, `.…` or `_…`, are part of it. */
function tailEnd(text: string, end: number): number {
  const tail = /^(?:[.$_:-][A-Za-z0-9_-]{8,256}){1,4}/.exec(text.slice(end, end + 1024));
  return tail !== null && /\d/.test(tail[0]) ? end + tail[0].length : end;
}

function isDrawn(body: string, { random }: KeyFormat): boolean {
  if (random !== undefined && countDigits(body) < 2 && countCaseChanges(body) < 6) return false;
  if (entropy(body) < (random === undefined ? 2.2 : 3)) return false;
  if (/x{6}|X{6}|\*{4}|\.{3}|your|YOUR|example|EXAMPLE_|placeholder/.test(body)) return false;
  return random === undefined || !isWords(body);
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
 * strings. The group `key` is what is replaced; `needs` is a text that each of them holds.
 */
export const KEY_SHAPES: readonly {
  readonly provider: string;
  readonly needs: string;
  readonly shape: RegExp;
}[] = [
  {
    provider: "Slack webhook",
    needs: "hooks.slack",
    shape: /(?<=hooks\.slack(?:-gov)?\.com\/(?:services|workflows|triggers)\/)[A-Za-z0-9_/]{20,150}/g,
  },
  {
    provider: "Discord webhook",
    needs: "/webhooks/",
    shape: /(?<=\/api\/(?:v\d{1,2}\/)?webhooks\/)\d{16,20}\/[\w-]{40,100}/g,
  },
  {
    provider: "Teams webhook",
    needs: ".webhook.office",
    shape: /(?<=\.webhook\.office\.com\/webhookb2\/)[\w@\-/]{40,200}/g,
  },
  {
    provider: "Zapier webhook",
    needs: "hooks.zapier",
    shape: /(?<=hooks\.zapier\.com\/hooks\/catch\/)\d{4,12}\/[a-z0-9]{5,20}/gi,
  },
  {
    provider: "Google Chat webhook",
    needs: "chat.googleapis",
    shape: /(?<=chat\.googleapis\.com\/v1\/spaces\/[\w-]{5,40}\/messages\?)[^\s"'<>\0]{20,300}/g,
  },
  {
    provider: "Telegram bot",
    needs: ":A",
    shape: /(?<![A-Za-z0-9])\d{8,10}:A[A-Za-z0-9_-]{32,35}(?![A-Za-z0-9_-])/g,
  },
  {
    provider: "Discord bot",
    needs: ".",
    shape:
      /(?<![A-Za-z0-9_-])[MNO][A-Za-z0-9_-]{23,27}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,40}(?![A-Za-z0-9_-])/g,
  },
  { provider: "Mailchimp", needs: "-us", shape: /(?<![A-Za-z0-9])[0-9a-f]{32}-us\d{1,2}(?![A-Za-z0-9])/g },
  {
    provider: "Azure AD client secret",
    needs: "Q~",
    shape: /(?<![A-Za-z0-9])[A-Za-z0-9_~.-]{3}\dQ~[A-Za-z0-9_~.-]{31,34}(?![A-Za-z0-9_~-])/g,
  },
  {
    provider: "Azure DevOps",
    needs: "AZDO",
    shape: /(?<![A-Za-z0-9])[A-Za-z0-9]{76}AZDO[A-Za-z0-9]{4}(?![A-Za-z0-9])/g,
  },
  {
    provider: "Azure key",
    needs: "AccountKey=",
    shape: /(?<=(?:AccountKey|SharedAccessKey)=)[A-Za-z0-9+/]{40,100}={0,2}/g,
  },
  {
    provider: "Azure key",
    needs: "SharedAccessKey=",
    shape: /(?<=SharedAccessKey=)[A-Za-z0-9+/]{40,100}={0,2}/g,
  },
  {
    provider: "Azure shared access signature",
    needs: "sig=",
    shape: /(?<=[?&]sig=)[A-Za-z0-9%+/]{30,120}={0,2}/g,
  },
  {
    provider: "Terraform Cloud",
    needs: ".atlasv1.",
    shape: /(?<![A-Za-z0-9])[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,80}/g,
  },
  {
    provider: "Airtable",
    needs: "pat",
    shape: /(?<![A-Za-z0-9])pat[A-Za-z0-9]{14}\.[0-9a-f]{64}(?![A-Za-z0-9])/g,
  },
  {
    provider: "Asana",
    needs: "/",
    shape: /(?<![\w./-])[0-2]\/(?:\d{10,20}(?:\/\d{10,20})?:)?[0-9a-f]{32}(?![\w/])/g,
  },
  {
    provider: "Salesforce",
    needs: "00D",
    shape: /(?<![A-Za-z0-9])00D[A-Za-z0-9]{12,15}![A-Za-z0-9._]{60,120}/g,
  },
  {
    provider: "Sentry DSN",
    needs: "@",
    shape: /(?<=https?:\/\/)[0-9a-f]{32}(?=(?::[0-9a-f]{32})?@[\w.-]{1,80}\/\d)/g,
  },
  {
    provider: "Twitter bearer",
    needs: "AAAAAAAAA",
    shape: /(?<![A-Za-z0-9])A{18,22}[A-Za-z0-9%+/=]{60,120}/g,
  },
  {
    provider: "HTTP basic",
    needs: "asic ",
    shape: /(?<=\bBasic )[A-Za-z0-9+/]{8,200}={0,2}(?![A-Za-z0-9+/=])/g,
  },
];

export function findKeyShapes(text: string, found: Found): void {
  for (const { needs, shape } of KEY_SHAPES) {
    if (!text.includes(needs)) continue;
    for (const match of text.matchAll(shape)) {
      if (entropy(match[0]) >= 2.5 && countDigits(match[0]) > 0) {
        found(match.index, match.index + match[0].length);
      }
    }
  }
}

/** JSON web tokens, signed or encrypted: two to five Base64url parts of which the first is an object. */
export function findJwts(text: string, found: Found): void {
  for (let at = text.indexOf("eyJ"); at >= 0;) {
    const end = jwtEnd(text, at);
    if (end > 0 && !isWord(text.charCodeAt(at - 1))) found(at, end);
    at = text.indexOf("eyJ", end > 0 ? end : Math.max(at + 3, partEnd(text, at)));
  }
}

function jwtEnd(text: string, at: number): number {
  let end = partEnd(text, at);
  if (end - at < 10) return -1;
  let parts = 1;
  for (; parts < 5 && text[end] === "."; parts++) {
    const next = partEnd(text, end + 1);
    if (next === end + 1 && !(parts === 2 || parts === 1)) break;
    if (parts === 1 && next - end < 6) return -1;
    if (next === end + 1) break;
    end = next;
  }
  return parts >= 2 ? end : -1;
}

function partEnd(text: string, from: number): number {
  const allowed = BODY.word;
  let end = from;
  while (end < text.length && allowed[text.charCodeAt(end)] === 1) end++;
  return end;
}

/**
 * Private keys in PEM's armour, from BEGIN to END; where the end is missing, as far as lines of Base64 go. Newlines may
 * be written `\n`.
 */
export function findPrivateKeys(text: string, found: Found): void {
  let close = 0;
  for (let at = text.indexOf(BEGIN); at >= 0;) {
    const label = LABEL.exec(text.slice(at + BEGIN.length, at + BEGIN.length + 70));
    const body = at + BEGIN.length + (label?.[0].length ?? 0);
    const next = text.indexOf(BEGIN, body);
    if (label !== null) {
      if (close >= 0 && close < body) close = text.indexOf(END, body);
      const closed = close >= 0 && (next < 0 || close < next) && close - body <= ARMOUR_MAX;
      found(at, closed ? armourEnd(text, close) : base64End(text, body));
    }
    at = next;
  }
}

const LABEL = /^[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----/;
const END = "-----END ";
const BEGIN = "-----BEGIN ";
/** Largest armour with an end that is replaced whole; a 16,384-bit RSA key has 13 KB. */
const ARMOUR_MAX = 65_536;

function armourEnd(text: string, close: number): number {
  const end = text.slice(close, close + 90).indexOf("-----", END.length);
  return end >= 0 ? close + end + 5 : close + END.length;
}

const ARMOUR_LINE =
  /(?:\s|\\[nr]|["'+,])*(?:(?:Proc-Type|DEK-Info|Comment|Version|Hash): [^\n\\]{0,80}|[A-Za-z0-9+/]{20,}={0,2}|[A-Za-z0-9+/]{1,19}={1,2}|=[A-Za-z0-9+/]{4}(?![A-Za-z0-9])|[A-Za-z0-9+/]*[0-9+/][A-Za-z0-9+/]*(?![\w:.]))/y;

function base64End(text: string, from: number): number {
  let end = from;
  for (;;) {
    ARMOUR_LINE.lastIndex = end;
    if (!ARMOUR_LINE.test(text) || ARMOUR_LINE.lastIndex === end) return end;
    end = ARMOUR_LINE.lastIndex;
  }
}
