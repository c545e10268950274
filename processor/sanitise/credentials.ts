import { countDigits } from "./checks.ts";
import { type CountedText, type Match, piece, words } from "./counted_text.ts";
import { KEY_WORDS } from "./secrets/named_keys.ts";
import {
  bracedAfter,
  isIdentifier,
  isUuid,
  type Kind,
  NUMBERED,
  readValue,
  type Value,
} from "./secrets/readings.ts";
import { isDefined, isOfNetrc, isWithUser, trustIn } from "./secrets/trust.ts";

type Found = (start: number, end: number) => void;
/** How far before a name, and from it on, it is looked at what its value is, in UTF-16 units. */
const REACH_BACK = 256, REACH = 1024;
/**
 * `stems`: where {@link CREDENTIAL_CUES} begin, those that have been hidden since among them. `hidden`: what has been
 * since they were last looked at, in order; elsewhere nothing new can be found. Null at first.
 */
type Places = {
  readonly stems: readonly number[];
  readonly hidden: readonly { readonly start: number; readonly end: number }[] | null;
};
/**
 * Credentials by the name in front of them: `password: …`, `"client_secret":"…"`, `?access_token=…`, `<pwd>…</pwd>`,
 * "my password is …". The name, quotes and separators stay. Found are two kinds: passwords, and keys (which must look
 * drawn by lot).
 */
export function findCredentials(
  text: CountedText,
  { stems, hidden }: Places,
  { password, key }: { password: Found; key: Found },
): void {
  let floor = 0, next = 0;
  for (const start of stems) {
    if (hidden !== null) {
      while (next < hidden.length && hidden[next]!.end < start - REACH_BACK) next++;
      if (next === hidden.length || hidden[next]!.start > start + REACH) continue;
    }
    const name = start < floor ? null : text.match(NAMES, start);
    if (name === null || !isCredential(text, name)) continue;
    const kind: Kind = name.groups[1] === undefined ? "key" : "password";
    const value = valueAfter(text, { ...name, kind });
    if (value === null) continue;
    if (kind === "password") password(value.start, value.end);
    else key(value.start, value.end);
    floor = value.end;
  }
}

function isCredential(text: CountedText, { start, text: name }: Match): boolean {
  if (/^key$/i.test(name)) return isKeyOf(text.slice(start - 16, start));
  if (/^psk$/i.test(name)) return !/[a-z0-9]$/i.test(text.slice(start - 1, start));
  return !/^p(?:ass|w)$/i.test(name) || isPart(text.slice(start - 8, start), name);
}

/** `api_key`, `SENDGRID_KEY`; of an address too, `?key=`. */
function isKeyOf(ahead: string): boolean {
  return KEY_OF.test(ahead) || /[?&]$/.test(ahead) ||
    KEY_WORDS.has(/([a-z]{3,16})_$/i.exec(ahead)?.[1]?.toLowerCase() ?? "");
}

/** `pass` and `pw` are names, and parts of names like `smtpPass`, `dbpass` and `rootpw`; not of `compass`. */
function isPart(ahead: string, name: string): boolean {
  return !/[a-z0-9]$/i.test(ahead) || PART_OF.test(ahead) || (/[a-z]$/.test(ahead) && /^P[a-z]/.test(name));
}

/**
 * As {@link findCredentials}, for the word "password" in other languages. Where no space parts them, a value ends at the
 * next of these words: else every value would hold all that follow, and each round would find but the last one.
 */
export function findForeignPasswords(text: CountedText, found: Found): void {
  for (let name = nextForeign(text, 0); name !== null;) {
    const next = nextForeign(text, name.end);
    const value = valueAfter(text, { ...name, kind: "password", limit: next?.start });
    if (value !== null) found(value.start, value.end);
    name = next;
  }
}

/** Part of no longer word, but of a name like `dbKennwort`. */
function nextForeign(text: CountedText, from: number): Value | null {
  for (let name = text.next(FOREIGN, from); name !== null; name = text.next(FOREIGN, name.end)) {
    const around = text.slice(name.start - 1, name.start + 1);
    if (!/^\p{L}[\x20-\x7e\p{Script=Latin}]/u.test(around) || /^[a-z][A-Z]/.test(around)) return name;
  }
  return null;
}

