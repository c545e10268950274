import type { CountedText } from "../counted_text.ts";

/**
 * How sure it is from where a password stands that it is no word and no name. `assigned`: to a variable in capitals;
 * `neighbour`: in a line after a user's or a host's; `element`: `<password>…</password>`; `certain`: whatever it is.
 */
export type Trust = "none" | "assigned" | "neighbour" | "element" | "certain";

type Name = { readonly start: number; readonly end: number };

/** By the name and what stands before it, and by what parts it from its value. */
export function trustIn(text: CountedText, { start, end }: Name, separator: string): Trust {
  if (/(?:[Vv]alue|VALUE)["']?\s?[:=]\s?["']?$/.test(separator)) {
    return isListed(text.slice(start - 120, end)) ? "certain" : "none";
  }
  if (separator.startsWith(">") && isElement(text.slice(start - 1, end))) return "element";
  if (separator === "=" && NEIGHBOUR.test(text.slice(start - 120, start))) return "neighbour";
  if (!/^\s?[=(]?\s?(?:N(?='))?["']?$/.test(separator)) return "none";
  if (separator === "=" && ENVIRONMENT.test(text.slice(start - 12, end))) return "certain";
  const ahead = text.slice(start - 160, start);
  if (CONNECTION.test(ahead) || STATEMENT.test(ahead)) return "certain";
  return separator === "=" && /(?<![a-z])[A-Z][A-Z0-9_]*$/.test(text.slice(start - 24, end))
    ? "assigned"
    : "none";
}

/** `- name: DB_PASSWORD`, `<add key="SmtpPassword"`: listed by name with a value, and no text to be translated. */
function isListed(name: string): boolean {
  return /<\w[^<>\0]{0,110}$/.test(name) || /(?:^|[\s"':])[A-Z][A-Z0-9]{0,30}_[A-Z0-9_]{1,40}$/.test(name);
}

function isElement(name: string): boolean {
  return /^<(?:password|passwd|pwd|passphrase)$/i.test(name);
}

/** The line before is a setting for a user or a host. */
const NEIGHBOUR =
  /(?:^|\n)[ \t]{0,8}[\w.-]{0,30}(?:user(?:name)?|host|login|uid|port)=[\w.@-]{1,64}\r?\n[ \t]{0,8}[\w.-]{0,30}$/i;
const CONNECTION =
  /(?:jdbc:|\b(?:uid|user(?: ?id| ?name)?|server|data source|host|hostname|database|db|dbname|initial catalog|account(?:name)?)\s?=)[^\n]*[;&?]\s?$|(?:^|[\s"'])(?:host|dbname|user|port)=\S{1,60} (?:\w{1,20}=\S{1,60} ){0,3}$/i;
/** Variables that tools read a password from. */
const ENVIRONMENT = /\b(?:PGPASSWORD|MYSQL_PWD|SSHPASS|REDISCLI_AUTH|RESTIC_PASSWORD)$/;
/** What sets a password in SQL. */
const STATEMENT = /\b(?:create|alter)\s{1,4}(?:login|user|role)\b[^;]{0,120}$|\bset\s{1,4}$/i;

/** Calls that set what is named, whatever it is. */
const DEFINES = /\b(?:define|setenv|putenv|setdefault)\(\s{0,2}[bru]?\\?["'`][\w.$: -]{0,40}$/i;

/** `define("DB_PASSWORD", "…")`: the call sets what it names. */
export function isDefined(text: CountedText, start: number): boolean {
  return DEFINES.test(text.slice(start - 60, start));
}

/** What stands before a password in a `.netrc`. */
const NETRC = /\b(?:machine\s{1,8}\S{1,90}|default)\s{1,20}(?:login|user)\s{1,8}\S{1,64}\s{1,20}$/;

export function isOfNetrc(text: CountedText, start: number): boolean {
  return NETRC.test(text.slice(start - 200, start));
}
