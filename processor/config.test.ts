import { describe, expect, it, test } from "vitest";
import { ConfigurationError } from "../runtime/environment.ts";
import { readProcessorConfig } from "./config.ts";

function problemsOf(environment: Record<string, string>): readonly string[] {
  try {
    readProcessorConfig(environment);
    return [];
  } catch (error) {
    return (error as ConfigurationError).problems;
  }
}

describe("The processor's settings", () => {
  it("are enough without any", () => {
    expect(readProcessorConfig({})).toMatchObject({ datasetWriters: 1, port: 3001, smtpUrl: null });
  });

  it("let several writers of the dataset run on Kafka", () => {
    const { datasetWriters } = readProcessorConfig({ KAFKA_BROKERS: "127.0.0.1:9092", DATASET_WRITERS: "2" });
    expect(datasetWriters).toBe(2);
  });

  test.each([
    ["several writers on the embedded log", { DATASET_WRITERS: "2" }, /KAFKA_BROKERS/],
    ["no writer", { DATASET_WRITERS: "0" }, /DATASET_WRITERS/],
    ["an unknown group", { PROCESSOR_GROUPS: "offers" }, /dataset-writer or discount-offers/],
    ["a short secret", { PIPELINE_SECRET: "short" }, /openssl rand/],
    ["prompts shown off loopback", { SHOW_RAW: "1", HOST: "0.0.0.0" }, /loopback only/],
    ["a console for everybody", { HOST: "0.0.0.0" }, /CONSOLE_PASSWORD, or ALLOW_ANONYMOUS=1/],
    ["a host name that is none", { ALLOWED_HOSTS: "https://shop.example" }, /ALLOWED_HOSTS/],
    ["a mail server that is no URL", { SMTP_URL: "mail.example" }, /smtps:/],
    ["a mail server without a sender", { SMTP_URL: "smtp://127.0.0.1" }, /MAIL_FROM/],
  ])("refuse %s, and say what to do", (_, environment: Record<string, string>, message) => {
    expect(problemsOf(environment).join("\n")).toMatch(message);
  });
});