/** How a credential's name begins; what it is exactly says {@link NAMES}. None is a part of another but `pw`. */
export const CREDENTIAL_CUES: readonly string[] = [
  "pass",
  "pwd",
  "secret",
  "token",
  "key",
  "credential",
  "bearer",
  "auth",
  "jwt",
  "session",
  "otp",
  "pw",
  "psk",
];
const NAMES = piece(
  /(?:(pass ?w(?:or)?d|passwd|psk(?![a-z])|pass[ _-]?phrase|pass[ _-]?code|passwort|pwd|pass(?![a-z])|pw(?![a-z]))|secret|token|key|credentials?|bearer|authorization|auth(?![a-z])|auth(?=key|token)|jwt|session[_-]?id|otp[_-]?secret)/i,
  16,
);
/** A key is a credential where one of these says so. */
const KEY_OF =
  /(?:api|access|auth|private|priv|client|license|licence|app|account|signing|encryption|master|service|shared|secret|admin|consumer|subscription|webhook|openai)[ _-]?$/i;
/** What `pass` and `pw` are joined to without a sign. */
const PART_OF =
  /(?:db|my|pg|sql|smtp|ftp|ssh|mail|user|usr|root|admin|adm|ldap|redis|mongo|rds|imap|pop3?|http|proxy|wifi|vpn|git|svn|key|store|sudo|rabbit|mq|vnc|bind|login|auth|require)$/i;
/** Passwords in other languages, none of them part of a longer word. */
const FOREIGN = words(
  /contrase(?:ñ|n|ny)a|mot[ _-]?de[ _-]?passe|\bmdp\b|kennwort|senha|(?<!palabra |palabras |frase |frases )clave(?!s)|wachtwoord|парол[ьяею]|parola|hasło|haslo|şifre|sifre|lösenord|losenord|salasana|adgangskode|passord|mật khẩu|kata sandi|heslo|jelszó|jelszo|lozinka|κωδικός|كلمة (?:المرور|السر)|סיסמה|पासवर्ड|密码|密碼|口令|パスワード|비밀번호|รหัสผ่าน/iu,
);
/** A text without any of these, nor one of the letters, has none of them. */
export const FOREIGN_PASSWORD_CUES: readonly string[] = [
  "contrase",
  "de passe",
  "de_passe",
  "de-passe",
  "depasse",
  "mdp",
  "clave",
  "haslo",
  "ifre",
  "senord",
  "jelsz",
  "lozinka",
  "kennwort",
  "senha",
  "wachtwoord",
  "parola",
  "salasana",
  "adgangskode",
  "passord",
  "kata sandi",
  "heslo",
];
export const FOREIGN_PASSWORD_LETTERS = "лłậδةסड码碼令ワ밀ผ";

/** What else may belong to the name; a name that goes on like {@link ABOUT} is about a credential and holds none. */
const REST = piece(/[\w-]{0,30}/, 30);
const ABOUT =
  /^(?:s?[_-]?(?:iz|addr|type|name|len|count|limit|encrypt|ur[il]|path|file|dir|endpoint|expir|field|label|hint|placeholder|regex|pattern|policy|version|size|ttl|class|header|prefix|suffix|index|min|max|format|manager|provider|service|store|usage|algorithm|method|per|ed$|ing$|ary|arial|ori[sz]|or$|entic|errors?$|valid|required|reset|confirm$|strength|visible|required|with_))/i;

