import { createRequire } from "node:module";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { PostHog as PostHogNode } from "posthog-node";
import { PostHog as PostHogLite } from "posthog-js-lite";
import { systemClock } from "../../runtime/clock.ts";
import { startReceiver } from "./fixtures/receiver.ts";
import { type PosthogStandIn, startPosthogStandIn } from "./server.ts";
import { readStandInConfig, type StandInConfig } from "./config.ts";
import { until } from "../../tests/support/until.ts";

const UUID = "0190a000-0000-7000-8000-000000000001";
let dataDir: string;
let receiver: ReturnType<typeof startReceiver>;
let standIn: PosthogStandIn;

beforeEach(async () => {
  dataDir = await Deno.makeTempDir();
  receiver = startReceiver({ clock: systemClock });
  standIn = start();
});
afterEach(async () => {
  await standIn.stop();
  await receiver.stop();
  await Deno.remove(dataDir, { recursive: true });
});

function start(overrides: Partial<StandInConfig> = {}): PosthogStandIn {
  const config = readStandInConfig({
    DATA_DIR: dataDir,
    POSTHOG_STAND_IN_PORT: "0",
    POSTHOG_STAND_IN_WEBHOOK_URL: receiver.url,
  });
  return startPosthogStandIn({ ...config, ...overrides }, {
    clock: systemClock,
    fetch,
    random: Math.random,
    newId: randomUUID,
    onFailure: () => {},
  });
}

function event(name: string, distinctId: string, properties: Record<string, unknown> = {}) {
  return {
    uuid: randomUUID(),
    event: name,
    properties: { distinct_id: distinctId, token: "phc_demo", ...properties },
    timestamp: new Date().toISOString(),
  };
}

function post(path: string, body: unknown, init: RequestInit = {}): Promise<Response> {
  const text = typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
  return fetch(standIn.url + path, { method: "POST", body: text as BodyInit, ...init });
}

async function capture(...events: unknown[]): Promise<void> {
  const response = await post("/e/", {
    api_key: "phc_demo",
    batch: events,
    sent_at: new Date().toISOString(),
  });
  expect([response.status, await response.text()]).toEqual([200, '{"status":"Ok"}']);
}

const bodies = () => receiver.received.map(({ body }) => body);

