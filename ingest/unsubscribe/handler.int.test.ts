import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readLabel } from "../../contract/envelope.ts";
import { createKeyedHashes } from "../../contract/keyed_hash.ts";
import { FACTS_TOPIC } from "../../contract/names.ts";
import { makeUnsubscribeToken, readUnsubscribe } from "../../contract/unsubscribe_token.ts";
import { openTopicLog } from "../../topic/open_topic.ts";
import type { TopicLog } from "../../topic/topic.ts";
import { manualClock } from "../../tests/support/manual_clock.ts";
import { until } from "../../tests/support/until.ts";
import { fakeLog } from "../fixtures/fake_log.ts";
import { SecretConfirmation } from "./secret_confirmation.ts";
import { startTestIngest, type TestIngest } from "../fixtures/test_ingest.ts";

const SECRET = "a secret of sixteen";
const hashes = createKeyedHashes(SECRET);
const claims = { subject: hashes.subject("user-1"), mailbox: hashes.mailbox("a@example.test") };
const token = makeUnsubscribeToken(hashes, claims);

let ingest: TestIngest;
let processorLog: TopicLog;
beforeEach(async () => {
  ingest = await startTestIngest({ config: { pipelineSecret: SECRET, publicUrl: "https://shop.example" } });
  // The facts are the processor's to write, in a file of its own beside ingest's.
  processorLog = await openTopicLog({ kind: "embedded", dataDir: ingest.dataDir }, "processor");
});
afterEach(async () => {
  await processorLog.close();
  await ingest.remove();
});

describe("before the log has confirmed the secret", () => {
  test("every request is answered 503, and nothing is published", async () => {
    for (const method of ["GET", "POST"]) {
      const response = await ask(method, token);
      expect([response.status, response.headers.get("retry-after")]).toEqual([503, "2"]);
      expect(await response.text()).toContain("Please try again in a moment");
    }
    expect(await ingest.webhooks()).toEqual([]);
  });

  test("the first fact opens the door, without a restart", async () => {
    expect((await ask("GET", token)).status).toBe(503);
    await publishSecret(hashes.fingerprint);
    await untilOpen();
  });
});

test("under another secret than the log's it stays shut, and says so once", async () => {
  await publishSecret(createKeyedHashes("another secret of ours").fingerprint);
  const clock = manualClock();
  const said: string[] = [];
  const confirmation = new SecretConfirmation({
    log: processorLog,
    fingerprint: hashes.fingerprint,
    clock,
    report: (_, text) => said.push(text),
  });
  expect(await confirmation.confirmed()).toBe(false);
  await clock.advance(5_000);
  expect(await confirmation.confirmed()).toBe(false);
  expect(said).toEqual([expect.stringContaining("another PIPELINE_SECRET")]);
});

