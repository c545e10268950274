import { fileURLToPath } from "node:url";
import type { Clock } from "../runtime/clock.ts";
import { type LogEntry, readJsonLine } from "../runtime/log.ts";

/**
 * The demo's child processes: starts them, waits until each is ready, and ends all of them together. One that dies is
 * named and started again; only one that cannot start {@link FAILED_STARTS_MAX} times in a row stops the rest.
 */

export type ServiceSpec = {
  readonly name: string;
  /** The module that it runs, below the working directory. */
  readonly module: string;
  /** Beside the environment of this process, and over it. */
  readonly environment: Readonly<Record<string, string>>;
  /** Address of a file that says what the environment does not, as Deno reads it. */
  readonly environmentFile?: string;
  /** Answers 200 once the service is ready. */
  readonly readyUrl: string;
  /** Sent along with that question. */
  readonly readyHeaders?: Readonly<Record<string, string>>;
  /** Name of the service that must be ready before this one starts; unset: starts at once. */
  readonly after?: string;
};

/** What may be done to services that run. */
export type ServicesControl = {
  /** kill -9; false where it is not ready now. */
  kill(name: string): boolean;
  /** True from its last start's first 200 until it dies. */
  isReady(name: string): boolean;
};

export type ServicesOptions = {
  readonly clock: Clock;
  /**
   * Gets every line of every service, as it comes, with the service's name in front; `entry` is what it is in the service's
   * log, missing where it comes from somebody else: Deno, or this supervision itself.
   */
  readonly print: (line: string, entry?: LogEntry) => void;
  /** Called at once, with what works until the end. */
  readonly controlled?: (control: ServicesControl) => void;
  /** Called once all are ready; where it rejects, everything is stopped and {@link runServices} rejects too. */
  readonly whenReady: () => Promise<void>;
  /** Aborted: drain and stop everything. */
  readonly stop: AbortSignal;
  /** Ms that all services together have to become ready. */
  readonly readyMsMax: number;
  /** Ms that all services together have to stop; what has not ended then is killed. */
  readonly stopMsMax: number;
};

/** How it ended; `killed` names the services that did not stop by themselves in time. */
export type ServicesEnd = Verdict & { readonly killed: readonly string[] };

type Verdict =
  | { readonly is: "stopped" }
  /** It could not start several times in a row; `reason` says how it ended last: exit code, signal, or not ready in time. */
  | {
    readonly is: "died";
    readonly name: string;
    readonly reason: string;
    readonly lastLines: readonly string[];
  }
  | { readonly is: "not_ready"; readonly names: readonly string[] };

type Service = {
  readonly name: string;
  /** Resolves when the process has ended and its last line has been read. */
  readonly ended: Promise<Deno.CommandStatus>;
  readonly lastLines: readonly string[];
  signal(signal: Deno.Signal): void;
};

/** Starts in a row that end before the service is ready: then it is given up, and the rest is stopped. */
export const FAILED_STARTS_MAX = 3;
/**
 * Ms before a service is started again: twice as long with each death of the last minute, so that one which dies whenever
 * it is ready is started about ten times a minute at most.
 */
const RESTART_MS_FIRST = 200;
const RESTART_MS_MAX = 10_000;
const DEATHS_COUNTED_MS = 60_000;
const LAST_LINES_KEPT = 20;
const LINE_LENGTH_MAX = 2_000;
/** An entry of a log holds a message of 4,000 characters, each of which may be escaped. */
const ENTRY_LENGTH_MAX = 64 * 1024;
const LAST_WORDS_MS_MAX = 500;
const READY_LOOK_EVERY_MS = 25;
const READY_ANSWER_MS_MAX = 5_000;
/** A service is given so long before the next one is told to stop as well. */
const STOP_STEP_MS_MAX = 4_000;

