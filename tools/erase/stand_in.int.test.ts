import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../runtime/clock.ts";
import { createKeyedHashes } from "../../contract/keyed_hash.ts";
import { type PosthogStandIn, startPosthogStandIn } from "../../demo/stand_in/server.ts";
import { readStandInConfig } from "../../demo/stand_in/config.ts";
import { until } from "../../tests/support/until.ts";
import { erasedBy } from "./person.ts";
import { Finder } from "./finder.ts";
import { eraseInStandIn, hitsInStandIn, knownInStandIn } from "./stand_in.ts";
import { filesThatHold } from "./fixtures/pipeline.ts";

const hashes = createKeyedHashes("a secret of sixteen characters");
const jane = erasedBy([hashes.subject("user-7001"), hashes.subject("visitor-1")], hashes);
const HERS = ["user-7001", "visitor-1", "jane@example.org"];

let dataDir: string;
let receiver: Deno.HttpServer;
let answer: () => Promise<Response>;
let standIn: PosthogStandIn;

beforeEach(async () => {
  dataDir = await Deno.makeTempDir();
  answer = () => Promise.resolve(new Response("ok"));
  receiver = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, () => answer());
  standIn = start();
});
afterEach(async () => {
  await standIn.stop();
  await receiver.shutdown();
  await Deno.remove(dataDir, { recursive: true });
});

function start(): PosthogStandIn {
  const config = readStandInConfig({
    DATA_DIR: dataDir,
    POSTHOG_STAND_IN_PORT: "0",
    POSTHOG_STAND_IN_WEBHOOK_URL: `http://127.0.0.1:${(receiver.addr as Deno.NetAddr).port}/api/webhooks`,
  });
  const dependencies = {
    clock: systemClock,
    fetch,
    random: Math.random,
    newId: randomUUID,
    onFailure: () => {},
  };
  return startPosthogStandIn(config, dependencies);
}

async function capture(event: string, distinctId: string, properties: Record<string, unknown> = {}) {
  const captured = {
    uuid: randomUUID(),
    event,
    properties: { distinct_id: distinctId, token: "phc_demo", ...properties },
    timestamp: new Date().toISOString(),
  };
  const body = JSON.stringify({ api_key: "phc_demo", batch: [captured] });
  const response = await fetch(`${standIn.url}/e/`, { method: "POST", body });
  await response.body?.cancel();
  expect(response.status).toBe(200);
}

async function janeAndCarl(): Promise<void> {
  await capture("feature_used", "visitor-1");
  await capture("$identify", "user-7001", {
    $anon_distinct_id: "visitor-1",
    $set: { email: "jane@example.org" },
  });
  await capture("feature_used", "carl-1", { $set: { email: "carl@example.org" } });
}

describe("the PostHog stand-in's persons", () => {
  test("lose the erased beside a running stand-in, which goes on with the others", async () => {
    await janeAndCarl();
    await standIn.deliveries.settled();
    expect(filesThatHold(dataDir, HERS)).not.toEqual([]);
    expect(await eraseInStandIn(dataDir, jane)).toBe(1);
    expect(filesThatHold(dataDir, HERS)).toEqual([]);
    expect(filesThatHold(dataDir, ["carl@example.org"])).toEqual(["posthog-stand-in/stand_in.sqlite"]);
    await capture("feature_used", "carl-1");
    await standIn.deliveries.settled();
    expect(standIn.deliveries.status()).toMatchObject({ failed: 0, delivered: 4 });
  });

  test("a delivery of theirs that is under way is waited for", async () => {
    const release = Promise.withResolvers<void>();
    answer = () => release.promise.then(() => new Response("ok"));
    await janeAndCarl();
    await until("all are under way", () => standIn.deliveries.status().inFlight === 3);
    const erasing = eraseInStandIn(dataDir, jane);
    release.resolve();
    await erasing;
    await standIn.deliveries.settled();
    expect(standIn.deliveries.status()).toMatchObject({ failed: 0, delivered: 3 });
    expect(await eraseInStandIn(dataDir, jane)).toBe(0);
    expect(filesThatHold(dataDir, HERS)).toEqual([]);
  });

  test("what a stopped one still owes of theirs is taken too", async () => {
    answer = () => Promise.resolve(new Response(null, { status: 503 }));
    await janeAndCarl();
    await until("it waits for another attempt", () => standIn.deliveries.status().waiting > 0);
    await standIn.stop();
    expect(filesThatHold(join(dataDir, "posthog-stand-in"), HERS)).not.toEqual([]);
    expect(await eraseInStandIn(dataDir, jane)).toBe(1);
    expect(filesThatHold(dataDir, HERS)).toEqual([]);
    answer = () => Promise.resolve(new Response("ok"));
    standIn = start();
    await standIn.deliveries.settled();
    expect(standIn.deliveries.status()).toMatchObject({ delivered: 1 });
  });

  test("of others who have the same mailbox stay, and explain what a search finds of it", async () => {
    await janeAndCarl();
    await capture("feature_used", "carl-1", { $set: { email: "JANE+carl@example.org" } });
    await standIn.deliveries.settled();
    expect(knownInStandIn(dataDir, jane)).toBe(true);
    await eraseInStandIn(dataDir, jane);
    expect(knownInStandIn(dataDir, jane)).toBe(false);
    const finder = new Finder({ needles: [], mailboxes: ["jane@example.org"] });
    expect(hitsInStandIn(dataDir, finder)).toBe(1);
    expect(hitsInStandIn(join(dataDir, "posthog-stand-in"), finder)).toBe(0);
  });

  test("are passed over where there is no stand-in", async () => {
    expect(await eraseInStandIn(await Deno.realPath("/tmp"), jane)).toBe(0);
  });
});