/** What may stand between name and value, of which one does. */
const SEPARATORS = [
  // A block of YAML.
  /\s{0,3}:\s{1,3}[|>][-+]?\d?[ \t]{0,4}\r?\n\s{1,24}/,
  // Elements of XML.
  /(?:(?:\s[\w="']{1,40})?>|<\/(?:name|key)>)\s{0,24}<(?:value|string)>/,
  // A dash, an arrow.
  /\s{1,3}[–—→➜-]\s{1,3}|&gt;\s{0,4}/,
  /\.equals(?:IgnoreCase)?\(\s?(?=["'])/,
  // Operators.
  /\s{0,4}(?::=|=>|->|<-|!?===?|!=|[?|]{1,2}=|%3[ADad]|[:=：＝])(?:\*{1,3}(?=\s))?(?:\s|%20){0,4}/,
  // `for staging is`.
  /(?:\s(?:for|to|of|on|at|FOR|von|für|zu|del?|du|para|pour|voor|от|для|к)(?:\s[^\s:="'<>(){}\0]{1,20}){1,4})?(?::\s{1,2}|\s{1,3}(?:is|was|ist|lautet|war|est|était|es|era|è|é|foi|är|er|jest|=)(?: now| set to|:)?\s{1,3})/,
  /(?:は|是|为|為|는|은)\s?/,
  /\s?\(\s?(?=\\?["'`])/,
  /\s{1,2}(?=["'])/,
  // `value:` of a pair.
  /\s{0,3}(?:,\s{0,4}"\w{1,12}":\s?"[\w-]{1,20}")?[,;]?\s{0,40}\\{0,3}["']?(?:Parameter)?(?:[Vv]alue|VALUE|default)\\{0,3}["']?\s{0,3}[:=]\s{0,3}/,
  // Cells and elements.
  /\s{1,4}[|│]\s{1,4}|>\s{0,24}/,
];
const SEPARATOR = piece(
  joined(
    // What closes the name: `"`, `]`, `**` around what is bold.
    /(?:\\{0,7}["'`]|&(?:quot|#3[49]|#x2[27]);|%2[27]|\\{1,4}u002[27])?[\])}]?(?:\[\d{0,3}\])?\*{0,3}/,
    // What is said of it: `(staging)`.
    /(?:\s\([a-z ]{1,24}\)(?=:))?/,
    // What it is declared as: `: string`.
    /(?:\s?:\s?[A-Za-z&][\w.<>&'[\]|?]{1,24}(?: str)?(?=\s?=\s?["']))?/,
    either(...SEPARATORS),
    // A scheme, a list, a call that wraps it, letters of a literal.
    /(?:(?:Bearer|Basic|Token|token|bearer|basic|[Aa]pi[Kk]ey|Key|GenieKey|Bot|SSWS|OAuth|Splunk)\s)?/,
    /(?:\[\s{0,3}(?=["'])|(?:MD5|SHA1|SHA2|SHA256|PASSWORD|ENCRYPT|crypt|bcrypt|md5|sha1|Secret|SecretStr)\((?=["']))?/,
    /(?:[brfuN@]{1,2}(?=["']))?/,
    /(\\{0,7}["'`]{1,3}|&(?:quot|#3[49]|#x2[27]);|%2[27]|\\{1,4}u002[27])?/,
  ),
  128,
);

function joined(...parts: readonly RegExp[]): RegExp {
  return new RegExp(parts.map(({ source }) => source).join(""));
}

function either(...parts: readonly RegExp[]): RegExp {
  return new RegExp(`(?:${parts.map(({ source }) => source).join("|")})`);
}

/** `variable "db_password" { … default = "` of Terraform. */
const VARIABLE = piece(/["']\s{0,3}\{[^}\0]{0,400}?\b(?:default|value)\s{0,12}=\s{0,4}(["'])/, 440);
/** Without a separator only what is an option or a header's scheme: `--password X`, `Bearer X`. */
const BARE_SEPARATOR = piece(/(?:["'],)?\s{1,4}(\\?["'`])?/, 8);

type Name = {
  readonly start: number;
  readonly end: number;
  readonly kind: Kind;
  /** The value goes no further; else as far as it may. */
  readonly limit?: number | undefined;
};

function valueAfter(text: CountedText, { start, end, kind, limit = text.length }: Name): Value | null {
  const rest = text.match(REST, end)!.text;
  if (ABOUT.test(rest) || (/^[a-z]{3,}/.test(rest) && !/^(?:key|hash|value|word|code)/.test(rest))) {
    return null;
  }
  const at = end + rest.length;
  const separator = isVariable(text, { start, end: at })
    ? text.match(VARIABLE, at)
    : text.match(SEPARATOR, at);
  if (separator !== null) {
    // `pw->next`, and a number that a handshake is answered by.
    if (
      rest.endsWith("-") && separator.text === ">" || /sec-websocket-$/i.test(text.slice(start - 14, start))
    ) return null;
    // `pass(x)` and `pass "x"` are verbs.
    if (
      /^(?:\(|["'`]$|$)/.test(separator.text.trim()) && /^[_-]?(?:pass|pw)$/i.test(text.slice(start, end))
    ) {
      return null;
    }
    const natural = /\s[a-zèéä]{2,6}\s/.test(separator.text) || DASHED.test(separator.text);
    const quote = separator.groups[1] ?? "";
    const trust = () => trustIn(text, { start, end: at }, separator.text);
    if (quote === "" && separator.text === "=" && text.char(separator.end) === "{") {
      return bracedAfter(text, separator.end);
    }
    const value = readValue(text, {
      from: separator.end,
      limit,
      quote,
      kind,
      natural,
      exact: rest === "",
      trust,
    });
    if (value === null) return null;
    const written = text.slice(value.start, value.end);
    const stays = isId(text.slice(start - 32, at), written) ||
      quote === "" && isNamesake(written, text.slice(start, at)) ||
      DASHED.test(separator.text) && (countDigits(written) < 2 || !/[a-z]/.test(written));
    return stays ? null : value;
  }
  const call = ENDED.test(rest) && isCalled(text, start) ? text.match(ARGUMENT, at) : null;
  if (call !== null) {
    const trust = () => isDefined(text, start) ? "certain" : "none";
    const quote = call.groups[1]!;
    return readValue(text, { from: call.end, limit, quote, kind, natural: false, exact: true, trust });
  }
  if (!isOption(text, { start, end })) return null;
  const bare = text.match(BARE_SEPARATOR, at);
  const quote = bare?.groups[1] ?? "";
  const trust = () =>
    isOfNetrc(text, start) || isWithUser(text, start)
      ? "certain"
      : /\s--[\w-]{2,30}-$/.test(text.slice(start - 36, start))
      ? "neighbour"
      : "none";
  return bare && readValue(text, { from: bare.end, limit, quote, kind, natural: true, exact: false, trust });
}

/** `csrfToken: reqCsrfToken`: a name in a program that ends in the name itself. */
function isNamesake(value: string, name: string): boolean {
  return isIdentifier(value) && value.length > name.length &&
    value.toLowerCase().endsWith(name.toLowerCase()) && /[._a-z][A-Za-z]+$/.test(value);
}
/** `Password - …`: what follows may be a word about it, `OAuth2`. */
const DASHED = /^[*"'`]{0,3}\s{1,3}[–—→➜-]\s/;

/** A UUID under a name that ends in `id`, and whatever is listed for a type, `AWS::IAM::AccessKey`, opens nothing. */
function isId(name: string, value: string): boolean {
  return (/id$/i.test(name) && isUuid(value)) || /\w::\w{0,30}$/.test(name);
}

function isVariable(text: CountedText, { start, end }: Value): boolean {
  return text.char(end) === '"' &&
    /\b(?:variable|output)\s{1,4}"[\w-]{0,40}$/.test(text.slice(start - 56, start));
}

/** `define('DB_PASSWORD', '…')`, `setRequestHeader("X-Api-Key", "…")`: the name is an argument, its value the next one. */
const ENDED = /^(?:[_-]?(?:\d+|key|value|base|header))?$/i;
const ARGUMENT = piece(
  /\]?\\?["'`](?:\s{0,2},\s{0,4}(?:with: )?[bruN@]?|\)\.(?:type|fill|send_?keys|set|setValue)\(\s{0,2})(\\?["'`])/i,
  24,
);

function isCalled(text: CountedText, start: number): boolean {
  return /(?:\(\s{0,2}[bru]?|\bfill_in )\\?["'`][\w.$ #[=-]{0,40}$|\(By\.\w{2,12}, ?["'][\w-]{0,24}$/.test(
    text.slice(start - 48, start),
  );
}

/** Capitals, small letters and two figures of which one is not at the end: whatever stands before, it is no word. */
const LIKE_A_PASSWORD =
  /^[ \t]{1,2}["'`]?(?=\S{0,30}[a-z])(?=\S{0,30}[A-Z])(?=\S{0,30}\d[A-Za-z!@#$%^&*?])(?=\S{0,30}\d\S{0,20}\d)[^\s"'`(){}=:;,/<>[\]|.]{8,40}["'`]?(?:[\s.,!?。，]|$)/;
/** "use password X", "user admin pass X", and a line of the word before a line of the value. */
const SAID = /\b(?:use|using|with|and|new|user(?:name)? \S{1,40})(?: the)? $/i;
const ALONE = /(?:^|\n)[ \t]{0,8}passw\w{2,3}$/;
const SAID_OF_USER = /\b(?:user(?:name)?|login|email) \S{1,40} $/i;
/** Nothing but a password: small letters, and two figures or a sign. */
const STRONG =
  /^\s{1,3}["']?(?![*<[|~`/])(?=[^\s]{0,30}[a-z])(?=[^\s]{0,30}(?:\d[^\s]{0,20}\d|[!@#$%^&*?]\w|\d[!@#$%^&*?]))[^\s"'(){}=:;,/]{6,40}["']?(?:[\s.,]|$)/;

/** `requirepass X` and `storePassword "X"`: a line of a name and a value. */
const LINE_NAME =
  /(?:^|\n)[ \t]{0,8}(?:(?:SetEnv|fastcgi_param) )?[\w.-]{2,60}(?:password|passwd|pass|pwd|pw|psk)$/i;
const LINE_VALUE = /^[ \t]{1,8}["']?[^\s"'|=:(){}]{4,64}["']?;?[ \t]{0,8}(?:\r?\n|$)/;

/** `--password X`, `Bearer X`, `login me password X`, `PASSWORD 'X'`: no separator is needed. */
function isOption(text: CountedText, { start, end }: Value): boolean {
  const name = text.slice(start, end).toLowerCase();
  const before = text.slice(start - 100, start);
  if (name === "bearer" || /(?:^|[\s"'])--?[\w-]{0,24}$/.test(before)) return true;
  if (
    ((name.startsWith("passw") ? SAID : SAID_OF_USER).test(before) ||
      ALONE.test(before + name) && /^\s{0,2}\n/.test(text.slice(end, end + 3))) &&
    STRONG.test(text.slice(end, end + 60))
  ) return true;
  if (!/key|token|secret|auth|jwt|session|credential|bearer/.test(name)) {
    const next = LIKE_A_PASSWORD.exec(text.slice(end, end + 60));
    if (next !== null && !NUMBERED.test(next[0])) return true;
  }
  if (LINE_NAME.test(before + name) && LINE_VALUE.test(text.slice(end, end + 90))) return true;
  if (/(?:^|\n)\s{0,8}(?:ENV|setx|set -gx|setenv) [\w.-]{0,20}$/.test(before)) return true;
  return name.startsWith("passw") &&
    (/^\s{1,2}'/.test(text.slice(end, end + 3)) || /\blogin\s{1,8}\S{1,64}\s{1,20}$/.test(before));
}

/** Passwords in addresses: `postgres://app:PW@db.internal:5432/x`. The user's name and the host stay. */
export function findUrlPasswords(text: CountedText, found: Found): void {
  for (let at = text.indexOf("://"), next = at; at >= 0; at = next) {
    next = text.indexOf("://", at + 3);
    if (!/[a-z0-9]/i.test(text.char(at - 1))) continue;
    // Nothing of the next address.
    const end = Math.min(at + 3 + AUTHORITY_MAX, next < 0 ? text.length : next);
    const authority = AUTHORITY.exec(text.slice(at + 3, end));
    if (authority === null) continue;
    const password = authority[1]!.slice(0, lastAt(authority[1]!));
    if (/^\d{1,5}\//.test(password) || isTemplate(password)) continue;
    const start = at + 3 + authority[0].indexOf(":") + 1;
    found(start, start + password.length);
  }
}

const AUTHORITY_MAX = 400;
const AUTHORITY = /^[^\s:/@?#"'`<>\0]{0,128}:([^\s"'`<>\0]{1,256})@(?=[\w[.{$%-])/;

/** A path may hold an `@` too: the password ends at the first `@` whose next slash, if any, comes after it. */
function lastAt(password: string): number {
  const slash = password.search(/@[^@]*\//);
  return slash < 0 ? password.length : slash;
}

function isTemplate(password: string): boolean {
  return /^(?:\$\{?.*|\{.*|<.*|%[A-Z_]+%|\*+|\.{3}|[x*]+|password|passwd|pass|pw|pwd|secret|token|your[\w-]*|\[.*)$/i
    .test(password);
}
