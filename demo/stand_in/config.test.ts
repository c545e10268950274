import { describe, expect, it } from "vitest";
import { ConfigurationError } from "../../runtime/environment.ts";
import { readStandInConfig } from "./config.ts";

describe("the stand-in's settings", () => {
  it("deliver the pipeline's events, unsigned and undisturbed, to ingest on its port", () => {
    expect(readStandInConfig({ DATA_DIR: "/data", INGEST_PORT: "3100" })).toMatchObject({
      host: "127.0.0.1",
      port: 8010,
      directory: "/data/posthog-stand-in",
      target: { url: "http://127.0.0.1:3100/api/webhooks", staticSecret: null, signingKey: null },
      events: [
        "feature_used",
        "generation_failed",
        "email_unsubscribed",
        "$identify",
        "$set",
        "$create_alias",
      ],
      disturbance: { duplicate: 0, reorder: 0, drop: 0 },
    });
  });

  it("take another address, secrets and disturbances", () => {
    const config = readStandInConfig({
      INGEST_URL: "http://ingest:3000/",
      WEBHOOK_SECRET: "static",
      WEBHOOK_SIGNING_SECRET: `whsec_${btoa("a".repeat(24))} whsec_${btoa("b".repeat(24))}`,
      STAND_IN_DUPLICATE: "0.1",
      STAND_IN_REORDER: "1",
      STAND_IN_DROP: ".25",
      STAND_IN_EVENTS: "*",
    });
    expect(config).toMatchObject({
      target: { url: "http://ingest:3000/api/webhooks", staticSecret: "static" },
      disturbance: { duplicate: 0.1, reorder: 1, drop: 0.25 },
      events: ["*"],
    });
    expect(new TextDecoder().decode(config.target.signingKey!)).toBe("a".repeat(24));
    const url = "https://hooks.example.org/x";
    expect(readStandInConfig({ POSTHOG_STAND_IN_WEBHOOK_URL: url, INGEST_PORT: "0" }).target.url).toBe(url);
  });

  it("name every problem at once, and no secret", () => {
    const read = () =>
      readStandInConfig({
        INGEST_PORT: "0",
        WEBHOOK_SIGNING_SECRET: "whsec_c2hvcnQ=",
        STAND_IN_DUPLICATE: "10%",
        STAND_IN_DROP: "1.1",
        POSTHOG_STAND_IN_PORT: "x",
      });
    expect(read).toThrow(ConfigurationError);
    try {
      read();
    } catch (error) {
      const { problems } = error as ConfigurationError;
      expect(problems).toHaveLength(5);
      expect(problems.join("\n")).not.toContain("c2hvcnQ");
    }
  });

  it("take no password in the webhook's address", () => {
    const environment = { POSTHOG_STAND_IN_WEBHOOK_URL: "https://user:hunter2@hooks.example.org" };
    expect(() => readStandInConfig(environment)).toThrow(/WEBHOOK_SECRET/);
    expect(() => readStandInConfig(environment)).not.toThrow(/hunter2/);
  });
});
