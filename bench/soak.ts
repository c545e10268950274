import { Buffer } from "node:buffer";
import { signatureHeaders } from "../demo/stand_in/webhook_signature.ts";
import { readScriptOptions } from "../runtime/script_options.ts";
import { datasetLines, firstUrl, untilCaughtUp } from "../tests/support/pipeline.ts";
import { spawnProgram } from "../tests/support/run_command.ts";

/**
 * Does the pipeline keep its promises to PostHog while strangers do their worst, and does its memory stay flat?
 *
 * Starts ingest, processor and web on 127.0.0.1 and a temporary DATA_DIR, sends signed webhooks (some twice) and hostile
 * requests at an even pace, whether or not earlier ones were answered, and looks at the end: every signed webhook was
 * answered 200 within PostHog's 3 s, each uuid gave exactly one line, and each process holds as much memory in the last
 * quarter as in the second. Exit code 1 where one of these does not hold. Loads nothing that it has not started itself.
 */
const options = readScriptOptions(
  "Usage: deno task bench soak [--minutes 10] [--per-second 200]   (pace: 1 to 1,000 requests a second)",
  { numbers: { minutes: [1, 10, 120], "per-second": [1, 200, 1_000] } },
);

/** PostHog gives up then. */
const ANSWER_MS_MAX = 3_000;
const SAMPLE_MS = 5_000;
/** What the median of the last quarter may be above that of the second: a collector's breathing, not a leak's slope. */
const GROWTH_MAX = 1.25;
const GROWTH_BYTES_FREE = 32 * 1024 * 1024;
/** Hostile connections held at once, over all kinds; the oldest is let go. */
const HELD_MAX = 500;
const SECRET_BYTES = crypto.getRandomValues(new Uint8Array(32));
const NAMES = ["ingest", "processor", "web"] as const;
type Name = typeof NAMES[number];

