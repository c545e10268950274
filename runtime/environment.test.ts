import { describe, expect, test } from "vitest";
import { ConfigurationError, EnvironmentReader, parseDuration, parseSize } from "./environment.ts";

test.each([["500ms", 500], ["2s", 2_000], ["2m", 120_000], ["6h", 21_600_000], ["7d", 604_800_000], [
  "0s",
  0,
]])(
  "parseDuration() reads %s",
  (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  },
);

test.each(["", "2", "s", "-2s", "2 s", "1.5s", "2S", "2s2s", "99999999999s"])(
  "parseDuration() knows no duration in %j",
  (text) => {
    expect(parseDuration(text)).toBeUndefined();
  },
);

test.each([["1048576", 1048576], ["64KiB", 65536], ["1 GiB", 1024 ** 3], ["10B", 10], [
  "2TiB",
  2 * 1024 ** 4,
]])(
  "parseSize() reads %s",
  (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  },
);

test.each(["", "1GB", "1.5GiB", "-1", "GiB", "999999999999999TiB"])(
  "parseSize() knows no size in %j",
  (text) => {
    expect(parseSize(text)).toBeUndefined();
  },
);

describe("EnvironmentReader", () => {
  test("answers the default where a variable is unset or empty", () => {
    const env = new EnvironmentReader({ EMPTY: "" });
    expect(env.text("EMPTY", "x")).toBe("x");
    expect(env.optional("EMPTY")).toBeUndefined();
    expect(env.port("MISSING", 3000)).toBe(3000);
    expect(env.duration("MISSING", 5)).toBe(5);
    expect(env.flag("MISSING", true)).toBe(true);
    expect(env.list("MISSING", ["a"])).toEqual(["a"]);
    env.finish();
  });

  test("reads each kind of value", () => {
    const env = new EnvironmentReader({
      PORT: "0",
      FLAG: "1",
      LIST: " a, b ,,c",
      DELAYS: "5s, 2m",
      SIZE: "1MiB",
      ONE: "npm",
      URL: "https://shop.example/base/",
    });
    expect(env.port("PORT", 1)).toBe(0);
    expect(env.flag("FLAG", false)).toBe(true);
    expect(env.list("LIST", [])).toEqual(["a", "b", "c"]);
    expect(env.durations("DELAYS", [])).toEqual([5_000, 120_000]);
    expect(env.size("SIZE", 0)).toBe(1024 ** 2);
    expect(env.oneOf("ONE", ["jsr", "npm"], "jsr")).toBe("npm");
    expect(env.url("URL", "")).toBe("https://shop.example/base");
    env.finish();
  });

  test("lists every problem at once", () => {
    const env = new EnvironmentReader({
      PORT: "65536",
      FLAG: "yes",
      WAIT: "soon",
      WAITS: "5s,soon",
      SIZE: "big",
      ONE: "yarn",
      URL: "ftp://x",
      LIST: ",,",
      COUNT: "1e3",
    });
    env.port("PORT", 1);
    env.flag("FLAG", false);
    env.duration("WAIT", 0);
    env.durations("WAITS", []);
    env.size("SIZE", 0);
    env.oneOf("ONE", ["jsr", "npm"], "jsr");
    env.url("URL", "");
    env.list("LIST", []);
    env.integer("COUNT", 1, { min: 1, max: 1_000 });
    env.refuse("two of them do not fit together");
    const problems = problemsOf(env);
    expect(problems).toHaveLength(10);
    expect(problems[0]).toContain("PORT");
    expect(problems[9]).toBe("two of them do not fit together");
  });

  test("an address may hold a password, so it is not quoted in a problem", () => {
    const env = new EnvironmentReader({ URL: "hunter2@example.test" });
    env.url("URL", "");
    expect(problemsOf(env).join()).not.toContain("hunter2");
  });
});

function problemsOf(env: EnvironmentReader): readonly string[] {
  try {
    env.finish();
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
  return [];
}
