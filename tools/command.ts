import type { ParseArgsOptionsConfig } from "node:util";
import { join } from "node:path";
import type { ProcessorConfig } from "../processor/config.ts";
import type { DatasetLocks } from "../processor/dataset/mod.ts";
import { ArgumentsError, readArguments } from "../runtime/arguments.ts";
import { pipelineSecret } from "../runtime/data_dir.ts";
import { ifThere, readIfThere, writeAll } from "../runtime/durable_file.ts";
import { ConfigurationError } from "../runtime/environment.ts";
import { logError, printable, printableJson, printableLines } from "../runtime/printable.ts";
import { fromNow, painted, showsColours, spanText, type Style } from "../runtime/terminal.ts";
import { openTopicLog } from "../topic/open_topic.ts";
import type { TopicLog } from "../topic/topic.ts";

/**
 * What all commands share: `--help`, `--json`, exit codes 0/1/2 (ok / failed / wrong usage) and 130 (stopped by Ctrl-C),
 * errors as one sentence on stderr. docs/commands.md says it to who calls them.
 */

/** The command was called wrongly: exit code 2. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** The command could not do its work, or found what it was asked to look for: exit code 1. */
export class CommandFailedError extends Error {
  override name = "CommandFailedError";
}

/** The command was stopped by a signal, and has cleaned up behind itself; `exitCode` is the signal's. */
export class StoppedError extends CommandFailedError {
  override name = "StoppedError";

  constructor(sentence: string, readonly exitCode: number) {
    super(sentence);
  }
}

/** What `read` answers of the file at `path`; throws {@link CommandFailedError} that names the file where it cannot be read. */
export async function ofFile<T>(path: string, read: (path: string) => Promise<T>): Promise<T> {
  try {
    return await read(path);
  } catch (cause) {
    const { message } = cause as Error;
    throw new CommandFailedError(
      `Cannot read the file "${path}": ${message}. Check its name and who may read it.`,
      {
        cause,
      },
    );
  }
}

/** A command's arguments as parsed: `--json` is every command's. */
export type CommandLine = {
  readonly positionals: readonly string[];
  readonly values: Readonly<Record<string, string | boolean | undefined>>;
  readonly json: boolean;
  /**
   * From now on Ctrl-C (exit code 130) and SIGTERM (143) end the process with this sentence: what was done until then, and
   * how it goes on. The last one given holds. Only for what may be killed at any moment.
   */
  ifStopped(say: () => string): void;
};

/** A command of the console; what `run` throws becomes its message and exit code. */
export type Command = {
  /** Printed by `--help`, and pointed to when the usage is wrong. */
  readonly help: string;
  /** Options beside `--help` and `--json`. */
  readonly options?: ParseArgsOptionsConfig;
  run(line: CommandLine): Promise<void>;
};

/** Runs a command and answers its exit code. */
export async function runCommand(command: Command, args: readonly string[]): Promise<number> {
  try {
    const line = parse(command, args);
    if (line.values.help) {
      print(command.help.trimEnd());
      return 0;
    }
    await command.run(line);
    return 0;
  } catch (error) {
    const wrongUsage = error instanceof UsageError || error instanceof ConfigurationError ||
      error instanceof ArgumentsError;
    const problems = error instanceof ConfigurationError ? error.problems : [sentenceOf(error as Error)];
    for (const problem of problems) {
      printFailure(error instanceof UsageError ? `${problem} See --help.` : problem);
    }
    return wrongUsage ? 2 : error instanceof StoppedError ? error.exitCode : 1;
  }
}

/** The system's words name a path, and neither what failed nor what to do. */
function sentenceOf(error: Error): string {
  if (!SYSTEM_ERRORS.some((one) => error instanceof one)) return error.message;
  // Deno's advice is about the right to it, which our tasks give where it is of use.
  const said = error.message.replace(/, run again with .*$/s, "");
  return `Cannot use a file or directory: ${said}. Check the paths that were given, and who may read and write there.`;
}