/** Runs services until one cannot start, {@link ServicesOptions.stop} aborts, or they are not ready in time. */
export async function runServices(
  specs: readonly ServiceSpec[],
  options: ServicesOptions,
): Promise<ServicesEnd> {
  const { clock, print } = options;
  /** The newest process of each; it may have ended. */
  const services = new Map<string, Service>();
  const readyNow = new Set<string>();
  const verdict = Promise.withResolvers<Verdict>();
  const over = new AbortController();
  verdict.promise.then(() => over.abort(), () => over.abort());
  const stopped = () => verdict.resolve({ is: "stopped" });
  options.stop.addEventListener("abort", stopped, { once: true });
  if (options.stop.aborted) stopped();

  const notReady = new Set(specs.map(({ name }) => name));
  const ready = new Map<string, Promise<void>>();

  /** One life: from its start to its end, in words; `wasReady` tells whether it got so far. */
  async function live(
    spec: ServiceSpec,
    onReady: () => void,
  ): Promise<{ wasReady: boolean; reason: string }> {
    const service = spawn(spec, options);
    services.set(spec.name, service);
    const ended = new AbortController();
    const signal = AbortSignal.any([over.signal, ended.signal]);
    const isAgain = !notReady.has(spec.name);
    let wasReady = false;
    let late = false;
    void untilReady(spec, { clock, signal }).then(() => {
      if (signal.aborted) return;
      wasReady = true;
      readyNow.add(spec.name);
      onReady();
    });
    // The first start shares its time with all others, and may build the page.
    if (isAgain) {
      void clock.wait(options.readyMsMax, signal).then(() => {
        late = !wasReady && !signal.aborted;
        if (late) service.signal("SIGKILL");
      });
    }
    const { code, signal: by } = await service.ended;
    ended.abort();
    readyNow.delete(spec.name);
    const reason = by === null ? `exit code ${code}` : by;
    return { wasReady, reason: late ? `not ready within ${options.readyMsMax / 1000} s` : reason };
  }

  async function supervise(spec: ServiceSpec, first: PromiseWithResolvers<void>): Promise<void> {
    if (spec.after !== undefined) await ready.get(spec.after);
    const deaths: number[] = [];
    for (let failed = 0; !over.signal.aborted;) {
      const { wasReady, reason } = await live(spec, () => {
        if (!notReady.delete(spec.name)) print(`${spec.name} is ready again.`);
        first.resolve();
      });
      if (over.signal.aborted) return;
      failed = wasReady ? 0 : failed + 1;
      if (failed === FAILED_STARTS_MAX) {
        const { lastLines } = services.get(spec.name)!;
        return verdict.resolve({ is: "died", name: spec.name, reason, lastLines });
      }
      const now = clock.monotonic();
      deaths.push(now);
      while (now - deaths[0]! > DEATHS_COUNTED_MS) deaths.shift();
      const wait = Math.min(RESTART_MS_MAX, RESTART_MS_FIRST * 2 ** (deaths.length - 1));
      const how = wasReady
        ? `died (${reason})`
        : `did not start (${reason}; ${failed} of ${FAILED_STARTS_MAX})`;
      print(`${spec.name} ${how}: it is started again in ${wait / 1000} s.`);
      await clock.wait(wait, over.signal);
    }
  }
  options.controlled?.({
    kill(name) {
      if (!readyNow.delete(name)) return false;
      services.get(name)!.signal("SIGKILL");
      return true;
    },
    isReady: (name) => readyNow.has(name),
  });
  const runs = specs.map((spec) => {
    const first = Promise.withResolvers<void>();
    ready.set(spec.name, first.promise);
    return { spec, first };
  });
  for (const { spec, first } of runs) supervise(spec, first).catch((error) => verdict.reject(error));
  void Promise.all(ready.values())
    .then(() => over.signal.aborted ? undefined : options.whenReady())
    .catch((error) => verdict.reject(error));
  void clock.wait(options.readyMsMax, over.signal).then(() => {
    if (notReady.size > 0) verdict.resolve({ is: "not_ready", names: [...notReady] });
  });

  const running = () => inStopOrder(specs, [...services.values()]);
  let end: Verdict;
  try {
    end = await verdict.promise;
  } catch (error) {
    await stopAll(running(), options);
    throw error;
  }
  return { ...end, killed: await stopAll(running(), options) };
}

