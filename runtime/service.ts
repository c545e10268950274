import { type Clock, systemClock, within } from "./clock.ts";
import { ConfigurationError, type Environment, EnvironmentReader } from "./environment.ts";
import { type About, announce, type Log, log, readLog, startLog } from "./log.ts";
import { logError, printableLines } from "./printable.ts";
import { createUncaught, onUncaught, type Uncaught } from "./uncaught.ts";

/**
 * What is around the work of every process that runs until it is told to stop.
 *
 * Exit codes: 0 stopped as asked, 1 failed, 2 wrong usage or configuration. What went wrong is one line on standard
 * error, behind the process's name; the problems of a configuration are a line each. Of a service, all of them are lines
 * of its log, and the one on standard output that says where it listens is too.
 */

export type Program = {
  /** What people call it. */
  readonly name: string;
  /** Printed by `--help`. */
  readonly usage: string;
  /** Arguments that it takes beside `--help`. */
  readonly flags?: readonly string[];
  /** What asks it to stop beside SIGINT and SIGTERM. */
  readonly stopsAlsoAt?: readonly Deno.Signal[];
};

export type ProgramContext = {
  readonly environment: Environment;
  readonly flags: ReadonlySet<string>;
  /** Aborts at the first signal that asks to stop. */
  readonly stop: AbortSignal;
};

export type RunningService = {
  /** Where it listens and on what it works: printed once it is up. */
  readonly line: string;
  /** Rejects where it has to stop by itself; resolves where there is nothing left to do. */
  readonly ended?: Promise<void>;
  /** Takes nothing new, finishes what is under way and lets go of everything. */
  stop(): Promise<void>;
  /** Milliseconds that this may take, 10 s by default. Then the process ends all the same, which loses nothing durable. */
  readonly stopMsMax?: number;
};

/** The process around a program; tests have one of their own. */
export type Surroundings = {
  readonly args: readonly string[];
  readonly environment: Environment;
  readonly clock: Clock;
  onSignal(signal: Deno.Signal, listener: () => void): void;
  /** What is thrown where nobody catches. */
  onUncaught(take: (error: unknown) => void): void;
  print(line: string): void;
  printError(line: string): void;
  /** Begins the log of a service; answers how entries are said, and how the one on standard output is. */
  logAs(service: string): { readonly log: Log; readonly announce: (message: string, about: About) => void };
};

const STOP_MS_MAX = 10_000;
// A log, once it has begun, takes what is written to the console.
const standardOutput = console.log;

/**
 * Runs a service until it is asked to stop, and answers the exit code. Asked while it starts, it ends at once. What
 * nobody caught is logged and counted, and stops it only where there is too much of it.
 */
export function runService(
  program: Program,
  start: (environment: Environment, uncaught: Uncaught) => Promise<RunningService>,
  around: Surroundings = thisProcess(),
): Promise<number> {
  const { log, announce } = around.logAs(program.name);
  const sayError = (text: string) => log("error", text);
  const uncaught = createUncaught({ clock: around.clock, report: sayError });
  around.onUncaught(uncaught.take);
  return runProgram(program, async ({ environment, stop }) => {
    const asked = new Promise<null>((resolve) =>
      stop.addEventListener("abort", () => resolve(null), { once: true })
    );
    const service = await Promise.race([start(environment, uncaught), asked]);
    if (service === null) return 0;
    announce(service.line, urlIn(service.line));
    const trouble = await Promise.race([asked, service.ended ?? asked, uncaught.tooMany]);
    if (trouble) sayError(trouble);
    const ms = service.stopMsMax ?? STOP_MS_MAX;
    if (await within(service.stop(), { ms, clock: around.clock }) !== "late") return trouble ? 1 : 0;
    sayError(`could not stop within ${ms} ms: the process ends all the same`);
    return 1;
  }, { ...around, printFailure: sayError });
}

function urlIn(line: string): About {
  const url = /^https?:\/\/\S+/.exec(line)?.[0];
  return url === undefined ? {} : { url };
}

/** Runs what `work` does, which answers the exit code where it does not throw. */
export async function runProgram(
  { name, usage, flags = [], stopsAlsoAt = [] }: Program,
  work: (context: ProgramContext) => Promise<number>,
  around: Surroundings & { readonly printFailure?: (words: string) => void } = thisProcess(),
): Promise<number> {
  const { args, environment } = around;
  if (args.includes("--help")) {
    around.print(usage);
    return 0;
  }
  const unknown = args.find((arg) => !flags.includes(arg));
  if (unknown !== undefined) {
    const takes = flags.length === 0 ? "no arguments" : `${flags.join(", ")} only`;
    around.printError(`Cannot read "${unknown}": ${name} takes ${takes}. Try --help.`);
    return 2;
  }
  const stop = new AbortController();
  // The listeners stay: a second Ctrl-C, or the copy that `deno task` hands on, must not cut draining short.
  for (const signal of ["SIGINT", "SIGTERM", ...stopsAlsoAt] as const) {
    around.onSignal(signal, () => stop.abort());
  }
  try {
    return await work({ environment, flags: new Set(args), stop: stop.signal });
  } catch (error) {
    const wrong = error instanceof ConfigurationError;
    const words = error instanceof Error ? error.message : String(error);
    const say = around.printFailure ?? ((words) => around.printError(wrong ? words : `${name}: ${words}`));
    for (const problem of wrong ? error.problems : [words]) say(problem);
    return wrong ? 2 : 1;
  }
}

function thisProcess(): Surroundings {
  return {
    args: Deno.args,
    environment: Deno.env.toObject(),
    clock: systemClock,
    onSignal: (signal, listener) => {
      // Windows knows no other of these.
      if (Deno.build.os !== "windows" || signal === "SIGINT") Deno.addSignalListener(signal, listener);
    },
    onUncaught,
    print: (line) => standardOutput(printableLines(line)),
    printError: logError,
    logAs(service) {
      const environment = Deno.env.toObject();
      // What is wrong with it, each service's own configuration says beside everything else.
      startLog(service, readLog(new EnvironmentReader(environment)), { environment });
      return { log, announce };
    },
  };
}
