import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { refusedFile } from "../contract/refused_webhook.ts";
import { SECRET } from "../processor/dataset/fixtures/run.ts";
import { failed, processorRuns, publishInto, uses } from "../tools/erase/fixtures/pipeline.ts";
import { runProgram, spawnProgram, type TextStream } from "./support/run_command.ts";
import { openTerminal, whyNoTerminal } from "./support/terminal.ts";
import { until } from "./support/until.ts";

/** What every command has alike: docs/commands.md. */

let parent: string;
let dataDir: string;
let env: Record<string, string>;

// deno-lint-ignore no-control-regex
const PAINT = /\x1b\[\d+m/g;
const PERSONAL = "pat.personal@example.org";
const LONG = "an id that is longer than any column of a terminal should ever be";

beforeAll(async () => {
  parent = await Deno.makeTempDir({ prefix: "commands-" });
  dataDir = join(parent, "data");
  Deno.mkdirSync(dataDir);
  env = {
    DATA_DIR: dataDir,
    PIPELINE_SECRET: SECRET,
    DISCOUNT_WAIT: "100ms",
    DISCOUNT_MAX_EVENT_AGE: "3650d",
  };
  await publishInto(dataDir, [
    ...uses(5, "user-plain", { email: "a@example.org" }),
    ...uses(5, PERSONAL, { email: "b@example.org" }),
    ...uses(5, LONG, { email: "c@example.org" }),
    failed("user-plain", "a prompt"),
    failed("user-plain", 5),
    failed("user-plain", 6),
  ]);
  const areOffered = async () =>
    (await run(OFFERS, ["list", "--json"])).stdout.split('"state":"offered"').length === 4;
  await processorRuns({ dataDir, env }, () => until("three offers are known to be sent", areOffered));
  const refused = join(dataDir, "spool", "refused");
  Deno.mkdirSync(refused, { recursive: true });
  const bytes = new TextEncoder().encode("{}");
  const record = { key: bytes, value: bytes, headers: {}, timestamp: 1 };
  Deno.writeFileSync(join(refused, "1-0.json"), refusedFile({ record, reason: "too large" }));
  Deno.writeTextFileSync(join(parent, "addresses"), "d@example.org\n");
  Deno.writeTextFileSync(join(parent, "empty.jsonl"), "");
}, 120_000);
afterAll(() => Deno.remove(parent, { recursive: true }));

const LETTERS = "tools/dead_letters.ts";
const OFFERS = "tools/offers.ts";
const DATASET = "tools/dataset/main.ts";
const run = (program: string, args: readonly string[], more: Record<string, string> = {}) =>
  runProgram(program, { args: args.map((arg) => arg.replace("PARENT", parent)), env: { ...env, ...more } });

describe("--json", () => {
  /** How many lines; each is one object. */
  test.each<[string, readonly string[], number]>([
    [LETTERS, ["list"], 3],
    [LETTERS, ["list", "--all"], 3],
    [LETTERS, ["show", "0:0"], 1],
    [LETTERS, ["redrive", "--all", "--dry-run"], 3],
    [LETTERS, ["dismiss", "0:0", "--reason", "x"], 1],
    [OFFERS, ["list"], 3],
    [OFFERS, ["show", "user-plain"], 1],
    [OFFERS, ["resend", "user-plain", "--reason", "x"], 1],
    ["tools/suppress.ts", ["PARENT/addresses"], 1],
    ["tools/erase/main.ts", ["user-plain", "--dry-run"], 1],
    ["tools/replay/main.ts", ["--check"], 1],
    ["tools/replay/main.ts", ["--to", "PARENT/replayed"], 1],
    ["tools/backfill/main.ts", ["--file", "PARENT/empty.jsonl"], 1],
    [DATASET, ["stats"], 1],
    [DATASET, ["verify"], 1],
    [DATASET, ["export", "--format", "chat-jsonl", "--to", "PARENT/chat"], 1],
  ])("of %s %j is one object a line", async (program, args, count) => {
    const { code, stdout, stderr } = await run(program, [...args, "--json"], {
      FORCE_COLOR: "1",
      NO_COLOR: "",
    });
    expect([code, stderr.replace(/^replay: .*\n/gm, "")]).toEqual([0, ""]);
    const lines = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
    expect(lines).toHaveLength(count);
    for (const line of lines) expect([typeof line, Array.isArray(line)]).toEqual(["object", false]);
    for (const at of stdout.matchAll(/"(?:at|firstSeen|\w+At)":"([^"]*)"/g)) {
      expect(at[1]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    }
  });

  test("of lag is one array", async () => {
    const { stdout } = await run("tools/lag.ts", ["--json"]);
    expect(JSON.parse(stdout)).toMatchObject([{ group: "dataset-writer" }, { group: "discount-offers" }]);
  });
});

describe("offers list", () => {
  test("names whom it can, as the dataset does, and says why not the others", async () => {
    const { stdout } = await run(OFFERS, ["list", "--json"]);
    const said = stdout.trimEnd().split("\n").map((line) => JSON.parse(line))
      .map(({ distinctId, distinctIdWithheld: why }) => [distinctId, why]);
    expect(said).toHaveLength(3);
    expect(said).toEqual(
      expect.arrayContaining([["user-plain", undefined], [LONG, undefined], [null, "personal"]]),
    );
    expect(stdout).not.toContain(PERSONAL);
  });

  test("shows the offers also while the broker is away, and says that the ids are not to be had", async () => {
    const { code, stdout } = await run(OFFERS, ["list", "--json"], { KAFKA_BROKERS: "127.0.0.1:9" });
    const lines = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
    expect(code).toBe(0);
    expect(lines.map(({ distinctIdWithheld }) => distinctIdWithheld)).toEqual(Array(3).fill("log_away"));
  });

  test("fits 100 columns, with ids that show takes", async () => {
    const { stdout } = await run(OFFERS, ["list"]);
    const [head, ...rows] = stdout.trimEnd().split("\n");
    expect(head).toMatch(/^ID +STATE +USES +EARNED +SENT +REASON$/);
    for (const row of rows) expect(row.length).toBeLessThanOrEqual(100);
    const ids = rows.slice(0, 3).map((row) => row.split(" ")[0]!).sort();
    expect(ids).toEqual([expect.stringMatching(/^person-/), expect.stringMatching(/^person-/), "user-plain"]);
    for (const id of ids) expect((await run(OFFERS, ["show", id])).code).toBe(0);
    expect(rows.at(-1)).toBe(
      "person-… where the distinct_id is personal data, so they stand as in the dataset.",
    );
  });

  test("shows people how long ago", async () => {
    const { stdout } = await run(OFFERS, ["list"]);
    expect(stdout).toMatch(/user-plain +\w+ +5 +2025-11-30 +/);
    expect(stdout).toMatch(/(now|\d+ (s|min|h) ago)/);
    expect((await run(LETTERS, ["list", "--all"])).stdout).toMatch(/^0:1 +parse +\d:\d+ +2025-11-30 /m);
  });
});

describe("an option that there is not", () => {
  test.each<[string, readonly string[], string]>([
    ["tools/replay/main.ts", ["--fromtime", "x"], "--from-time"],
    ["tools/lag.ts", ["--wach"], "--watch"],
    ["tools/lag.ts", ["--jsn"], "--json"],
    [LETTERS, ["list", "--al"], "--all"],
    ["tools/erase/main.ts", ["x", "--dryrun"], "--dry-run"],
    [DATASET, ["export", "--fromat", "hf"], "--format"],
    ["tools/backfill/main.ts", ["--files", "x"], "--file"],
    ["tools/sanitise.ts", ["--jason"], "--json"],
    ["tools/skip.ts", ["0:0", "--reson", "x"], "--reason"],
    ["demo/traffic.ts", ["--persecond", "1"], "--per-second"],
  ])("%s %j: one sentence names it, the nearest, and --help", async (program, args, near) => {
    const { code, stdout, stderr } = await run(program, args);
    const wrong = args.find((arg) => arg.startsWith("--"))!;
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toBe(
      `Cannot read the option "${wrong}": there is no such option; did you mean ${near}? See --help.\n`,
    );
  });
});

describe("a path that leads nowhere", () => {
  test.each<[string, readonly string[], Record<string, string>]>([
    ["tools/sanitise.ts", ["."], {}],
    [DATASET, ["export", "--format", "hf", "--to", "deno.json/x"], {}],
    [DATASET, ["stats"], { DATA_DIR: "deno.json/x" }],
    ["tools/replay/main.ts", ["--to", "deno.json"], {}],
  ])("%s %j %j: one sentence says it, and what to do", async (program, args, more) => {
    const { code, stdout, stderr } = await runProgram(program, { args, env: { ...env, ...more } });
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/^Cannot [^\n]*directory[^\n]*\. Check the paths that were given[^\n]*\.\n$/);
  });
});

