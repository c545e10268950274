import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EnvironmentReader } from "../runtime/environment.ts";
import { readLogConfig } from "./log_config.ts";

/** The log's settings, and the problems with them. */
function read(environment: Record<string, string>) {
  const env = new EnvironmentReader(environment);
  return { config: readLogConfig(env, "/data"), problems: env.problems };
}

describe("KAFKA_BROKERS", () => {
  test.each([
    ["kafka-1:9092", ["kafka-1:9092"]],
    ["kafka-1:9092, kafka-2.example.org:19092 ,", ["kafka-1:9092", "kafka-2.example.org:19092"]],
    ["127.0.0.1:1,[::1]:65535", ["127.0.0.1:1", "[::1]:65535"]],
  ])("%s is read", (text, brokers) => {
    expect(read({ KAFKA_BROKERS: text })).toMatchObject({ config: { brokers }, problems: [] });
  });

  test.each([
    ["kafka-1", /number 1 of 1\): it has no port/],
    ["kafka-1:", /it has no port/],
    ["kafka-1:0", /its port is not within 1 and 65535/],
    ["a:9092,b:70000", /number 2 of 2\): its port is not within 1 and 65535/],
    ["a:9092,a:9092", /number 2 of 2\): it stands there twice/],
    ["a:9092 b:9092", /there is a space in it/],
    ["kafka://a:9092", /a scheme before the host/],
    ["SASL_SSL://a:9092", /a scheme before the host; TLS is asked for by KAFKA_SSL/],
    ["::1:9092", /an IPv6 address stands in brackets/],
    ["[kafka]:9092", /what stands in brackets is no IPv6 address/],
    ["[::1]", /it has no port/],
    [":9092", /it names no host/],
    ["a:b:9092", /it is no host:port/],
  ])("%s is refused in words that say what is wrong and what was expected", (text, words) => {
    const { problems } = read({ KAFKA_BROKERS: text });
    expect(problems).toEqual([expect.stringMatching(words)]);
    expect(problems[0]).toContain("such as kafka-1:9092,[::1]:9092");
  });

  test("a password that somebody wrote into it is not repeated", () => {
    expect(read({ KAFKA_BROKERS: "kafka://me:secret@a:9092" }).problems.join()).not.toContain("secret");
  });
});

describe("The files of a TLS connection", () => {
  let dir: string;
  const file = (name: string) => join(dir, name);
  beforeAll(async () => {
    dir = await Deno.makeTempDir({ prefix: "log-config-" });
    const made = await new Deno.Command("openssl", {
      args: ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x"].concat([
        "-keyout",
        file("key"),
        "-out",
        file("cert"),
      ]),
      stderr: "null",
    }).output();
    if (!made.success) throw new Error("openssl failed");
    const locked = ["pkey", "-aes256", "-passout", "pass:x", "-in", file("key"), "-out", file("locked-key")];
    if (!(await new Deno.Command("openssl", { args: locked }).output()).success) throw new Error("openssl");
    await Deno.writeTextFile(file("words"), "no certificate");
    await Deno.writeTextFile(
      file("broken"),
      "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
  });
  afterAll(() => Deno.remove(dir, { recursive: true }));

  test("are read once, at start", () => {
    const { config, problems } = read({
      KAFKA_BROKERS: "a:9092",
      KAFKA_SSL_CA: file("cert"),
      KAFKA_SSL_CERT: file("cert"),
      KAFKA_SSL_KEY: file("key"),
    });
    const text = (name: string) => Deno.readTextFileSync(file(name));
    expect(problems).toEqual([]);
    expect(config).toMatchObject({ ssl: { ca: text("cert"), cert: text("cert"), key: text("key") } });
  });

  test.each(["KAFKA_SSL_CA", "KAFKA_SSL_CERT", "KAFKA_SSL_KEY"])(
    "%s that is missing, unreadable or not PEM is a problem that names the variable and the file",
    (name) => {
      const others = { KAFKA_SSL_CERT: file("cert"), KAFKA_SSL_KEY: file("key") };
      const problemsWith = (path: string) => read({ ...others, [name]: path }).problems;
      expect(problemsWith(file("nowhere"))).toEqual([
        expect.stringMatching(new RegExp(`^Cannot read ${name} ".*/nowhere": No such file`)),
      ]);
      expect(problemsWith(dir)).toEqual([
        expect.stringMatching(new RegExp(`^Cannot read ${name} ".*": Is a directory`)),
      ]);
      for (const one of ["words", "broken"]) {
        const words = name === "KAFKA_SSL_KEY" ? "private key" : "certificate";
        expect(problemsWith(file(one))).toEqual([
          expect.stringMatching(new RegExp(`^Cannot use ${name} ".*/${one}": there is no ${words} in it`)),
        ]);
      }
    },
  );

  test("a key behind a passphrase is a problem that says how to take it off", () => {
    const { problems } = read({ KAFKA_SSL_CERT: file("cert"), KAFKA_SSL_KEY: file("locked-key") });
    expect(problems).toEqual([expect.stringMatching(/without a passphrase \(openssl pkey/)]);
  });

  test("are not read where KAFKA_SSL says that there is no TLS", () => {
    expect(read({ KAFKA_BROKERS: "a:9092", KAFKA_SSL: "0", KAFKA_SSL_CA: file("nowhere") })).toMatchObject({
      config: { ssl: null },
      problems: [],
    });
  });
});

test("a user without a mechanism is a problem: it would be left out without a word", () => {
  expect(read({ KAFKA_SASL_USERNAME: "me", KAFKA_SASL_PASSWORD: "x" }).problems).toEqual([
    expect.stringMatching(/KAFKA_SASL_MECHANISM: set it to PLAIN/),
  ]);
});
