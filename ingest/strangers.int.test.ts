import { createHmac } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import { createKeyedHashes } from "../contract/keyed_hash.ts";
import { FACTS_TOPIC } from "../contract/names.ts";
import { makeUnsubscribeToken } from "../contract/unsubscribe_token.ts";
import { until } from "../tests/support/until.ts";
import { openTopicLog } from "../topic/open_topic.ts";
import {
  startTestIngest,
  type TestIngest,
  type TestIngestOptions,
  webhookBody,
} from "./fixtures/test_ingest.ts";

/** Who has no secret, and many connections. */

const KEY = new TextEncoder().encode("0123456789abcdef0123456789abcdef");
const SECRET = "a secret of sixteen";
/** So that whoever has sent nothing yet counts as stalled, whatever the clock says. */
const STALLS_AT_ONCE = { stalledMs: 0 };

let ingest: TestIngest;
let strangers: Deno.Conn[] = [];
afterEach(async () => {
  for (const connection of strangers) connection.close();
  strangers = [];
  await ingest.remove();
});

async function start(limits: TestIngestOptions["limits"] = {}, config: TestIngestOptions["config"] = {}) {
  ingest = await startTestIngest({
    config: { signingKeys: [KEY], pipelineSecret: SECRET, ...config },
    limits,
  });
}

const WRONG_SIGNATURE = `webhook-id: msg_0\r\nwebhook-timestamp: ${Math.floor(Date.now() / 1000)}\r\n` +
  `webhook-signature: v1,${btoa("0".repeat(32))}\r\n`;

describe("idle requests with a wrong signature and an announced body", () => {
  test("keep no signed webhook out, 1,030 of them with 64 KiB each", async () => {
    await start();
    await idle(1_030, `POST /api/webhooks`, `${WRONG_SIGNATURE}content-length: 65536\r\n`);
    expect(await gauge("ingest_in_flight_bytes")).toBe(0);
    await signedWebhooksAreTaken(20);
  });

  test("keep none out where they hold every slot that is theirs, but lose their own", async () => {
    await start({ ...STALLS_AT_ONCE, inFlightRequestsMax: 50, unprovenRequestsMax: 40 });
    await idle(40, `POST /api/webhooks`, `${WRONG_SIGNATURE}content-length: 65536\r\n`);
    await idle(20, `POST /api/webhooks`, `${WRONG_SIGNATURE}transfer-encoding: chunked\r\n`, 40);
    await signedWebhooksAreTaken(20);
    expect(await gauge("ingest_evicted_requests_total")).toBeGreaterThanOrEqual(20);
  });

  test("keep none out with bytes that came either", async () => {
    await start({
      ...STALLS_AT_ONCE,
      unprovenBytesMax: 1_000_000,
      bodiesUncountedBytesMax: 0,
      progressBytes: 2 ** 30,
    });
    await idle(
      15,
      `POST /api/webhooks`,
      `${WRONG_SIGNATURE}content-length: 65536\r\n`,
      15,
      "x".repeat(65_000),
    );
    await until("their bytes are counted", async () => await gauge("ingest_in_flight_bytes") === 15 * 65_000);
    await signedWebhooksAreTaken(5, "y".repeat(300_000));
    expect(await gauge("ingest_evicted_requests_total")).toBeGreaterThan(0);
  });

  test("never take the slots that a static secret opens", async () => {
    await start(
      { inFlightRequestsMax: 12, unprovenRequestsMax: 10 },
      { signingKeys: [], webhookSecret: "s3cret" },
    );
    const token = await confirmedToken();
    await idle(10, `POST /unsubscribe?token=${token}`, "content-length: 100\r\n");
    const response = await ingest.post(webhookBody("0190a000-0000-7000-8000-000000000001"), {
      authorization: "Bearer s3cret",
    });
    expect(response.status).toBe(200);
  });
});

describe("bodies that dribble", () => {
  test.each(["content-length: 60000\r\n", "content-length: 600000\r\n", "transfer-encoding: chunked\r\n"])(
    "are answered 408 long before their time is over: %s",
    async (framing) => {
      await start({ bodyReadMsMax: 3_600_000, bodyPaceMs: 100, bodyPaceBytes: 60_000 });
      const [connection] = await idle(1, `POST /api/webhooks`, `${WRONG_SIGNATURE}${framing}`);
      const piece = new TextEncoder().encode(framing.startsWith("t") ? "1\r\n \r\n" : " ");
      const dribble = setInterval(() => connection!.write(piece).catch(() => {}), 20);
      expect(await statusOf(connection!)).toBe(408);
      clearInterval(dribble);
    },
  );
});

