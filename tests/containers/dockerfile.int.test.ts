import { join, resolve } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { whyJsrUnavailable } from "../../serve_web/build.ts";
import { readComposeFile } from "./compose_file.ts";
import { dockerIgnore, readDockerfile, stageOf } from "./dockerfile.ts";
import { below, buildStage, containerCommand } from "./dockerfile_steps.ts";
import { type KafkaBroker, startKafkaBroker, whyNoKafka } from "../support/kafka_broker.ts";
import { datasetFiles, post } from "../support/pipeline.ts";
import type { TextStream } from "../support/run_command.ts";
import { until } from "../support/until.ts";

/** The Dockerfile's steps as plain commands in clean folders, and what comes out of them run as its containers run it. */
const ROOT = resolve(import.meta.dirname!, "../..");
const read = (path: string) => Deno.readTextFileSync(join(ROOT, path));
const dockerfile = readDockerfile(read("Dockerfile"));
const compose = readComposeFile(read("compose.yaml"), {});
const whyJsr = await whyJsrUnavailable(resolve(import.meta.dirname!, "../../web"));
const whyKafka = await whyNoKafka();

const WEBHOOK = JSON.stringify({
  event: "generation_failed",
  distinct_id: "019ad56c-5168-7457-bac6-82981da45fb3",
  properties: { failure_reason: "timeout", input_prompt: "write a poem" },
  timestamp: "2025-11-30T16:38:21.968Z",
});

let work: string;
let services: string;
let web: string;
const started: Deno.ChildProcess[] = [];

const build = (into: string, fresh: "jsr" | "npm") => ({
  dockerfile,
  context: ROOT,
  into,
  args: { FRESH: fresh },
});