describe("the capture endpoint", () => {
  it("turns posthog-js's gzip into PostHog's default webhook", async () => {
    const captured = event("generation_failed", "user-1", { input_prompt: "x", failure_reason: null });
    const sent = {
      api_key: "phc_demo",
      batch: [{ ...captured, uuid: UUID, $set: { email: "a@example.org" } }],
      sent_at: captured.timestamp,
    };
    const before = Date.now();
    const response = await post("/e/", gzipSync(JSON.stringify(sent)), {
      headers: { "content-type": "text/plain" },
    });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toMatch(/^application\/json/);
    expect(await response.json()).toEqual({ status: "Ok" });
    expect(response.headers.get("access-control-allow-origin")).toBe("*");

    await standIn.deliveries.settled();
    const [webhook] = bodies();
    expect(Object.keys(webhook!)).toEqual(["event", "person"]);
    expect(Object.keys(webhook!.event)).toEqual([
      "uuid",
      "event",
      "distinct_id",
      "properties",
      "elements_chain",
      "timestamp",
      "captured_at",
      "url",
    ]);
    const project = `${standIn.url}/project/1`;
    expect(webhook!.event).toMatchObject({
      uuid: UUID,
      event: "generation_failed",
      distinct_id: "user-1",
      properties: { input_prompt: "x", failure_reason: null, $set: { email: "a@example.org" } },
      elements_chain: "",
    });
    expect(webhook!.event.url).toBe(
      `${project}/events/${UUID}/${encodeURIComponent(webhook!.event.timestamp)}`,
    );
    const capturedAt = Date.parse(webhook!.event.captured_at as string);
    expect(capturedAt).toBeGreaterThanOrEqual(before);
    expect(webhook!.person).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      properties: { email: "a@example.org", $creator_event_uuid: UUID },
      name: "a@example.org",
      url: `${project}/person/user-1`,
    });
  });

  it.each(
    ["/e", "/i/v0/e", "/capture", "/track", "/engage", "/batch"].flatMap((path) => [path, `${path}/`]),
  )("answers at %s by POST, GET and preflight", async (path) => {
    const one = { ...event("feature_used", "user-1"), api_key: "phc_demo" };
    const posted = await post(`${path}?ip=0&ver=1.260.0`, one);
    expect([posted.status, await posted.text()]).toEqual([200, '{"status":"Ok"}']);
    const data = encodeURIComponent(btoa(JSON.stringify(one)));
    const got = await fetch(`${standIn.url}${path}?data=${data}`);
    expect([got.status, await got.text()]).toEqual([200, '{"status":"Ok"}']);
    const preflight = await fetch(standIn.url + path, {
      method: "OPTIONS",
      headers: {
        origin: "http://localhost:8000",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type,content-encoding",
      },
    });
    expect(preflight.status).toBeLessThan(300);
    expect(preflight.headers.get("access-control-allow-origin")).toBe("*");
    expect(preflight.headers.get("access-control-allow-headers")).toBe("content-type,content-encoding");
    expect(preflight.headers.get("access-control-allow-methods")).toBe("GET,POST,OPTIONS");
    await standIn.deliveries.settled();
    expect(bodies().map((body) => body.event.uuid)).toEqual([one.uuid, one.uuid]);
  });

  it("refuses as PostHog does, and takes the next good event", async () => {
    const good = event("feature_used", "user-1");
    const refused = async (body: unknown) => (await post("/e/", body)).status;
    expect(await refused({ batch: [{ ...good, properties: { distinct_id: "u" } }] })).toBe(401);
    expect(await refused({ api_key: "phx_personal", batch: [good] })).toBe(401);
    expect(await refused({ api_key: "phc_demo", batch: [] })).toBe(400);
    expect(await refused("no json")).toBe(400);
    expect(await refused(new Uint8Array(standInBodyBytesMax + 1))).toBe(413);
    await capture(good);
    await standIn.deliveries.settled();
    expect(bodies().map((body) => body.event.uuid)).toEqual([good.uuid]);
  });

  it("takes all events of a batch or none", async () => {
    const response = await post("/batch/", {
      api_key: "phc_demo",
      batch: [event("feature_used", "user-1"), { event: "feature_used" }],
    });
    expect(response.status).toBe(400);
    await standIn.deliveries.settled();
    expect(bodies()).toEqual([]);
  });

  it("answers 503, so that the client tries again, while there is no more room for deliveries", async () => {
    await standIn.stop();
    const limits = { ...readStandInConfig({}).limits, owedMax: 1 };
    standIn = start({ limits });
    const two = [event("feature_used", "u"), event("feature_used", "u")];
    const response = await post("/e/", { api_key: "phc_demo", batch: two });
    expect(response.status).toBe(503);
    await capture(two[0]);
  });

  it("names the client's address, but not a loopback one", async () => {
    const body = { api_key: "phc_demo", batch: [event("feature_used", "u")] };
    await post("/e/", body, { headers: { "x-forwarded-for": "203.0.113.7, 10.0.0.1" } });
    await post("/e/", body);
    await standIn.deliveries.settled();
    expect(bodies().map((sent) => sent.event.properties.$ip).sort()).toEqual(["203.0.113.7", undefined]);
  });
});

describe("the event matcher", () => {
  it("delivers the pipeline's events and nothing else", async () => {
    const names = ["feature_used", "$pageview", "generation_failed", "$set", "$$client_ingestion_warning"];
    await capture(...names.map((name) => event(name, "user-1")));
    await standIn.deliveries.settled();
    expect(bodies().map((body) => body.event.event).sort()).toEqual([
      "$set",
      "feature_used",
      "generation_failed",
    ]);
  });

  it("* delivers everything", async () => {
    await standIn.stop();
    standIn = start({ events: ["*"] });
    await capture(event("$pageview", "user-1"));
    await standIn.deliveries.settled();
    expect(bodies()).toHaveLength(1);
  });
});

describe("a restart", () => {
  it("keeps persons and what was owed", async () => {
    await capture(
      event("$identify", "user", { $anon_distinct_id: "anon", $set: { email: "a@example.org" } }),
    );
    await standIn.deliveries.settled();
    const before = bodies()[0]!.person;
    const { url } = receiver;
    await receiver.stop();
    await capture(event("feature_used", "anon"));
    await until("an attempt failed", () => standIn.deliveries.status().retried === 1);
    await standIn.stop();

    receiver = startReceiver({ clock: systemClock });
    standIn = start();
    expect(receiver.url).not.toBe(url);
    await standIn.deliveries.settled();
    expect(bodies().map(({ event, person }) => [event.event, person.id, person.properties.email])).toEqual([
      ["feature_used", before.id, "a@example.org"],
    ]);
    expect(standIn.deliveries.status()).toMatchObject({ delivered: 2, failed: 0, waiting: 0 });
  });

  it("a second stand-in on the same directory is refused", () => {
    expect(() => start()).toThrow(/another one already works there/);
  });

  it("a port that is taken is refused, and the directory is free again", async () => {
    const port = Number(new URL(standIn.url).port);
    const other = await Deno.makeTempDir();
    expect(() => start({ port, directory: other })).toThrow(Deno.errors.AddrInUse);
    await start({ directory: other }).stop();
    await Deno.remove(other, { recursive: true });
  });
});