const { NotADirectory, IsADirectory, PermissionDenied, NotCapable, NotFound, FilesystemLoop } = Deno.errors;
const SYSTEM_ERRORS = [NotADirectory, IsADirectory, PermissionDenied, NotCapable, NotFound, FilesystemLoop];

/** One sentence on standard error, red where colours are shown. */
function printFailure(sentence: string): void {
  if (!showsColours(Deno.stderr)) return printError(sentence);
  console.error(painted(printable(sentence), "red"));
}

/**
 * Aborts at Ctrl-C or SIGTERM, for what ends itself then; its reason is a {@link StoppedError} of this sentence. The
 * listeners stay, since `deno task` hands a signal on a second time.
 */
export function untilStopped(sentence = ""): AbortSignal {
  const stopped = new AbortController();
  onStop((_, exitCode) => stopped.abort(new StoppedError(sentence, exitCode)));
  return stopped.signal;
}

/** What a shell expects of a process that a signal ended: 128 and the signal's number. */
const STOPPED = [["SIGINT", "Ctrl-C", 130], ["SIGTERM", "SIGTERM", 143]] as const;

function sayingIfStopped(): CommandLine["ifStopped"] {
  let say: (() => string) | null = null;
  return (next) => {
    const isHeard = say !== null;
    say = next;
    if (isHeard) return;
    onStop((name, code) => {
      // Behind a progress bar, and the "^C" that a terminal shows.
      if (Deno.stderr.isTerminal()) console.error();
      printFailure(`Stopped by ${name}: ${say!()}`);
      Deno.exit(code);
    });
  };
}

function onStop(stop: (name: string, code: number) => void): void {
  for (const [signal, name, code] of STOPPED) {
    // Windows knows no SIGTERM.
    if (Deno.build.os === "windows" && signal !== "SIGINT") continue;
    Deno.addSignalListener(signal, () => stop(name, code));
  }
}

/** For commands that only look: a directory that they look into is not made where its name is mistyped. */
export function refuseMissing(directory: string): void {
  if (ifThere(() => Deno.statSync(directory))?.isDirectory) return;
  throw new CommandFailedError(
    `Cannot look into "${directory}": there is no such directory. Set DATA_DIR or DATASET_DIR to where the services work.`,
  );
}

/** The secret that the services share. Never makes one: keyed hashes under another would be other people's. */
export function secretOfServices(
  { dataDir, pipelineSecret: given }: Pick<ProcessorConfig, "dataDir" | "pipelineSecret">,
  verb: string,
): string {
  if (given === null && readIfThere(join(dataDir, "pipeline.secret")) === null) {
    throw new CommandFailedError(
      `Cannot ${verb}: there is no pipeline.secret in DATA_DIR "${dataDir}". Set DATA_DIR to where the services work, or ` +
        "PIPELINE_SECRET to theirs.",
    );
  }
  return pipelineSecret(dataDir, given ?? undefined);
}

/** Opens the pipeline's log for a command, and closes it behind the work. */
export async function withLog<T>(
  { log: config }: Pick<ProcessorConfig, "log">,
  work: (log: TopicLog) => Promise<T>,
): Promise<T> {
  const log = await openTopicLog(config, "command");
  try {
    return await work(log);
  } finally {
    await log.close();
  }
}

/** Works beside no other replay, erasure or redrive; `what` is said to those that come meanwhile. Closes the locks. */
export async function workAlone<T>(
  locks: DatasetLocks,
  { verb, what }: { readonly verb: string; readonly what: string },
  work: () => Promise<T>,
): Promise<T> {
  const lock = locks.takeMaintenance(what);
  try {
    if (lock) return await work();
    throw new CommandFailedError(
      `Cannot ${verb} now: ${locks.maintenanceUnderWay()} is under way. Wait for its end.`,
    );
  } finally {
    lock?.release();
    locks.close();
  }
}