beforeAll(async () => {
  work = await Deno.makeTempDir({ prefix: "dockerfile-" });
  for (const folder of ["stages", "bin", "deno-dir"]) await Deno.mkdir(join(work, folder));
  await Deno.chmod(work, 0o755); // Read by a user who isn't the one that runs the tests.
  await Deno.copyFile(Deno.execPath(), join(work, "bin/deno"));
  services = await buildStage("services", build(join(work, "stages"), "npm"));
  web = await buildStage("web", build(join(work, "stages"), "npm"));
});
afterEach(async () => {
  for (const process of started.splice(0)) {
    try {
      process.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
    await process.status;
  }
});
afterAll(() => Deno.remove(work, { recursive: true }));

/**
 * Starts a stage's container: its entry point and environment, its user where the tests are root's, and nothing of this
 * machine: no downloads made before, no registry to make one from, and no folder of Deno's that it could write to.
 */
function container(
  name: "services" | "web",
  { command, env = {}, descriptors }: {
    command?: readonly string[];
    env?: Record<string, string>;
    /** Most files and connections that it may have open. */
    descriptors?: number;
  },
): Deno.ChildProcess {
  const stage = stageOf(dockerfile, name);
  const root = name === "web" ? web : services;
  const [uid, gid] = stage.user!.split(":");
  const asUser = Deno.uid() === 0 ? ["setpriv", `--reuid=${uid}`, `--regid=${gid}`, "--clear-groups"] : [];
  const limited = descriptors === undefined ? [] : ["sh", "-c", `ulimit -n ${descriptors}; exec "$@"`, "sh"];
  const [program, ...args] = [
    ...limited,
    ...asUser,
    ...containerCommand(stage, root, command ?? stage.command),
  ];
  const environment = { ...stage.environment, ...env };
  const child = new Deno.Command(program!, {
    args,
    cwd: join(root, stage.workdir),
    clearEnv: true,
    env: {
      PATH: `${join(work, "bin")}:/usr/bin:/bin`,
      DENO_DIR: join(work, "deno-dir"),
      NPM_CONFIG_REGISTRY: "http://127.0.0.1:1",
      JSR_URL: "http://127.0.0.1:1",
      NO_COLOR: "1",
      ...Object.fromEntries(Object.entries(environment).map(([key, value]) => [key, below(root, value)])),
    },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  started.push(child);
  return child;
}

async function toItsEnd(child: Deno.ChildProcess): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** The address that a container prints; it goes on running, and what it prints later is thrown away. */
async function firstUrl(child: Deno.ChildProcess): Promise<string> {
  let seen = "";
  const reading = [child.stdout, child.stderr].map(async (stream) => {
    for await (const text of stream.pipeThrough(new TextDecoderStream() as TextStream)) seen += text;
  });
  const ended = Promise.all(reading).then(() => true);
  const over = { yet: false };
  ended.then(() => over.yet = true);
  const address = () => /http:\/\/(?:127\.0\.0\.1|localhost):\d+/.exec(seen)?.[0];
  const url = await until("it listens", () => address() ?? (over.yet && "ended"));
  if (url === "ended") throw new Error(`The container ended before it listened:\n${seen}`);
  return url;
}

/** compose.yaml's environment of a service, on this machine's loopback and any free port. */
function onLoopback(name: string, more: Record<string, string> = {}): Record<string, string> {
  const ports = { INGEST_PORT: "0", PROCESSOR_PORT: "0", POSTHOG_STAND_IN_PORT: "0", WEB_PORT: "0" };
  return { ...compose.services[name]!.environment, ...ports, HOST: "127.0.0.1", ...more };
}

const PROGRAMS: { name: string; wrong: Record<string, string>; says: RegExp }[] = [
  {
    name: "ingest",
    wrong: { KAFKA_BROKERS: "nowhere", ALLOW_ANONYMOUS: "0", HOST: "0.0.0.0" },
    says: /HOST \\?"0\.0\.0\.0\\?"/,
  },
  { name: "processor", wrong: { MAIL_FROM: "" }, says: /MAIL_FROM/ },
  { name: "posthog-stand-in", wrong: { POSTHOG_STAND_IN_PORT: "none" }, says: /POSTHOG_STAND_IN_PORT/ },
];

describe("the image of the services", () => {
  test.each(PROGRAMS)(
    "holds what $name needs, and refuses a wrong configuration with exit 2",
    async (program) => {
      const { command } = compose.services[program.name]!;
      const help = await toItsEnd(container("services", { command: [...command!, "--help"] }));
      expect(help).toMatchObject({ code: 0, stderr: "" });
      expect(help.stdout).toContain(program.name);
      const env = { ...compose.services[program.name]!.environment, ...program.wrong };
      const wrong = await toItsEnd(container("services", { command, env }));
      expect(wrong.code).toBe(2);
      expect(wrong.stderr).toMatch(program.says);
    },
  );

  test("holds everything that its programs and commands import, and their types", async () => {
    const programs = PROGRAMS.map(({ name }) => compose.services[name]!.command![0]!);
    const { code, stderr } = await toItsEnd(
      new Deno.Command(Deno.execPath(), {
        args: ["check", "--quiet", ...programs, ...commandsOf().map(({ path }) => path)],
        cwd: join(services, "app"),
        env: { NO_COLOR: "1" },
        stdout: "piped",
        stderr: "piped",
      }).spawn(),
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });

  test("runs the commands, as `docker compose exec processor deno task …` does", async () => {
    const [command] = commandsOf().filter(({ name }) => name === "lag");
    const process = new Deno.Command(join(work, "bin/deno"), {
      args: ["task", command!.name, "--help"],
      cwd: join(services, "app"),
      clearEnv: true,
      env: { PATH: `${join(work, "bin")}:/usr/bin:/bin`, DENO_DIR: join(work, "deno-dir"), NO_COLOR: "1" },
      uid: Deno.uid() === 0 ? 1993 : undefined,
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const { code, stdout } = await toItsEnd(process);
    expect(code).toBe(0);
    expect(stdout).toContain("lag");
  });

  test("has a place for data that its user owns, and nothing else that this user may write", async () => {
    const stat = await Deno.stat(join(services, "data"));
    if (Deno.uid() === 0) expect(`${stat.uid}:${stat.gid}`).toBe(stageOf(dockerfile, "services").user);
    const app = await Deno.stat(join(services, "app"));
    expect([app.uid, (app.mode ?? 0) & 0o022]).toEqual([Deno.uid(), 0]);
  });

  test("takes webhooks into the spool of its volume while there is no broker", async () => {
    const env = onLoopback("ingest", { KAFKA_BROKERS: "127.0.0.1:1", DATA_DIR: "/data/spooling" });
    const { command } = compose.services.ingest!;
    const url = await firstUrl(container("services", { command, env }));
    expect(await post(url, WEBHOOK)).toBe(200);
    const ready = await (await fetch(`${url}/readyz`)).json();
    expect(ready).toMatchObject({ durable: "spool", spooled: 1 });
    expect([...Deno.readDirSync(join(services, "data/spooling/spool"))].length).toBeGreaterThan(0);
  });

  test("keeps webhooks in the embedded log where no broker is named, with the rights that it gives itself", async () => {
    const env = onLoopback("ingest", { KAFKA_BROKERS: "", DATA_DIR: "/data/embedded" });
    const { command } = compose.services.ingest!;
    const url = await firstUrl(container("services", { command, env }));
    expect(await post(url, WEBHOOK)).toBe(200);
    expect(await (await fetch(`${url}/readyz`)).json()).toMatchObject({ durable: "log", spooled: 0 });
  });

  test("does its work on a real broker with the rights that it gives itself", async (running) => {
    if (whyKafka !== null) return running.skip(whyKafka);
    const broker: KafkaBroker = await startKafkaBroker();
    try {
      const log = {
        KAFKA_BROKERS: broker.brokers,
        KAFKA_TOPIC_PREFIX: `t${crypto.randomUUID()}.`,
        DATA_DIR: "/data/working",
      };
      const start = (name: "ingest" | "processor") =>
        firstUrl(container("services", {
          command: compose.services[name]!.command,
          // A mail server is another container: here mails are files.
          env: { ...onLoopback(name, log), SMTP_URL: "", MAIL_FROM: "" },
        }));
      const [ingest] = await Promise.all([start("ingest"), start("processor")]);
      expect(await post(ingest, WEBHOOK)).toBe(200);
      const dataDir = join(services, "data/working");
      const files = await until("the line is there", () => {
        const files = datasetFiles(dataDir);
        return files.size > 0 && files;
      });
      expect([...files.values()].join("")).toContain('"input_prompt":"write a poem"');
    } finally {
      await broker.stop();
    }
  });
});

describe("the image of web", () => {
  test("serves the page on fresh-npm as its container does, names it, and stops at SIGTERM", async () => {
    const child = container("web", { env: onLoopback("web") });
    const url = await firstUrl(child);
    const page = await fetch(url);
    expect(page.status).toBe(200);
    expect(await page.text()).toContain("Fresh (npm)");
    const style = await fetch(`${url}/styles.css`);
    expect([style.status, (await style.text()).length > 100]).toEqual([200, true]);
    child.kill("SIGTERM");
    expect(await child.status).toMatchObject({ code: 0 });
  });

  /** It ran `deno serve`, which has no bounds: whoever opened enough connections ended it. */
  test("bounds its connections and reads heads strictly, as `deno task web` does", async () => {
    const child = container("web", { env: onLoopback("web"), descriptors: 150 });
    let ended = false;
    void child.status.then(() => ended = true);
    const address = { hostname: "127.0.0.1", port: Number(new URL(await firstUrl(child)).port) };
    const held: Deno.TcpConn[] = [];
    try {
      for (let i = 0; i < 300; i++) held.push(await Deno.connect(address));
      const page = await until("the page is served", async () => {
        if (ended) throw new Error("It ended.");
        const init = { headers: { connection: "close" }, signal: AbortSignal.timeout(5_000) };
        const response = await fetch(`http://127.0.0.1:${address.port}`, init).catch(() => null);
        return response?.ok && await response.text();
      });
      expect(page).toContain("Simulate Generation Failure");
      const twoReadersDiffer = await Deno.connect(address);
      held.push(twoReadersDiffer);
      const framedTwice = ["content-length: 5", "transfer-encoding: chunked", "", "0", "", ""];
      const head = ["POST /relay/e/ HTTP/1.1", "host: localhost", ...framedTwice].join("\r\n");
      await twoReadersDiffer.write(new TextEncoder().encode(head));
      const buffer = new Uint8Array(1_000);
      const length = await twoReadersDiffer.read(buffer);
      expect(new TextDecoder().decode(buffer.subarray(0, length!))).toMatch(/^HTTP\/1\.1 400 /);
      expect(ended).toBe(false);
    } finally {
      for (const conn of held) conn.close();
    }
  });

  test("is built with Fresh itself from JSR", { timeout: 180_000 }, async (running) => {
    if (whyJsr !== null) return running.skip(whyJsr);
    const into = await Deno.makeTempDir({ prefix: "dockerfile-jsr-" });
    try {
      const root = await buildStage("web", build(into, "jsr"));
      const { fresh } = JSON.parse(await Deno.readTextFile(join(root, "app/web/_fresh/built_from.json")));
      expect(fresh).toBe("jsr");
    } finally {
      await Deno.remove(into, { recursive: true });
    }
  });
});

test("secrets, data, tests and what was built outside stay out of every image", () => {
  const ignored = dockerIgnore(read(".dockerignore"));
  for (
    const path of [
      ".env",
      ".env.local",
      ".git/config",
      "data/log.db",
      "node_modules/zod/index.js",
      "web/node_modules/x",
    ]
  ) expect(ignored(path), path).toBe(true);
  for (
    const path of [
      "web/_fresh/server.js",
      "ingest/config.test.ts",
      "processor/fixtures/x.ts",
      "tests/support/until.ts",
    ]
  ) {
    expect(ignored(path), path).toBe(true);
  }
  for (
    const path of [
      "ingest/main.ts",
      "deno.lock",
      "web/static/styles.css",
      "runtime/durable_file.ts",
    ]
  ) {
    expect(ignored(path), path).toBe(false);
  }
});

/** Commands of deno.json that live in tools/. */
function commandsOf(): { name: string; path: string }[] {
  const { tasks } = JSON.parse(read("deno.json")) as { tasks: Record<string, string> };
  return Object.entries(tasks).flatMap(([name, line]) => {
    const path = /^(?:\w+=\S* )*deno run (?:-\S+ )+(tools\/\S+\.ts)/.exec(line)?.[1];
    return path && existsInRepository(path) ? [{ name, path }] : [];
  });
}

function existsInRepository(path: string): boolean {
  try {
    return Deno.statSync(join(ROOT, path)).isFile;
  } catch {
    return false;
  }
}