test.each<[string, readonly string[]]>([
  ["tools/lag.ts", []],
  [OFFERS, ["list"]],
  [LETTERS, ["list"]],
  [DATASET, ["stats"]],
])("%s %j needs no key that mails are signed with", async (program, args) => {
  const dkim = {
    DKIM_DOMAIN: "shop.example",
    DKIM_SELECTOR: "2026a",
    DKIM_KEY: join(parent, "not-ours.pem"),
  };
  const { code, stderr } = await runProgram(program, { args, env: { ...env, ...dkim } });
  expect([code, stderr]).toEqual([0, ""]);
});

describe("Ctrl-C", () => {
  /** Starts a command that waits for more, stops it once `isAt` holds, and answers its end. */
  async function stopped(
    program: string,
    { args, signal = "SIGINT", begun }: {
      readonly args: readonly string[];
      readonly signal?: Deno.Signal;
      readonly begun: (child: Deno.ChildProcess, stderr: () => string) => Promise<unknown>;
    },
  ) {
    const child = spawnProgram(program, { args, env, stdin: "piped" });
    let stderr = "";
    const reading = (async () => {
      for await (const text of child.stderr.pipeThrough(new TextDecoderStream() as TextStream)) {
        stderr += text;
      }
    })();
    await begun(child, () => stderr);
    child.kill(signal);
    await reading;
    const { code } = await child.status;
    return { code, stderr };
  }

  test.each([["SIGINT", "Ctrl-C", 130], ["SIGTERM", "SIGTERM", 143]] as const)(
    "a filter that is stopped by %s says what came out",
    async (signal, name, code) => {
      const begun = async (child: Deno.ChildProcess) => {
        const writer = child.stdin.getWriter();
        await writer.write(new TextEncoder().encode("one\ntwo\n"));
        const reader = child.stdout.getReader();
        await reader.read();
        reader.releaseLock();
      };
      expect(await stopped("tools/sanitise.ts", { args: ["-"], signal, begun })).toEqual({
        code,
        stderr: `Stopped by ${name}: 2 lines came out until then, each whole.\n`,
      });
    },
  );

  test("an erasure that waits for ingest's spool says that nothing was erased, and that it may be run again", async () => {
    Deno.writeTextFileSync(join(dataDir, "spool", "1.spool"), "");
    const ingest = (await import("../runtime/data_dir.ts")).tryEnterDataDir(dataDir, "ingest")!;
    try {
      const begun = (_: unknown, stderr: () => string) => until("it waits", () => stderr().includes("spool"));
      const { code, stderr } = await stopped("tools/erase/main.ts", { args: ["user-plain"], begun });
      expect(code).toBe(130);
      expect(stderr).toMatch(
        /^Stopped by Ctrl-C: nothing was erased yet\. The same command again finishes it\.$/m,
      );
    } finally {
      ingest.release();
      Deno.removeSync(join(dataDir, "spool", "1.spool"));
    }
  });

  test.each<[string, readonly string[], string]>([
    ["tools/backfill/main.ts", ["--file"], "what was published until then is in the topic."],
    ["tools/suppress.ts", [], "0 addresses are suppressed."],
  ])(
    "%s that waits for its file says what is done, and that it may be run again",
    async (program, args, words) => {
      const pipe = join(parent, "pipe");
      await new Deno.Command("mkfifo", { args: [pipe] }).output();
      // Opening a pipe to write waits for who reads it: then the command has come so far.
      const opening = Deno.open(pipe, { write: true });
      const { code, stderr } = await stopped(program, { args: [...args, pipe], begun: () => opening });
      (await opening).close();
      Deno.removeSync(pipe);
      expect([code, stderr]).toEqual([
        130,
        expect.stringContaining(`Stopped by Ctrl-C: ${words} The same command`),
      ]);
    },
  );

  test.each<[string, readonly string[], string, RegExp]>([
    [
      LETTERS,
      ["redrive", "--all"],
      "redrive.begun",
      /^Stopped by Ctrl-C: \d+ redriven, \d+ refused until then\. .*nothing twice\.$/m,
    ],
    [
      "tools/replay/main.ts",
      [],
      "replay.built",
      /^Stopped by Ctrl-C: .*the same command again goes on from there\.$/m,
    ],
  ])("%s %j that is stopped midway says what was done", async (program, args, point, words) => {
    const child = spawnProgram(program, { args, env: { ...env, FAULT_POINT: point } });
    let stderr = "";
    let hasEnded = false;
    const reading = (async () => {
      for await (const text of child.stderr.pipeThrough(new TextDecoderStream() as TextStream)) {
        stderr += text;
      }
      hasEnded = true;
    })();
    await until("it has come there", () => stderr.includes(`fault point ${point}`));
    child.kill("SIGINT");
    // It stops itself a moment after it says so.
    await until("it has ended", () => {
      try {
        child.kill("SIGCONT");
      } catch {
        return true;
      }
      return hasEnded;
    });
    await reading;
    await child.stdout.cancel();
    expect([(await child.status).code, stderr]).toEqual([130, expect.stringMatching(words)]);
  });

  test("ends lag --watch well; its blocks stand one below another, and never in colour", async () => {
    const child = spawnProgram("tools/lag.ts", { args: ["--watch"], env });
    let stdout = "";
    const reading = (async () => {
      for await (const text of child.stdout.pipeThrough(new TextDecoderStream() as TextStream)) {
        stdout += text;
        if (stdout.split("GROUP").length > 2) break;
      }
    })();
    await reading;
    child.kill("SIGINT");
    expect(new TextDecoder().decode((await child.output().catch(() => null))?.stderr)).toBe("");
    expect((await child.status).code).toBe(0);
    expect(stdout).not.toContain("\x1b");
    expect(stdout).toMatch(/\n\nGROUP/);
  });

  test("lag --watch --json is one array a line", async () => {
    const child = spawnProgram("tools/lag.ts", { args: ["--watch", "--json"], env });
    let stdout = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream() as TextStream)) {
      stdout += text;
      if (stdout.split("\n").length > 2) break;
    }
    child.kill("SIGINT");
    await child.stderr.cancel();
    expect((await child.status).code).toBe(0);
    const [first, second] = stdout.split("\n").map((line) => line && JSON.parse(line));
    expect([first.length, second.length]).toEqual([2, 2]);
  });
});

