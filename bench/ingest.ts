import { Hono } from "hono";
import { join } from "node:path";
import { readScriptOptions } from "../runtime/script_options.ts";
import { startKafkaBroker } from "../tests/support/kafka_broker.ts";
import { firstUrl, startService } from "../tests/support/pipeline.ts";
import { spawnProgram } from "../tests/support/run_command.ts";

/**
 * How many durable webhooks a second does ingest take, how long does one wait, and what processor time and memory do they
 * cost, against a bare Hono route that reads the same body and forgets it? Same machine, same client, one run, rounds in
 * turn; the ratios are the figures that travel. Time and memory are told on Linux.
 *
 * `deno run -A bench/ingest.ts [--connections 64] [--seconds 5] [--rounds 3] [--kafka]`
 *
 * `--kafka`: on a real Kafka (acks = all) that is started for it, or the one that KAFKA_BROKERS names, instead of the
 * embedded log.
 *
 * Loads only servers that it starts itself on 127.0.0.1, for `2 × rounds × seconds`. Uses wrk where it is installed,
 * else a client of its own in this process, which is slower and says so.
 */

type Load = {
  readonly url: string;
  readonly connections: number;
  readonly seconds: number;
  readonly bodies: readonly string[];
};

type Figures = {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly failed: number;
};

/** Figures of a round, and the processor time that the server took for each answer, in µs; NaN where it is not known. */
type Round = Figures & { readonly cpuMicros: number };

const USAGE = "Usage: deno task bench ingest [--connections 64] [--seconds 5] [--rounds 3] [--kafka]";
/** Different users, so that records spread over the partitions. */
const BODIES = 256;

if (import.meta.main) {
  if (Deno.args[0] === "--bare") serveBare();
  else await bench();
}

function serveBare(): void {
  const app = new Hono();
  // wrk ends by breaking off what is in flight.
  app.onError(() => new Response(null, { status: 400 }));
  app.post("/api/webhooks", async ({ req }) => {
    await req.raw.bytes();
    return new Response('{"status":"ok"}', { headers: { "content-type": "application/json" } });
  });
  Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    onListen: ({ port }) => console.log(`http://127.0.0.1:${port}`),
  }, app.fetch);
}

async function bench(): Promise<void> {
  const { connections, seconds, rounds, kafka: onKafka } = readScriptOptions(USAGE, {
    numbers: { connections: [1, 64, 1_024], seconds: [1, 5, 60], rounds: [1, 3, 20] },
    flags: ["kafka"],
  });
  const directory = await Deno.makeTempDir({ prefix: "bench-ingest-" });
  const broker = onKafka ? await startKafkaBroker() : null;
  const kafka: Record<string, string> = broker === null
    ? {}
    : { KAFKA_BROKERS: broker.brokers, KAFKA_TOPIC_PREFIX: `bench${crypto.randomUUID()}.` };
  const bare = await startBare();
  const ingest = await startService("ingest", {
    ...Deno.env.toObject(),
    DATA_DIR: join(directory, "data"),
    INGEST_PORT: "0",
    ...kafka,
  }, { flags: ["--env-file=runtime/telemetry/ingest.env"] });
  try {
    const client = await hasWrk() ? wrk(directory) : ownClient;
    const measure = async (server: Server, s: number): Promise<Round> => {
      const before = cpuSeconds(server);
      const figures = await client(load(server, s));
      const cpuMicros = (cpuSeconds(server) - before) / (figures.perSecond * s) * 1e6;
      return { ...figures, cpuMicros };
    };
    const bodies = Array.from({ length: BODIES }, (_, index) => body(index));
    const load = (server: Server, s: number): Load => ({
      url: `${server.url}/api/webhooks`,
      connections,
      seconds: s,
      bodies,
    });
    for (const server of [bare, ingest]) await measure(server, 1);
    const results = { bare: [] as Round[], ingest: [] as Round[] };
    for (let round = 0; round < rounds; round++) {
      results.bare.push(await measure(bare, seconds));
      results.ingest.push(await measure(ingest, seconds));
    }
    console.log(
      `client: ${await hasWrk() ? "wrk" : "built in (slower than wrk)"}, ${connections} connections, ` +
        `${rounds} rounds of ${seconds} s, bodies of ${bodies[0]!.length} bytes`,
    );
    const [plain, durable] = [median(results.bare), median(results.ingest)];
    print("bare Hono route", plain, results.bare);
    print("durable webhooks", durable, results.ingest);
    console.log(
      `ratio             ${(durable.perSecond / plain.perSecond).toFixed(2)} of the bare route's rate, ` +
        `${(durable.p99Ms / plain.p99Ms).toFixed(1)} times its p99, ` +
        `${(durable.cpuMicros / plain.cpuMicros).toFixed(1)} times its processor time`,
    );
    console.log(
      `memory of ingest  at most ${Math.round(residentMb(ingest))} MB at ${Math.round(durable.perSecond)}/s`,
    );
  } finally {
    await Promise.all([bare.stop(), ingest.stop()]);
    await broker?.stop();
    await Deno.remove(directory, { recursive: true });
  }
}

