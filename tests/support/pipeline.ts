import { join } from "node:path";
import type { OfferView, PipelineStatus } from "../../contract/processor_api.ts";
import { DatasetFiles } from "../../processor/dataset/files/reader.ts";
import { DatasetReplacedError, pathsOf } from "../../processor/dataset/reading/reader.ts";
import { killAtFaultPoint, spawnProgram, type TextStream } from "./run_command.ts";
import { until } from "./until.ts";

/** A service of the pipeline as a real process on a port of its own. */
export type Service = {
  readonly url: string;
  readonly pid: number;
  /** Everything it has written to standard error so far. */
  errors(): string;
  /** kill -9; throws with what it wrote where it had ended by itself, so that no crash goes unseen. */
  kill(): Promise<void>;
  /** Ctrl-C; answers its exit code, which is 0. Throws with what it wrote where it is another one, and as `kill` does. */
  stop(): Promise<number>;
  signal(name: Deno.Signal): void;
};

export type ServiceName = "ingest" | "processor";

/**
 * Starts a service and waits for the line that says where it listens. `flags` are Deno's own, `within` is a command that runs it,
 * `address` where it is reached if not where it says.
 */
export async function startService(
  name: ServiceName,
  env: Record<string, string>,
  { flags = [], within, address }: {
    readonly flags?: readonly string[];
    readonly within?: readonly string[];
    readonly address?: string;
  } = {},
): Promise<Service> {
  const process = spawnProgram(`${name}/main.ts`, {
    flags,
    within,
    env: { INGEST_PORT: "0", PROCESSOR_PORT: "0", ...env },
  });
  let errors = "";
  const reading = (async () => {
    for await (const text of process.stderr.pipeThrough(new TextDecoderStream() as TextStream)) {
      errors += text;
    }
  })();
  const said = await firstUrl(process.stdout, () => errors);
  const url = address === undefined ? said : `http://${address}:${new URL(said).port}`;
  let signalled = false;
  let endedByItself = false;
  const ended = process.status.then(async ({ code }) => {
    endedByItself = !signalled;
    await reading;
    return code;
  });
  const signal = (name: Deno.Signal) => {
    signalled = true;
    try {
      process.kill(name);
    } catch {
      // It has ended.
    }
  };
  const end = async (name: Deno.Signal) => {
    signal(name);
    const code = await ended;
    if (endedByItself) throw new Error(`${url} ended by itself with code ${code}:\n${errors}`);
    return code;
  };
  return {
    url,
    pid: process.pid,
    errors: () => errors,
    signal,
    kill: async () => void await end("SIGKILL"),
    async stop() {
      const code = await end("SIGINT");
      if (code !== 0) throw new Error(`${url} stopped with code ${code}:\n${errors}`);
      return code;
    },
  };
}

/**
 * Starts a service that stops itself at a fault point, and kills it there with -9. `act` is what brings it there, once it
 * listens: called again and again until it is there, since some points come only with the next chunk.
 */
export async function killServiceAt(
  name: ServiceName,
  { env, point, act }: {
    readonly env: Record<string, string>;
    readonly point: string;
    readonly act: (url: string) => Promise<unknown>;
  },
): Promise<void> {
  const process = spawnProgram(`${name}/main.ts`, {
    env: { INGEST_PORT: "0", PROCESSOR_PORT: "0", ...env, FAULT_POINT: point },
  });
  const [stdout, kept] = process.stdout.tee();
  const killed = killAtFaultPoint({ ...processParts(process), stdout: kept } as Deno.ChildProcess, point);
  let there = false;
  killed.catch(() => {}).finally(() => there = true);
  const url = await firstUrl(stdout, () => "").catch(() => null);
  while (!there && url !== null) {
    await Promise.race([act(url), killed]);
    await Promise.race([killed, new Promise((resolve) => setTimeout(resolve, 50))]);
  }
  await killed;
}

function processParts(process: Deno.ChildProcess) {
  return {
    stderr: process.stderr,
    status: process.status,
    kill: (signal: Deno.Signal) => process.kill(signal),
  };
}

/** The address that a service prints when it listens; rejects with what it printed where it ends before that. */
export async function firstUrl(stdout: ReadableStream<Uint8Array>, errors: () => string): Promise<string> {
  const reader = stdout.pipeThrough(new TextDecoderStream() as TextStream).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    text += value ?? "";
    const url = /https?:\/\/\S+/.exec(text)?.[0];
    if (url) {
      reader.releaseLock();
      return url;
    }
    if (done) throw new Error(`The service ended before it listened:\n${text}${errors()}`);
  }
}