/**
 * Text on standard output, its control characters shown and not carried out but for line breaks: where a foreign text
 * must not begin a line of its own, it goes through {@link printable} before. See {@link writeOut}.
 */
export function print(text: string | Painted): void {
  const isPainted = text instanceof Painted && showsColours(Deno.stdout);
  writeOut(new TextEncoder().encode(`${isPainted ? text.painted : printableLines(String(text))}\n`));
}

/** Empties the terminal and begins at its top (ECMA-48: CUP, ED), so that what is drawn over and over stands still. */
export function clearTerminal(): void {
  writeOut(new TextEncoder().encode("\x1b[H\x1b[2J"));
}

/** A text in two forms; in a template it is the plain one. */
export class Painted {
  /** `painted` is written as it is: what came from outside has gone through {@link printable}. */
  constructor(readonly plain: string, readonly painted: string) {}

  toString(): string {
    return this.plain;
  }
}

/** A value as one line of JSON on standard output. */
export function printJson(value: unknown): void {
  print(printableJson(JSON.stringify(value)));
}

/** One line on standard error, its control characters shown and not carried out. */
export const printError = logError;

export { printable, printableJson, printableLines };

/** Bytes to standard output; ends the process quietly where nobody reads any more. */
export function writeOut(bytes: Uint8Array): void {
  try {
    writeAll(Deno.stdout, bytes);
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) Deno.exit(0);
    throw error;
  }
}

/** What stands in a table: a number, a text, or a text that is set off where colours are shown. */
export type Cell = string | number | readonly [text: string, style: Style | null];

/** A table with its columns aligned: numbers to the right, everything else to the left; a cell is one line. */
export function table(head: readonly string[], rows: readonly (readonly Cell[])[]): Painted {
  const textOf = (cell: Cell | undefined) =>
    typeof cell === "number" ? grouped(cell) : printable(typeof cell === "string" ? cell : cell?.[0] ?? "");
  const lines: (readonly Cell[])[] = [head.map((name): Cell => [name, "bold"]), ...rows];
  const widths = head.map((_, column) => Math.max(...lines.map((row) => textOf(row[column]).length)));
  const right = head.map((_, column) =>
    rows.length > 0 && rows.every((row) => typeof row[column] === "number")
  );
  const lineOf = (row: readonly Cell[], paint: (text: string, style: Style) => string) =>
    widths.map((width, column) => {
      const cell = row[column];
      const text = textOf(cell);
      const [, style = null] = typeof cell === "object" ? cell : [];
      const shown = style === null ? text : paint(text, style);
      const space = " ".repeat(width - text.length);
      return right[column] ? space + shown : shown + space;
    }).join("  ").trimEnd();
  return new Painted(
    lines.map((row) => lineOf(row, (text) => text)).join("\n"),
    lines.map((row) => lineOf(row, painted)).join("\n"),
  );
}

/** A text of at most so many characters; what is left out is shown as "…". */
export function shortened(text: string, charactersMax: number): string {
  const whole = printable(text);
  return whole.length <= charactersMax ? whole : `${whole.slice(0, Math.max(0, charactersMax - 1))}…`;
}

/** A time (ISO 8601) for people, such as "3 min ago"; empty where there is none. */
export function ago(at: string | null, now = Date.now()): string {
  return at === null ? "" : fromNow(Date.parse(at), now);
}

/** A time (ISO 8601) to the millisecond, and how long ago that is. */
export function agoExactly(at: string, now = Date.now()): string {
  const relative = ago(at, now);
  return relative === "" || at.startsWith(relative) ? at : `${at} (${relative})`;
}

export { painted, spanText };

/** 1234567 as 1,234,567. */
export function grouped(number: number): string {
  return number.toLocaleString("en-US");
}

function parse(command: Command, args: readonly string[]): CommandLine {
  const { values, positionals } = readArguments(args, {
    ...command.options,
    help: { type: "boolean", short: "h" },
    json: { type: "boolean" },
  });
  return { positionals, values, json: values.json === true, ifStopped: sayingIfStopped() };
}
