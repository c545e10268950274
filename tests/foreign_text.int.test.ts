import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { deadLetterRecord } from "../contract/dead_letter.ts";
import { DEAD_LETTER_TOPIC, WEBHOOKS_TOPIC } from "../contract/names.ts";
import { SECRET } from "../processor/dataset/fixtures/run.ts";
import { failed, processorRuns, publishInto, uses, withLog } from "../tools/erase/fixtures/pipeline.ts";
import { runProgram } from "./support/run_command.ts";
import { until } from "./support/until.ts";

/**
 * A webhook's distinct_id, the reason of a letter or a file's name reached the operator's terminal as it was: it could
 * clear the screen, rewrite lines above, turn text round, and pass for a line of the command's own.
 */
const HOSTILE = "\x1b[2J\x1b]0;t\x07\x9b31m\x7f\u202etxt\u2066\r\nFORGED: all is well";
// deno-lint-ignore no-control-regex
const OBEYED = /[\0-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]|^FORGED/m;

let parent: string;
let dataDir: string;
let env: Record<string, string>;

beforeAll(async () => {
  parent = await Deno.makeTempDir({ prefix: "foreign-" });
  dataDir = join(parent, `data ${HOSTILE}`);
  Deno.mkdirSync(dataDir);
  env = {
    DATA_DIR: dataDir,
    PIPELINE_SECRET: SECRET,
    DISCOUNT_WAIT: "100ms",
    DISCOUNT_MAX_EVENT_AGE: "3650d",
    TRAINING_EVENTS: `generation_failed,${HOSTILE.replace(/[\r\n]/g, "")}`,
  };
  const context = { dataDir, env };
  await publishInto(dataDir, [
    ...uses(5, HOSTILE, { email: "jane@example.org" }),
    failed(HOSTILE, "a prompt"),
  ]);
  const args = ["resend", HOSTILE, "--reason", HOSTILE];
  const resend = async () => (await runProgram("tools/offers.ts", { args, env })).code === 0;
  await processorRuns(context, () => until("the offer was sent, and is opened again", resend));
  await processorRuns(context);
  await withLog(dataDir, async (log) => {
    const source = { ...failed(HOSTILE, 5), partition: 0, offset: 7 };
    const letter = deadLetterRecord(source as never, {
      topic: WEBHOOKS_TOPIC,
      step: "parse",
      reason: HOSTILE,
    });
    await log.publish(DEAD_LETTER_TOPIC, [{
      ...letter,
      headers: { ...letter.headers, event: HOSTILE },
    }]);
  });
  Deno.writeTextFileSync(join(dataDir, "dataset", `event=${HOSTILE}.jsonl`), "{}\n");
  const line = JSON.stringify({ event: HOSTILE, distinct_id: "" });
  Deno.writeTextFileSync(join(parent, `events ${HOSTILE}.jsonl`), `${line}\n${HOSTILE}\n`);
}, 120_000);
afterAll(() => Deno.remove(parent, { recursive: true }));

const OFFERS = "tools/offers.ts";
const LETTERS = "tools/dead_letters.ts";
const DATASET = "tools/dataset/main.ts";
const ERASE = "tools/erase/main.ts";
const REPLAY = "tools/replay/main.ts";

