import { describe, expect, test } from "vitest";
import { sanitise } from "./mod.ts";
import { KEY_FORMATS } from "./key_formats.ts";
import { drawer, drawsOf } from "./testdata/samples.ts";

/** Its own draws: the same whatever other tests have drawn before. */
const { hex, alnum } = drawsOf(drawer(18));
const base64 = alnum;
const BODY = { hex, alnum, word: base64, base64 };
const K = "<API_KEY>";

describe("keys with a provider's prefix", () => {
  const rows = KEY_FORMATS.flatMap(({ provider, prefixes, body, min }) =>
    prefixes.split(" ").map((prefix) => [provider, prefix, body, min] as const)
  );

  test("there are more than sixty providers", () => {
    expect(new Set(KEY_FORMATS.map((format) => format.provider)).size).toBeGreaterThan(60);
  });

  test.each(rows)("%s: %s…", (_, prefix, body, min) => {
    for (
      const context of [
        (key: string) => key,
        (key: string) => `use ${key}, please`,
        (key: string) => `{"k":"${key}"}`,
      ]
    ) {
      // A body of letters alone may be a word, which stays; one of a dozen has no digit once in eight times.
      const drawn = BODY[body](min);
      const key = prefix + (/\d/.test(drawn) ? drawn : drawn.replace(/.$/, "7"));
      expect(sanitise(context(key)).text).toMatch(/^[^\w<]*(?:use |k"?:?"?)?[^<]*<(?:API_KEY|JWT)>/);
      expect(sanitise(context(key)).text).not.toContain(key.slice(prefix.length + 4, prefix.length + 12));
    }
  });

  test("a key in the middle of a word is none, nor is a placeholder of one", () => {
    for (
      const text of [
        `x${alnum(3)}ghp_${alnum(36)}`,
        `ghp_${"x".repeat(36)}`,
        "sk-fading-circle-animation-delay-12",
      ]
    ) {
      expect(sanitise(text).text).toBe(text);
    }
  });
});

describe("keys with a shape of their own", () =>
  test.each([
    [
      `https://discord.com/api/webhooks/${"1".repeat(3)}${"234567890123456"}/${base64(68)}`,
      `https://discord.com/api/webhooks/${K}`,
    ],
    [`${"1234567890"}:AA${base64(33)}`, K],
    [`${hex(32)}-us12`, K],
    [
      `AccountName=x;AccountKey=${base64(86)}==;EndpointSuffix=y`,
      `AccountName=x;AccountKey=${K};EndpointSuffix=y`,
    ],
    [`pat${alnum(14)}.${hex(64)}`, K],
    [`SG.${base64(22)}.${base64(43)}`, K],
    [`0/${hex(32)}`, K],
    [`1/${"1234567890123456"}:${hex(32)}`, K],
    [`Authorization: Basic ${base64(30)}1Q==`, `Authorization: Basic ${K}`],
    [`curl -H "Authorization: Bearer ${hex(40)}" x`, `curl -H "Authorization: Bearer ${K}" x`],
    [`${base64(3)}8Q~${base64(34)}`, K],
  ])("%s", (input, output) => expect(sanitise(input).text).toBe(output)));

describe("credentials by their name", () => {
  test.each([
    ['"client_secret": "{}"', 24, K],
    ["DATADOG_API_KEY={}", 32, K],
    ["asana_access_token: {}", 32, K],
    ["export MAILGUN_KEY='{}'", 32, K],
    ["my api key is {} ok", 32, K],
    ["x-api-key: {}", 40, K],
    ["<apiKey>{}</apiKey>", 30, K],
    ['{"name":"API_TOKEN","value":"{}"}', 24, K],
    ["token => '{}'", 24, K],
    ["jdbc:mysql://db/x?user=app&password={}&ssl=1", 12, "<PASSWORD>"],
    ["Server=tcp:x;User ID=app;Password={};Encrypt=True", 14, "<PASSWORD>"],
    ["redis://:{}@cache:6379/0", 16, "<PASSWORD>"],
    ["mongodb+srv://app:{}@c0.x.mongodb.net/db", 16, "<PASSWORD>"],
    ["mysqldump --password {} db", 12, "<PASSWORD>"],
    ["my password is {}, help", 10, "<PASSWORD>"],
    ["mein Passwort ist {}", 10, "<PASSWORD>"],
    ["contraseña: {}", 10, "<PASSWORD>"],
    ["пароль: {}", 10, "<PASSWORD>"],
    ["密码：{}", 10, "<PASSWORD>"],
    ["machine x.com login me password {}", 12, "<PASSWORD>"],
    ["<password>{}</password>", 12, "<PASSWORD>"],
  ])("%s", (template, length, placeholder) => {
    const value = `a7Q${alnum(length - 3)}`;
    expect(sanitise(template.replace("{}", value)).text).toBe(template.replace("{}", placeholder));
  });

  test.each([
    "password: string;",
    "password = getpass.getpass()",
    'password: "Must contain 8 characters"',
    "const token = await getToken(user2)",
    "max_tokens=16384, tokens: 4096",
    'tokenizer = "gpt-3.5-turbo-16k-0613"',
    "secret: ${{ secrets.API_KEY_2 }}",
    "password: process.env.DB_PASSWORD1",
    'passwordPolicy: "min8chars1digit"',
    "I forgot my password. How do I reset it in 2024?",
    "primary_key=True, public_key: 'abc123'",
    "if (token === tokens[12]) return",
    "api_key: <your key here 123>",
    "https://user:password@host/",
    "postgres://app:${DB_PASSWORD}@db/x",
    "http://localhost:3000/@vite/client",
    "should_pass(\"WinDLL('./_sqlite3.dll')\")",
  ])("%s stays", (text) => expect(sanitise(text).text).toBe(text));
});

describe("keys in addresses and settings, and wallets", () => {
  test.each([
    ["https://b.s3.amazonaws.com/x?X-Amz-Date=20240101&X-Amz-Signature={}&x=1", hex(64)],
    ["https://api.openweathermap.org/data/2.5/weather?q=Paris&appid={}", hex(32)],
    ["weather?APPID={}&units=metric", hex(32)],
    ["sonar.login={}", hex(40)],
    ["{} is my wallet", `xprv${alnum(107)}`],
  ])("%s", (template, key) => {
    expect(sanitise(template.replace("{}", key)).text).toBe(template.replace("{}", "<API_KEY>"));
  });

  test.each([
    ["appid={}", "730"],
    ["sonar.login={}", "admin"],
    ["xprv {}", "is a prefix"],
  ])("%s stays with %s", (template, value) => {
    const text = template.replace("{}", value);
    expect(sanitise(text).text).toBe(text);
  });
});