describe("POST /unsubscribe", () => {
  test("with a forged token is answered without a byte of its body", async () => {
    await start({ bodyReadMsMax: 3_600_000, bodyPaceMs: 3_600_000 });
    await confirmedToken();
    for (const framing of ["content-length: 8000\r\n", "transfer-encoding: chunked\r\n"]) {
      const [connection] = await idle(1, `POST /unsubscribe?token=forged`, framing, 0);
      expect(await statusOf(connection!), framing).toBe(400);
    }
  });

  test("of a reader is taken beside idle ones that hold every slot, and so are signed webhooks", async () => {
    await start({ ...STALLS_AT_ONCE, inFlightRequestsMax: 50, unprovenRequestsMax: 40 });
    const token = await confirmedToken();
    await idle(40, `POST /unsubscribe?token=${token}`, "content-length: 8000\r\n");
    for (let i = 0; i < 5; i++) {
      const response = await fetch(`${ingest.url}/unsubscribe?token=${token}`, {
        method: "POST",
        body: "List-Unsubscribe=One-Click",
      });
      expect([response.status, (await response.text()).includes("You are unsubscribed")]).toEqual([
        200,
        true,
      ]);
    }
    await signedWebhooksAreTaken(5);
  });
});

/** Opens connections that send a request's head, and of its body `begun` at most; waits until `held` hold a place. */
async function idle(
  count: number,
  line: string,
  headers: string,
  held = count,
  begun = "",
): Promise<Deno.Conn[]> {
  const head = new TextEncoder().encode(
    `${line} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n${headers}\r\n${begun}`,
  );
  const opened = await Promise.all(Array.from({ length: count }, async () => {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: ingest.port });
    for (let sent = 0; sent < head.length;) sent += await connection.write(head.subarray(sent));
    return connection;
  }));
  strangers.push(...opened);
  await until("they are all in flight", async () => await gauge("ingest_in_flight_requests") === held);
  return opened;
}

async function signedWebhooksAreTaken(count: number, note = ""): Promise<void> {
  for (let n = 0; n < count; n++) {
    const body = webhookBody(crypto.randomUUID(), { note });
    const at = String(Math.floor(Date.now() / 1000));
    const response = await ingest.post(body, {
      "webhook-id": "msg_1",
      "webhook-timestamp": at,
      "webhook-signature": `v1,${createHmac("sha256", KEY).update(`msg_1.${at}.${body}`).digest("base64")}`,
    });
    expect([response.status, await response.json()]).toEqual([
      200,
      expect.objectContaining({ status: "ok" }),
    ]);
  }
}

async function gauge(name: string): Promise<number> {
  const metrics = await (await fetch(`${ingest.url}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\d+)$`, "m").exec(metrics)?.[1]);
}

async function statusOf(connection: Deno.Conn): Promise<number> {
  const buffer = new Uint8Array(4096);
  const read = await connection.read(buffer);
  return Number(new TextDecoder().decode(buffer.subarray(0, read ?? 0)).slice("HTTP/1.1 ".length, 12));
}

/** A reader's token, once the log has confirmed the secret. */
async function confirmedToken(): Promise<string> {
  const hashes = createKeyedHashes(SECRET);
  const log = await openTopicLog({ kind: "embedded", dataDir: ingest.dataDir }, "processor");
  await log.ensureTopic({
    name: FACTS_TOPIC,
    partitions: 1,
    retentionMs: null,
    retentionBytes: null,
    recordBytesMax: 1024 ** 2,
  });
  const fact = { fact: "secret", at: new Date(0).toISOString(), fingerprint: hashes.fingerprint };
  await log.publish(FACTS_TOPIC, [{
    key: null,
    value: new TextEncoder().encode(JSON.stringify(fact)),
    headers: {},
    timestamp: 0,
  }]);
  await log.close();
  const token = makeUnsubscribeToken(hashes, {
    subject: hashes.subject("user-1"),
    mailbox: hashes.mailbox("a@example.test"),
  });
  await until("the door is open", async () => {
    const response = await fetch(`${ingest.url}/unsubscribe?token=${token}`);
    await response.body?.cancel();
    return response.status === 200;
  });
  return token;
}
