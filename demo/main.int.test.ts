import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { until } from "../tests/support/until.ts";
import { sampleEvents } from "./traffic.ts";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));
let dataDir: string;
beforeAll(async () => {
  dataDir = await Deno.makeTempDir();
});
afterAll(() => Deno.remove(dataDir, { recursive: true }));

const ENVIRONMENT = {
  INGEST_PORT: "0",
  PROCESSOR_PORT: "0",
  WEB_PORT: "0",
  POSTHOG_STAND_IN_PORT: "0",
  FRESH: "npm",
  LOG_FORMAT: "text",
};

async function demo(args: readonly string[], env: Record<string, string> = {}) {
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", MAIN, ...args],
    env: { DATA_DIR: dataDir, ...ENVIRONMENT, ...env },
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code: output.code, stdout: text(output.stdout), stderr: text(output.stderr) };
}

describe("deno task demo, before it starts anything", () => {
  it("--help says what it does", async () => {
    const { code, stdout, stderr } = await demo(["--help"]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/--no-sample/);
  });

  it("anything else is wrong usage", async () => {
    const { code, stdout, stderr } = await demo(["--sample"]);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/"--sample".*--no-sample/);
  });

  it("names every wrong setting and starts nothing", async () => {
    const { code, stdout, stderr } = await demo([], { DISCOUNT_WAIT: "soon", STAND_IN_DROP: "2" });
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/DISCOUNT_WAIT "soon"/);
    expect(stderr).toMatch(/STAND_IN_DROP "2"/);
  });

  it("names a port that stays taken, with its service and its setting", async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const port = String(listener.addr.port);
    const { code, stderr } = await demo([], { INGEST_PORT: port });
    expect(code).toBe(1);
    expect(stderr).toContain(`${port} (ingest, INGEST_PORT)`);
  });

  it("names a taken port at once, with who has it and the next free one, and goes on once it is free", async () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const port = String(listener.addr.port);
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", MAIN],
      env: { DATA_DIR: join(dataDir, "port"), ...ENVIRONMENT, INGEST_PORT: port },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const said = { out: "", err: "" };
    const read = (stream: ReadableStream<Uint8Array<ArrayBuffer>>, to: "out" | "err") =>
      stream.pipeThrough(new TextDecoderStream()).pipeTo(
        new WritableStream({ write: (text) => void (said[to] += text) }),
      );
    const ended = Promise.all([child.status, read(child.stdout, "out"), read(child.stderr, "err")]);
    await until("the port is named", () => said.err.includes(port));
    listener.close();
    expect(said.err).toMatch(
      new RegExp(`port ${port} \\(ingest, INGEST_PORT\\) on 127\\.0\\.0\\.1 is taken\\. Stop `),
    );
    expect(said.err).toMatch(/take the next free port: INGEST_PORT=\d+\. Waiting for 5 s/);
    if (Deno.build.os === "linux") expect(said.err).toContain(`kill ${Deno.pid}.`);
    await until("it goes on", () => said.out.includes("processor: http"), { limitMs: 30_000 });
    child.kill("SIGINT");
    const [{ code }] = await ended;
    expect(code).toBe(0);
  });
});

describe("deno task demo with all its services", () => {
  /** Runs it until `use` is done, then ends it as Ctrl-C does; answers what it printed. */
  async function whileDemoRuns(
    args: readonly string[],
    { DATA_DIR, use }: { DATA_DIR: string; use: (urlOf: (service: string) => string) => Promise<void> },
  ): Promise<string> {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", MAIN, ...args],
      env: { ...ENVIRONMENT, DATA_DIR },
      stdin: "null",
      stdout: "piped",
    }).spawn();
    let printed = "";
    const read = child.stdout.pipeThrough(new TextDecoderStream()).pipeTo(
      new WritableStream({ write: (text) => void (printed += text) }),
    );
    try {
      await until("it is ready", () => printed.includes("Ready in"), { limitMs: 60_000 });
      await use((service) => new RegExp(` ${service}: (http\\S+)`).exec(printed)![1]!);
    } finally {
      child.kill("SIGINT");
    }
    expect((await child.status).code).toBe(0);
    await read;
    return printed;
  }

  function linesIn(directory: string): string[] {
    const entries = [...Deno.readDirSync(directory)];
    return entries.flatMap(({ name, isDirectory }) => {
      const path = join(directory, name);
      if (isDirectory) return linesIn(path);
      return path.endsWith(".jsonl")
        ? Deno.readTextFileSync(path).split("\n").filter((line) => line !== "")
        : [];
    });
  }

  it("plays its sample at the very first start only; a second one continues with the same data", async () => {
    const DATA_DIR = join(dataDir, "first");
    const events = sampleEvents({ now: 0, key: "phc_demo" });
    const failures = events.filter(({ event }) => event === "generation_failed");
    const sample = / demo: Sample: /;
    const delivered = async (urlOf: (service: string) => string) =>
      (await (await fetch(`${urlOf("posthog-stand-in")}/api/deliveries`)).json()).delivered;
    const dataset = () => linesIn(join(DATA_DIR, "dataset", "event=generation_failed"));

    const first = await whileDemoRuns([], {
      DATA_DIR,
      async use(urlOf) {
        expect((await fetch(urlOf("web"))).status).toBe(200);
        await until("all was delivered", async () => await delivered(urlOf) === events.length);
        await until("the processor has read all", async () => {
          const { dataset } = await (await fetch(`${urlOf("processor")}/api/status`)).json();
          return dataset.records === failures.length;
        });
      },
    });
    expect(first).toMatch(sample);
    const lines = dataset().sort();
    expect(lines).toHaveLength(failures.length);
    expect(lines.join()).not.toMatch(/@example|4111|900123|hunter2/);

    const second = await whileDemoRuns([], {
      DATA_DIR,
      use: async (urlOf) => expect(await delivered(urlOf)).toBe(events.length),
    });
    expect(second).not.toMatch(sample);
    expect(dataset().sort()).toEqual(lines);
  });

  it("--no-sample plays none, and the next start is no first one any more", async () => {
    const DATA_DIR = join(dataDir, "without");
    const use = async (urlOf: (service: string) => string) => {
      const status = await (await fetch(`${urlOf("posthog-stand-in")}/api/deliveries`)).json();
      expect(status).toMatchObject({ delivered: 0, waiting: 0, inFlight: 0 });
    };
    expect(await whileDemoRuns(["--no-sample"], { DATA_DIR, use })).not.toMatch(/Sample: /);
    expect(await whileDemoRuns([], { DATA_DIR, use })).not.toMatch(/Sample: /);
  });
});
