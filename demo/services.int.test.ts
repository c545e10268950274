import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Clock, systemClock } from "../runtime/clock.ts";
import { manualClock, settle } from "../tests/support/manual_clock.ts";
import { until } from "../tests/support/until.ts";
import {
  runServices,
  type ServicesControl,
  type ServicesEnd,
  type ServicesOptions,
  type ServiceSpec,
} from "./services.ts";

const MODULE = new URL("fixtures/service.ts", import.meta.url).href;
let directory: string;
let printed: string[];
let stop: AbortController;
let running: Promise<ServicesEnd> | null;

beforeEach(async () => {
  directory = await Deno.makeTempDir();
  printed = [];
  stop = new AbortController();
  running = null;
});
afterEach(async () => {
  stop.abort();
  await running?.catch(() => {});
  // Only where a test has failed.
  for (const pid of log().flatMap((line) => / started (\d+)$/.exec(line)?.[1] ?? []).map(Number)) {
    if (lives(pid)) Deno.kill(pid, "SIGKILL");
  }
  await Deno.remove(directory, { recursive: true });
});

function spec(name: string, environment: Record<string, string> = {}, after?: string): ServiceSpec {
  const port = freePort();
  return {
    name,
    module: MODULE,
    environment: { NAME: name, PORT: String(port), LOG: join(directory, "log"), ...environment },
    readyUrl: `http://127.0.0.1:${port}/`,
    after,
  };
}

function run(specs: readonly ServiceSpec[], overrides: Partial<ServicesOptions> = {}): Promise<ServicesEnd> {
  return running = runServices(specs, {
    clock: systemClock,
    print: (line) => printed.push(line),
    whenReady: () => Promise.resolve(void printed.push("all ready")),
    stop: stop.signal,
    readyMsMax: 60_000,
    stopMsMax: 30_000,
    ...overrides,
  });
}

const allReady = () => until("all services are ready", () => printed.includes("all ready"));
const log = () => readIfThere(join(directory, "log")).split("\n").filter((line) => line !== "");
const pidOf = (name: string) =>
  Number(log().find((line) => line.startsWith(`${name} started`))!.split(" ")[2]);

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

function readIfThere(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}

