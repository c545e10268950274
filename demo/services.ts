import { fileURLToPath } from "node:url";
import type { Clock } from "../runtime/clock.ts";

/**
 * The demo's child processes: starts them, waits until each is ready, and ends all of them together. Restarts none: a
 * service that dies is named with its last lines, and the rest is stopped.
 */

export type ServiceSpec = {
  readonly name: string;
  /** The module that it runs, below the working directory. */
  readonly module: string;
  /** Beside the environment of this process, and over it. */
  readonly environment: Readonly<Record<string, string>>;
  /** Answers 200 once the service is ready. */
  readonly readyUrl: string;
  /** Sent along with that question. */
  readonly readyHeaders?: Readonly<Record<string, string>>;
  /** Name of the service that must be ready before this one starts; unset: starts at once. */
  readonly after?: string;
};

export type ServicesOptions = {
  readonly clock: Clock;
  /** Gets every line of every service, as it comes, with the service's name in front. */
  readonly print: (line: string) => void;
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
  /** `reason` says how: exit code or signal. */
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

const LAST_LINES_KEPT = 20;
const LINE_LENGTH_MAX = 2_000;
const LAST_WORDS_MS_MAX = 500;
const READY_LOOK_EVERY_MS = 25;
const READY_ANSWER_MS_MAX = 5_000;
/** A service is given so long before the next one is told to stop as well. */
const STOP_STEP_MS_MAX = 4_000;

/** Runs services until one dies, {@link ServicesOptions.stop} aborts, or they are not ready in time. */
export async function runServices(
  specs: readonly ServiceSpec[],
  options: ServicesOptions,
): Promise<ServicesEnd> {
  const services: Service[] = [];
  const verdict = Promise.withResolvers<Verdict>();
  const over = new AbortController();
  verdict.promise.then(() => over.abort(), () => over.abort());
  const stopped = () => verdict.resolve({ is: "stopped" });
  options.stop.addEventListener("abort", stopped, { once: true });
  if (options.stop.aborted) stopped();

  const notReady = new Set(specs.map(({ name }) => name));
  const ready = new Map<string, Promise<void>>();
  async function start(spec: ServiceSpec): Promise<void> {
    if (spec.after !== undefined) await ready.get(spec.after);
    if (over.signal.aborted) return;
    const service = spawn(spec, options);
    services.push(service);
    service.ended.then((status) => {
      const reason = status.signal === null ? `exit code ${status.code}` : status.signal;
      verdict.resolve({ is: "died", name: spec.name, reason, lastLines: service.lastLines });
    });
    await untilReady(spec, { clock: options.clock, signal: over.signal });
    notReady.delete(spec.name);
  }
  for (const spec of specs) ready.set(spec.name, start(spec));
  void Promise.all(ready.values())
    .then(() => over.signal.aborted ? undefined : options.whenReady())
    .catch((error) => verdict.reject(error));
  void options.clock.wait(options.readyMsMax, over.signal).then(() => {
    if (notReady.size > 0) verdict.resolve({ is: "not_ready", names: [...notReady] });
  });

  let end: Verdict;
  try {
    end = await verdict.promise;
  } catch (error) {
    await stopAll(inStopOrder(specs, services), options);
    throw error;
  }
  return { ...end, killed: await stopAll(inStopOrder(specs, services), options) };
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
    const named = line.startsWith(`${spec.name}: `) ? line : `${spec.name}: ${line}`;
    lastLines.push(named);
    if (lastLines.length > LAST_LINES_KEPT) lastLines.shift();
    print(named);
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
    for (const line of lines) onLine(line.trimEnd().slice(0, LINE_LENGTH_MAX));
    if (rest.length > LINE_LENGTH_MAX) {
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
