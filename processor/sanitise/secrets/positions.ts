import { countDigits, entropy } from "../checks.ts";
import { type CountedText, piece, words } from "../counted_text.ts";
import { isKey } from "./readings.ts";
import { isDrawn, isSurprising } from "./drawn.ts";
import { isFilled } from "./values.ts";

type Found = (start: number, end: number) => void;

/**
 * Calls that take a password at a place of their own; rows to be argued about. `call`: its name, in any case; `at`: which
 * argument, from 0. `weak`: other things are called so too, and a plain word stays. `key`: it is a key drawn by lot.
 */
const CALLS: readonly {
  readonly call: RegExp;
  readonly at: number;
  readonly weak?: true;
  readonly key?: true;
}[] = [
  { call: /\b(?:ds|data_?source|config|factory|conn\w{0,8}|hikari\w{0,8})\.set_?password$/i, at: 0 },
  { call: /\b(?:client|bot)\.(?:login|run)$/, at: 0, key: true },
  { call: /\bgetConnection$/i, at: 2 },
  { call: /\b(?:mysqli?_p?connect|new mysqli|new \\?PDO|odbc_p?connect|imap_open)$/i, at: 2 },
  { call: /\b(?:mysqldb|pymysql|mysql\.connector)\.connect$/i, at: 2 },
  { call: /\b(?:cx_oracle\.|oracledb\.|oci_p?)connect$/i, at: 1 },
  { call: /\b(?:ldap_bind|ftp_login|ssh2_auth_password|new sequelize|plainauth)$/i, at: 2 },
  { call: /http(?:basic|digest|ntlm|proxy)auth$/i, at: 1 },
  { call: /(?:networkcredential|usernamepasswordcredentials?|passwordauthentication)$/i, at: 1 },
  { call: /\b(?:usernamepasswordauthenticationtoken|credentials\.basic|smbconnection)$/i, at: 1 },
  { call: /\b(?:set|with|use)?_?basic_?auth$/i, at: 1 },
  { call: /(?:\b|_)(?:set|with)_?password$/i, at: 0, weak: true },
  { call: /\b(?:ftp|smtp\w{0,8}|imap\w{0,8}|mail\w{0,8}|server)\.login$/i, at: 1 },
  { call: /\.(?:login|auth|authenticate)$/, at: 1, weak: true },
  { call: /\bauth ?= ?$/, at: 1 },
  { call: /\b(?:plaincredentials|wifi\.begin|changeuserpassword|\w{0,8}bind_s)$/i, at: 1 },
  { call: /\bdefine$/, at: 1, key: true },
  { call: /\bftplib\.ftp(?:_tls)?$/i, at: 2 },
  { call: /\b(?:ssh\w{0,8}|client)\.connect$/i, at: 3 },
  { call: /\bhttpbasic$/i, at: 1, weak: true },
  { call: /\bauth\(\)\.(?:preemptive\(\)\.)?basic$/i, at: 1 },
  { call: /\bcreate_(?:super)?user$/, at: 2, weak: true },
  {
    call:
      /\b(?:hash::make|bcrypt(?:\.hash(?:sync|pw)?)?|passwordencoder\.encode|\w{0,12}password_hash|\.password)$/i,
    at: 0,
    weak: true,
  },
  { call: /\bjwt\.(?:sign|verify|encode|decode)$|\bsignwith$|\bcreatehmac$/i, at: 1, key: true },
  { call: /\b(?:hmac\.new|cookieparser)$/i, at: 0, key: true },
  { call: /aws\w{0,8}credentials(?:\.create)?$|staticcredentialsprovider$/i, at: 1, key: true },
  { call: /\bwallet$/i, at: 0, key: true },
  { call: /\b(?:twilio|oauth1?(?:handler|session)|set_access_token)$/i, at: 1, key: true },
];

/** How the calls end, and their bracket. */
const CALL = words(
  /(?:connection|connect|mysqli|pdo|imap_open|ldap_bind|login|password|sequelize|credentials?|\.basic|token|authentication|authenticate|auth|auth ?= ?|begin|bind_s|\.ftp|\.ftp_tls|basic|create_user|superuser|::make|bcrypt|\.hash|hashsync|hashpw|encode|password_hash|signwith|createhmac|jwt\.sign|\.verify|\.decode|hmac\.new|cookieparser|\.run|define|credentials\.create|provider|wallet|twilio|oauth1|handler|session)\(/i,
);
const CALL_MAX = 40;

/** A text without any of these holds nothing for {@link findPlacedPasswords}. */
export const POSITION_CUES: readonly string[] = [
  ..."connection( connect( mysqli( pdo( imap_open( ldap_bind( login( password( sequelize(".split(" "),
  ..."credential( credentials( .basic( token( authentication( authenticate( auth( auth=( identified".split(
    " ",
  ),
  ..."wifi.begin( changeuserpassword( bind_s( .ftp( .ftp_tls( basic( create_user( superuser( ::make( bcrypt.hash bcrypt("
    .split(" "),
  ..."encoder.encode( password_hash( signwith( createhmac( jwt. hmac.new( cookieparser( .run( define( credentials.create( provider( wallet( twilio( handler( oauth1session("
    .split(" "),
  ...["auth = (", "auth= (", "auth =(", "securestring", ":thin:"],
];

/** One argument: a text in quotes, or something else without quotes. */
const ARGUMENT =
  /\s{0,20}(?:[bruN@]{0,2}(?:"([^"\n]{0,160})"|'([^'\n]{0,160})')|[^"'(),\0]{0,80}(?:\([^()"'\0]{0,60}\))?)\s{0,20}/dy;
