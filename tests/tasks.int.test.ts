import { join, resolve } from "node:path";
import { SMTPServer } from "smtp-server";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { readDockerfile, stageOf } from "./containers/dockerfile.ts";
import { datasetLines, firstUrl, post, posthogBody, untilCaughtUp } from "./support/pipeline.ts";
import { type CommandRun, runTask, spawnTask, type TextStream } from "./support/run_command.ts";
import { until } from "./support/until.ts";

/** The tasks as people start them: each with the rights that its line in deno.json gives it, and no prompt for more. */
const { tasks } = JSON.parse(Deno.readTextFileSync(resolve(import.meta.dirname!, "../deno.json"))) as {
  tasks: Record<string, string>;
};

/** Those that may do everything, and why. */
const UNLIMITED: Record<string, string> = {
  demo: "starts the services, and each of them ends itself by a signal when the demo has gone",
  erase:
    "SQLite's VACUUM, which leaves nothing of a person in a file, attaches a database: Deno allows it with -A",
  bench: "starts the services, kills them, and measures the machine",
  test: "starts everything",
  "test:unit": "reads every source",
};

test("only these tasks may do everything", () => {
  const unlimited = Object.entries(tasks).filter(([, line]) => /deno run -A/.test(line)).map(([name]) =>
    name
  );
  expect(unlimited.sort()).toEqual(Object.keys(UNLIMITED).sort());
});

const rightsIn = (words: readonly string[]) => words.filter((word) => word.startsWith("--allow-"));
const rightsOf = (name: string) => rightsIn(tasks[name]!.split(" "));

test("the services' image gives its programs the rights of the processor's task: ingest's, and what the AWS SDK asks", () => {
  const dockerfile = Deno.readTextFileSync(resolve(import.meta.dirname!, "../Dockerfile"));
  expect(rightsIn(stageOf(readDockerfile(dockerfile), "services").entrypoint)).toEqual(rightsOf("processor"));
  const ofTheSdk = ",uid,homedir,osRelease";
  expect(rightsOf("ingest")).toEqual(rightsOf("processor").map((right) => right.replace(ofTheSdk, "")));
});

test("web's image serves with less than web's task builds by: nothing is written, started, or read beside the app", () => {
  const dockerfile = Deno.readTextFileSync(resolve(import.meta.dirname!, "../Dockerfile"));
  expect(rightsIn(stageOf(readDockerfile(dockerfile), "web").entrypoint)).toEqual([
    "--allow-env",
    "--allow-net",
    "--allow-read=/app/web",
  ]);
});

test("no task asks at a terminal for a right that it lacks: it would wait there for somebody's answer", () => {
  const asking = Object.keys(tasks).filter((name) =>
    rightsOf(name).length > 0 && !tasks[name]!.includes("deno run --no-prompt ")
  );
  expect(asking).toEqual([]);
});

let dataDir: string;
beforeAll(async () => void (dataDir = await Deno.makeTempDir({ prefix: "tasks-" })));
afterAll(() => Deno.remove(dataDir, { recursive: true }));

type Started = { readonly url: string; readonly errors: () => string; stop(): Promise<number> };
const started: Started[] = [];
afterEach(async () => void await Promise.all(started.splice(0).map((service) => service.stop())));

const PORTS = { INGEST_PORT: "0", PROCESSOR_PORT: "0", WEB_PORT: "0", POSTHOG_STAND_IN_PORT: "0" };

async function start(name: string, env: Record<string, string> = {}): Promise<Started> {
  const process = spawnTask(name, { env: { DATA_DIR: dataDir, ...PORTS, ...env } });
  let errors = "";
  const reading = (async () => {
    for await (const text of process.stderr.pipeThrough(new TextDecoderStream() as TextStream)) {
      errors += text;
    }
  })();
  const url = await firstUrl(process.stdout, () => errors);
  let stopped: Promise<number> | null = null;
  const stop = async () => {
    process.kill("SIGTERM");
    await reading;
    return (await process.status).code;
  };
  const service = { url, errors: () => errors, stop: () => stopped ??= stop() };
  started.push(service);
  return service;
}

/** What Deno says where a right is missing. */
const REFUSED = /NotCapable|Requires \w+ access|lets Deno look/;