type Server = { readonly url: string; readonly pid: number };

/** What a process has computed so far, in the kernel as well; NaN where nobody says. Linux counts in hundredths. */
function cpuSeconds({ pid }: Server): number {
  const fields = procText(`${pid}/stat`)?.split(") ").at(-1)?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** The most memory that a process has held at once; NaN where nobody says. */
function residentMb({ pid }: Server): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(procText(`${pid}/status`) ?? "")?.[1]) / 1000;
}

function procText(path: string): string | null {
  try {
    return Deno.readTextFileSync(`/proc/${path}`);
  } catch {
    return null;
  }
}

function body(index: number): string {
  const id = `0190a000-0000-7000-8000-${String(index).padStart(12, "0")}`;
  return JSON.stringify({
    event: {
      uuid: id,
      event: "generation_failed",
      distinct_id: `user-${index}`,
      properties: {
        input_prompt: "generate a marketing email for new users ".repeat(10),
        failure_reason: "timeout",
        $lib: "web",
      },
      elements_chain: "",
      timestamp: "2026-01-01T00:00:00.000Z",
      url: `https://us.posthog.com/project/1/events/${id}/2026-01-01T00:00:00.000Z`,
    },
    person: {
      id,
      properties: { email: `user-${index}@example.test` },
      name: `user-${index}`,
      url: "https://us.posthog.com/project/1/person/x",
    },
  });
}

async function startBare() {
  const child = spawnProgram("bench/ingest.ts", { args: ["--bare"] });
  return {
    url: await firstUrl(child.stdout, () => ""),
    pid: child.pid,
    async stop() {
      child.kill("SIGTERM");
      await child.status;
    },
  };
}

async function hasWrk(): Promise<boolean> {
  try {
    await new Deno.Command("wrk", { args: ["-v"], stdout: "null", stderr: "null" }).output();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function wrk(directory: string): (load: Load) => Promise<Figures> {
  return async ({ url, connections, seconds, bodies }) => {
    const script = join(directory, "post.lua");
    const quoted = bodies.map((text) => `[==[${text}]==]`).join(",");
    await Deno.writeTextFile(
      script,
      `local bodies = {${quoted}}
local requests = {}
local n = 0
init = function()
  for i, body in ipairs(bodies) do
    requests[i] = wrk.format("POST", nil, {["content-type"] = "application/json"}, body)
  end
end
request = function() n = n % #requests + 1 return requests[n] end
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format("FIGURES %d %d %f %f %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
`,
    );
    const { stdout } = await new Deno.Command("wrk", {
      args: ["-t1", `-c${connections}`, `-d${seconds}s`, "-s", script, url],
    }).output();
    const found = /FIGURES (\S+) (\S+) (\S+) (\S+) (\S+)/.exec(new TextDecoder().decode(stdout));
    if (!found) throw new Error(`Cannot read what wrk printed for ${url}.`);
    const [requests, micros, p50, p99, failed] = found.slice(1).map(Number);
    return {
      perSecond: requests! / (micros! / 1e6),
      p50Ms: p50! / 1000,
      p99Ms: p99! / 1000,
      failed: failed!,
    };
  };
}

async function ownClient({ url, connections, seconds, bodies }: Load): Promise<Figures> {
  const took: number[] = [];
  let failed = 0;
  const end = performance.now() + seconds * 1000;
  await Promise.all(Array.from({ length: connections }, async (_, index) => {
    for (let n = index; performance.now() < end; n++) {
      const began = performance.now();
      const response = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: bodies[n % bodies.length],
      });
      await response.body?.cancel();
      took.push(performance.now() - began);
      if (response.status !== 200) failed++;
    }
  }));
  took.sort((a, b) => a - b);
  const at = (share: number) => took[Math.min(took.length - 1, Math.floor(took.length * share))] ?? NaN;
  return { perSecond: took.length / seconds, p50Ms: at(0.5), p99Ms: at(0.99), failed };
}

function median(rounds: readonly Round[]): Round {
  return rounds.toSorted((a, b) => a.perSecond - b.perSecond)[Math.floor(rounds.length / 2)]!;
}

function print(name: string, figures: Round, rounds: readonly Round[]): void {
  const rates = rounds.map(({ perSecond }) => Math.round(perSecond));
  const failed = rounds.reduce((sum, round) => sum + round.failed, 0);
  console.log(
    `${name.padEnd(17)} ${Math.round(figures.perSecond)}/s (rounds: ${Math.min(...rates)}–${
      Math.max(...rates)
    }), ` +
      `p50 ${figures.p50Ms.toFixed(2)} ms, p99 ${figures.p99Ms.toFixed(2)} ms, ` +
      `${figures.cpuMicros.toFixed(0)} µs of processor time each` +
      (failed > 0 ? `, ${failed} FAILED` : ""),
  );
}