/** A process that has ended and was not waited for by its parent yet is no living one. */
function lives(pid: number): boolean {
  if (Deno.build.os === "linux") return /^State:\s+[^ZX]/m.test(readIfThere(`/proc/${pid}/status`));
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe("services that run", () => {
  it("are told of with all their lines, and stopped one after the other, the last named first", async () => {
    const end = run([spec("alpha", { SAYS: "alpha: here\nplain words" }), spec("beta", { SAYS: "hello" })]);
    await allReady();
    const pids = ["alpha", "beta"].map(pidOf);
    stop.abort();
    expect(await end).toEqual({ is: "stopped", killed: [] });
    expect(printed.filter((line) => line !== "all ready").sort()).toEqual([
      "alpha: here",
      "alpha: plain words",
      "beta: hello",
    ]);
    expect(log().slice(2)).toEqual(["beta SIGTERM", "beta drained", "alpha SIGTERM", "alpha drained"]);
    expect(pids.map(lives)).toEqual([false, false]);
  });

  it("start after the one they need is ready", async () => {
    const gate = join(directory, "gate");
    const end = run([spec("alpha", { WAITS_FOR: gate }), spec("beta", {}, "alpha"), spec("gamma")]);
    await until("alpha and gamma run", () => log().length === 2);
    expect(log().map((line) => line.split(" ")[0]).sort()).toEqual(["alpha", "gamma"]);
    await Deno.writeTextFile(gate, "");
    await allReady();
    expect(log()[2]).toMatch(/^beta started/);
    stop.abort();
    await end;
  });

  it("are all stopped where what follows their start fails", async () => {
    const end = run([spec("alpha")], { whenReady: () => Promise.reject(new Error("no sample")) });
    await expect(end).rejects.toThrow("no sample");
    expect(log().at(-1)).toBe("alpha drained");
  });
});

describe("a service that dies", () => {
  const startsOf = (name: string) => log().filter((line) => line.startsWith(`${name} started`)).length;
  const askTo = ({ readyUrl }: ServiceSpec, code: number) =>
    fetch(`${readyUrl}die`, { method: "POST", body: String(code) }).catch(() => {});

  it("is named and started again, and the others go on", async () => {
    let control: ServicesControl | null = null;
    const beta = spec("beta");
    const end = run([spec("alpha"), beta], { controlled: (given) => control = given });
    await allReady();
    const alpha = pidOf("alpha");
    expect(control!.kill("beta")).toBe(true);
    await until("it is ready again", () => printed.includes("beta is ready again."));
    expect(printed).toContain("beta died (SIGKILL): it is started again in 0.2 s.");
    expect(control!.isReady("beta")).toBe(true);
    await askTo(beta, 7);
    await until("it is ready once more", () => startsOf("beta") === 3 && control!.isReady("beta"));
    expect(printed).toContain("beta died (exit code 7): it is started again in 0.4 s.");
    expect(lives(alpha)).toBe(true);
    expect(startsOf("alpha")).toBe(1);
    stop.abort();
    expect(await end).toEqual({ is: "stopped", killed: [] });
    expect(log().filter((line) => line.endsWith("drained")).sort()).toEqual([
      "alpha drained",
      "beta drained",
    ]);
    expect(control!.kill("beta")).toBe(false);
  });

  it("again and again is started less and less often, ten times a minute at most, and never given up", async () => {
    const manual = manualClock();
    const clock: Clock = {
      ...systemClock,
      monotonic: manual.monotonic,
      wait: (ms, signal) => (ms >= 200 ? manual : systemClock).wait(ms, signal),
    };
    const alpha = spec("alpha");
    const end = run([alpha], { clock, readyMsMax: 3_600_000 });
    await allReady();
    const waits: number[] = [];
    for (let deaths = 1; deaths <= 9; deaths++) {
      await askTo(alpha, 1);
      const found = () => printed.filter((line) => line.startsWith("alpha died"))[deaths - 1];
      const wait = Number(/again in ([\d.]+) s/.exec(await until("it is named", found))![1]);
      waits.push(wait);
      expect(startsOf("alpha")).toBe(deaths);
      await settle();
      await manual.advance(wait * 1_000);
      await until(
        "it is ready again",
        () => printed.filter((line) => line.endsWith("again.")).length === deaths,
      );
    }
    expect(waits).toEqual([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10]);
    await manual.advance(60_000);
    await askTo(alpha, 1);
    await until("a minute without a death is forgotten", () => printed.at(-1)!.includes("in 0.2 s") || null);
    stop.abort();
    expect(await end).toMatchObject({ is: "stopped" });
  });

  it("three times in a row before it was ready is named with its last lines, and the rest is stopped", async () => {
    const beta = spec("beta");
    const end = run([spec("alpha"), beta, spec("gamma")]);
    await allReady();
    await Deno.writeTextFile(join(directory, "beta.dies"), "9");
    await askTo(beta, 7);
    const lines = Array.from({ length: 20 }, () => "beta: a last word").slice(-1);
    expect(await end).toEqual({
      is: "died",
      name: "beta",
      reason: "exit code 9",
      lastLines: lines,
      killed: [],
    });
    expect(printed.filter((line) => line.startsWith("beta d"))).toEqual([
      "beta died (exit code 7): it is started again in 0.2 s.",
      "beta did not start (exit code 9; 1 of 3): it is started again in 0.4 s.",
      "beta did not start (exit code 9; 2 of 3): it is started again in 0.8 s.",
    ]);
    expect(log().filter((line) => line.endsWith("drained")).sort()).toEqual([
      "alpha drained",
      "gamma drained",
    ]);
  });

  it("at the first start ends that, also for those that wait for it, with its last twenty lines", async () => {
    const port = freePort();
    using _taken = Deno.listen({ hostname: "127.0.0.1", port });
    const broken = { ...spec("alpha"), environment: { ...spec("alpha").environment, PORT: String(port) } };
    const end = await run([broken, spec("beta", {}, "alpha")]);
    expect(end).toMatchObject({ is: "died", name: "alpha", reason: "exit code 1" });
    expect(end.is === "died" && end.lastLines.length).toBeLessThanOrEqual(20);
    expect(end.is === "died" && end.lastLines.join("\n")).toMatch(/AddrInUse/);
    expect(printed).not.toContain("all ready");
    expect(log()).toEqual([]);
  });
});

describe("time limits", () => {
  /** Real waits for readiness, manual ones for the long limits. */
  function limitsOf(manual: ReturnType<typeof manualClock>): Clock {
    return { ...systemClock, wait: (ms, signal) => (ms >= 1_000 ? manual : systemClock).wait(ms, signal) };
  }

  it("a service that hangs is killed, named, after those that do not hang were drained", async () => {
    const manual = manualClock();
    const end = run([spec("alpha"), spec("beta", { HANGS: "1" })], {
      clock: limitsOf(manual),
      stopMsMax: 15_000,
    });
    await allReady();
    const pid = pidOf("beta");
    const exists = (pid: number) => {
      try {
        return process.kill(pid, 0);
      } catch {
        return false;
      }
    };
    stop.abort();
    await until("beta was told to stop", () => log().includes("beta SIGTERM"));
    expect(log()).not.toContain("alpha SIGTERM");
    await manual.advance(4_000);
    await until("alpha has drained all the same", () => log().includes("alpha drained"));
    await until("alpha was waited for", () => !exists(pidOf("alpha")));
    await settle();
    await manual.advance(10_999);
    expect(lives(pid)).toBe(true);
    await manual.advance(1);
    expect(await end).toEqual({ is: "stopped", killed: ["beta"] });
    expect(lives(pid)).toBe(false);
  });

  it("services that never become ready are named, and all are stopped", async () => {
    const manual = manualClock();
    const never = { WAITS_FOR: join(directory, "never") };
    const end = run([spec("alpha"), spec("beta", never), spec("gamma", never, "alpha")], {
      clock: limitsOf(manual),
    });
    await until("gamma runs, so alpha is ready", () => log().length === 3);
    await manual.advance(59_999);
    expect(log()).toHaveLength(3);
    await manual.advance(1);
    expect(await end).toEqual({ is: "not_ready", names: ["beta", "gamma"], killed: [] });
    expect(log().filter((line) => line.endsWith("drained"))).toHaveLength(3);
  });
});

describe.skipIf(Deno.build.os !== "linux")("from outside (needs setsid)", () => {
  const children: Deno.ChildProcess[] = [];
  afterEach(async () => {
    for (const child of children.splice(0)) {
      try {
        child.kill("SIGTERM");
      } catch { /* It has ended. */ }
      await child.status;
    }
  });

  function supervisor(specs: readonly ServiceSpec[]) {
    const child = new Deno.Command("setsid", {
      args: [Deno.execPath(), "run", "-A", fileURLToPath(new URL("fixtures/supervisor.ts", import.meta.url))],
      env: { SPECS: JSON.stringify(specs) },
      stdout: "piped",
    }).spawn();
    children.push(child);
    child.stdout.pipeThrough(new TextDecoderStream()).pipeTo(
      new WritableStream({
        write: (text) => void printed.push(...text.split("\n").filter((line) => line !== "")),
      }),
    );
    return child;
  }

  it("Ctrl-C, which reaches the whole process group and that twice, drains and stops all", async () => {
    const child = supervisor([spec("alpha"), spec("beta")]);
    await allReady();
    Deno.kill(-child.pid, "SIGINT");
    Deno.kill(-child.pid, "SIGINT");
    expect((await child.status).code).toBe(0);
    await until("the end was told", () => printed.includes('end {"is":"stopped","killed":[]}'));
    const pids = ["alpha", "beta"].map(pidOf);
    expect(pids.map(lives)).toEqual([false, false]);
    expect(log().filter((line) => line.endsWith("drained")).sort()).toEqual([
      "alpha drained",
      "beta drained",
    ]);
  });

  it("services whose demo was killed stop by themselves", async () => {
    const child = supervisor([spec("alpha"), spec("beta")]);
    await allReady();
    const pids = ["alpha", "beta"].map(pidOf);
    child.kill("SIGKILL");
    await until("both are gone", () => pids.every((pid) => !lives(pid)));
    expect(log().filter((line) => line.endsWith("drained"))).toHaveLength(2);
  });
});