/** Last named, first stopped: whoever feeds others ends before them. */
function inStopOrder(specs: readonly ServiceSpec[], services: readonly Service[]): Service[] {
  const place = new Map(specs.map(({ name }, index) => [name, index]));
  return services.toSorted((a, b) => place.get(b.name)! - place.get(a.name)!);
}

async function untilReady(
  { readyUrl, readyHeaders: headers = {} }: ServiceSpec,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): Promise<void> {
  while (!signal.aborted) {
    try {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(READY_ANSWER_MS_MAX)]);
      const response = await fetch(readyUrl, { headers, signal: limit, redirect: "manual" });
      await response.body?.cancel();
      if (response.status === 200) return;
    } catch {
      // Nobody listens yet; whether it still lives, its process says.
    }
    await clock.wait(READY_LOOK_EVERY_MS, signal);
  }
}

function spawn(spec: ServiceSpec, { print, clock }: ServicesOptions): Service {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet", // Downloads are no news of a service.
      "-A",
      "--preload",
      fileURLToPath(new URL("stop_with_parent.ts", import.meta.url)),
      ...(spec.environmentFile === undefined ? [] : [`--env-file=${fileURLToPath(spec.environmentFile)}`]),
      spec.module,
    ],
    env: { NO_COLOR: "1", ...spec.environment, DEMO_PID: String(Deno.pid) },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const lastLines: string[] = [];
  const onLine = (line: string) => {
    if (line === "") return;
    const entry = readJsonLine(line) ?? undefined;
    const level = entry === undefined || entry.level === "info" ? "" : `${entry.level}: `;
    const words = entry === undefined ? line.slice(0, LINE_LENGTH_MAX) : `${level}${entry.message}`;
    const named = words.startsWith(`${spec.name}: `) ? words : `${spec.name}: ${words}`;
    lastLines.push(named);
    if (lastLines.length > LAST_LINES_KEPT) lastLines.shift();
    print(named, entry);
  };
  const read = Promise.all([readLines(child.stdout, onLine), readLines(child.stderr, onLine)]);
  return {
    name: spec.name,
    lastLines,
    ended: child.status.then(async (status) => {
      // A process that it has started in its turn may hold the pipe open.
      await Promise.race([read, clock.wait(LAST_WORDS_MS_MAX)]);
      return status;
    }),
    signal(signal) {
      try {
        child.kill(signal);
      } catch {
        // It has ended in between.
      }
    },
  };
}

/** A long line is cut and shown, where `runtime/lines.ts` passes it over. */
async function readLines(stream: ReadableStream<Uint8Array>, onLine: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop()!;
    for (const line of lines) onLine(line.trimEnd().slice(0, ENTRY_LENGTH_MAX));
    if (rest.length > ENTRY_LENGTH_MAX) {
      onLine(rest.slice(0, LINE_LENGTH_MAX));
      rest = "";
    }
  }
  if (rest !== "") onLine(rest);
}

/**
 * SIGTERM to one after the other; answers who had to be killed. Ctrl-C has reached all of them already, as they share
 * the terminal's process group: then this only waits.
 */
async function stopAll(
  services: readonly Service[],
  { clock, stopMsMax }: ServicesOptions,
): Promise<readonly string[]> {
  const running = new Set(services);
  for (const service of services) void service.ended.then(() => running.delete(service));
  const late = new AbortController();
  const limit = clock.wait(stopMsMax, late.signal);
  const within = (what: Promise<unknown>, ms: number) =>
    Promise.race([what, limit, clock.wait(ms, late.signal)]);
  for (const service of services) {
    service.signal("SIGTERM");
    await within(service.ended, STOP_STEP_MS_MAX);
  }
  await Promise.race([Promise.all([...running].map(({ ended }) => ended)), limit]);
  const killed = [...running];
  for (const service of killed) service.signal("SIGKILL");
  late.abort();
  await Promise.all(services.map(({ ended }) => ended));
  return killed.map(({ name }) => name);
}
