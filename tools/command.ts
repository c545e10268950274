import { parseArgs, type ParseArgsOptionsConfig } from "node:util";
import { ConfigurationError } from "../runtime/environment.ts";

/** What all commands share: `--help`, `--json`, exit codes 0/1/2 (ok / failed / wrong usage), errors as one sentence on stderr. */

/** The command was called wrongly: exit code 2. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** The command could not do its work, or found what it was asked to look for: exit code 1. */
export class CommandFailedError extends Error {
  override name = "CommandFailedError";
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
    console.error((error as Error).message);
    if (error instanceof UsageError) console.error("See --help.");
    return wrongUsage ? 2 : 1;
  }
}

/** One line on standard output; ends the process quietly where nobody reads any more. */
export function print(text: string): void {
  const bytes = new TextEncoder().encode(`${text}\n`);
  try {
    for (let written = 0; written < bytes.length;) written += Deno.stdout.writeSync(bytes.subarray(written));
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) Deno.exit(0);
    throw error;
  }
}

/** A table with its columns aligned: numbers to the right, everything else to the left. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = [
    head,
    ...rows.map((row) => row.map((cell) => typeof cell === "number" ? grouped(cell) : cell)),
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
