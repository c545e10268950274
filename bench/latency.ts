import { join } from "node:path";
import { readScriptOptions } from "../runtime/script_options.ts";
import { startService } from "../tests/support/pipeline.ts";

/**
 * How long after a webhook is posted does its line stand in the dataset?
 *
 * Starts ingest and processor as processes of their own on free ports and a temporary DATA_DIR, posts webhooks at an
 * even pace, and looks at the dataset's files every millisecond. A line counts from the moment its last byte can be
 * read: that is after it was written and, for all but a crash in that very moment, before its fdatasync.
 */

const HELP = `Measures the time from posting a webhook to its line in the dataset.

Usage: deno run -A bench/latency.ts [--events 1000] [--per-second 100] [--warm-up 100] [--json]`;
const options = readScriptOptions(HELP, {
  numbers: { events: [1, 1_000, 100_000], "per-second": [1, 100, 10_000], "warm-up": [1, 100, 100_000] },
  flags: ["json"],
});

/** Milliseconds. */
type Figures = { readonly p50: number; readonly p99: number; readonly max: number };

/** Looking more seldom would measure the look. */
const LOOK_EVERY_MS = 1;
/** A line that has not come after so long will not. */
const LINE_MS_MAX = 30_000;

if (import.meta.main) Deno.exit(await main());

async function main(): Promise<number> {
  const dataDir = Deno.makeTempDirSync();
  const env = {
    ...Deno.env.toObject(),
    DATA_DIR: dataDir,
    DATASET_DIR: join(dataDir, "dataset"),
    SHOW_RAW: "0",
    INGEST_PORT: "0",
    PROCESSOR_PORT: "0",
  };
  const interrupted = Promise.withResolvers<void>();
  Deno.addSignalListener("SIGINT", () => interrupted.resolve());
  try {
    await using services = new AsyncDisposableStack();
    const start = async (name: "ingest" | "processor") => {
      const service = await startService(name, env);
      services.defer(async () => void await service.stop());
      return service.url;
    };
    await start("processor");
    await Promise.race([measure(await start("ingest"), dataDir), interrupted.promise]);
    return 0;
  } catch (error) {
    console.error((error as Error).message);
    return 1;
  } finally {
    Deno.removeSync(dataDir, { recursive: true });
  }
}

async function measure(ingestUrl: string, dataDir: string): Promise<void> {
  const lines = watchLines(join(dataDir, "dataset", "event=generation_failed"));
  const { events, "per-second": perSecond } = options;
  await post(options["warm-up"], "warm-up", { ingestUrl, lines, perSecond });
  const took = await post(events, "measured", { ingestUrl, lines, perSecond });
  lines.close();
  const answer = figures(took.map(({ answeredMs }) => answeredMs));
  const line = figures(took.map(({ lineMs }) => lineMs));
  if (options.json) {
    return console.log(JSON.stringify({ events, perSecond, answer, line }));
  }
  const logName = Deno.env.get("KAFKA_BROKERS") ? "Kafka" : "embedded log";
  const row = (name: string, { p50, p99, max }: Figures) =>
    console.log(`${name.padEnd(20)}p50 ${show(p50)}   p99 ${show(p99)}   max ${show(max)}`);
  console.log(`${events} webhooks at ${perSecond}/s, ${logName}`);
  row("POST to 200", answer);
  row("POST to line", line);
}

type Posted = { readonly answeredMs: number; readonly lineMs: number };

/** Posts at an even pace, whether or not earlier ones were answered: a slow system is not asked more gently. */
async function post(
  count: number,
  name: string,
  { ingestUrl, lines, perSecond }: { ingestUrl: string; lines: Lines; perSecond: number },
): Promise<Posted[]> {
  const began = performance.now();
  const posts: Promise<Posted>[] = [];
  for (let i = 0; i < count; i++) {
    const dueIn = began + i * 1000 / perSecond - performance.now();
    if (dueIn > 0) await new Promise((resolve) => setTimeout(resolve, dueIn));
    const posted = postOne(`${name} ${i}`, { ingestUrl, lines });
    posted.catch(() => {}); // It is looked at below, when all have been posted.
    posts.push(posted);
  }
  return await Promise.all(posts);
}

async function postOne(
  prompt: string,
  { ingestUrl, lines }: { ingestUrl: string; lines: Lines },
): Promise<Posted> {
  const event = {
    uuid: crypto.randomUUID(),
    event: "generation_failed",
    distinct_id: crypto.randomUUID(),
    timestamp: new Date().toISOString(),
    properties: { input_prompt: prompt, failure_reason: "timeout", email: "a@example.org" },
  };
  const body = JSON.stringify({ event, person: null });
  const line = lines.of(prompt);
  const began = performance.now();
  const response = await fetch(`${ingestUrl}/api/webhooks`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
  });
  const message = await response.text();
  const answeredMs = performance.now() - began;
  if (response.status !== 200) {
    throw new Error(`Cannot measure: ingest answered ${response.status} ${message}`);
  }
  return { answeredMs, lineMs: await line - began };
}

type Lines = {
  /** Resolves with the moment (as `performance.now`) at which the line with this prompt could be read. */
  of(prompt: string): Promise<number>;
  close(): void;
};

/** Follows every file below a directory, which need not exist yet. */
function watchLines(directory: string): Lines {
  const waiting = new Map<string, (at: number) => void>();
  const files = new Map<string, { file: Deno.FsFile; rest: string }>();
  const buffer = new Uint8Array(1 << 20);
  const decoder = new TextDecoder();
  let closed = false;
  void follow();

  async function follow(): Promise<void> {
    for (let turn = 0; !closed; turn++) {
      if (turn % 10 === 0) openNew(directory);
      for (const open of files.values()) readNew(open);
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
    for (const { file } of files.values()) file.close();
  }

  function openNew(below: string): void {
    try {
      for (const { name, isDirectory } of Deno.readDirSync(below)) {
        const path = join(below, name);
        if (isDirectory) openNew(path);
        else if (!files.has(path)) files.set(path, { file: Deno.openSync(path), rest: "" });
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  function readNew(open: { file: Deno.FsFile; rest: string }): void {
    const bytes = open.file.readSync(buffer);
    if (bytes === null) return;
    const at = performance.now();
    const lines = (open.rest + decoder.decode(buffer.subarray(0, bytes))).split("\n");
    open.rest = lines.pop()!;
    for (const line of lines) {
      const prompt = JSON.parse(line).input_prompt;
      waiting.get(prompt)?.(at);
      waiting.delete(prompt);
    }
  }

  return {
    of: (prompt) =>
      new Promise((resolve, reject) => {
        const late = setTimeout(
          () => reject(new Error(`Cannot measure: no line after ${LINE_MS_MAX / 1000} s`)),
          LINE_MS_MAX,
        );
        waiting.set(prompt, (at) => {
          clearTimeout(late);
          resolve(at);
        });
      }),
    close: () => void (closed = true),
  };
}

function figures(ms: readonly number[]): Figures {
  const sorted = ms.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)]!;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}

function show(ms: number): string {
  return `${ms.toFixed(1)} ms`.padStart(9);
}
