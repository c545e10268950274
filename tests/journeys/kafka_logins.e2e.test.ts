import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { whyNoKafka } from "../support/kafka_broker.ts";
import { type SecuredBroker, startSecuredBroker, user } from "../support/kafka_security.ts";
import { post, posthogBody, type Service } from "../support/pipeline.ts";
import { pipelinePerTest } from "../support/pipeline_per_test.ts";
import { runProgram } from "../support/run_command.ts";
import { until } from "../support/until.ts";

/** Every service and command by each login that a broker may ask for, and with just the rights of docs/kafka.md. */
const why = await whyNoKafka();

/** A login by password ends after so long, and must have been renewed by then. */
const LOGIN_MS = 3_000;

describe("A broker that asks who one is", () => {
  if (why !== null) {
    test("lets every service and command in", (running) => running.skip(why));
    return;
  }
  let secured: SecuredBroker;
  let dataDir: string;
  let env: Record<string, string>;
  const { start: startWith, worksFor } = pipelinePerTest({
    kafka: async () => {
      secured = await startSecuredBroker({ others: ["pipeline"], reauthMs: LOGIN_MS });
      return { ...secured.broker, stop: secured.stop };
    },
    env: { PIPELINE_SECRET: "one secret for both of them", DISCOUNT_WAIT: "300ms" },
    place: (place) => ({ dataDir, env } = place),
  });
  const start = (name: "ingest" | "processor") => startWith(name, env);
  /** Every loop has logged in, and is a member of its group. */
  const untilReady = (processor: Service) =>
    until("the processor is ready", async () => {
      const { ok, body } = await fetch(`${processor.url}/readyz`);
      await body?.cancel();
      return ok;
    });
  const command = (path: string, ...args: string[]) => runProgram(`tools/${path}`, { args, env });

  /** Of every kind: reading lag and letters, publishing, rebuilding. */
  async function everyCommandWorks(ingest: Service) {
    expect(await post(ingest.url, posthogBody({ distinctId: "ada", properties: {} }))).toBe(200);
    await until(
      "there is a letter",
      async () => (await command("dead_letters.ts", "list")).stdout.includes("0:0"),
    );
    expect(await command("lag.ts", "--json")).toMatchObject({ code: 0, stderr: "" });
    const letters = await command("dead_letters.ts", "list", "--json");
    expect(letters).toMatchObject({ code: 0, stdout: expect.stringContaining("input_prompt is missing") });
    expect(await command("offers.ts", "list")).toMatchObject({ code: 0 });
    expect(await command("replay/main.ts", "--to", join(dataDir, "rebuilt"))).toMatchObject({ code: 0 });
    expect(await command("erase/main.ts", "ada")).toMatchObject({ code: 0 });
  }

  test("PLAIN: everything works, also after every login has ended and was renewed", async () => {
    env = { ...env, ...secured.routes.sasl, ...user("PLAIN", "plain") };
    const [ingest, processor] = [await start("ingest"), await start("processor")];
    await worksFor("ada", { ingest, processor });
    const from = performance.now();
    await until("every login would have ended", () => performance.now() - from > LOGIN_MS + 1_000);
    await worksFor("eve", { ingest, processor });
    expect(ingest.errors()).not.toMatch(/the log is away/);
    expect(processor.errors()).not.toMatch(/Cannot|warn|error/);
    await everyCommandWorks(ingest);
  }, 120_000);

  test.each([
    ["SCRAM-SHA-256", () => ({ ...secured.routes.sasl, ...user("SCRAM-SHA-256", "scram") })],
    ["SCRAM-SHA-512 over TLS", () => ({ ...secured.routes.both, ...user("SCRAM-SHA-512", "scram") })],
    ["TLS with a client certificate", () => secured.routes.mutual],
  ])("%s: the processor's loops log in, and so does a command", async (_, login) => {
    env = { ...env, ...login() };
    const processor = await start("processor");
    await untilReady(processor);
    expect(await command("lag.ts", "--json")).toMatchObject({ code: 0, stderr: "" });
    expect(processor.errors()).not.toMatch(/Cannot/);
  }, 60_000);

  test("a user with just the rights of docs/kafka.md runs every service and command", async () => {
    for (const args of aclsOfThePage()) await secured.broker.acls(args);
    env = { ...env, ...secured.routes.sasl, ...user("PLAIN", "pipeline"), KAFKA_TOPIC_PREFIX: "" };
    const [ingest, processor] = [await start("ingest"), await start("processor")];
    await untilReady(processor);
    await worksFor("ada", { ingest, processor });
    await everyCommandWorks(ingest);
    expect(`${ingest.errors()}${processor.errors()}`).not.toMatch(/not authorised/);
  }, 120_000);

  test.each([
    "ingest/main.ts",
    "processor/main.ts",
    "tools/lag.ts",
    "tools/erase/main.ts",
    "tools/replay/main.ts",
  ])(
    "%s: a missing KAFKA_SSL_CA is a problem of the configuration",
    async (path) => {
      const file = join(dataDir, "nowhere.pem");
      const args = path.includes("erase") ? ["ada"] : [];
      const ended = await runProgram(path, {
        args,
        env: { ...env, ...secured.routes.tls, KAFKA_SSL_CA: file },
      });
      // A command says the sentence alone, a service as an entry of its log.
      const words = /^(?:\S+ error +\w+: )?Cannot read KAFKA_SSL_CA "/m;
      expect(ended).toMatchObject({ code: 2, stderr: expect.stringMatching(words) });
    },
  );
});

/** The arguments of each `kafka-acls` on the page, but for where the broker is. */
function aclsOfThePage(): string[][] {
  const page = Deno.readTextFileSync(new URL("../../docs/kafka.md", import.meta.url)).replaceAll("\\\n", " ");
  const found = [...page.matchAll(/^kafka-acls --bootstrap-server HOST:PORT (.*)$/gm)];
  expect(found).toHaveLength(2);
  return found.map(([, args]) => args!.trim().split(/\s+/));
}