/** How far the arguments are looked at, in UTF-16 units. */
const ARGUMENTS_MAX = 500;

/** `identified by '…'` of SQL, `securestring "…"` of PowerShell, `jdbc:oracle:thin:name/…@`. */
const PHRASE = words(/identified|securestring|:thin:/i);
const AFTER_PHRASE = piece(
  /\w{1,40}\/([^\s@/"'\0]{1,64})(?=@)|\s{1,4}(?:-String\s{1,4})?(?:'([^'\n\0]{1,128})'|"([^"\n\0]{1,128})")|\s{1,4}(?:with\s{1,4}["'`]?\w{1,40}["'`]?\s{1,4})?(?:by|as)\s{1,4}(?:password\s{1,4})?(?:'([^'\n\0]{1,128})'|"([^"\n\0]{1,128})"|([A-Za-z][\w$#]{2,60})(?=\s{0,4}(?:;|\n|account|default|quota|using|$)))/i,
  260,
);
const STATEMENT = /\b(?:create|alter|grant|replace)\b[^;]{0,200}$/i;

const KEY_UNITS_MIN = 16;
const SALT_UNITS = 60;

/** Passwords by their place: the third argument of `getConnection`, the second of `auth=(…)`, SQL's `IDENTIFIED BY`. */
export function findPlacedPasswords(
  text: CountedText,
  { password: found, key }: { readonly password: Found; readonly key: Found },
): void {
  for (let call = text.next(CALL, 0); call !== null; call = text.next(CALL, call.end)) {
    const name = text.slice(call.end - 1 - CALL_MAX, call.end - 1);
    const row = CALLS.find(({ call }) => call.test(name));
    if (row === undefined) continue;
    const place = argumentAt(text.slice(call.end, call.end + ARGUMENTS_MAX), row);
    if (place !== null) (row.key ? key : found)(call.end + place[0], call.end + place[1]);
  }
  for (let phrase = text.next(PHRASE, 0); phrase !== null; phrase = text.next(PHRASE, phrase.end)) {
    const match = text.match(AFTER_PHRASE, phrase.end);
    const group = match?.groups.slice(1).find((value) => value !== undefined);
    if (match === null || group === undefined || !isFilled(group)) continue;
    const quoted = /["']$/.test(match.text);
    if (
      /^i/i.test(text.char(phrase.start)) && !STATEMENT.test(text.slice(phrase.start - 220, phrase.start))
    ) continue;
    const end = match.end - (quoted ? 1 : 0);
    found(end - group.length, end);
  }
}

function argumentAt(
  ahead: string,
  { at, weak, key }: typeof CALLS[number],
): readonly [number, number] | null {
  ARGUMENT.lastIndex = 0;
  for (let index = 0;; index++) {
    const from = ARGUMENT.lastIndex;
    const match = ARGUMENT.exec(ahead);
    if (match === null || (match[0] === "" && index < at && ahead[from] !== ",")) return null;
    if (index < at) {
      if (ahead[from + match[0].length] !== ",") return null;
      ARGUMENT.lastIndex = from + match[0].length + 1;
      continue;
    }
    const value = match[1] ?? match[2];
    if (value === undefined || value.includes("\0") || !isFilled(value)) return null;
    if (key ? !isDrawnKey(value) : /\s/.test(value) || (weak && isPlain(value))) return null;
    return match.indices![match[1] === undefined ? 2 : 1]!;
  }
}

/** Also of all printable characters, as the salts of WordPress are. */
function isDrawnKey(value: string): boolean {
  if (value.length < KEY_UNITS_MIN) return false;
  return isKey(value, true) || !/\s/.test(value) && isDrawn(value) ||
    value.length >= SALT_UNITS && value.replace(/[\w\s]/g, "").length >= 8 && entropy(value) >= 4.2;
}

/** Of letters alone that make a word. */
function isPlain(value: string): boolean {
  return countDigits(value) === 0 && !/[!@#$%^&*?~+=]/.test(value) && !isSurprising(value);
}