describe("the services", () => {
  test("carry an event from the stand-in to a line and a mail", async () => {
    const ingest = await start("ingest");
    const processor = await start("processor", { DISCOUNT_THRESHOLD: "1", DISCOUNT_WAIT: "1s" });
    const standIn = await start("posthog-stand-in", { INGEST_URL: ingest.url });
    const captured = await fetch(`${standIn.url}/e/`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        api_key: "phc_test",
        event: "generation_failed",
        distinct_id: "user-1",
        properties: { failure_reason: "timeout", input_prompt: "write a poem" },
      }),
    });
    expect([captured.status, await captured.text()]).toEqual([200, `{"status":"Ok"}`]);
    await until("the line is there", () => datasetLines(dataDir).length === 1);
    expect(await post(ingest.url, posthogBody({ event: "feature_used", email: "a@example.com" }))).toBe(200);
    expect(await post(ingest.url, JSON.stringify({ no: "event" }))).toBe(202);
    await untilCaughtUp(processor.url);
    await until("the mail is there", () => {
      const mails = [...Deno.readDirSync(join(dataDir, "mail", "new"))];
      return mails.length === 1;
    });
    for (const path of ["/metrics", "/api/status", "/api/dead-letters"]) {
      const answer = await fetch(`${processor.url}${path}`);
      expect([path, answer.status, REFUSED.test(await answer.text())]).toEqual([path, 200, false]);
    }
    for (const service of [standIn, ingest, processor]) {
      expect(await service.stop()).toBe(0);
      expect(service.errors()).not.toMatch(REFUSED);
    }
  });

  test("mail by SMTP, greeting by the sender's domain", async () => {
    const greetings: string[] = [];
    const server = new SMTPServer({
      authOptional: true,
      disabledCommands: ["STARTTLS"],
      onData: (stream, session, done) => {
        stream.resume();
        stream.on("end", () => done(null, void greetings.push(session.hostNameAppearsAs)));
      },
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.server.address() as { port: number };
    const place = { DATA_DIR: join(dataDir, "smtp") };
    const ingest = await start("ingest", place);
    const processor = await start("processor", {
      ...place,
      SMTP_URL: `smtp://127.0.0.1:${port}`,
      MAIL_FROM: "offers@example.com",
      PUBLIC_URL: "http://localhost:8000",
      DISCOUNT_THRESHOLD: "1",
      DISCOUNT_WAIT: "1s",
    });
    expect(await post(ingest.url, posthogBody({ event: "feature_used", email: "a@example.com" }))).toBe(200);
    await until("the mail came", () => greetings.length === 1);
    expect(greetings).toEqual(["example.com"]);
    for (const service of [ingest, processor]) {
      expect(await service.stop()).toBe(0);
      expect(service.errors()).not.toMatch(REFUSED);
    }
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });

  test("web builds the page and serves it", { timeout: 150_000 }, async () => {
    const web = await start("web", { FRESH: "npm" });
    expect(await (await fetch(web.url)).text()).toContain("Simulate Generation Failure");
    expect(await web.stop()).toBe(0);
    expect(web.errors()).not.toMatch(REFUSED);
  });
});

describe("the commands, on what the services left", () => {
  const run = (task: string): Promise<CommandRun> => {
    const [name, ...args] = task.replaceAll("DATA", dataDir).split(" ");
    return runTask(name!, { args, env: { DATA_DIR: dataDir } });
  };

  test.each([
    ["lag", /dataset-writer/],
    ["dead-letters list", /^0:0 /m],
    ["dead-letters show 0:0", /"no":"event"/],
    ["dead-letters redrive 0:0", /redriven/],
    ["offers list", /offered/],
    ["offers show user-1", /./],
    ["dataset stats", /generation_failed/],
    ["dataset verify", /Verified 1 records/],
    ["dataset cat", /write a poem/],
    ["dataset export --format parquet --to DATA/parquet", /Exported 1 records/],
    ["dataset export --format hf --to DATA/hf", /Exported 1 records/],
    ["replay --check", /1 lines/],
    ["replay", /1 lines/],
    ["suppress DATA/addresses", /1 suppressed/],
    ["backfill --file DATA/events.jsonl", /1 published/],
  ])("%s", async (task, answer) => {
    await Deno.writeTextFile(join(dataDir, "addresses"), "b@example.com\n");
    const event = { uuid: crypto.randomUUID(), event: "generation_failed", distinct_id: "user-2" };
    await Deno.writeTextFile(
      join(dataDir, "events.jsonl"),
      JSON.stringify({ ...event, properties: {}, timestamp: new Date().toISOString() }) + "\n",
    );
    const { stdout, stderr } = await run(task);
    expect(stdout + stderr).not.toMatch(REFUSED);
    expect(stdout + stderr).toMatch(answer);
  });

  test("sanitise, a file and standard input", async () => {
    const file = join(dataDir, "text");
    await Deno.writeTextFile(file, "mail a@example.com\n");
    const cleaned = { code: 0, stdout: "mail <EMAIL_ADDRESS>\n", stderr: "" };
    expect(await runTask("sanitise", { args: [file] })).toEqual(cleaned);
    expect(await runTask("sanitise", { stdin: "mail a@example.com\n" })).toEqual(cleaned);
  });
});
