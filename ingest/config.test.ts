import { describe, expect, test } from "vitest";
import { ConfigurationError } from "../runtime/environment.ts";
import { readIngestConfig, warningsOf } from "./config.ts";

const SIGNING = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

describe("readIngestConfig()", () => {
  test("resolves every default", () => {
    const config = readIngestConfig({ DATA_DIR: "/srv/data" });
    expect(config).toMatchObject({
      log: { kind: "embedded", dataDir: "/srv/data" },
      host: "127.0.0.1",
      port: 3000,
      webhookSecret: null,
      signingKeys: [],
      anonymous: false,
      spoolBytesMax: 1024 ** 3,
      pipelineSecret: null,
      publicUrl: "http://localhost:8000",
      faultPoint: null,
    });
    expect(warningsOf(config)).toEqual([]);
  });

  test("reads several signing secrets, with and without prefix", () => {
    const config = readIngestConfig({
      WEBHOOK_SIGNING_SECRET: ` ${SIGNING}  ${SIGNING.slice("whsec_".length)} `,
    });
    expect(config.signingKeys.map((key) => new TextDecoder().decode(key)))
      .toEqual(["0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef"]);
  });

  test.each([
    ["no base64", "whsec_not base64!"],
    ["too short", `whsec_${btoa("x".repeat(23))}`],
    ["empty behind its prefix", "whsec_"],
    ["one good, one bad", `${SIGNING} whsec_short`],
  ])("refuses a signing secret that is %s, without quoting it", (_, secret) => {
    const problems = problemsOf({ WEBHOOK_SIGNING_SECRET: secret });
    expect(problems[0]).toContain("WEBHOOK_SIGNING_SECRET");
    for (const word of secret.split(" ").filter((word) => word.length > 6)) {
      expect(problems.join("\n")).not.toContain(word);
    }
  });

  test.each(["a\nb", " x", "x ", "schlüssel", "\0"])(
    "refuses WEBHOOK_SECRET %j, which no header can carry",
    (secret) => {
      expect(problemsOf({ WEBHOOK_SECRET: secret })).toEqual([expect.stringContaining("WEBHOOK_SECRET")]);
    },
  );

  test("lists every problem at once", () => {
    expect(problemsOf({
      INGEST_PORT: "70000",
      WEBHOOK_SIGNING_SECRET: "whsec_x",
      SPOOL_MAX_BYTES: "1KiB",
      PIPELINE_SECRET: "short",
      PUBLIC_URL: "nowhere",
      KAFKA_BROKERS: "no-port",
    })).toHaveLength(6);
  });

  test("refuses to listen for others without a secret", () => {
    expect(problemsOf({ HOST: "0.0.0.0" })).toEqual([expect.stringContaining("ALLOW_ANONYMOUS=1")]);
    expect(problemsOf({ HOST: "0.0.0.0", WEBHOOK_SECRET: "s" })).toEqual([]);
    expect(problemsOf({ HOST: "0.0.0.0", WEBHOOK_SIGNING_SECRET: SIGNING })).toEqual([]);
    expect(problemsOf({ HOST: "::1" })).toEqual([]);
  });

  test("ALLOW_ANONYMOUS=1 opens it with a warning, and means nothing where a secret is set", () => {
    const open = readIngestConfig({ HOST: "0.0.0.0", ALLOW_ANONYMOUS: "1" });
    expect(open.anonymous).toBe(true);
    expect(warningsOf(open)).toEqual([expect.stringContaining("ALLOW_ANONYMOUS")]);
    const closed = readIngestConfig({ HOST: "0.0.0.0", ALLOW_ANONYMOUS: "1", WEBHOOK_SECRET: "s" });
    expect(closed.anonymous).toBe(false);
    expect(warningsOf(closed)).toEqual([]);
  });

  test("answers to loopback names, to PUBLIC_URL's and to those of ALLOWED_HOSTS", () => {
    const { console } = readIngestConfig({ PUBLIC_URL: "https://shop.example", ALLOWED_HOSTS: "ingest" });
    expect(console).toMatchObject({ publicHost: "shop.example", allowedHosts: ["ingest"] });
    expect(problemsOf({ ALLOWED_HOSTS: "*.example" })).toEqual([expect.stringContaining("ALLOWED_HOSTS")]);
  });

  test("warns where several machines might work under different secrets", () => {
    const config = readIngestConfig({ KAFKA_BROKERS: "127.0.0.1:9092" });
    expect(warningsOf(config)).toEqual([expect.stringContaining("PIPELINE_SECRET")]);
    const agreed = readIngestConfig({ KAFKA_BROKERS: "127.0.0.1:9092", PIPELINE_SECRET: "0123456789abcdef" });
    expect(warningsOf(agreed)).toEqual([]);
  });
});

function problemsOf(environment: Record<string, string>): readonly string[] {
  try {
    readIngestConfig(environment);
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
  return [];
}
