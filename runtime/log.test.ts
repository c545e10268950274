import { expect, test } from "vitest";
import { ConfigurationError, EnvironmentReader } from "./environment.ts";
import { entriesOf, jsonLine, MESSAGE_LENGTH_MAX, readJsonLine, readLog, textLine } from "./log.ts";

const AT = Date.parse("2026-11-27T12:50:13.123Z");
const entry = entriesOf("clerk", {}, () => AT);

test("an entry is one line of JSON: time, level, service, message, and what it is about; it is read back whole", () => {
  const one = entry("warn", "a letter", { partition: 3, offset: 42, reason: "no prompt" });
  expect(jsonLine(one)).toBe(
    '{"time":"2026-11-27T12:50:13.123Z","level":"warn","service":"clerk","message":"a letter",' +
      '"partition":3,"offset":42,"reason":"no prompt"}',
  );
  expect(readJsonLine(jsonLine(one))).toEqual(one);
});

test("as text it says what it is about where the message has not said it", () => {
  const one = entry("warn", "a letter at 42", { partition: 3, offset: 42, outcome: "dead_letter" });
  expect(textLine(one)).toBe("2026-11-27T12:50:13.123Z warn  clerk: a letter at 42 partition=3");
  expect(textLine({ ...one, level: "info" }, { clock: true })).toMatch(
    /^\d\d:\d\d:\d\d info {2}clerk: a letter at 42$/,
  );
  expect(textLine(one, { clock: true })).toMatch(
    /^\d\d:\d\d:\d\d warn {2}clerk: a letter at 42 partition=3$/,
  );
});

test.each(
  [
    ["warn", {}, "\x1b[33mwords\x1b[0m"],
    ["error", {}, "\x1b[31mwords\x1b[0m"],
    ["info", { outcome: "mail" }, "\x1b[32mwords\x1b[0m"],
    ["debug", { outcome: "line" }, "\x1b[32mwords\x1b[0m"],
    ["debug", { outcome: "counted" }, "\x1b[36mwords\x1b[0m"],
    ["debug", { outcome: "duplicate" }, "\x1b[2mwords\x1b[0m"],
    ["info", {}, ": words"],
  ] as const,
)("at a terminal with colours %s %j is shown as what it is", (level, about, shown) => {
  expect(textLine(entry(level, "words", about), { colours: true })).toContain(shown);
});

test("nothing foreign is carried out or begins a line of its own", () => {
  const one = entry("info", 'a\nb\x1b[2J\u202e"', { reason: "c\r\nd\u2028" });
  expect(textLine(one)).toBe(
    '2026-11-27T12:50:13.123Z info  clerk: a\\x0ab\\x1b[2J\\u202e" reason=c\\x0d\\x0ad\\u2028',
  );
  const json = jsonLine(one);
  // deno-lint-ignore no-control-regex
  expect(json).not.toMatch(/[\x00-\x1f\u2028\u202e]/);
  expect(readJsonLine(json)).toEqual(one);
});

test("a line has a bound, whatever is said", () => {
  const long = entry("info", "x".repeat(1e6), { reason: "\x00".repeat(1e6) });
  expect(long.message).toHaveLength(MESSAGE_LENGTH_MAX);
  expect(long.message.endsWith("x…")).toBe(true);
  expect(jsonLine(long).length).toBeLessThan(MESSAGE_LENGTH_MAX + 2_500);
});

test("no secret of the environment is said, whoever says it, and no login of an address", () => {
  const environment = {
    WEBHOOK_SECRET: "hunter2-hunter2",
    WEBHOOK_SIGNING_SECRET: "whsec_first whsec_second",
    CONSOLE_PASSWORD: "open sesame",
    KAFKA_SASL_PASSWORD: "kafkaesque",
    AWS_SECRET_ACCESS_KEY: "aws-key-of-ours",
    POSTHOG_KEY: "phc_everybody",
  };
  const careful = entriesOf("clerk", environment);
  for (const secret of ["hunter2-hunter2", "whsec_second", "open sesame", "kafkaesque", "aws-key-of-ours"]) {
    const said = careful("error", `got ${secret}, twice: ${secret}`, { reason: secret });
    expect([said.message, said.about]).toEqual(["got ***, twice: ***", { reason: "***" }]);
  }
  expect(careful("info", "key phc_everybody").message).toBe("key phc_everybody");
  expect(careful("info", "cannot reach smtp://me:pa:ss@mail:25/ now").message).toBe(
    "cannot reach smtp://***@mail:25/ now",
  );
});

test.each([
  "",
  "words",
  "{",
  "{}",
  "[]",
  '{"time":1}',
  '{"time":"t","level":"loud","service":"s","message":"m"}',
])(
  "%j is no entry",
  (line) => expect(readJsonLine(line)).toBeNull(),
);

test("LOG_FORMAT and LOG_LEVEL: unset, the terminal decides and info is said; anything else is named", () => {
  const read = (environment: Record<string, string>) => {
    const env = new EnvironmentReader(environment);
    const settings = readLog(env);
    env.finish();
    return settings;
  };
  expect(read({})).toEqual({ format: null, level: "info" });
  expect(read({ LOG_FORMAT: "json", LOG_LEVEL: "debug" })).toEqual({ format: "json", level: "debug" });
  expect(() => read({ LOG_FORMAT: "xml", LOG_LEVEL: "loud" })).toThrow(ConfigurationError);
  expect(() => read({ LOG_FORMAT: "xml", LOG_LEVEL: "loud" })).toThrow(
    /LOG_FORMAT "xml"[^]*LOG_LEVEL "loud"/,
  );
});
