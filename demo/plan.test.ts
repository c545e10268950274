import { describe, expect, it } from "vitest";
import { ConfigurationError, type Environment } from "../runtime/environment.ts";
import { readProcessorConfig } from "../processor/config.ts";
import { planDemo, withControl, withIdentity, withMailbox } from "./plan.ts";

function plan(environment: Environment = {}) {
  let port = 40_000;
  return planDemo({ DATA_DIR: "/data", ...environment }, () => port++);
}

function problemsOf(environment: Environment): readonly string[] {
  try {
    plan(environment);
  } catch (error) {
    return (error as ConfigurationError).problems;
  }
  throw new Error("It was accepted");
}

describe("the demo's plan", () => {
  it("points everybody to each other, on the embedded default", () => {
    const { environment, services, webUrl, standIn } = plan();
    expect(environment).toMatchObject({
      DATA_DIR: "/data",
      SHOW_RAW: "1",
      POSTHOG_HOST: "http://127.0.0.1:8010",
      POSTHOG_KEY: "phc_demo",
      INGEST_URL: "http://127.0.0.1:3000",
      PROCESSOR_URL: "http://127.0.0.1:3001",
      PUBLIC_URL: "http://localhost:8000",
    });
    expect(webUrl).toBe("http://localhost:8000");
    expect(standIn).toEqual({ url: "http://127.0.0.1:8010", key: "phc_demo" });
    expect(services.map(({ name, readyUrl, after }) => [name, readyUrl, after])).toEqual([
      ["processor", "http://127.0.0.1:3001/readyz", undefined],
      ["ingest", "http://127.0.0.1:3000/readyz", undefined],
      ["posthog-stand-in", "http://127.0.0.1:8010/healthz", "ingest"],
      ["web", "http://127.0.0.1:8000/", undefined],
    ]);
  });

  it("lets the environment through, and lets it win", () => {
    const { environment } = plan({ KAFKA_BROKERS: "localhost:9092", SHOW_RAW: "0", DISCOUNT_WAIT: "5s" });
    expect(environment).toMatchObject({
      KAFKA_BROKERS: "localhost:9092",
      SHOW_RAW: "0",
      DISCOUNT_WAIT: "5s",
    });
  });

  it("makes its web the server that proves what the page says, on loopback only", () => {
    const made = (environment: Environment) => withIdentity(plan(environment), () => "made in DATA_DIR");
    const { environment, services } = made({});
    expect(environment).toMatchObject({ IDENTITY_SECRET: "made in DATA_DIR", DEMO_PROOFS: "1" });
    for (const service of services) expect(service.environment).toEqual(environment);
    expect(made({ IDENTITY_SECRET: "the environment's own" }).environment.IDENTITY_SECRET).toBe(
      "the environment's own",
    );
    const ownPosthog = { POSTHOG_HOST: "https://eu.i.posthog.com", POSTHOG_KEY: "phc_own" };
    expect(made(ownPosthog).environment.IDENTITY_SECRET).toBeUndefined();
    expect(made({ HOST: "0.0.0.0", ALLOW_ANONYMOUS: "1" }).environment.DEMO_PROOFS).toBeUndefined();
  });

  it("mails through its own server where the environment names none, and keeps what the environment says of mails", () => {
    const mailed = withMailbox(plan({ MAIL_FROM: "Shop <offers@shop.example>" }), "smtp://127.0.0.1:2525");
    const { environment } = mailed;
    expect(environment).toMatchObject({ SMTP_URL: "smtp://127.0.0.1:2525", DEMO_MAILBOX: "1" });
    expect(environment.MAIL_FROM).toBe("Shop <offers@shop.example>");
    const { smtp, mailbox, publicUrl } = readProcessorConfig(
      withMailbox(plan(), "smtp://127.0.0.1:2525").environment,
    );
    expect([smtp?.port, smtp?.tls, mailbox, publicUrl]).toEqual([
      2525,
      "opportunistic",
      true,
      "http://localhost:8000",
    ]);
    for (const service of mailed.services) expect(service.environment).toEqual(environment);
  });

  it("tells its web alone where its switches are", () => {
    const { services } = withControl(plan(), { url: "http://127.0.0.1:1", token: "secret" });
    for (const { name, environment } of services) {
      expect([name, environment.DEMO_CONTROL_TOKEN]).toEqual([name, name === "web" ? "secret" : undefined]);
    }
  });

  it("finds a port for 0, the same for all who need it", () => {
    const { environment, webUrl } = plan({ INGEST_PORT: "0", WEB_PORT: "0" });
    expect(environment).toMatchObject({
      INGEST_PORT: "40000",
      INGEST_URL: "http://127.0.0.1:40000",
      WEB_PORT: "40001",
      PUBLIC_URL: "http://localhost:40001",
    });
    expect(webUrl).toBe("http://localhost:40001");
  });

  it("shows no raw prompts where other machines can look", () => {
    const { environment } = plan({
      HOST: "0.0.0.0",
      WEBHOOK_SECRET: "a static secret",
      CONSOLE_PASSWORD: "secret",
    });
    expect(environment).not.toHaveProperty("SHOW_RAW");
    expect(environment.INGEST_URL).toBe("http://127.0.0.1:3000");
  });

  it("asks web whether it is ready with the console's password", () => {
    const { services } = plan({ CONSOLE_PASSWORD: "secret" });
    expect(services.map(({ readyHeaders }) => readyHeaders)).toEqual([undefined, undefined, undefined, {
      authorization: `Basic ${btoa(":secret")}`,
    }]);
  });

  it("lets services know each other by the address on which all of them listen", () => {
    const { environment } = plan({ HOST: "192.0.2.2", ALLOW_ANONYMOUS: "1", ALLOWED_HOSTS: "shop.example" });
    expect(environment.ALLOWED_HOSTS).toBe("shop.example,192.0.2.2");
    expect(plan().environment).not.toHaveProperty("ALLOWED_HOSTS");
  });

  it("opens the console to other machines only where somebody says so", () => {
    const problems = problemsOf({ HOST: "0.0.0.0", WEBHOOK_SECRET: "a static secret" });
    expect(problems).toEqual([expect.stringMatching(/CONSOLE_PASSWORD, or ALLOW_ANONYMOUS=1/)]);
  });

  it("does without the stand-in where the environment names a PostHog", () => {
    const own = plan({ POSTHOG_HOST: "https://eu.i.posthog.com", POSTHOG_KEY: "phc_own" });
    expect(own.standIn).toBeNull();
    expect(own.services.map(({ name }) => name)).toEqual(["processor", "ingest", "web"]);
    expect(own.environment).toMatchObject({
      POSTHOG_HOST: "https://eu.i.posthog.com",
      POSTHOG_KEY: "phc_own",
    });
  });

  it("names every problem of every service once, before anything starts", () => {
    const problems = problemsOf({
      INGEST_PORT: "x",
      SPOOL_MAX_BYTES: "much",
      DISCOUNT_WAIT: "soon",
      STAND_IN_DROP: "2",
      FRESH: "stale",
      POSTHOG_STAND_IN_PORT: "8000",
    });
    const about = (word: string) => problems.filter((problem) => problem.includes(word));
    for (
      const word of ["INGEST_PORT", "SPOOL_MAX_BYTES", "DISCOUNT_WAIT", "STAND_IN_DROP", "FRESH", "8000"]
    ) {
      expect([word, about(word).length]).toEqual([word, 1]);
    }
    expect(problems).toHaveLength(6);
  });

  it("wants the key of a PostHog that is named, and what real mail needs", () => {
    expect(problemsOf({ POSTHOG_HOST: "https://eu.i.posthog.com" })).toEqual([
      expect.stringMatching(/POSTHOG_KEY/),
    ]);
    const problems = problemsOf({ SMTP_URL: "smtp://localhost:1025" });
    expect(problems.join("\n")).toMatch(/MAIL_FROM[\s\S]*PUBLIC_URL/);
  });
});
