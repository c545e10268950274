import { countDigits, entropy } from "./checks.ts";
import { alphabet, type CountedText, type Match, piece, stretches, words } from "./counted_text.ts";
import { isWords } from "./keys.ts";
import { before } from "./numbers.ts";
import { isDrawn, isSurprising, surpriseOf } from "./secrets/drawn.ts";
import { isDefined, isOfNetrc, isWithUser, type Trust, trustIn } from "./secrets/trust.ts";

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
/** What a credential's name makes of its value. */
type Kind = "password" | "key";

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

/**
 * Between name and value, in order: closing quote and bracket, what it is declared as (`: string`), separator, opening
 * quote. Quotes also as they are in a text within a text, in HTML and in an address; `**` around what is bold.
 */
const SEPARATOR = piece(
  /(?:\\{0,7}["'`]|&(?:quot|#3[49]|#x2[27]);|%2[27]|\\{1,4}u002[27])?[\])}]?(?:\[\d{0,3}\])?\*{0,3}(?:\s\([a-z ]{1,24}\)(?=:))?(?:\s?:\s?[A-Za-z&][\w.<>&'[\]|?]{1,24}(?: str)?(?=\s?=\s?["']))?(?:\s{0,3}:\s{1,3}[|>][-+]?\d?[ \t]{0,4}\r?\n\s{1,24}|(?:(?:\s[\w="']{1,40})?>|<\/(?:name|key)>)\s{0,24}<(?:value|string)>|\s{1,3}[–—→➜-]\s{1,3}|&gt;\s{0,4}|\.equals(?:IgnoreCase)?\(\s?(?=["'])|\s{0,4}(?::=|=>|->|<-|!?===?|!=|[?|]{1,2}=|%3[ADad]|[:=：＝])(?:\*{1,3}(?=\s))?(?:\s|%20){0,4}|(?:\s(?:for|to|of|on|at|FOR|von|für|zu|del?|du|para|pour|voor|от|для|к)(?:\s[^\s:="'<>(){}\0]{1,20}){1,4})?(?::\s{1,2}|\s{1,3}(?:is|was|ist|lautet|war|est|était|es|era|è|é|foi|är|er|jest|=)(?: now| set to|:)?\s{1,3})|(?:は|是|为|為|는|은)\s?|\s?\(\s?(?=\\?["'`])|\s{1,2}(?=["'])|\s{0,3}(?:,\s{0,4}"\w{1,12}":\s?"[\w-]{1,20}")?[,;]?\s{0,40}\\{0,3}["']?(?:Parameter)?(?:[Vv]alue|VALUE|default)\\{0,3}["']?\s{0,3}[:=]\s{0,3}|\s{1,4}[|│]\s{1,4}|>\s{0,24})(?:(?:Bearer|Basic|Token|token|bearer|basic|[Aa]pi[Kk]ey|Key|GenieKey|Bot|SSWS|OAuth|Splunk)\s)?(?:\[\s{0,3}(?=["'])|(?:MD5|SHA1|SHA2|SHA256|PASSWORD|ENCRYPT|crypt|bcrypt|md5|sha1|Secret|SecretStr)\((?=["']))?(?:[brfuN@]{1,2}(?=["']))?(\\{0,7}["'`]{1,3}|&(?:quot|#3[49]|#x2[27]);|%2[27]|\\{1,4}u002[27])?/,
  128,
);
/** `variable "db_password" { … default = "` of Terraform. */
const VARIABLE = piece(/["']\s{0,3}\{[^}\0]{0,400}?\b(?:default|value)\s{0,12}=\s{0,4}(["'])/, 440);
/** Without a separator only what is an option or a header's scheme: `--password X`, `Bearer X`. */
const BARE_SEPARATOR = piece(/(?:["'],)?\s{1,4}(\\?["'`])?/, 8);

type Value = { readonly start: number; readonly end: number };

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

type Reading = {
  readonly from: number;
  readonly limit: number;
  readonly quote: string;
  readonly kind: Kind;
  /** Said in a sentence: the value must stand out from words. */
  readonly natural: boolean;
  /** How sure it is from where it stands that this is no word and no name. */
  readonly trust: () => Trust;
  /** The name is the bare word: `password`, not `password_hash`. */
  readonly exact: boolean;
};

const VALUE_MAX = 256;
/** Patterns and measures that a value passes, each of which looks at all of it. */
const VALUE_CHECKS = 16;
const PASSWORD_MAX = 200;
const KEY_UNITS_MIN = 10;
const KEY_DIGITS_MIN = 2;
/** A key without figures is no longer than this; one with `::` is a name in a program. */
const LETTERS_MAX = 64;

function isKeyLong(value: string): boolean {
  return !value.includes("::") && value.length >= KEY_UNITS_MIN &&
    (value.length <= LETTERS_MAX || countDigits(value) >= KEY_DIGITS_MIN);
}

/** What a value without quotes may hold. */
const UNQUOTED = alphabet(/[^\0-\x20"'`<>,;(){}[\]\\]/, true);

function readValue(text: CountedText, reading: Reading): Value | null {
  const { from, limit, quote, kind } = reading;
  const value = quote === ""
    ? unquoted(text.slice(from, text.endOf(UNQUOTED, from, Math.min(limit, from + VALUE_MAX))))
    : quoted(text.slice(from, from + VALUE_MAX + quote.length), quote);
  if (kind === "password" ? value.length > PASSWORD_MAX : !isKeyLong(value)) return null;
  text.looks.spend(VALUE_CHECKS * value.length);
  const end = from + value.length;
  if (quote === "" && /[([]/.test(text.char(end)) && isIdentifier(value)) return null;
  const secret = kind === "password"
    ? isPassword(value, reading)
    : isKey(value, quote !== "") || isShortKey(value, quote !== "" || reading.trust() !== "none");
  return secret ? { start: from, end } : null;
}

function unquoted(value: string): string {
  const parameter = /[&%]/.test(value)
    ? /&(?:amp;)?[\w.-]{1,40}=|%26|&(?:quot|lt|gt|#\d\d)$/.exec(value)
    : null;
  let end = parameter?.index ?? value.length;
  // `パスワードはabc1です`
  if (/^[!-~]{4,}[\u3040-\u30ff\uac00-\ud7a3\u4e00-\u9fff]/.test(value)) {
    end = Math.min(end, value.search(/[^!-~]/));
  }
  while (end > 0 && ".,:。，；、".includes(value[end - 1]!)) end--;
  return value.slice(0, end);
}

/** Empty where the quote is not closed on the same line. */
function quoted(ahead: string, quote: string): string {
  const value = ahead.slice(0, Math.max(0, ahead.indexOf(quote)));
  return /[\n\0]/.test(value) ? "" : value;
}

const PLACEHOLDER =
  /^(?:[*x.•●_\-#X]+|\.{3,}|…+|<[^>]*>|\{+[^}]*\}+|\[[^\]]*\]|%[\w]+%|\$\{?[\w.:-]*\}?|\$\(.*|@[\w.]+@|(?:null|none|nil|undefined|true|false|string|n?varchar\d?|text|number|str|int|bool|boolean|any|object|required|optional|empty|(?:secret|password|passwd|admin|root|pass)(?!\d\d)|pwd|token|test|testing|changeme|change_me|placeholder|redacted|hidden|masked|unknown|n\/a|todo|tbd|foo|bar|baz|abc|abcd|value|key|user|username|default|example)\d{0,3}[.!?)]*)$/i;
const PLACEHOLDER_PART =
  /your[_ -]?|(?:^|[_-])my[_-]|insert|replace|placeholder|dummy|example|changeme|change-me|redacted|xxxx|\*{3,}|<[a-z_ -]+>|_here$|-here$|\.{3}|•••|x{5}|0000000|1234567890abcdef|abcdefghij|0123456789/i;
const REFERENCE =
  /^(?:process\.|os\.|env[.[:]|ENV|System\.|import\.|secrets?\.|vars\.|config\.|settings\.|self\.|this\.|ctx\.|req(?:uest)?\.|params\.|options?\.|props\.|data\.|user\.|form\.|await|new$|null|undefined|typeof|function|async|lambda|return|getenv|vault:|ssm:|arn:|urn:|file:|op:\/\/|https?:\/\/|\/|\.{1,2}\/|~\/|\$|%|\{|sha\d{1,3}[-:]|md5[-:]|data:)/;

export function isSettled(value: string): boolean {
  return PLACEHOLDER.test(value) || PLACEHOLDER_PART.test(value) || REFERENCE.test(value);
}

/** `userPassword1`, `np.uint16`, `args.token`: a name in a program. */
function isIdentifier(value: string): boolean {
  return /^[A-Za-z_$][\w$]*(?:(?:\?\.|\.|::|->)[A-Za-z_$][\w$]*)*$/.test(value);
}

function isPassword(value: string, reading: Reading): boolean {
  if (value.length < 4 || isSettled(value) || FIELD.test(value)) return false;
  if (reading.quote !== "" && /\s/.test(value)) return isPassphrase(value);
  return isUnlikeWords(value, reading) || isTrusted(value, reading.trust());
}

/** A field of a form: `new_password1`. */
const FIELD = /^(?:new|old|current|confirm)_?(?:password|passwd|pwd)_?\d?$/i;
/** Words that are no password where one could stand: what it is called, and what is to be done about it. */
const ABOUT_PASSWORDS =
  /^(?:[a-z]{0,8}(?:password|passwd|passwort|passord|wachtwoord|kennwort)|(?:my|the|new|old|db|user|root|admin|your)(?:pass|pwd|pw|secret)|pass|secret|token|clave|senha|heslo|haslo|field|input|always|never|prompt|enabled|disabled|generated?|random|value|config|settings?|encrypted|hashed|false|string|varchar)$/;

/** A word will do as well, where the place is sure. */
function isTrusted(value: string, trust: Trust): boolean {
  switch (trust) {
    case "none":
      return false;
    case "neighbour":
      if (/^[a-z][a-z0-9]{4,}$/.test(value)) return !ABOUT_PASSWORDS.test(value);
      // falls through
    case "assigned":
      return countDigits(value) > 0 && /[A-Za-z]/.test(value) && !/[.(]/.test(value) &&
        !isVersionOrPath(value);
    case "element":
      return /^[^\s.]{4,64}$/.test(value) && !isVersionOrPath(value);
    case "certain":
      return !/^[${(<:?]/.test(value) && !/\s/.test(value);
  }
}

function isUnlikeWords(value: string, { quote, natural, exact }: Reading): boolean {
  const digits = countDigits(value);
  const letters = value.replace(/[^\p{L}]/gu, "").length;
  const symbols = value.length - digits - letters;
  if (letters === 0) {
    return digits >= 4 && exact && !natural && digits + symbols === value.length && value.length >= 6;
  }
  if (isVersionOrPath(value) || DOTTED.test(value) || quote === "" && IN_PROGRAMS.test(value)) return false;
  if (
    isIdentifier(value) && (natural && digits >= 2 || surpriseOf(value).changes >= 2) && !/[.]/.test(value)
  ) {
    return true;
  }
  if (
    quote === "" && isIdentifier(value) &&
    /[._]|pass|pwd|word|token|secret|user|input|form|value|text|hash|field|param|arg|str|data|conf/i.test(
      value,
    )
  ) {
    return digits >= 3 && entropy(value) >= 3.2 && !/[.]/.test(value) && !/_/.test(value) ||
      LEET.test(value) && !/[.]/.test(value) && !NUMBERED.test(value);
  }
  if (digits > 0) return true;
  if (/^!{1,2}[a-z]+$/i.test(value)) return false;
  if (symbols === 0 && letters >= 8 && isDrawnLetters(value)) {
    return !ABOUT_PASSWORDS.test(value.toLowerCase());
  }
  if (letters >= 8 && /^[A-Za-z]+(?:-[A-Za-z]+)+$/.test(value) && isSurprising(value)) return true;
  if (natural && quote === "") {
    return symbols > 0 && /[!@#$%^&*?~+=]/.test(value.slice(0, -1)) && letters >= 3;
  }
  return /[!@#$%^&*?~+=]/.test(value.slice(0, -1)) && letters >= 3 && value.length >= 6 &&
    !/^[@#]/.test(value);
}

/** Types, `Uint8Array` and `*const`; `+nil+` of Ruby's comments; `proxy&.password`. */
const IN_PROGRAMS =
  /^(?:[A-Z]\w*(?:Array|Like|String|Bytes|Buffer|Options|Type|View|Data|Callback|Function|Builder|Provider|Encoder|Input)\??|\*(?:const|mut|char)|\d+[iuf](?:8|16|32|64|size)|0x[\da-fA-F]+|\+\w+\+|\w+&\.[\w.]+)$/;
/** `auth.hashers.Argon2Hasher`, `:password1`, `string|min:8`: a name in a program, and what a value must be. */
const DOTTED = /^[A-Za-z_]\w*\.[A-Za-z_]\w*\.[A-Za-z_][\w.]*$|^:[a-z_]\w*$|^[a-z]+\|[a-z]+(?:[:|][\w:|]*)?$/i;

/** `summ3r_9`, `n0tSecret`: figures for letters within a word, but for those of names like `base64_secret`. */
const LEET = /[a-z][01347]{1,2}[a-z]/;
const NUMBERED =
  /base\d|sha\d|md\d|utf\d|oauth\d|s3|i18n|l10n|k8s|x50|int\d|float\d|ec2|[ehrp]s\d|[a-z]2[a-z]|v\d|web3|http|\dd|h264|ip[46]|arg\d|key\d|var\d/i;

/** Letters alone that make no word of any kind. */
function isDrawnLetters(value: string): boolean {
  const { rare, pairs } = surpriseOf(value);
  return rare >= 3 && rare >= 0.4 * pairs && /^[A-Za-z]+$/.test(value);
}

/** `PWD={…}` of ODBC, where `}}` is a brace. */
function bracedAfter(text: CountedText, from: number): Value | null {
  const value = /^\{((?:[^{}\n\0()[\]"'`]|\}\}){4,128})\}(?=[;"'\n]|$)/.exec(text.slice(from, from + 200))
    ?.[1];
  if (value === undefined || (isIdentifier(value) && countDigits(value) < 2) || isSettled(value)) return null;
  return { start: from + 1, end: from + 1 + value.length };
}

/** Several words in quotes are a sentence, unless they hold digits and signs as passphrases do. */
function isPassphrase(value: string): boolean {
  return value.split(/\s+/).length <= 3 && countDigits(value) >= 2 && /[!@#$%^&*?~+=]/.test(value);
}

/** Many parts between slashes, two of them plain words. */
function isFilePath(value: string): boolean {
  const parts = value.split("/");
  return parts.length > 3 &&
    parts.filter((part) => /^[a-z]+(?:[_-][a-z]+)*$/.test(part) && part.length > 3).length >= 2;
}

function isVersionOrPath(value: string): boolean {
  return /^v?\d+(?:\.\d+)+[\w.-]*$/.test(value) ||
    /^[\w.-]+(?:\/[\w.-]+){2,}$/.test(value) && !/\d{3}/.test(value) ||
    isFilePath(value) || /^\w+:\/\//.test(value) || /^!+[a-z_$][\w$]*\./i.test(value) ||
    /\.(?:js|ts|py|go|rb|java|md|json|html|css|vue|tsx|jsx|php|txt|yml|yaml|pem|crt|key)$/i.test(value);
}

/** Whether a value looks drawn by lot: enough characters, digits and surprise, and no name, version, path or digest. */
export function isKey(value: string, quoted: boolean): boolean {
  if (value.length < 10 || countDigits(value) < KEY_DIGITS_MIN || entropy(value) < 3.1) return false;
  if (/\s/.test(value) || isSettled(value)) return false;
  if (!/^[\w\-+/=.~!@#$%^&*:|]+$/.test(value) || !/[A-Za-z]/.test(value)) return false;
  if (isVersionOrPath(value) || isWords(value)) return false;
  if (isIdentifier(value) && value.includes(".") && countDigits(value) < 6) return false;
  if (isConstant(value) || isCamelCase(value)) return false;
  return quoted || !(isIdentifier(value) && value.length < 16 && countDigits(value) < 3);
}

/** `TLS_CHACHA20_POLY1305_SHA256`, `tls.TLS_AES_128`: words in capitals, each with a number at most. */
function isConstant(value: string): boolean {
  return /^(?:[a-z]\w{0,20}\.)?[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+$/.test(value) &&
    (countDigits(value) < 4 ||
      /^(?:\w+\.)?(?:[A-Z]+\d{0,4}|\d{1,4})(?:_(?:[A-Z]+\d{0,4}|\d{1,4}))+$/.test(value));
}

/** `BCryptSHA256PasswordHasher`: two words of five letters or more, and half of it words. */
function isCamelCase(value: string): boolean {
  const words = /^[A-Za-z]\w*$/.test(value) ? value.match(/[A-Z][a-z]{4,}/g) ?? [] : [];
  return words.length >= 2 && 2 * words.join("").length >= value.length;
}

/** As {@link isKey}, where the name says that it is one: without digits too, where its letters surprise. */
function isShortKey(value: string, literal: boolean): boolean {
  if (!/^[\w\-+/=.~!@#$%^&*:|]+$/.test(value) || isSettled(value) || isVersionOrPath(value)) return false;
  if (!literal && (isConstant(value) || /^[A-Z]+$/.test(value))) return false;
  return isDrawn(value) && (literal || !isIdentifier(value) || isNoName(value));
}

/** Of what may be a name in a program: `qWzKpLmXvBtN`, but no `nextToken`. */
function isNoName(value: string): boolean {
  const { rare, changes, pairs } = surpriseOf(value);
  return !value.includes(".") &&
    (countDigits(value) >= KEY_DIGITS_MIN && changes >= 3 || rare >= 3 && rare >= 0.45 * pairs);
}

/** Names of services and keys whose value is taken for a key where it looks drawn by lot; see {@link findNamedKeys}. */
const KEY_WORDS: ReadonlySet<string> = new Set(
  ("key keys apikey secret token auth credential credentials bearer password pat " +
    "adafruit airbrake airtable algolia amplitude appcues artifactory asana assemblyai atlassian auth0 azure beamer bitbucket bitly " +
    "buildkite circleci clearbit clickup cloudflare cloudinary codecov cohere coinbase confluent contentful coveralls datadog " +
    "deepgram discord docusign dropbox dynatrace etsy facebook fastly figma finicity finnhub flickr freshbooks freshdesk " +
    "gitlab gitter gocardless grafana heroku hubspot instagram intercom jenkins jira kaggle klaviyo kraken kucoin launchdarkly " +
    "linkedin logdna mailchimp mailgun mailjet mapbox mattermost messagebird mistral mixpanel nasa netlify newrelic nytimes okta " +
    "openai opsgenie opsgenie pagerduty papertrail paypal pendo pinecone pipedrive plaid planetscale postmark pubnub pusher " +
    "quicknode rapidapi razorpay rollbar segment sendbird sendgrid sentry shodan shopify sidekiq snyk sparkpost splunk spotify " +
    "square squarespace stripe sumologic surge telegram terraform tinypng trello travis twitch twilio twitter typeform " +
    "unsplash vimeo virustotal vonage wakatime weatherapi openweather webflow wrike xero yandex yelp zapier zendesk zoom")
    .split(" "),
);
const NOT_KEYS =
  /^(?:public|primary|foreign|cache|sort|partition|row|object|idempotency|hash|sha|sha1|sha256|md5|digest|commit|checksum|etag|fingerprint|integrity|revision|uuid|guid|image|model|path|url|file|id|ref|branch|version)$/;
const STRETCH = stretches(/[A-Za-z0-9_\-+/.~]/, 20);
/** Longest stretch that is looked at; a key has hardly more than 200 characters. */
const STRETCH_MAX = 512;

/** Long values drawn by lot that stand after a word like "key", or after a provider's name and a separator. */
export function findNamedKeys(text: CountedText, found: Found): void {
  for (let match = text.stretch(STRETCH, 0); match !== null; match = text.stretch(STRETCH, match.end)) {
    const { start, end, text: written } = match;
    if (end - start > STRETCH_MAX || countDigits(written) < 2 || text.char(start - 1) === "=") continue;
    const value = (written + paddingAt(text, end)).replace(/[.]+$/, "");
    text.looks.spend(VALUE_CHECKS * value.length);
    if (countDigits(value) < (isSurprising(value) ? 2 : 3) || !isKey(value, false) || entropy(value) < 3.3) {
      continue;
    }
    if (
      value.replace(/[^A-Za-z]/g, "").length < 4 ||
      (text.char(start + value.length) === "(" && isIdentifier(value))
    ) continue;
    if (isUuid(value) || !isNamedKey(before(text, start, 48), value)) continue;
    found(start, start + value.length);
  }
}

/** At most two `=`, where nothing goes on behind them. */
function paddingAt(text: CountedText, end: number): string {
  return /^={0,2}(?![A-Za-z0-9_\-+/.~])/.exec(text.slice(end, end + 3))?.[0] ?? "";
}

function isUuid(value: string): boolean {
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value);
}

function isNamedKey(context: string, value: string): boolean {
  const line = context.slice(context.lastIndexOf("\n") + 1);
  const words = line.match(/\p{Lu}?\p{Ll}+\d*|\p{Lu}+\d*/gu) ?? [];
  const near = words.slice(-4).map((word) => word.toLowerCase());
  const name = near.findLastIndex((word) => KEY_WORDS.has(word));
  if (/sec-websocket-\w+["':,\s]*$/i.test(line)) return false;
  if (name < 0 || near.some((word) => NOT_KEYS.test(word))) return false;
  if (!/[:=>"'`(]\s{0,3}["'`]?$|\b(?:is|(?:api)?key|token|secret|use|this)\s$/i.test(line)) return false;
  return near.length > 1 && near[name] !== "keys" && near.length - name <= 2 || isMixed(value);
}

function isMixed(value: string): boolean {
  return value.length >= 24 && /[a-z]/.test(value) && /[A-Z]/.test(value) && entropy(value) >= 4;
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