async function main(): Promise<number> {
  const dataDir = await Deno.makeTempDir({ prefix: "bench-soak-" });
  await using held = new AsyncDisposableStack();
  held.defer(() => Deno.remove(dataDir, { recursive: true }));
  const ended: string[] = [];
  const env: Record<string, string> = {
    DATA_DIR: dataDir,
    INGEST_PORT: "0",
    PROCESSOR_PORT: "0",
    WEB_PORT: "0",
    FRESH: "npm",
    WEBHOOK_SIGNING_SECRET: `whsec_${Buffer.from(SECRET_BYTES).toString("base64")}`,
  };
  const start = async (name: Name) => {
    const child = spawnProgram(name === "web" ? "serve_web/main.ts" : `${name}/main.ts`, { env });
    void child.stderr.pipeTo(new WritableStream({ write: (bytes) => void Deno.stderr.writeSync(bytes) }));
    let stopping = false;
    const status = child.status.then(({ code, signal }) => {
      if (!stopping) ended.push(`${name} ended by itself (${signal ?? code})`);
    });
    held.defer(async () => {
      stopping = true;
      try {
        child.kill("SIGTERM");
      } catch {
        // It has ended.
      }
      await status;
    });
    const url = (await firstUrl(child.stdout, () => "")).replace("localhost", "127.0.0.1");
    env[`${name.toUpperCase()}_URL`] = url;
    return { name, url, pid: child.pid, kib: [] as number[] };
  };
  const [processor, ingest, web] = [await start("processor"), await start("ingest"), await start("web")];
  const services = [ingest, processor, web];

  const good = new GoodTraffic(ingest.url);
  const hostile = new HostileTraffic({ ingest: ingest.url, processor: processor.url, web: web.url });
  const began = performance.now();
  const ms = options.minutes * 60_000;
  let sampleAt = SAMPLE_MS;
  let turnAt = began;
  let lateMs = 0;
  for (let n = 0; ended.length === 0;) {
    const at = performance.now() - began;
    if (at >= ms) break;
    for (const due = Math.floor(at * options["per-second"] / 1000); n < due; n++) {
      // Three of five are PostHog's.
      if (n % 5 < 3) good.send(n);
      else hostile.send(n);
    }
    lateMs = Math.max(lateMs, performance.now() - turnAt);
    turnAt = performance.now();
    if (at >= sampleAt) {
      for (const { pid, kib } of services) kib.push(residentKib(pid));
      sampleAt += SAMPLE_MS;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  hostile.end();
  await good.answered();
  const broken = [...ended];
  if (ended.length === 0) {
    await untilCaughtUp(processor.url).catch((error: Error) =>
      broken.push(`the processor: ${error.message}`)
    );
  }
  broken.push(...good.report(), ...good.compare(datasetLines(dataDir).map(({ distinct_id }) => distinct_id)));
  hostile.report();
  // Its own waiting is part of every answer's time that it measures.
  console.log(
    `client   took up to ${
      lateMs.toFixed(0)
    } ms for a turn of 5: where that is much, the machine is too busy`,
  );
  for (const { name, kib } of services) broken.push(...memory(name, kib));
  for (const words of broken) console.log(`BROKEN   ${words}`);
  console.log(broken.length === 0 ? "every promise held" : `${broken.length} promises broken`);
  return broken.length === 0 ? 0 : 1;
}

/** Signed webhooks; their distinct_id is their uuid, so that a line tells which it is. */
class GoodTraffic {
  readonly #uuids: string[] = [];
  readonly #took: number[] = [];
  readonly #statuses = new Map<number, number>();
  readonly #underWay = new Set<Promise<void>>();

  constructor(private readonly url: string) {}

  send(n: number): void {
    const repeated = n % 50 === 0 ? this.#uuids.at(-20) : undefined;
    const uuid = repeated ?? crypto.randomUUID();
    if (repeated === undefined) this.#uuids.push(uuid);
    const sending = this.#post(
      new TextEncoder().encode(
        eventBody(uuid, `generate a mail for jane.doe+${n}@example.org, +1 415 555 0132`),
      ),
    ).finally(() => this.#underWay.delete(sending));
    this.#underWay.add(sending);
  }

  async #post(body: Uint8Array<ArrayBuffer>): Promise<void> {
    const began = performance.now();
    let status = 0;
    try {
      const signal = AbortSignal.timeout(4 * ANSWER_MS_MAX);
      const response = await fetch(`${this.url}/api/webhooks`, {
        method: "POST",
        headers: { "content-type": "application/json", ...signed(body, SECRET_BYTES) },
        body,
        signal,
      });
      status = response.status;
      await response.body?.cancel();
    } catch {
      // No answer: status 0.
    }
    this.#took.push(performance.now() - began);
    this.#statuses.set(status, (this.#statuses.get(status) ?? 0) + 1);
  }

  async answered(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  report(): string[] {
    const sorted = this.#took.toSorted((a, b) => a - b);
    const at = (share: number) => sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? NaN;
    const late = sorted.filter((ms) => ms > ANSWER_MS_MAX).length;
    const statuses = [...this.#statuses].map(([status, count]) => `${status || "no answer"}: ${count}`).join(
      ", ",
    );
    console.log(
      `webhooks ${sorted.length} (${statuses}); p50 ${at(0.5).toFixed(1)} ms, p99 ${
        at(0.99).toFixed(1)
      } ms, ` +
        `max ${at(1).toFixed(1)} ms`,
    );
    return [
      ...(late > 0 ? [`${late} webhooks were answered after ${ANSWER_MS_MAX} ms`] : []),
      ...(this.#statuses.get(200) === sorted.length ? [] : [`not every signed webhook was answered 200`]),
    ];
  }

  compare(lines: readonly string[]): string[] {
    const counts = new Map<string, number>();
    for (const id of lines) counts.set(id, (counts.get(id) ?? 0) + 1);
    const ofHostile = [...counts.keys()].filter((id) => hostileUuids.has(id)).length;
    const missing = this.#uuids.filter((uuid) => !counts.has(uuid)).length;
    const doubled = [...counts.values()].filter((count) => count > 1).length;
    const strange = counts.size - ofHostile - (this.#uuids.length - missing);
    console.log(
      `lines    ${lines.length}: ${this.#uuids.length} uuids, missing ${missing}, doubled ${doubled}; ` +
        `${ofHostile} of ${hostileUuids.size} hostile prompts (the others are dead letters)`,
    );
    return missing + doubled + strange === 0
      ? []
      : [`lines: ${missing} missing, ${doubled} doubled, ${strange} of nobody`];
  }
}

/** What a stranger makes a user's program send: each gives one line or one dead letter, whichever is right. */
const HOSTILE_PROMPTS = ["a@[IPv6:ab] ", "密碼:5018", "a    ", "generate an e-mail "];
const hostileUuids = new Set<string>();

function hostileEvent(): string {
  const uuid = crypto.randomUUID();
  hostileUuids.add(uuid);
  const nth = hostileUuids.size;
  // One in a hundred as large as may be; more of them would measure the disk.
  const [turn, length] = nth % 100 === 0 ? [nth / 100, 900_000] : [nth, 9_000];
  const unit = HOSTILE_PROMPTS[turn % HOSTILE_PROMPTS.length]!;
  return eventBody(uuid, unit.repeat(length / unit.length));
}

function eventBody(uuid: string, prompt: string): string {
  return JSON.stringify({
    event: {
      uuid,
      event: "generation_failed",
      distinct_id: uuid,
      timestamp: new Date().toISOString(),
      properties: { input_prompt: prompt, failure_reason: "timeout" },
    },
    person: { id: uuid, properties: { name: "a a a a", email: `${uuid}@example.org` } },
  });
}

function signed(body: Uint8Array, key: Uint8Array): Record<string, string> {
  return signatureHeaders(body, { key, id: crypto.randomUUID(), at: Date.now() });
}

/** What strangers send. Nobody waits for an answer; what is left open is held until there are too many. */
class HostileTraffic {
  readonly #held: Deno.TcpConn[] = [];
  readonly #counts = new Map<string, number>();

  constructor(private readonly urls: Readonly<Record<Name, string>>) {}

  send(n: number): void {
    const attacks = Object.keys(ATTACKS);
    const kind = attacks[n % attacks.length]!;
    const { at, bytes, holds = false } = ATTACKS[kind]!();
    const target = at === "any" ? NAMES[n % NAMES.length]! : at;
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
    void this.#deliver(this.urls[target], { bytes, holds }).catch(() => {});
  }

  async #deliver(url: string, { bytes, holds }: { bytes: Uint8Array; holds: boolean }): Promise<void> {
    const { hostname, port } = new URL(url);
    const conn = await Deno.connect({ hostname, port: Number(port) });
    // A reader that reads nothing is one of those that are held.
    this.#held.push(conn);
    while (this.#held.length > HELD_MAX) close(this.#held.shift()!);
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await conn.write(rest));
    if (holds) return;
    const buffer = new Uint8Array(16 * 1024);
    while (await conn.read(buffer) !== null);
    close(conn);
  }

  end(): void {
    for (const conn of this.#held) close(conn);
  }

  report(): void {
    console.log(`hostile  ${[...this.#counts].map(([kind, count]) => `${kind} ${count}`).join(", ")}`);
  }
}

type Attack = { readonly at: Name | "any"; readonly bytes: Uint8Array; readonly holds?: boolean };

const raw = (text: string) => new Uint8Array(Buffer.from(text, "latin1"));
const webhook = (headers: Record<string, string>, body: string) =>
  raw(
    `POST /api/webhooks HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n` +
      Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join("") + `\r\n${body}`,
  );
const WRONG_KEY = new Uint8Array(32);
const wrong = (body: string) => ({
  "content-length": String(body.length),
  ...signed(raw(body), WRONG_KEY),
});
const MEGABYTE = JSON.stringify({ event: { event: "x", distinct_id: "y", text: "z".repeat(1_000_000) } });
const DEEP = "[".repeat(30_000) + "]".repeat(30_000);
const GET = "GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";

const ATTACKS: Readonly<Record<string, () => Attack>> = {
  "idle": () => ({ at: "any", bytes: new Uint8Array(), holds: true }),
  "half head": () => ({ at: "any", bytes: raw("GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx-half:"), holds: true }),
  "body never comes": () => ({
    at: "ingest",
    bytes: webhook({ ...wrong(""), "content-length": "65536" }, ""),
    holds: true,
  }),
  "slow body": () => ({
    at: "ingest",
    bytes: webhook({ ...wrong(""), "content-length": "65536" }, '{"a'),
    holds: true,
  }),
  "wrong signature": () => ({ at: "ingest", bytes: webhook(wrong("{}"), "{}") }),
  "1 MB body": () => ({
    at: "ingest",
    bytes: webhook({ ...wrong("{}"), "content-length": `${MEGABYTE.length}` }, MEGABYTE),
  }),
  "malformed head": () => ({ at: "any", bytes: raw("GET / HTTP/1.1\r\nhost: a b\r\n\x00\r\n\r\n") }),
  "blank head": () => ({
    at: "any",
    bytes: raw(`GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx:${" ".repeat(30_000)}\x01\r\n\r\n`),
  }),
  "chunk rubbish": () => ({
    at: "ingest",
    bytes: webhook(
      { "transfer-encoding": "chunked", ...signed(raw(""), WRONG_KEY) },
      "zz\r\nrubbish\r\n0\r\n\r\n",
    ),
  }),
  // Few enough to stay a request among the others: it is no test of how much the machine can do.
  "pipelining": () => ({ at: "any", bytes: raw(GET.repeat(4)), holds: true }),
  "reads no events": () => ({
    at: "processor",
    bytes: raw("GET /api/events HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"),
    holds: true,
  }),
  "hostile prompt": () => {
    const body = Buffer.from(hostileEvent()).toString("latin1");
    const headers = { "content-length": String(body.length), ...signed(raw(body), SECRET_BYTES) };
    return { at: "ingest", bytes: webhook(headers, body) };
  },
  // A signed one, so that the pipeline itself must bear it: no PostHog event, so a dead letter.
  "deep JSON": () => ({
    at: "ingest",
    bytes: webhook({ "content-length": String(DEEP.length), ...signed(raw(DEEP), SECRET_BYTES) }, DEEP),
  }),
};

function close(conn: Deno.TcpConn): void {
  try {
    conn.close();
  } catch {
    // Already closed.
  }
}

/** NaN where the system does not say. */
function residentKib(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`))?.[1]);
  } catch {
    return NaN;
  }
}

function memory(name: string, kib: readonly number[]): string[] {
  const quarter = Math.floor(kib.length / 4);
  const median = (part: readonly number[]) =>
    part.toSorted((a, b) => a - b)[Math.floor(part.length / 2)] ?? NaN;
  const [second, last] = [median(kib.slice(quarter, 2 * quarter)), median(kib.slice(3 * quarter))];
  const mb = (n: number) => `${(n / 1024).toFixed(0)} MiB`;
  console.log(
    `memory   ${name}: second quarter ${mb(second)}, last ${mb(last)}, most ${mb(Math.max(...kib))}`,
  );
  if (Number.isNaN(last)) return [];
  return last <= Math.max(second * GROWTH_MAX, second + GROWTH_BYTES_FREE / 1024)
    ? []
    : [`the memory of ${name} grew from ${mb(second)} to ${mb(last)}`];
}

// At the end, once the classes above are there.
Deno.exit(await main());
