import { type CountedText, words } from "../counted_text.ts";
import { isFilled } from "./values.ts";

type Found = (start: number, end: number) => void;

/** A value in quotes, or up to a space; of a quote that does not close nothing. */
const VALUE = `(?:"([^"\\n\\0]{1,128})"|'([^'\\n\\0]{1,128})'|([^\\s"'\`|;&<>\\0][^\\s"'\`|;<>\\0]{0,127}))`;
const NAME = "[^\\s\"':;|<>\\0]{1,64}";

/**
 * Options of known tools that are followed by a password; rows to be argued about. `tools`: words, as a pattern; `option`:
 * what stands before the value, behind white space; `joint`: between a user's name and the value, in the same quotes.
 */
type Row = { readonly tools: string; readonly option: string; readonly joint?: string };
const ROWS: readonly Row[] = [
  { tools: "mysql(?:dump|admin|import|show|check)?|mariadb(?:-dump)?|mycli", option: "-p" },
  { tools: "7z[az]?|rar", option: "-p" },
  { tools: "sshpass", option: "-p ?" },
  {
    tools:
      "(?:docker|podman|nerdctl|buildah|helm registry|oras|crane auth|oc|az|az acr|mongosh?|cf|twine) login",
    option: "-p[ =]",
  },
  {
    tools:
      "mongo(?:sh|dump|restore|export|import)?|cqlsh|crackmapexec|netexec|nxc|evil-winrm|psexec|rdesktop",
    option: "-p ",
  },
  { tools: "sqlcmd|osql|bcp|isql|mosquitto_(?:pub|sub)|zip|unzip", option: "-P ?" },
  { tools: "redis-cli|valkey-cli", option: "(?:-a|--pass) " },
  { tools: "plink|pscp|psftp|putty|kitty", option: "-pw " },
  { tools: "ldap(?:search|modify|add|delete|whoami|compare)", option: "-w ?" },
  { tools: "ldappasswd", option: "-[wsa] " },
  { tools: "keytool|jarsigner|apksigner", option: "-(?:src|dest|new)?(?:store|key)pass " },
  { tools: "openssl", option: "(?:-pass(?:in|out)? pass:|enc [^|\\n]{0,80}-k )" },
  { tools: "xfreerdp|wfreerdp|mstsc", option: "/p:" },
  { tools: "ssh-keygen", option: "-[NP] " },
  { tools: "nmcli", option: "password " },
  { tools: "mysqladmin", option: "password " },
  { tools: "ncftpput|rabbitmqadmin|racadm|hydra|medusa|useradd|usermod", option: "-p " },
  { tools: "ipmitool", option: "-P " },
  { tools: "twine upload|influx", option: "(?:-p|-password) " },
  { tools: "snmp(?:walk|get|set|bulkwalk|table)", option: "-[AX] " },
  { tools: "redis-cli|valkey-cli", option: "(?:AUTH|auth) " },
  { tools: "gpg2?", option: "--passphrase " },
  { tools: "cmdkey|wmic|schtasks", option: "/(?:pass(?:word)?:|rp )" },
  {
    tools: "(?:vault|doctl|hf|huggingface-cli|gh auth|wandb) login",
    option: "(?:--token[ =])?(?=[\\w.-]{20})",
  },
  { tools: "npm (?:config )?set|yarn config set", option: "[^\\s\"']{0,80}_authToken[ =]" },
  { tools: "aws configure set", option: "[\\w.-]{0,40}aws_secret_access_key " },
  { tools: "sonar-scanner|mvn|mvnw|gradle|gradlew", option: "-Dsonar\\.(?:login|token)=" },
  { tools: "rclone obscure", option: "" },
  { tools: "consul kv put|etcdctl put", option: "[\\w./-]{0,60}(?:pass(?:word|wd)?|pwd|token|secret|key) " },
  { tools: "enable (?:secret|password)", option: "[05789] " },
  {
    tools: "username",
    option: "(?:privilege \\d{1,2} (?:password|secret) (?:[05789] )?|(?:password|secret) [05789] )",
  },
  { tools: "snmp-server community", option: "" },
  { tools: "wpa_passphrase", option: `${NAME} ` },
  {
    tools: "kubectl|oc",
    option: "--from-literal[ =][\\w.-]{0,40}(?:pass(?:word|wd)?|pwd|token|key|secret)=",
  },
  { tools: "smbclient|rpcclient|winexe|wmic|net rpc|pth-winexe", option: "(?:-U|--user)[ =]?", joint: "%" },
  { tools: "lftp", option: "-u ", joint: "," },
  { tools: "sqlplus|rman|expdp|impdp", option: "(?:-\\w ){0,2}", joint: "/" },
  { tools: "rabbitmqctl (?:add_user|change_password)|net user", option: `${NAME} ` },
  { tools: "htpasswd", option: `-\\w{0,4}b\\w{0,4} ${NAME} ${NAME} ` },
  {
    tools: "net use",
    option: `(?:/user:${NAME.replace(":", "")} |\\\\\\\\[^\\s"]{1,100} (?=[^\\s]{1,128} /user:))`,
  },
  { tools: "http|https|xh", option: "(?:-a|--auth)[ =]", joint: ":" },
  { tools: "curl|wget|ab|siege", option: "(?:-[a-zA-Z]{0,6}[uUAP] ?|--(?:proxy-)?user[ =])", joint: ":" },
];

