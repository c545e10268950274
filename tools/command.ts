import { parseArgs, type ParseArgsOptionsConfig } from "node:util";
import { join } from "node:path";
import type { ProcessorConfig } from "../processor/config.ts";
import type { DatasetLocks } from "../processor/dataset/mod.ts";
import { pipelineSecret } from "../runtime/data_dir.ts";
import { ifThere, readIfThere, writeAll } from "../runtime/durable_file.ts";
import { ConfigurationError } from "../runtime/environment.ts";
import { logError, printable, printableJson, printableLines } from "../runtime/printable.ts";
import { openTopicLog } from "../topic/open_topic.ts";
import type { TopicLog } from "../topic/topic.ts";

/** What all commands share: `--help`, `--json`, exit codes 0/1/2 (ok / failed / wrong usage), errors as one sentence on stderr. */

/** The command was called wrongly: exit code 2. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** The command could not do its work, or found what it was asked to look for: exit code 1. */
export class CommandFailedError extends Error {
  override name = "CommandFailedError";
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
    const wrongUsage = error instanceof UsageError || error instanceof ConfigurationError;
    const problems = error instanceof ConfigurationError ? error.problems : [(error as Error).message];
    for (const problem of problems) printError(problem);
    if (error instanceof UsageError) printError("See --help.");
    return wrongUsage ? 2 : 1;
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
export function print(text: string): void {
  writeOut(new TextEncoder().encode(`${printableLines(text)}\n`));
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

/** A table with its columns aligned: numbers to the right, everything else to the left; a cell is one line. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = [
    head,
    ...rows.map((row) => row.map((cell) => typeof cell === "number" ? grouped(cell) : printable(cell))),
  ];
  const widths = head.map((_, column) => Math.max(...cells.map((row) => String(row[column] ?? "").length)));
  const right = head.map((_, column) =>
    rows.length > 0 && rows.every((row) => typeof row[column] === "number")
  );
  return cells.map((row) =>
    widths.map((width, column) => {
      const cell = String(row[column] ?? "");
      return right[column] ? cell.padStart(width) : cell.padEnd(width);
    }).join("  ").trimEnd()
  ).join("\n");
}

/** 1234567 as 1,234,567. */
export function grouped(number: number): string {
  return number.toLocaleString("en-US");
}

function parse(command: Command, args: readonly string[]): CommandLine {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { ...command.options, help: { type: "boolean", short: "h" }, json: { type: "boolean" } },
    });
    return { positionals, values: values as CommandLine["values"], json: values.json === true };
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}