/** A user's event as PostHog delivers it; ids that PostHog has merged have one `personId`. */
export function posthogBody(
  { uuid = crypto.randomUUID(), event = "generation_failed", distinctId = "user-1", ...rest }: {
    uuid?: string;
    event?: string;
    distinctId?: string;
    timestamp?: string;
    properties?: Record<string, unknown>;
    email?: string;
    /** Default: the distinct_id's own. */
    personId?: string;
  } = {},
): string {
  const timestamp = rest.timestamp ?? new Date().toISOString();
  const properties = rest.properties ??
    (event === "generation_failed" ? { input_prompt: `prompt ${uuid}`, failure_reason: "timeout" } : {});
  const id = rest.personId ?? `person of ${distinctId}`;
  const person = { id, properties: rest.email ? { email: rest.email } : {} };
  return JSON.stringify({ event: { uuid, event, distinct_id: distinctId, properties, timestamp }, person });
}

/** Posts a webhook; answers the status, 0 where nobody answered. */
export async function post(
  ingestUrl: string,
  body: string,
  headers: Record<string, string> = {},
): Promise<number> {
  try {
    const response = await fetch(`${ingestUrl}/api/webhooks`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body,
    });
    await response.body?.cancel();
    return response.status;
  } catch {
    return 0;
  }
}

/** Null where nobody answers (yet), or not with a status. */
export async function statusOf(processorUrl: string): Promise<PipelineStatus | null> {
  try {
    const response = await fetch(`${processorUrl}/api/status`);
    if (response.ok) return await response.json();
    await response.body?.cancel();
  } catch {
    // Not there (yet).
  }
  return null;
}

/** Null where the processor knows of no offer; waits as long as it cannot say. */
export async function offerOf(processorUrl: string, distinctId: string): Promise<OfferView | null> {
  const { offer } = await until(`${processorUrl} can say what ${distinctId}'s offer is`, async () => {
    const response = await fetch(`${processorUrl}/api/offers/${encodeURIComponent(distinctId)}`);
    if (response.ok) return { offer: await response.json() };
    await response.body?.cancel();
    return response.status === 404 && { offer: null };
  });
  return offer;
}

/** Waits until both groups have committed everything that the topic holds. */
export async function untilCaughtUp(processorUrl: string): Promise<PipelineStatus> {
  return await until("both groups have caught up", async () => {
    const status = await statusOf(processorUrl);
    const behind = status?.groups.some(({ partitions }) =>
      partitions.some(({ lag, nextOffset, endOffset }) => lag > 0 || (endOffset > 0 && nextOffset === null))
    );
    return status !== null && !behind && status;
  }, { limitMs: 60_000 });
}

/**
 * Every file of a dataset by its path, read as users are told to: also while it is written, and never beyond what its
 * manifest says, as the end of a growing file may be torn. Empty where there is none yet.
 */
export function datasetFiles(dataDir: string): Map<string, string> {
  for (;;) {
    try {
      return readThroughManifests(join(dataDir, "dataset"));
    } catch (error) {
      // A replay has put another dataset there meanwhile: that one is read.
      if (!(error instanceof DatasetReplacedError)) throw error;
    }
  }
}

function readThroughManifests(datasetDir: string): Map<string, string> {
  const texts = new Map<string, string>();
  if (!isThere(join(datasetDir, "_manifest", "dataset.json"))) return texts;
  const files = new DatasetFiles(datasetDir);
  for (const path of pathsOf(files)) {
    const opened = files.openFile(path);
    if (opened === null) continue;
    using file = opened.file;
    if (opened.size < opened.entry.bytes) throw new Error(`${path} is shorter than its manifest says.`);
    if (opened.entry.bytes === 0) continue; // An intent: nothing of it is written yet.
    const bytes = new Uint8Array(opened.entry.bytes);
    for (let filled = 0; filled < bytes.length;) filled += file.readSync(bytes.subarray(filled))!;
    texts.set(path, new TextDecoder().decode(bytes));
  }
  return texts;
}

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

export type Line = {
  timestamp: string;
  event: string;
  failure_reason: string | null;
  input_prompt: string;
  distinct_id: string;
};

export function datasetLines(dataDir: string): Line[] {
  return [...datasetFiles(dataDir).values()].flatMap((text) =>
    text.split("\n").filter(Boolean).map((line) => JSON.parse(line))
  );
}

export function mailFiles(dataDir: string): string[] {
  try {
    return [...Deno.readDirSync(join(dataDir, "mail", "new"))].map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