/** Of the tools, a word that each has; a space follows them all. */
export const COMMAND_CUES: readonly string[] = [
  ..."mysql mariadb 7z mongo mosquitto_ ldap wpa_ chpasswd from-literal cryptsetup snmp sonar influx luksopen"
    .split(" "),
  ...("mycli rar sshpass login cqlsh crackmapexec netexec nxc winrm psexec rdesktop sqlcmd osql bcp isql zip redis-cli " +
    "valkey-cli plink pscp psftp putty kitty keytool jarsigner apksigner openssl freerdp mstsc nmcli ssh-keygen kubectl " +
    "smbclient rpcclient winexe wmic lftp sqlplus rman expdp impdp rabbitmqctl htpasswd curl wget siege sudo ncftpput " +
    "rabbitmqadmin racadm hydra medusa useradd usermod ipmitool twine gpg gpg2 cmdkey schtasks doctl rclone consul etcdctl")
    .split(" ").map((tool) => `${tool} `),
  ..."_authtoken aws_secret_access_key".split(" "),
  ...[
    "enable secret",
    "enable password",
    "password 0",
    "password 7",
    "secret 5",
    "secret 9",
    "secret 0",
    "secret 8",
  ],
  ...["snmp-server", "privilege 1", "<<<", "auth login"],
  ...["net rpc", "net use", "oc ", "http -", "https -", "http --", "xh -", "ab -"],
];

const TOOL = words(
  new RegExp(`(?<![\\w-])(?:${ROWS.map(({ tools }) => tools).join("|")}|echo|printf|chpasswd|passwd)(?= )`),
);
const ALL_OPTIONS = ROWS.map(({ tools, option, joint }) => {
  const spaced = option.replaceAll(/(?<!\[) (?![=?\]])/g, "\\s{1,3}");
  return {
    tools: new RegExp(`^(?:${tools})$`),
    option: new RegExp(`(?<=\\s)${spaced}${joint === undefined ? VALUE : joinedBy(joint)}`, "dg"),
  };
});

/** By the tool's name as it is written: there are some hundreds of them. */
const OPTIONS = new Map<string, readonly RegExp[]>();

function optionsOf(tool: string): readonly RegExp[] {
  let options = OPTIONS.get(tool);
  if (options === undefined) {
    options = ALL_OPTIONS.filter(({ tools }) => tools.test(tool)).map(({ option }) => option);
    OPTIONS.set(tool, options);
  }
  return options;
}

/** A value behind a user's name; behind `/` it goes as far as an `@`. */
function joinedBy(joint: string): string {
  if (joint === "/") return `["']?\\w{1,64}/([^\\s@/"'\\0]{1,64})@`;
  const name = "[^\\s\"':%,;|<>\\0]{1,64}" + joint;
  return `(?:"${name}([^"\\n\\0]{1,128})"|'${name}([^'\\n\\0]{1,128})'|${name}([^\\s"'\`|;<>\\0]{1,128}))`;
}

/** What is written to a tool that asks for a password: `echo secret | sudo -S`, `echo "name:secret" | chpasswd`. */
const PIPED = new RegExp(
  `^\\s{1,3}(?:-\\w{1,3}\\s)?${VALUE}\\s{0,3}\\|\\s{0,3}(?:sudo\\s-\\w{0,3}S|(?:docker|podman|helm)\\s[^|\\n]{0,120}--password-stdin|passwd --stdin|cryptsetup\\s|gh auth login)`,
  "d",
);
const CHPASSWD = /^\s{1,3}["']?[\w.-]{1,64}:([^\s"'|\0]{1,128})["']?\s{0,3}\|\s{0,3}(?:sudo\s)?chpasswd/d;

/** `chpasswd <<< "name:secret"`. */
const HERE = /^[^\n<|]{0,40}<<<\s{0,2}["']?(?:[\w.-]{1,64}:)?([^\s"'|\0]{3,128})(?=["'\s]|$)/d;

/** Longest command line, and how far behind the tool its options may stand, in UTF-16 units. */
const LINE_MAX = 400;

/**
 * Passwords in command lines, by the short options of known tools: `curl -u name:…`, `mysql -p…`. References, `$VAR`, and
 * words that stand for a password stay.
 */
export function findCommandPasswords(text: CountedText, found: Found): void {
  for (let tool = text.next(TOOL, 0); tool !== null; tool = text.next(TOOL, tool.end)) {
    const name = text.slice(tool.start, tool.end);
    const line = lineAfter(text, tool.end);
    if (name === "chpasswd" || name === "passwd") {
      reportValue(HERE.exec(line), tool.end, found);
      continue;
    }
    if (name === "echo" || name === "printf") {
      reportValue(PIPED.exec(line) ?? CHPASSWD.exec(line), tool.end, found);
      continue;
    }
    if (!name.includes(" ") && !/[-/\\ ]/.test(line.trimStart())) continue;
    // Where the tool stands again it has its own turn.
    const again = line.indexOf(` ${name} `);
    const command = (again < 0 ? line : line.slice(0, again)).replace(/ (?:\||&&) .*$/s, "");
    for (const option of optionsOf(name)) {
      for (const match of command.matchAll(option)) reportValue(match, tool.end, found);
    }
  }
}

/** To the end of the line, and of those that it goes on in. */
function lineAfter(text: CountedText, from: number): string {
  const ahead = text.slice(from, from + LINE_MAX);
  const end = /(?<![\\`^])\r?\n/.exec(ahead);
  return end === null ? ahead : ahead.slice(0, end.index);
}

function reportValue(match: RegExpExecArray | null, offset: number, found: Found): void {
  const group = match?.findLastIndex((value, index) => index > 0 && value !== undefined) ?? -1;
  if (match === null || group < 1) return;
  const value = match[group]!.replace(/[.,:)]+$/, "");
  const [start] = match.indices![group]!;
  if (isFilled(value)) found(offset + start, offset + start + value.length);
}
