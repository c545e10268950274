import type { Environment, EnvironmentReader } from "./environment.ts";
import { printable, printableJson } from "./printable.ts";
import { painted, showsColours, type Style } from "./terminal.ts";

/**
 * What a service says while it runs: one line per entry, on standard error, for people or for programs. A command, which
 * never calls {@link startLog}, says the message alone; a Worker hands its entries to the process around it.
 *
 * Everything foreign in an entry is escaped, a secret of the environment shows as `***`, and a line has a bound.
 */

const LEVELS = ["debug", "info", "warn", "error"] as const;
export type Level = (typeof LEVELS)[number];

/** What an entry is about: places and ids, never what users wrote. */
export type About = Partial<
  Readonly<
    Record<
      | "loop"
      | "group"
      | "topic"
      | "partition"
      | "offset"
      | "event"
      | "id"
      | "step"
      | "reason"
      | "outcome"
      | "url",
      string | number
    >
  >
>;

export type Log = (level: Level, message: string, about?: About) => void;

export type LogEntry = {
  /** ISO 8601, UTC. */
  readonly time: string;
  readonly level: Level;
  readonly service: string;
  readonly message: string;
  readonly about: About;
};

export type LogFormat = "text" | "json";

export type LogSettings = {
  /** Null: text where standard error is a terminal, else json. */
  readonly format: LogFormat | null;
  /** What is below it is not said. */
  readonly level: Level;
};

/** Characters of a message (a stack fits), and of a text that it is about; what is longer ends in `…`. */
export const MESSAGE_LENGTH_MAX = 4_000;
const ABOUT_LENGTH_MAX = 300;
/** A shorter value is no secret that could be told from other words. */
const SECRET_LENGTH_MIN = 6;
const IS_SECRET = /SECRET|PASSWORD|TOKEN|ACCESS_KEY/;

// Where a service runs, what others write to the console goes through here too.
const [toStandardOutput, toStandardError] = [console.log, console.error];

type Running = {
  readonly level: Level;
  readonly entryOf: (level: Level, message: string, about: About) => LogEntry;
  /** For standard error. */
  readonly show: (entry: LogEntry) => string;
  readonly showOut: (entry: LogEntry) => string;
};
let running: Running | null = null;
let taker: Log | null = null;

/** `LOG_FORMAT` (text on a terminal, else json) and `LOG_LEVEL` (info). */
export function readLog(env: EnvironmentReader): LogSettings {
  const text = env.optional("LOG_FORMAT");
  const format = text === undefined ? null : env.oneOf<LogFormat>("LOG_FORMAT", ["text", "json"], "text");
  return {
    format: text === format ? format : null,
    level: env.oneOf<Level>("LOG_LEVEL", LEVELS, "info"),
  };
}

/**
 * From now on this process logs as `service`, and so does whatever a library writes to the console. Answers the format.
 * @param stream What decides where neither says anything; default standard error.
 */
export function startLog(
  service: string,
  settings: LogSettings,
  { environment = {}, stream = Deno.stderr }: {
    readonly environment?: Environment;
    readonly stream?: { isTerminal(): boolean };
  } = {},
): LogFormat {
  const format = settings.format ?? (stream.isTerminal() ? "text" : "json");
  const [show, showOut] = [Deno.stderr, Deno.stdout].map((one) => {
    const look = { colours: showsColours(one), clock: one.isTerminal() };
    return format === "json" ? jsonLine : (entry: LogEntry) => textLine(entry, look);
  }) as [Running["show"], Running["showOut"]];
  running = { level: settings.level, entryOf: entriesOf(service, environment), show, showOut };
  takeConsole();
  return format;
}

/** What this thread says goes to `take`, which knows the service. */
export function handLogTo(take: Log): void {
  taker = take;
  takeConsole();
}

function takeConsole(): void {
  const from = (level: Level) => (...words: unknown[]) => log(level, words.map(wordsOf).join(" "));
  Object.assign(console, {
    debug: from("debug"),
    log: from("info"),
    info: from("info"),
    warn: from("warn"),
    error: from("error"),
  });
}

/** Whether anybody would see an entry of that level. */
export function isLogged(level: Level): boolean {
  return running !== null && LEVELS.indexOf(level) >= LEVELS.indexOf(running.level);
}

/** Says it, where its level is to be said. */
export function log(level: Level, message: string, about: About = {}): void {
  if (taker !== null) return taker(level, message, about);
  if (running === null) return console.error(printable(short(message, MESSAGE_LENGTH_MAX)));
  if (isLogged(level)) toStandardError(running.show(running.entryOf(level, message, about)));
}