describe("once the log has confirmed the secret", () => {
  beforeEach(async () => {
    await publishSecret(hashes.fingerprint);
    await untilOpen();
  });

  test("GET shows a page with one button that posts to the same address, and changes nothing", async () => {
    const response = await ask("GET", token);
    const html = await response.text();
    expect(response.status).toBe(200);
    expect(html.match(/<button/g)).toHaveLength(1);
    expect(html).toContain(`<form method="post">`);
    expect(html).toContain(`<html lang="en">`);
    expect(await ingest.webhooks()).toEqual([]);
  });

  test("says that it was done already when it was: by this link, also without the processor", async () => {
    const page = async (method: string) => await (await ask(method, token)).text();
    expect(await page("GET")).not.toContain("already done");
    expect(await page("POST")).not.toContain("already done");
    for (const method of ["GET", "POST", "GET"]) {
      const html = await page(method);
      expect(html).toContain("You are unsubscribed");
      expect(html).toContain("already done");
      expect(html).not.toContain("<button");
    }
    // What is only remembered turns nobody away.
    expect(await ingest.webhooks()).toHaveLength(2);
    const other = { subject: hashes.subject("user-2"), mailbox: hashes.mailbox("b@example.test") };
    expect(await (await ask("GET", makeUnsubscribeToken(hashes, other))).text()).toContain("<button");
  });

  test.each(["opted_out", "suppressed"])(
    "says so too where only the log knows, by a fact %s",
    async (fact) => {
      await publishFact({ fact, at: new Date(0).toISOString(), ...claims });
      await until(
        "the page knows",
        async () => (await (await ask("GET", token)).text()).includes("already done"),
      );
    },
  );

  test("POST acts at once, with what mail programs send and with an empty body", async () => {
    for (const body of ["List-Unsubscribe=One-Click", ""]) {
      const response = await ask("POST", token, body);
      const html = await response.text();
      expect(response.status).toBe(200);
      expect(html).toContain("You are unsubscribed");
      expect(html).toContain(`href="https://shop.example/"`);
    }
    const records = await ingest.webhooks();
    expect(records).toHaveLength(2);
    for (const record of records) {
      expect(readLabel(record.headers)).toMatchObject({ event: "email_unsubscribed", source: "unsubscribe" });
      expect(readUnsubscribe(record.value)).toEqual(claims);
      expect(new TextDecoder().decode(record.key!)).toBe(claims.subject);
      expect(Math.abs(record.timestamp - Date.now())).toBeLessThan(60_000);
    }
  });

  test.each([
    ["none", ""],
    ["one cut short", token.slice(0, -1)],
    ["one of another secret", makeUnsubscribeToken(createKeyedHashes("another secret of ours"), claims)],
    ["one with markup", `<script>alert(1)</script>`],
  ])("a token that is forged is answered 400, and nothing is published: %s", async (_, forged) => {
    for (const method of ["GET", "POST"]) {
      const response = await ask(method, forged);
      const html = await response.text();
      expect(response.status).toBe(400);
      expect(html).toContain("This link is not valid");
      expect(html).not.toContain("<script");
      expect(html).not.toContain("<button");
    }
    expect(await ingest.webhooks()).toEqual([]);
  });

  test("no page runs a script, can be framed, is cached, or tells where the reader came from", async () => {
    for (const response of [await ask("GET", token), await ask("POST", token), await ask("GET", "forged")]) {
      const html = await response.text();
      const policy = response.headers.get("content-security-policy")!;
      expect(policy).toContain("default-src 'none'");
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).toContain("form-action 'self'");
      expect(policy).not.toContain("script-src");
      expect(response.headers.get("referrer-policy")).toBe("no-referrer");
      expect(response.headers.get("cache-control")).toBe("no-store");
      expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
      const style = /<style>([\s\S]*)<\/style>/.exec(html)![1]!;
      const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(style));
      expect(policy).toContain(`style-src 'sha256-${btoa(String.fromCharCode(...new Uint8Array(digest)))}'`);
    }
  });

  test("a body that is too large is refused", async () => {
    const response = await ask("POST", token, "x".repeat(10_000));
    await response.body?.cancel();
    expect(response.status).toBe(413);
    expect(await ingest.webhooks()).toEqual([]);
  });
});

test("a wish that can be stored neither in the log nor in the spool is answered 503, not 200", async () => {
  await publishSecret(hashes.fingerprint);
  const log = fakeLog();
  // The facts are the real ones; only publishing is the fake's.
  log.bounds = (topic) => processorLog.bounds(topic);
  log.read = (topic, options) => processorLog.read(topic, options);
  const full = await startTestIngest({ config: { pipelineSecret: SECRET, spoolBytesMax: 10 }, log });
  log.mode = "away";
  const response = await fetch(`${full.url}/unsubscribe?token=${token}`, { method: "POST" });
  expect(response.status).toBe(503);
  expect(await response.text()).toContain("could not be stored");
  await full.remove();
});

async function ask(method: string, token: string, body?: string): Promise<Response> {
  return await fetch(`${ingest.url}/unsubscribe?token=${encodeURIComponent(token)}`, {
    method,
    ...(body === undefined ? {} : {
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body,
    }),
  });
}

async function untilOpen(): Promise<void> {
  await until("the door is open", async () => {
    const response = await ask("GET", token);
    await response.body?.cancel();
    return response.status === 200;
  });
}

async function publishSecret(fingerprint: string): Promise<void> {
  await processorLog.ensureTopic({
    name: FACTS_TOPIC,
    partitions: 1,
    retentionMs: null,
    retentionBytes: null,
    recordBytesMax: 1024 ** 2,
  });
  await publishFact({ fact: "secret", at: new Date(0).toISOString(), fingerprint });
}

async function publishFact(fact: Record<string, unknown>): Promise<void> {
  const value = new TextEncoder().encode(JSON.stringify(fact));
  await processorLog.publish(FACTS_TOPIC, [{ key: null, value, headers: {}, timestamp: 0 }]);
}
