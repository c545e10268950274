import { expect, test } from "vitest";
import { runProgram } from "../tests/support/run_command.ts";

const traffic = (...args: string[]) => runProgram("demo/traffic.ts", { args });

test("--help says how it is called", async () => {
  const { code, stdout } = await traffic("--help");
  expect({ code, usage: stdout.includes("Usage: deno run -A demo/traffic.ts") }).toEqual({
    code: 0,
    usage: true,
  });
});

test.each([
  [["--events", "0"], 'Cannot read --events "0": expected a whole number from 1 to 1000000.'],
  [["--per-second", "5001"], 'Cannot read --per-second "5001": expected a whole number from 1 to 5000.'],
  [["--users", "-1"], "--users"],
  [["--nope"], '"--nope"'],
])("%j is wrong usage and sends nothing", async (args, words) => {
  const { code, stdout, stderr } = await traffic(...args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toContain(words);
  expect(stderr).toMatch(/ See --help\.\n$/);
});
