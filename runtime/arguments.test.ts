import { describe, expect, test } from "vitest";
import { nearest, readArguments } from "./arguments.ts";

const OPTIONS = {
  "from-time": { type: "string" },
  reason: { type: "string" },
  all: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;
const read = (...args: string[]) => readArguments(args, OPTIONS);

describe("what can be read", () => {
  test("options with and without values, arguments between them, and what begins with a dash behind --", () => {
    const { values, positionals } = read("show", "--reason", "because", "--all", "-", "--", "--x");
    expect({ ...values }).toEqual({ reason: "because", all: true });
    expect(positionals).toEqual(["show", "-", "--x"]);
    expect(read("--reason=-1").values.reason).toBe("-1");
    expect(read("--reason", "-").values.reason).toBe("-");
    expect(read("-h").values.help).toBe(true);
  });
});

describe("what cannot be read is one sentence that names the option, the nearest, and --help", () => {
  test.each([
    [
      ["--fromtime", "x"],
      'Cannot read the option "--fromtime": there is no such option; did you mean --from-time? See --help.',
    ],
    [["--ALL"], 'Cannot read the option "--ALL": there is no such option; did you mean --all? See --help.'],
    [
      ["--rea", "x"],
      'Cannot read the option "--rea": there is no such option; did you mean --reason? See --help.',
    ],
    [["--frobnicate"], 'Cannot read the option "--frobnicate": there is no such option. See --help.'],
    [["--constructor"], 'Cannot read the option "--constructor": there is no such option. See --help.'],
    [
      ["-x"],
      'Cannot read the option "-x": there is no such option. An argument that begins with a dash comes behind "--". See --help.',
    ],
    [["--reason"], 'Cannot read the option "--reason": it needs a value. See --help.'],
    [
      ["--reason", "--all"],
      'Cannot read the option "--reason": it needs a value; one that begins with a dash is given as --reason=…. See --help.',
    ],
    [
      ["--reason", "a", "--all", "--all", "--reason=b"],
      'Cannot read the option "--reason": it is given twice, and takes one value. See --help.',
    ],
    [["--all=1"], 'Cannot read the option "--all": it takes no value. See --help.'],
  ])("%j", (args, message) => {
    expect(() => read(...args)).toThrow(message);
  });

  test("a name of a megabyte is compared by its beginning", () => {
    expect(nearest("x".repeat(1_000_000), ["all"])).toBeNull();
    expect(nearest("", ["all"])).toBeNull();
    expect(nearest("wacth", ["watch", "json"])).toBe("watch");
    expect(nearest("form", ["watch", "json"])).toBeNull();
  });
});