const NO_TERMINAL = await whyNoTerminal();

describe.skipIf(NO_TERMINAL !== null)(
  `on a terminal${NO_TERMINAL === null ? "" : ` (${NO_TERMINAL})`}`,
  () => {
    test("lists have colours, and none with NO_COLOR or in a pipe", async () => {
      const shown = await openTerminal(OFFERS, { args: ["list"], env: { ...env, NO_COLOR: "" } }).end;
      expect(shown.text).toContain("\x1b[1mID\x1b[0m");
      const plain = await openTerminal(OFFERS, { args: ["list"], env: { ...env, NO_COLOR: "1" } }).end;
      expect(plain.text).not.toContain("\x1b");
      const piped = await run(OFFERS, ["list"], { NO_COLOR: "" });
      expect(piped.stdout).not.toContain("\x1b");
      const still = (text: string) =>
        text.replaceAll(/\r|due.*|\d+ s ago|now/g, "").replaceAll(PAINT, "").replaceAll(/ +/g, " ");
      expect(still(shown.text)).toBe(still(piped.stdout));
      expect((await run(OFFERS, ["list"], { NO_COLOR: "", FORCE_COLOR: "1" })).stdout).toContain("\x1b[1mID");
    });

    test("what failed is red, and says the same", async () => {
      const { code, text } = await openTerminal(LETTERS, {
        args: ["show", "0:99"],
        env: { ...env, NO_COLOR: "" },
      }).end;
      expect([code, text]).toEqual([
        1,
        '\x1b[31mCannot find dead letter "0:99": see dead-letters list --all.\x1b[0m\r\n',
      ]);
    });

    test("lag --watch is drawn in place, until Ctrl-C, which ends it well", async () => {
      const terminal = openTerminal("tools/lag.ts", { args: ["--watch"], env });
      await until("it was drawn twice", () => terminal.text().split("\x1b[H\x1b[2J").length > 2);
      await terminal.type("\x03");
      expect((await terminal.end).code).toBe(0);
    });

    test("a Ctrl-C that is typed ends a command with 130 and its sentence, on a line of its own", async () => {
      const terminal = openTerminal("tools/sanitise.ts", { args: ["-"], env });
      await terminal.type("mail a@example.org\r");
      await until("it has answered", () => terminal.text().includes("<EMAIL_ADDRESS>"));
      await terminal.type("\x03");
      const { code, text } = await terminal.end;
      expect(code).toBe(130);
      expect(text).toMatch(/\nStopped by Ctrl-C: 1 line came out until then, each whole\.\r\n$/);
    });
  },
);
