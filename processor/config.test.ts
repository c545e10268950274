import { generateKeyPairSync } from "node:crypto";
import { describe, expect, it, test } from "vitest";
import { ConfigurationError } from "../runtime/environment.ts";
import { readProcessorConfig, startWarnings } from "./config.ts";

function problemsOf(environment: Record<string, string>): readonly string[] {
  try {
    readProcessorConfig(environment);
    return [];
  } catch (error) {
    return (error as ConfigurationError).problems;
  }
}

const SMTP = {
  SMTP_URL: "smtp://ada:pw@mail.example",
  MAIL_FROM: "Shop <offers@bücher.example>",
  PUBLIC_URL: "https://shop.example",
};

const DKIM = { DKIM_DOMAIN: "shop.example", DKIM_SELECTOR: "a", DKIM_KEY: "package.json" };

describe("The processor's settings", () => {
  it("are enough without any", () => {
    expect(readProcessorConfig({})).toMatchObject({ datasetWriters: 1, port: 3001, smtp: null });
  });

  it("let several writers of the dataset run on Kafka", () => {
    const { datasetWriters } = readProcessorConfig({ KAFKA_BROKERS: "127.0.0.1:9092", DATASET_WRITERS: "2" });
    expect(datasetWriters).toBe(2);
  });

  it("have no bucket without DATASET_URL, whatever else is set for AWS", () => {
    const environment = {
      AWS_ENDPOINT_URL: "no address",
      AWS_REGION: "eu-west-1",
      DATASET_OBJECT_BYTES: "1",
    };
    expect(readProcessorConfig(environment).objects).toBeNull();
  });

  it("name a bucket, and are plain data for the Workers", () => {
    const { objects } = readProcessorConfig({ DATASET_URL: "s3://training-data" });
    expect(objects).toEqual({
      bucket: "training-data",
      prefix: "",
      endpoint: null,
      region: null,
      forcePathStyle: false,
      objectBytes: 64 * 1024 * 1024,
      objectAgeMs: 30_000,
      compression: "none",
    });
    const all = readProcessorConfig({
      DATASET_URL: "s3://training-data/teams/a//",
      AWS_ENDPOINT_URL: "http://minio:9000/",
      S3_FORCE_PATH_STYLE: "1",
      DATASET_OBJECT_BYTES: "1MiB",
      DATASET_OBJECT_AGE: "5s",
      DATASET_COMPRESSION: "zstd",
    }).objects;
    expect(structuredClone(all)).toEqual({
      bucket: "training-data",
      prefix: "teams/a",
      endpoint: "http://minio:9000",
      region: "us-east-1",
      forcePathStyle: true,
      objectBytes: 1024 * 1024,
      objectAgeMs: 5_000,
      compression: "zstd",
    });
  });

  it("take the endpoint and the region that are named for S3", () => {
    const { objects } = readProcessorConfig({
      DATASET_URL: "s3://training-data",
      AWS_ENDPOINT_URL: "http://elsewhere:1",
      AWS_ENDPOINT_URL_S3: "https://s3.example",
      AWS_REGION: "eu-central-1",
    });
    expect(objects).toMatchObject({ endpoint: "https://s3.example", region: "eu-central-1" });
  });

  test.each([
    [
      "a dataset in two places",
      { DATASET_URL: "s3://abc", DATASET_DIR: "d" },
      /^Cannot use DATASET_URL with DATASET_DIR/,
    ],
    [
      "a bucket of another kind",
      { DATASET_URL: "gs://abc/d" },
      /^Cannot read DATASET_URL: its scheme is gs.*s3:\/\//,
    ],
    ["a bucket that is no address", { DATASET_URL: "abc/d" }, /it is no address.*AWS_ENDPOINT_URL/],
    ["no bucket", { DATASET_URL: "s3:///d" }, /it names no bucket/],
    ["a bucket that cannot be", { DATASET_URL: "s3://My_Bucket/d" }, /cannot be called "My_Bucket"/],
    ["a login in it", { DATASET_URL: "s3://key:word@abc/d" }, /^(?!.*word).*it has a login/],
    ["a prefix that leads out", { DATASET_URL: "s3://abc/a/../b" }, /has the prefix "a\/\.\.\/b"/],
    ["a prefix with a hole", { DATASET_URL: "s3://abc/a//b" }, /has the prefix "a\/\/b"/],
    ["a prefix with a query", { DATASET_URL: "s3://abc/a?b" }, /has the prefix "a\?b"/],
    ["a long prefix", { DATASET_URL: `s3://abc/${"a".repeat(401)}` }, /longer than 400 characters/],
    [
      "an endpoint that is none",
      { DATASET_URL: "s3://abc", AWS_ENDPOINT_URL: "minio:9000" },
      /^Cannot read AWS_ENDPOINT_URL/,
    ],
    ["objects of a byte", { DATASET_URL: "s3://abc", DATASET_OBJECT_BYTES: "1" }, /between 4KiB and 256MiB/],
    ["objects of a day", { DATASET_URL: "s3://abc", DATASET_OBJECT_AGE: "1d" }, /between 100ms and 1h/],
    ["another packing", { DATASET_URL: "s3://abc", DATASET_COMPRESSION: "lz4" }, /none or gzip or zstd/],
    ["several writers on the embedded log", { DATASET_WRITERS: "2" }, /KAFKA_BROKERS/],
    ["no writer", { DATASET_WRITERS: "0" }, /DATASET_WRITERS/],
    ["an unknown group", { PROCESSOR_GROUPS: "offers" }, /dataset-writer or discount-offers/],
    [
      "one of three for DKIM",
      { DKIM_KEY: "/no/key" },
      /^Cannot sign mails: DKIM_DOMAIN and DKIM_SELECTOR are not set/,
    ],
    [
      "two of three for DKIM",
      { DKIM_DOMAIN: "a.example", DKIM_KEY: "/no" },
      /: DKIM_SELECTOR is not set\. Set/,
    ],
    [
      "a DKIM key that is not there",
      { ...DKIM, DKIM_KEY: "/no/key" },
      /^Cannot read DKIM_KEY "\/no\/key": .*may read/,
    ],
    [
      "a DKIM key that is none",
      DKIM,
      /^Cannot use DKIM_KEY "package.json": there is no private key .*openssl genrsa/,
    ],
    ["a DKIM domain that is none", { ...DKIM, DKIM_DOMAIN: "shop" }, /^Cannot read DKIM_DOMAIN "shop"/],
    ["a DKIM selector that is none", { ...DKIM, DKIM_SELECTOR: "a;b" }, /^Cannot read DKIM_SELECTOR "a;b"/],
    [
      "a discount of two lines",
      { DISCOUNT_TEXT: "20 %\noff" },
      /^Cannot use DISCOUNT_TEXT: .*one line of at most 200/,
    ],
    [
      "a public URL too long for a line",
      { PUBLIC_URL: `https://a.example/${"x".repeat(500)}` },
      /longer than 500/,
    ],
    ["a short secret", { PIPELINE_SECRET: "short" }, /openssl rand/],
    ["prompts shown off loopback", { SHOW_RAW: "1", HOST: "0.0.0.0" }, /loopback only/],
    ["a console for everybody", { HOST: "0.0.0.0" }, /CONSOLE_PASSWORD, or ALLOW_ANONYMOUS=1/],
    ["a host name that is none", { ALLOWED_HOSTS: "https://shop.example" }, /ALLOWED_HOSTS/],
    ["a mail server that is no URL", { SMTP_URL: "mail.example" }, /smtps:/],
    ["a mail server without a sender", { SMTP_URL: "smtp://127.0.0.1" }, /MAIL_FROM/],
    [
      "a sender without a domain",
      { ...SMTP, MAIL_FROM: "offers" },
      /^Cannot read MAIL_FROM "offers": expected one/,
    ],
    ["a sender without a domain, for files too", { MAIL_FROM: "offers" }, /MAIL_FROM/],
    [
      "a sender with a line end",
      { MAIL_FROM: "a@b.example\r\nBcc: c@d.example" },
      /MAIL_FROM "a@b.example\\r\\n/,
    ],
    [
      "a mail server without a host",
      { ...SMTP, SMTP_URL: "smtp://ada:secret@" },
      /^Cannot read SMTP_URL: (?!.*secret)/,
    ],
    [
      "options in SMTP_URL",
      { ...SMTP, SMTP_URL: "smtps://a.example?tls.rejectUnauthorized=0" },
      /always verified/,
    ],
    [
      "another word for TLS",
      { ...SMTP, SMTP_TLS: "off" },
      /SMTP_TLS "off": expected require or opportunistic/,
    ],
    [
      "a name that is none",
      { ...SMTP, SMTP_CLIENT_NAME: "a b" },
      /SMTP_CLIENT_NAME "a b": expected a host name/,
    ],
    [
      "a password in every mail",
      { PUBLIC_URL: "https://ada:pw@shop.example" },
      /^Cannot use PUBLIC_URL: (?!.*pw)/,
    ],
    ["a link that cannot be made longer", { PUBLIC_URL: "https://shop.example/?a=b" }, /PUBLIC_URL/],
  ])("refuse %s, and say what to do", (_, environment: Record<string, string>, message) => {
    expect(problemsOf(environment).join("\n")).toMatch(message);
  });
});

