import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type LogEntry, readJsonLine } from "../runtime/log.ts";
import { post, posthogBody, type Service, startService } from "./support/pipeline.ts";
import { runProgram } from "./support/run_command.ts";
import { openTerminal, whyNoTerminal } from "./support/terminal.ts";
import { until } from "./support/until.ts";

/** What the services log, read as a collector of logs reads it: real processes, their standard error. */
let dataDir: string;
let running: Service[];
beforeEach(async () => {
  dataDir = await Deno.makeTempDir({ prefix: "service-log-" });
  running = [];
});
afterEach(async () => {
  for (const service of running) await service.kill();
  await Deno.remove(dataDir, { recursive: true });
});

async function start(name: "ingest" | "processor", env: Record<string, string> = {}): Promise<Service> {
  const service = await startService(name, { DATA_DIR: dataDir, LOG_FORMAT: "", ...env });
  running.push(service);
  return service;
}

/** Every line is an entry; throws where one is not. */
function entriesIn(text: string): LogEntry[] {
  return text.split("\n").filter((line) => line !== "").map((line) => {
    const entry = readJsonLine(line);
    if (entry === null) throw new Error(`No entry: ${line}`);
    return entry;
  });
}
const linesOf = (service: Service) =>
  entriesIn(service.errors().replace(/[^\n]*$/, "")).map(({ level, service, message }) =>
    `${level} ${service}: ${message}`
  );
const says = (service: Service, line: RegExp) =>
  until(`it says ${line}`, () => linesOf(service).find((one) => line.test(one)), { limitMs: 30_000 });

test("a processor says which partitions it reads, that it has caught up, every dead letter and every mail", async () => {
  const ingest = await start("ingest");
  for (let n = 0; n < 3; n++) {
    await post(ingest.url, posthogBody({ properties: { failure_reason: "timeout", n } }));
  }
  const processor = await start("processor", { DISCOUNT_THRESHOLD: "1", DISCOUNT_WAIT: "100ms" });
  await says(
    processor,
    /^info processor: rebalance: dataset-writer reads partitions 0-5 now \(before: none\)$/,
  );
  await says(processor, /^info processor: rebalance: discount-offers reads partitions 0-5 now/);
  await until(
    "all three letters are named",
    () =>
      linesOf(processor).filter((line) => /^warn processor: dataset-writer: dead letter: /.test(line))
        .length === 3,
  );
  const letters = entriesIn(processor.errors()).filter(({ about }) => about.outcome === "dead_letter");
  expect(letters[0]!.about).toMatchObject({
    loop: "dataset-writer",
    topic: "posthog.webhooks",
    partition: expect.any(Number),
    offset: expect.any(Number),
    step: expect.any(String),
    reason: expect.any(String),
  });
  await says(processor, /^info processor: dataset-writer: caught up with posthog\.webhooks: /);

  const SECRET_PROMPT = "call +44 7911 123456";
  await post(ingest.url, posthogBody({ event: "feature_used", email: "ada@example.com" }));
  await post(
    ingest.url,
    posthogBody({ properties: { input_prompt: SECRET_PROMPT, failure_reason: "timeout" } }),
  );
  await says(processor, /^info processor: offer-sender: mail sent: offer \d+ of user-1$/);
  expect(processor.errors()).not.toMatch(/ada@example|7911/);
  expect(linesOf(processor).filter((line) => line.startsWith("debug"))).toEqual([]);
});

test("LOG_LEVEL=debug has a line per event; error keeps warnings to itself, and the address is said all the same", async () => {
  const ingest = await start("ingest", { LOG_LEVEL: "error", ALLOW_ANONYMOUS: "1" });
  expect(await post(ingest.url, posthogBody())).toBe(200);
  expect(ingest.errors()).toBe("");
  const processor = await start("processor", { LOG_LEVEL: "debug" });
  await says(processor, /^debug processor: generation_failed of user-1: line 1 of event=generation_failed\//);
});

describe("a start that fails", () => {
  const env = () => ({ DATA_DIR: dataDir, INGEST_PORT: "0", LOG_FORMAT: "" });

  test("wrong settings of the log are named beside all others, and each problem is an entry", async () => {
    const { code, stderr } = await runProgram("ingest/main.ts", {
      env: { ...env(), LOG_FORMAT: "xml", LOG_LEVEL: "loud", SPOOL_MAX_BYTES: "none" },
    });
    expect(code).toBe(2);
    const problems = entriesIn(stderr).map(({ level, message }) => `${level} ${message}`);
    expect(problems.sort()).toEqual([
      expect.stringContaining('error Cannot read LOG_FORMAT "xml": expected text or json.'),
      expect.stringContaining('error Cannot read LOG_LEVEL "loud": expected debug or info or warn or error.'),
      expect.stringContaining('error Cannot read SPOOL_MAX_BYTES "none"'),
    ]);
  });

  test("a taken port is named with who has it, the command that frees it, and the next free one", async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    const { code, stderr } = await runProgram("ingest/main.ts", {
      env: { ...env(), INGEST_PORT: `${port}` },
    });
    expect(code).toBe(1);
    const [{ message }] = entriesIn(stderr) as [LogEntry];
    expect(message).toContain(`Cannot listen on 127.0.0.1:${port}: the port is taken. `);
    expect(message).toMatch(/ Or take the next free port: INGEST_PORT=\d+\.$/);
    if (Deno.build.os === "linux") expect(message).toContain(`which listens there: kill ${Deno.pid}. `);
  });
});

const NO_TERMINAL = await whyNoTerminal();

test.skipIf(NO_TERMINAL !== null)(
  "on a terminal it is text, in colours, and what is foreign is escaped",
  async () => {
    const terminal = openTerminal("ingest/main.ts", {
      args: [],
      env: { DATA_DIR: dataDir, INGEST_PORT: "0", ALLOW_ANONYMOUS: "1", NO_COLOR: "" },
    });
    await until("it listens", () => terminal.text().includes("ingest: http"));
    await terminal.type("\x03");
    const { code, text } = await terminal.end;
    expect(code).toBe(0);
    const shown = text.replaceAll("\x1b", "ESC");
    expect(shown).toMatch(
      /^ESC\[2m\d\d:\d\d:\d\dESC\[0m ESC\[33mwarn ESC\[0m ingest: ESC\[33mALLOW_ANONYMOUS/m,
    );
    expect(shown).toMatch(/^ESC\[2m\d\d:\d\d:\d\dESC\[0m info {2}ingest: http/m);
  },
);
