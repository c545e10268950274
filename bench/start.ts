import { join } from "node:path";
import { systemClock } from "../runtime/clock.ts";
import { readScriptOptions } from "../runtime/script_options.ts";
import { runTask, spawnProgram, spawnTask, type TextStream } from "../tests/support/run_command.ts";

/**
 * How long do a command, a service and the whole demo take from their call to their answer, with warm caches?
 *
 *     deno run -A bench/start.ts [--runs 7] [--json]
 *
 * Everything on the embedded log in a temporary DATA_DIR, which a first demo with its sample fills; FRESH=npm unless the
 * environment says otherwise. Each round takes every start once, one after the other, so that a busy machine slows all of
 * them; the yardstick is `deno run` of an empty file in the same rounds. A service is ready at the first 200 of its
 * `/readyz`, the demo's page when web says where it listens, the demo when it says so.
 */
const { runs, json } = readScriptOptions("Usage: deno task bench start [--runs 7] [--json]", {
  numbers: { runs: [1, 7, 100] },
  flags: ["json"],
});

/** Ms between two questions whether a service is ready; one that nobody hears costs next to nothing. */
const LOOK_EVERY_MS = 2;
const READY_MS_MAX = 60_000;

type Times = Readonly<Record<string, number>>;

const folder = Deno.makeTempDirSync({ prefix: "bench-start-" });
const empty = join(folder, "empty.ts");
Deno.writeTextFileSync(empty, "");
const env: Record<string, string> = {
  DATA_DIR: join(folder, "data"),
  FRESH: Deno.env.get("FRESH") ?? "npm",
  INGEST_PORT: "0",
  PROCESSOR_PORT: "0",
  WEB_PORT: "0",
  POSTHOG_STAND_IN_PORT: "0",
};

async function took(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

async function command(task: string, ...args: string[]): Promise<void> {
  const { code, stderr } = await runTask(task, { args, env });
  if (code !== 0) throw new Error(`deno task ${task} ${args.join(" ")} ended with ${code}: ${stderr}`);
}

/** Ms until `/readyz` answers 200. */
async function service(task: "ingest" | "processor"): Promise<number> {
  const port = freePort();
  const began = performance.now();
  const process = spawnTask(task, { env: { ...env, [`${task.toUpperCase()}_PORT`]: String(port) } });
  let hasEnded = false;
  const ended = process.output().finally(() => hasEnded = true);
  try {
    for (;;) {
      const response = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null);
      await response?.body?.cancel();
      if (response?.status === 200) return performance.now() - began;
      if (hasEnded || performance.now() - began > READY_MS_MAX) {
        throw new Error(`${task} does not become ready`);
      }
      await systemClock.wait(LOOK_EVERY_MS);
    }
  } finally {
    if (!hasEnded) process.kill("SIGTERM");
    await ended;
  }
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

async function demo(): Promise<Times> {
  const began = performance.now();
  const process = spawnTask("demo", { env });
  const errors = new Response(process.stderr).text();
  let text = "";
  let page = NaN;
  let ready = NaN;
  for await (const piece of process.stdout.pipeThrough(new TextDecoderStream() as TextStream)) {
    text += piece;
    const now = performance.now() - began;
    if (Number.isNaN(page) && /\bweb\b.* http:/.test(text)) page = now;
    if (!Number.isNaN(ready) || !text.includes("Ready in ")) continue;
    ready = now;
    process.kill("SIGTERM");
  }
  await process.status;
  if (Number.isNaN(ready)) throw new Error(`The demo did not become ready:\n${text}${await errors}`);
  return { "deno task demo: page": page, "deno task demo: ready": ready };
}

async function round(): Promise<Times> {
  return {
    "deno run of an empty file": await took(() => spawnProgram(empty).output()),
    "deno task lag": await took(() => command("lag")),
    "deno task offers list": await took(() => command("offers", "list")),
    "deno task ingest: ready": await service("ingest"),
    "deno task processor: ready": await service("processor"),
    ...await demo(),
  };
}

try {
  await demo();
  await round();
  const rounds: Times[] = [];
  while (rounds.length < runs) rounds.push(await round());
  const [bare = "", ...rest] = Object.keys(rounds[0]!);
  const sorted = (name: string) => rounds.map((one) => one[name]!).sort((a, b) => a - b);
  const median = (name: string) => sorted(name)[runs >> 1]!;
  for (const name of [bare, ...rest]) {
    const [ms, times] = [median(name), median(name) / median(bare)];
    const [least = 0, most = 0] = [sorted(name)[0], sorted(name).at(-1)];
    if (json) console.log(JSON.stringify({ name, ms, times, least, most, runs }));
    else {
      const range = `${least.toFixed(0)} to ${most.toFixed(0)}`;
      console.log(
        `${name.padEnd(28)} ${ms.toFixed(0).padStart(6)} ms  ${times.toFixed(1).padStart(6)} ×   ${range} ms`,
      );
    }
  }
} finally {
  Deno.removeSync(folder, { recursive: true });
}