/** The program, its arguments, and whether what it prints has a foreign text in it. */
const RUNS: readonly (readonly [program: string, args: readonly string[], isForeign: boolean])[] = [
  [OFFERS, ["show", HOSTILE], true],
  [OFFERS, ["show", HOSTILE, "--json"], true],
  [OFFERS, ["show", `${HOSTILE}x`], true],
  [OFFERS, ["list"], false],
  [OFFERS, ["list", "--json"], false],
  [OFFERS, ["resend", `${HOSTILE}x`, "--reason", "x"], true],
  [OFFERS, [HOSTILE], true],
  [LETTERS, ["list", "--all"], true],
  [LETTERS, ["list", "--json"], true],
  [LETTERS, ["show", "0:0"], true],
  [LETTERS, ["show", "0:0", "--json"], true],
  [LETTERS, ["show", HOSTILE], true],
  [LETTERS, ["redrive", "--all", "--dry-run"], true],
  [LETTERS, ["redrive", "--all", "--dry-run", "--json"], true],
  [LETTERS, ["dismiss", HOSTILE, "--reason", HOSTILE], true],
  [LETTERS, [HOSTILE], true],
  [ERASE, [HOSTILE, "--dry-run"], true],
  [ERASE, [HOSTILE, "--dry-run", "--json"], true],
  [ERASE, [`${HOSTILE}x`], true],
  [ERASE, ["jane@example.org"], true],
  [ERASE, [`--${HOSTILE}`], true],
  [DATASET, ["stats"], false],
  [DATASET, ["stats", "--json"], false],
  [DATASET, ["verify"], true],
  [DATASET, ["verify", "--json"], true],
  [DATASET, ["export", "--format", HOSTILE, "--to", "x"], true],
  [DATASET, [HOSTILE], true],
  ["tools/lag.ts", [HOSTILE], true],
  ["tools/lag.ts", [], false],
  ["tools/skip.ts", [HOSTILE, "--reason", HOSTILE], true],
  ["tools/suppress.ts", [HOSTILE], true],
  ["tools/sanitise.ts", [HOSTILE], true],
  ["tools/backfill/main.ts", ["--file", HOSTILE], true],
  [REPLAY, ["--check"], false],
  [REPLAY, ["--until-time", HOSTILE, "--to", "x"], true],
  [REPLAY, [HOSTILE], true],
  ["ingest/main.ts", [HOSTILE], true],
  ["processor/main.ts", [HOSTILE], true],
  ["demo/stand_in/main.ts", [HOSTILE], true],
  ["demo/main.ts", [HOSTILE], true],
  ["demo/traffic.ts", [HOSTILE], true],
];

test("no command is left out", () => {
  const tasks: Record<string, string> = JSON.parse(Deno.readTextFileSync("deno.json")).tasks;
  const programs = Object.values(tasks).flatMap((task) =>
    /\b(ingest|processor|tools|demo)\/\S+\.ts/.exec(task)?.[0] ?? []
  );
  expect(programs.length).toBeGreaterThan(10);
  expect(programs.filter((program) => !RUNS.some(([run]) => run === program))).toEqual([]);
});

async function shown(program: string, args: readonly string[], more: Record<string, string> = {}) {
  const { stdout, stderr } = await runProgram(program, { args, env: { ...env, ...more } });
  expect(stdout + stderr).not.toBe("");
  expect(stdout).not.toMatch(OBEYED);
  expect(stderr).not.toMatch(OBEYED);
  return stdout + stderr;
}

const nameOf = (text: string) => text.replaceAll(HOSTILE, "HOSTILE");

describe("foreign text is shown and not carried out", () => {
  test.each(
    RUNS.map(([program, args, isForeign]) =>
      [`${program} ${args.map(nameOf).join(" ")}`, { program, args, isForeign }] as const
    ),
  )("%s", async (_, { program, args, isForeign }) => {
    const text = await shown(program, args);
    if (isForeign) expect(text).toMatch(/\\(x1b|u001b)\[2J/);
  });

  test("in the names of directories and files", async () => {
    const missing = { DATA_DIR: join(parent, `no ${HOSTILE}`) };
    for (
      const [program, ...args] of [[OFFERS, "list"], [LETTERS, "list"], [DATASET, "stats"], [ERASE, "x"]]
    ) {
      expect(await shown(program!, args, missing)).toContain("\\x1b[2J");
    }
    const file = join(parent, `events ${HOSTILE}.jsonl`);
    await shown("tools/backfill/main.ts", ["--file", file, "--from", "2025-01-01", "--until", "2026-01-01"]);
    await shown("tools/backfill/main.ts", ["--file", file]);
    for (const format of ["parquet", "chat-jsonl", "hf"]) {
      await shown(DATASET, ["export", "--format", format, "--to", join(parent, `to ${format} ${HOSTILE}`)]);
    }
    expect(await shown(REPLAY, ["--to", join(parent, `to ${HOSTILE}`)])).toContain("records");
  });

  test("in the settings of a service", async () => {
    for (const program of ["ingest/main.ts", "processor/main.ts"]) {
      await shown(program, [], { DISCOUNT_WAIT: HOSTILE, SPOOL_MAX_BYTES: HOSTILE, HOST: HOSTILE });
    }
  });

  test("in what a filter answers as JSON, with the same meaning", async () => {
    const text = "a \u202etext\u2069 that turns round";
    const { stdout } = await runProgram("tools/sanitise.ts", {
      args: ["--json"],
      stdin: `${JSON.stringify({ text })}\n`,
    });
    expect(stdout).not.toMatch(OBEYED);
    expect(JSON.parse(stdout).text).toBe(text);
    const plain = await runProgram("tools/sanitise.ts", { stdin: `${text}\n` });
    expect(plain.stdout).toBe(`${text}\n`);
  });
});
