import { describe, expect, test } from "vitest";
import { ConfigurationError, EnvironmentReader } from "../runtime/environment.ts";
import { consoleWarnings } from "./door.ts";
import { readConsole } from "./door_settings.ts";

const HERE = { host: "127.0.0.1", publicUrl: "http://localhost:8000" };
const ANYWHERE = { ...HERE, host: "0.0.0.0" };

function read(environment: Record<string, string>, place = HERE) {
  const env = new EnvironmentReader(environment);
  const settings = readConsole(env, place);
  env.finish();
  return settings;
}

function problemsOf(environment: Record<string, string>, place = HERE): readonly string[] {
  try {
    read(environment, place);
    return [];
  } catch (error) {
    return (error as ConfigurationError).problems;
  }
}

describe("the console's settings", () => {
  test("are this machine alone, by default", () => {
    expect(read({})).toEqual({ publicHost: "localhost", allowedHosts: [], password: null, anonymous: false });
  });

  test("name hosts as URLs write them, without ports", () => {
    const { publicHost, allowedHosts } = read(
      { ALLOWED_HOSTS: " Shop.Example., processor:3001 ,[::1],,10.0.0.7" },
      { ...HERE, publicUrl: "https://WWW.shop.example:8443/path" },
    );
    expect(publicHost).toBe("www.shop.example");
    expect(allowedHosts).toEqual(["shop.example", "processor", "[::1]", "10.0.0.7"]);
  });

  test.each([
    "*",
    "https://shop.example",
    "a b",
    "shop.example/",
    "user@shop.example",
    "b\u00fccher.example",
  ])(
    "refuse the host name %j",
    (name) => {
      expect(problemsOf({ ALLOWED_HOSTS: name })).toEqual([
        expect.stringContaining(`ALLOWED_HOSTS "${name}"`),
      ]);
    },
  );

  test("off loopback want a password, or that somebody says that everybody is meant", () => {
    expect(problemsOf({}, ANYWHERE)).toEqual([expect.stringMatching(/"0\.0\.0\.0".*CONSOLE_PASSWORD/)]);
    expect(problemsOf({}, { ...HERE, host: "192.0.2.2" })).toHaveLength(1);
    expect(problemsOf({ CONSOLE_PASSWORD: "secret" }, ANYWHERE)).toEqual([]);
    expect(problemsOf({ ALLOW_ANONYMOUS: "1" }, ANYWHERE)).toEqual([]);
    expect(problemsOf({ ALLOW_ANONYMOUS: "0" }, ANYWHERE)).toHaveLength(1);
  });

  test("warn where the console is everybody's, and only there: a password wins over ALLOW_ANONYMOUS", () => {
    const open = read({ ALLOW_ANONYMOUS: "1" }, ANYWHERE);
    expect(consoleWarnings(open, "0.0.0.0")).toEqual([expect.stringMatching(/^ALLOW_ANONYMOUS.*0\.0\.0\.0/)]);
    expect(consoleWarnings(open, "127.0.0.1")).toEqual([]);
    const locked = read({ ALLOW_ANONYMOUS: "1", CONSOLE_PASSWORD: "secret" }, ANYWHERE);
    expect(locked).toMatchObject({ password: "secret", anonymous: false });
    expect(consoleWarnings(locked, "0.0.0.0")).toEqual([]);
  });

  test("never quote the password", () => {
    const [problem] = problemsOf({ CONSOLE_PASSWORD: "secret\u0007" });
    expect(problem).toContain("CONSOLE_PASSWORD");
    expect(problem).not.toContain("secret");
  });
});
