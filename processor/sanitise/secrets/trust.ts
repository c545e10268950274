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
  if (/<(?:value|string)>$/.test(separator)) return "element";
  if (/^["']>/.test(separator) && NAMED_ELEMENT.test(text.slice(start - 90, end))) return "element";
  if (separator.startsWith(">") && isElement(text.slice(start - 1, end))) return "element";
  if (
    /^(?:["']|&quot;)?\s?(?:=>|[:=])\s?["']?$/.test(separator) &&
    isOfNeighbour(text, { start, end }, separator)
  ) {
    return "neighbour";
  }
  if (!/^\s?[=(]?\s?(?:N(?='))?["']?$/.test(separator)) {
    return separator === ":" && WITH_USER.test(text.slice(start - 160, start)) && text.char(start - 1) === "/"
      ? "certain"
      : "none";
  }
  if (
    separator.startsWith("=") && OPTION.test(text.slice(start - 60, start)) && !isFlag(text, { start, end })
  ) {
    return "certain";
  }
  if (separator === "=" && ENVIRONMENT.test(text.slice(start - 12, end))) return "certain";
  const ahead = text.slice(start - 160, start);
  if (/^\s{1,2}["']$/.test(separator) && isWithUser(text, start)) return "certain";
  if (CONNECTION.test(ahead) || STATEMENT.test(ahead)) return "certain";
  return separator === "=" && /(?<![a-z])[A-Z][A-Z0-9_]*$/.test(text.slice(start - 24, end))
    ? "assigned"
    : "none";
}

/** `--db-password=…`, `-Dpassword=…`, `-e DB_PASSWORD=…`. */
const OPTION =
  /(?:^|\s|["'])(?:--[\w.-]{0,40}|-[DPX]\s?[\w.]{0,50}|(?:-e|--env|--set|--build-arg|-var|--extra-vars)[ =]["']?[\w.]{0,40})$|\b(?:vault (?:kv put|write)|config:set|secrets set|mount) (?:[^\n]{0,80}[ ,])?[\w.]{0,40}$/;
/** `RANDOM_ROOT_PASSWORD=…` says whether, not what. */
function isFlag(text: CountedText, { start, end }: Name): boolean {
  return /(?:random|empty|allow|show|save|require|enable|disable|change|force|hide|check|validate|use|no|with|ask|reset|update)[_-]?[\w-]{0,14}$/i
    .test(text.slice(start - 24, start)) || end - start > 40;
}

/** A user in the same command. */
const WITH_USER =
  /(?:^|\s)(?:-[uUl]|--?(?:docker-)?user(?:name)?|\/user|-User(?:name)?)[ :=](?!and\s|or\s|\/)\S{1,64}\s[^\n]{0,100}$/i;

/** `SetEnv DB_PASSWORD x`, `OPTIONS (user 'x', password 'y')`. */
const DIRECTIVE =
  /(?:SetEnv|fastcgi_param) [\w.]{0,40}$|(?:^|\s)--?require$|BindDN?$|\boptions\s?\([^()\n]{0,100}$/i;

export function isWithUser(text: CountedText, start: number): boolean {
  const ahead = text.slice(start - 160, start);
  return WITH_USER.test(ahead) || DIRECTIVE.test(ahead);
}

/** What a service's password is called, and where it is set: on a line of its own, or in quotes. */
const OWNED =
  /(?:^|\n|[{,;("'] ?)[ \t]{0,16}(?:- |export |set |ENV |\$)?["']?[\w.-]{0,24}(?:db|database|mysql|mariadb|postgres(?:ql)?|pg|redis|mongo(?:db)?|smtp|mail|root|admin(?:istrator)?|master|rabbitmq|mssql|oracle|ldap|ftp|ssh|sudo|become|keystore|truststore|grafana|elastic|vpn|wifi)_(?:login_|user_|root_|bind_)?(?:pass(?:word|wd)?|pwd)$/i;
/** In a call that connects, or behind a host in quotes. */
const CONNECTED =
  /(?:connect(?:ion)?|pool|redis|createuser|client)\(\{?[^()\n]{0,120}$|\b(?:host(?:name)?|server|database|dbname|dialect)["']?\s?(?:=>|[:=])\s?["'][\w.-]{1,60}["'],[^{}]{0,80}$/i;
/** `<user username="bob" password="`, `username="bob" password="`. */
const WITH_USER_ATTRIBUTE =
  /(?:^|\s)user(?:name)?=["'][\w.@-]{1,40}["']\s{1,3}$|<\w[^<>\0]{0,80}\buser(?:name)?="[\w.@-]{1,40}"[^<>\0]{0,60}\s$/i;

function isOfNeighbour(text: CountedText, { start, end }: Name, separator: string): boolean {
  const ahead = text.slice(start - 160, start);
  if (/["']$/.test(separator) && (CONNECTED.test(ahead) || WITH_USER_ATTRIBUTE.test(ahead))) return true;
  if (NEIGHBOUR.test(ahead)) return true;
  return (/["']$/.test(separator) || separator === "=" || separator === ": ") &&
    !isFlag(text, { start, end }) &&
    (OWNED.test(text.slice(start - 60, end)) || /(?:key|trust)storePass$/i.test(text.slice(start - 10, end)));
}

/** `- name: DB_PASSWORD`, `<add key="SmtpPassword"`: listed by name with a value, and no text to be translated. */
function isListed(name: string): boolean {
  return /<\w[^<>\0]{0,110}$/.test(name) || /(?:^|[\s"':])[A-Z][A-Z0-9]{0,30}_[A-Z0-9_]{1,40}$/.test(name);
}

/** `<property name="hibernate.connection.password">…`; `<string name=` is a text to be translated. */
const NAMED_ELEMENT = /<(?:property|param|entry|setting|config)\s[^<>\0]{0,80}$/i;

function isElement(name: string): boolean {
  return /^<(?:password|passwd|pwd|passphrase)$/i.test(name);
}

/** The line before is a setting for a user or a host. */
const NEIGHBOUR =
  /(?:^|\n)[ \t]{0,12}[\w.-]{0,30}(?:(?:user(?:name)?|host|login|uid|port) ?= ?|user(?:name)?: )["']?[\w.@-]{1,64}["']?\r?\n[ \t]{0,12}[\w.-]{0,30}$/i;
const CONNECTION =
  /(?:jdbc:|\b(?:uid|user(?: ?id| ?name)?|server|data source|host|hostname|database|db|dbname|initial catalog|account(?:name)?)\s?=)[^\n]*[;&?]\s?$|(?:^|[\s"'])(?:host|dbname|user|port)=\S{1,60} (?:\w{1,20}=\S{1,60} ){0,3}$/i;
/** Variables that tools read a password from. */
const ENVIRONMENT = /\b(?:PGPASSWORD|MYSQL_PWD|SSHPASS|REDISCLI_AUTH|RESTIC_PASSWORD|BORG_PASSPHRASE)$/;
/** What sets a password in SQL. */
const STATEMENT =
  /\b(?:create|alter)\s{1,4}(?:login|user|role)\b[^;]{0,120}$|\bset\s{1,4}$|\boptions\s?\([^()\n]{0,100}$/i;

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