describe("what keeps clients quiet", () => {
  it.each([
    ["/array/phc_demo/config", { supportedCompression: ["gzip", "gzip-js"], hasFeatureFlags: false }],
    ["/flags/?v=2", { flags: {}, errorsWhileComputingFlags: false }],
    ["/decide/?v=4", { featureFlags: {}, sessionRecording: false }],
    ["/api/surveys/?token=phc_demo", { surveys: [] }],
    ["/api/product_tours/?token=phc_demo", { product_tours: [] }],
    ["/api/web_experiments/?token=phc_demo", { experiments: [] }],
    ["/api/early_access_features/?token=phc_demo", { earlyAccessFeatures: [] }],
    ["/healthz", { status: "ok", delivered: 0 }],
    ["/api/deliveries", { delivered: 0, failed: 0, inFlight: 0, waiting: 0, lastErrors: [] }],
  ])("GET %s", async (path, expected) => {
    const response = await fetch(standIn.url + path);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject(expected);
  });

  it("recordings, logs and measurements are thrown away", async () => {
    for (const path of ["/s/", "/flags/?v=2", "/i/v1/logs?token=phc_demo", "/i/v1/metrics?token=phc_demo"]) {
      expect([path, (await post(path, "{}")).status]).toEqual([path, 200]);
    }
  });

  it("the script of the remote configuration sets it for its token, whatever text that is", async () => {
    const token = '"];throw 1;//</script>\u2028\\';
    const script = await fetch(`${standIn.url}/array/${encodeURIComponent(token)}/config.js`);
    expect([script.status, script.headers.get("content-type")]).toEqual([
      200,
      expect.stringMatching(/^text\/javascript/),
    ]);
    const window: Record<string, Record<string, unknown>> = {};
    new Function("window", await script.text())(window);
    expect(window._POSTHOG_REMOTE_CONFIG![token]).toEqual({
      config: await (await fetch(`${standIn.url}/array/phc_demo/config`)).json(),
      siteApps: [],
    });
  });
});

describe("the scripts that posthog-js loads afterwards", () => {
  const main = createRequire(import.meta.url).resolve("posthog-js");
  const ofPackage = (name: string) => Deno.readTextFile(join(main, "..", name));

  it.each([
    "surveys.js",
    "recorder.js",
    "lazy-recorder.js",
    "exception-autocapture.js",
    "web-vitals.js",
    "web-vitals-with-attribution.js",
    "dead-clicks-autocapture.js",
    "tracing-headers.js",
    "product-tours.js",
    "logs.js",
    "array.js",
  ])("/static/%s is the package's own, with and without a version", async (name) => {
    const text = await ofPackage(name);
    for (const path of [`/static/${name}?v=1.449.2`, `/static/1.449.2/${name}`, `/static/1.400.0/${name}`]) {
      const response = await fetch(standIn.url + path);
      expect([path, response.status, response.headers.get("content-type")]).toEqual([
        path,
        200,
        "text/javascript; charset=utf-8",
      ]);
      // For a page of another origin: the script's tag asks for it.
      expect(response.headers.get("access-control-allow-origin")).toBe("*");
      expect(await response.text() === text).toBe(true);
    }
    const map = await fetch(`${standIn.url}/static/1.449.2/${name}.map`);
    expect([map.status, map.headers.get("content-type")]).toEqual([200, "application/json"]);
    await map.body?.cancel();
  });

  it("the snippet's own script comes from /array/ as well", async () => {
    const response = await fetch(`${standIn.url}/array/phc_demo/array.js`);
    expect([response.status, await response.text() === await ofPackage("array.js")]).toEqual([200, true]);
  });

  it("no other file is reached: not beside the scripts, not above them", async () => {
    for (
      const path of [
        "/static/toolbar.js",
        "/static/package.json",
        "/static/integrity.json",
        "/static/surveys.d.ts",
        "/static/..%2fpackage.json",
        "/static/..%2f..%2flib%2fsrc%2fentrypoints%2fsurveys.js",
        "/static/1/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/static/%00surveys.js",
        "/static/a/b/surveys.js",
        "/array/phc_demo/surveys.js",
        "/array/phc_demo/..%2fconfig.js",
      ]
    ) {
      const response = await fetch(standIn.url + path);
      expect([path, response.status]).toEqual([path, 404]);
      await response.body?.cancel();
    }
  });
});