describe("mail by SMTP", () => {
  const smtpOf = (environment: Record<string, string>) =>
    readProcessorConfig({ ...SMTP, ...environment }).smtp;

  it("needs TLS where a password goes elsewhere, and greets by the sender's domain", () => {
    expect(smtpOf({})).toMatchObject({ tls: "require", clientName: "xn--bcher-kva.example" });
    expect(smtpOf({ SMTP_URL: "smtp://mail.example" })).toMatchObject({ tls: "opportunistic", login: null });
    expect(smtpOf({ SMTP_URL: "smtp://ada:pw@localhost" })).toMatchObject({ tls: "opportunistic" });
  });

  it("takes another word for both", () => {
    expect(smtpOf({ SMTP_TLS: "opportunistic", SMTP_CLIENT_NAME: "[192.0.2.1]" })).toMatchObject({
      tls: "opportunistic",
      clientName: "[192.0.2.1]",
    });
    expect(smtpOf({ SMTP_URL: "smtp://localhost", SMTP_TLS: "require" })).toMatchObject({ tls: "require" });
  });

  test.each([
    ["http://shop.example", "smtp://mail.example", true],
    ["http://shop.example", "smtp://localhost", true],
    ["http://localhost:8000", "smtp://mail.example", true],
    ["http://localhost:8000", "smtp://127.0.0.1:1025", false],
    ["https://shop.example", "smtp://mail.example", false],
    ["http://shop.example", "", false],
  ])("warns of links to %s in mails over %s: %s", (PUBLIC_URL, SMTP_URL, warns) => {
    const warnings = startWarnings(readProcessorConfig({ ...SMTP, PUBLIC_URL, SMTP_URL }));
    expect(warnings).toEqual(warns ? [expect.stringMatching(/PUBLIC_URL is http.*RFC 8058/)] : []);
  });

  it("writes PUBLIC_URL as a URL parser does: nothing else gets into a mail", () => {
    const { publicUrl } = readProcessorConfig({ PUBLIC_URL: "https://Bücher.example/a b\r\n/" });
    expect(publicUrl).toBe("https://xn--bcher-kva.example/a%20b");
  });

  it("say what signs mails and what they offer, and warn where DMARC would not take the signature", async () => {
    expect(readProcessorConfig({})).toMatchObject({ dkim: null, discountText: "20 % off your next month" });
    const DKIM_KEY = await Deno.makeTempFile();
    try {
      const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
      await Deno.writeTextFile(DKIM_KEY, privateKey.export({ type: "pkcs8", format: "pem" }) as string);
      const of = (MAIL_FROM: string) =>
        readProcessorConfig({ ...DKIM, DKIM_KEY, MAIL_FROM, DISCOUNT_TEXT: " one month free " });
      const config = of("offers@mail.shop.example");
      expect(config).toMatchObject({
        dkim: { domain: "shop.example", selector: "a" },
        discountText: "one month free",
      });
      expect(startWarnings(config)).toEqual([]);
      expect(startWarnings(of("offers@other.example"))).toEqual([
        expect.stringMatching(
          /^DKIM_DOMAIN shop.example is not the domain of MAIL_FROM, other.example: by DMARC/,
        ),
      ]);
    } finally {
      await Deno.remove(DKIM_KEY);
    }
  });
});
