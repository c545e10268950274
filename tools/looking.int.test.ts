import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runProgram } from "../tests/support/run_command.ts";

let parent: string;

beforeEach(async () => {
  parent = await Deno.makeTempDir({ prefix: "looking-" });
});
afterEach(() => Deno.remove(parent, { recursive: true }));

/** Every command that only looks. */
const LOOKING = [
  ["tools/dataset/main.ts", "stats"],
  ["tools/dataset/main.ts", "verify"],
  ["tools/dataset/main.ts", "cat"],
  ["tools/lag.ts"],
  ["tools/replay/main.ts", "--check"],
  ["tools/erase/main.ts", "somebody", "--dry-run"],
  ["tools/offers.ts", "list"],
  ["tools/offers.ts", "show", "somebody"],
  ["tools/dead_letters.ts", "list"],
  ["tools/dead_letters.ts", "show", "0:1"],
] as const;

/** With one of their own, commands need no secret from DATA_DIR. */
const SECRETS = { "no secret": {}, "a secret": { PIPELINE_SECRET: "sixteen characters or more" } };

describe.each(Object.entries(SECRETS))("in a mistyped DATA_DIR, with %s", (_, secret) => {
  test.each(LOOKING.map((line) => [line.join(" "), line] as const))(
    "%s says so in one sentence and makes nothing",
    async (_, [program, ...args]) => {
      const dataDir = join(parent, "mistyped");
      const run = await runProgram(program, { args, env: { DATA_DIR: dataDir, ...secret } });
      expect([run.code, run.stdout]).toEqual([1, ""]);
      expect(run.stderr).toBe(
        `Cannot look into "${dataDir}": there is no such directory. ` +
          "Set DATA_DIR or DATASET_DIR to where the services work.\n",
      );
      expect([...Deno.readDirSync(parent)]).toEqual([]);
    },
  );
});

describe("in a DATA_DIR where nothing has worked", () => {
  test.each([
    [["tools/replay/main.ts", "--check"], "there is no dataset at"],
    [["tools/dataset/main.ts", "verify"], "Cannot find a dataset at"],
    [["tools/lag.ts"], "is DATA_DIR the right one?"],
    [["tools/erase/main.ts", "somebody", "--dry-run"], "is DATA_DIR the right one?"],
    [["tools/offers.ts", "show", "somebody"], "nobody of this id"],
  ])("%j says so and makes nothing", async ([program, ...args], message) => {
    const env = { DATA_DIR: parent, ...SECRETS["a secret"] };
    const run = await runProgram(program!, { args, env });
    expect([run.code, run.stdout]).toEqual([1, ""]);
    expect(run.stderr).toContain(message);
    expect([...Deno.readDirSync(parent)]).toEqual([]);
  });

  test.each([[["tools/offers.ts", "list"]], [["tools/erase/main.ts", "somebody", "--dry-run"]]])(
    "%j makes no secret",
    async ([program, ...args]) => {
      const run = await runProgram(program!, { args, env: { DATA_DIR: parent } });
      expect([run.code, run.stderr]).toEqual([1, expect.stringContaining("there is no pipeline.secret")]);
      expect([...Deno.readDirSync(parent)]).toEqual([]);
    },
  );
});

describe("with a mistyped FILE", () => {
  test.each([
    ["tools/suppress.ts", "none.txt"],
    ["tools/backfill/main.ts", "--file", "none.txt"],
    ["tools/sanitise.ts", "none.txt"],
  ])("%s says which file cannot be read and makes nothing", async (program, ...args) => {
    const run = await runProgram(program, { args, env: { DATA_DIR: join(parent, "data") } });
    expect([run.code, run.stdout]).toEqual([1, ""]);
    expect(run.stderr).toMatch(/^Cannot read the file "none.txt": .+ Check its name and who may read it.\n$/);
    expect([...Deno.readDirSync(parent)]).toEqual([]);
  });
});