/** Says on standard output, whatever the level, what who has started this process waits for: where it listens. */
export function announce(message: string, about: About = {}): void {
  if (running === null) return console.log(printable(message));
  toStandardOutput(running.showOut(running.entryOf("info", message, about)));
}

/** Says on standard output what another process has logged. */
export function relay(entry: LogEntry): void {
  toStandardOutput(running === null ? textLine(entry) : running.showOut(entry));
}

/** Makes a service's entries: bounded, and without the secrets of its environment. */
export function entriesOf(
  service: string,
  environment: Environment,
  now: () => number = Date.now,
): (level: Level, message: string, about?: About) => LogEntry {
  const secrets = secretsIn(environment);
  const told = (text: string, lengthMax: number) =>
    short(secrets.reduce((left, secret) => left.replaceAll(secret, "***"), withoutLogins(text)), lengthMax);
  return (level, message, about = {}) => {
    const entries = Object.entries(about).map(([name, value]) =>
      [name, typeof value === "string" ? told(value, ABOUT_LENGTH_MAX) : value] as const
    );
    return {
      time: new Date(now()).toISOString(),
      level,
      service,
      message: told(message, MESSAGE_LENGTH_MAX),
      about: Object.fromEntries(entries),
    };
  };
}

/** `{"time":"…","level":"info","service":"ingest","message":"…"}` and what it is about. */
export function jsonLine({ about, ...entry }: LogEntry): string {
  return printableJson(
    JSON.stringify({ ...about, ...entry }, [...Object.keys(entry), ...Object.keys(about)]),
  );
}

/** Null where the line is no entry of a service's log. */
export function readJsonLine(line: string): LogEntry | null {
  if (!line.startsWith("{")) return null;
  try {
    const { time, level, service, message, ...about } = JSON.parse(line);
    const areTexts = [time, service, message].every((text) => typeof text === "string");
    return areTexts && LEVELS.includes(level) ? { time, level, service, message, about } : null;
  } catch {
    return null;
  }
}

const LEVEL_STYLES: Readonly<Record<Level, Style | null>> = {
  debug: null,
  info: null,
  warn: "yellow",
  error: "red",
};
const OUTCOME_STYLES: Readonly<Record<string, Style>> = {
  line: "green",
  mail: "green",
  counted: "cyan",
  duplicate: "dim",
  ignored: "dim",
};

/**
 * `2026-11-27T12:50:13.123Z warn  ingest: …`, and behind it what the message has not said itself; where somebody watches,
 * of a trouble alone.
 * @param look `clock`: the time of day here, where somebody watches, in place of the whole time.
 */
export function textLine(
  { time, level, service, message, about }: LogEntry,
  { colours = false, clock = false }: { readonly colours?: boolean; readonly clock?: boolean } = {},
): string {
  const paint = (text: string, style: Style | null | undefined) =>
    colours && style ? painted(text, style) : text;
  const when = clock ? clockTime(time) : printable(time);
  const isWhole = !clock || level === "warn" || level === "error";
  const rest = Object.entries(isWhole ? about : {})
    .filter(([name, value]) => name !== "outcome" && !message.includes(String(value)))
    .map(([name, value]) => ` ${printable(`${name}=${value}`)}`);
  const style = LEVEL_STYLES[level] ?? OUTCOME_STYLES[String(about.outcome)];
  const words = paint(printable(message), style);
  return `${paint(when, "dim")} ${paint(level.padEnd(5), style)} ${printable(service)}: ${words}` +
    paint(rest.join(""), "dim");
}

/** Hours, minutes and seconds where this machine is. */
function clockTime(time: string): string {
  const at = new Date(time);
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map((part) => String(part).padStart(2, "0")).join(
    ":",
  );
}

function short(text: string, lengthMax: number): string {
  return text.length <= lengthMax ? text : `${text.slice(0, lengthMax - 1).toWellFormed()}…`;
}

/** An address may carry a name and a password: smtp://user:password@host. */
function withoutLogins(text: string): string {
  return text.replace(/(\b[a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/@"']{1,500}@/gi, "$1***@");
}

function secretsIn(environment: Environment): readonly string[] {
  const values = Object.entries(environment).flatMap(([name, value = ""]) =>
    IS_SECRET.test(name) ? [value, ...value.split(/\s+/)] : []
  );
  return [...new Set(values)].filter((value) => value.length >= SECRET_LENGTH_MIN);
}

/** As one line: an error with its stack. */
function wordsOf(value: unknown): string {
  const text = value instanceof Error
    ? value.stack ?? value.message
    : typeof value === "string"
    ? value
    : Deno.inspect(value, { colors: false });
  return text.replaceAll(/\n\s*/g, " ");
}