describe("real clients", () => {
  it("posthog-node is understood: events, identification and aliases", async () => {
    const client = new PostHogNode("phc_node", { host: standIn.url, flushAt: 1, disableGeoip: false });
    client.identify({ distinctId: "user", properties: { email: "a@example.org" } });
    client.capture({ distinctId: "user", event: "feature_used", properties: { feature: "s" }, uuid: UUID });
    await client.flush();
    client.alias({ distinctId: "user", alias: "other" });
    client.capture({ distinctId: "other", event: "generation_failed", properties: { input_prompt: "p" } });
    await client.shutdown();
    await standIn.deliveries.settled();
    const byEvent = new Map(bodies().map((body) => [body.event.event, body]));
    expect([...byEvent.keys()].sort()).toEqual([
      "$create_alias",
      "$identify",
      "feature_used",
      "generation_failed",
    ]);
    expect(byEvent.get("feature_used")).toMatchObject({
      event: { uuid: UUID, distinct_id: "user", properties: { feature: "s", $lib: "posthog-node" } },
    });
    expect(byEvent.get("generation_failed")!.person).toMatchObject({
      id: byEvent.get("$identify")!.person.id,
      properties: { email: "a@example.org" },
    });
  });

  it("posthog-js-lite is understood: the anonymous id joins the identified one", async () => {
    const client = new PostHogLite("phc_lite", {
      host: standIn.url,
      persistence: "memory",
      flushAt: 1,
      captureHistoryEvents: false,
    });
    const anonymous = client.getDistinctId();
    client.capture("feature_used", { feature: "s" });
    client.identify("user", { email: "a@example.org" });
    client.capture("generation_failed", { input_prompt: "p" });
    await client.shutdown();
    await standIn.deliveries.settled();
    const byEvent = new Map(bodies().map((body) => [body.event.event, body]));
    expect([...byEvent.keys()].sort()).toEqual(["$identify", "feature_used", "generation_failed"]);
    expect(byEvent.get("feature_used")!.event.distinct_id).toBe(anonymous);
    expect(byEvent.get("$identify")!.event.properties.$anon_distinct_id).toBe(anonymous);
    expect(byEvent.get("generation_failed")!.person).toMatchObject({
      properties: { email: "a@example.org" },
    });
  });
});

const standInBodyBytesMax = readStandInConfig({}).limits.bodyBytesMax;

describe("the switches", () => {
  const json = { headers: { "content-type": "application/json" } };
  const order = (body: unknown, headers: Record<string, string> = {}) =>
    post("/api/switches", body, { headers: { ...json.headers, ...headers } });

  it("are thrown by a program of this machine, and shown", async () => {
    const answer = await order({ pauseMs: 10_000, duplicate: 1 });
    expect(await answer.json()).toMatchObject({
      duplicate: 1,
      reorder: 0,
      drop: 0,
      pausedUntil: expect.stringMatching(/Z$/),
    });
    await capture(event("feature_used", "user-1"));
    const shown = async () => await (await fetch(`${standIn.url}/api/deliveries`)).json();
    expect(await shown()).toMatchObject({ waiting: 2, delivered: 0 });
    await order({ pauseMs: 0 });
    await until("both went out", async () => (await shown()).delivered === 2);
    expect(await shown()).toMatchObject({ repeated: 1, switched: { duplicate: 1, pausedUntil: null } });
  });

  it("heed no page, not even one of this machine, and no foreign name", async () => {
    const strange: Record<string, string>[] = [
      { origin: "http://localhost:8000" },
      { "sec-fetch-site": "cross-site" },
      { "x-forwarded-for": "10.0.0.1" },
    ];
    for (const headers of strange) {
      expect((await order({ drop: 1 }, headers)).status).toBe(403);
    }
    expect(standIn.deliveries.status().switched.drop).toBe(0);
  });

  it.each([{ drop: 2 }, { drop: "1" }, { pauseMs: 60_001 }, { pauseMs: -1 }, { explode: 1 }, "no JSON", "7"])(
    "take no %j",
    async (body) => {
      expect((await order(body)).status).toBe(400);
      expect(standIn.deliveries.status().switched).toMatchObject({ drop: 0, pausedUntil: null });
    },
  );
});
