import { countDigits, entropy } from "../checks.ts";
import { alphabet, type CountedText } from "../counted_text.ts";
import { isWords } from "../keys.ts";
import { isDrawn, isSurprising, surpriseOf } from "./drawn.ts";
import type { Trust } from "./trust.ts";

/** What stands behind a credential's name, and whether it is a secret: by what it looks like, and how sure its place is. */

/** What a credential's name makes of its value. */
export type Kind = "password" | "key";

export type Value = { readonly start: number; readonly end: number };

/** How a value is read. */
export type Reading = {
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
export const VALUE_CHECKS = 16;
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

/** The secret that begins at `from`; null where a word, a name in a program, a reference or a placeholder stands there. */
export function readValue(text: CountedText, reading: Reading): Value | null {
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

/** Stands for a secret, or says where one is. */
export function isSettled(value: string): boolean {
  return PLACEHOLDER.test(value) || PLACEHOLDER_PART.test(value) || REFERENCE.test(value);
}

/** `userPassword1`, `np.uint16`, `args.token`: a name in a program. */
export function isIdentifier(value: string): boolean {
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
export const NUMBERED =
  /base\d|sha\d|md\d|utf\d|oauth\d|s3|i18n|l10n|k8s|x50|int\d|float\d|ec2|[ehrp]s\d|[a-z]2[a-z]|v\d|web3|http|\dd|h264|ip[46]|arg\d|key\d|var\d/i;

/** Letters alone that make no word of any kind. */
function isDrawnLetters(value: string): boolean {
  const { rare, pairs } = surpriseOf(value);
  return rare >= 3 && rare >= 0.4 * pairs && /^[A-Za-z]+$/.test(value);
}

/** `PWD={…}` of ODBC, where `}}` is a brace. */
export function bracedAfter(text: CountedText, from: number): Value | null {
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

export function isUuid(value: string): boolean {
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value);
}
