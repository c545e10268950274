import { Buffer } from "node:buffer";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Context, Hono } from "hono";
import { cors } from "hono/cors";
import { hostRefusal, isLocal, refusalAnswer, visitOf } from "../../contract/door.ts";
import { makePrivateDirectory, makePrivateFile } from "../../runtime/durable_file.ts";
import { listen } from "../../runtime/listen.ts";
import { tryLockFile } from "../../runtime/data_dir.ts";
import { type CapturedEvent, readCapture } from "./capture_body.ts";
import { readSwitches } from "./switches.ts";
import { openClientScripts } from "./client_scripts.ts";
import { createDeliveries, type Deliveries, type DeliveriesOptions } from "./deliveries.ts";
import { type Invocation, openDeliveryQueue } from "./delivery_queue.ts";
import { openPersons, type Persons, type PersonSnapshot } from "./persons.ts";
import type { StandInConfig } from "./config.ts";

/**
 * A stand-in for PostHog on one machine: takes what its browser and server clients send, keeps persons, and delivers
 * webhooks as its HTTP Webhook destination does.
 *
 * Not imitated: insight and query APIs, feature flags, recordings and logs (taken and thrown away), groups, geo-IP, the lz64
 * encoding of very old clients, limits and billing.
 */

export type StandInDependencies = Pick<
  DeliveriesOptions,
  "clock" | "fetch" | "random" | "newId" | "onFailure"
>;

export type PosthogStandIn = {
  readonly url: string;
  readonly deliveries: Deliveries;
  /** Takes no more requests, lets those in flight and their deliveries end; what is still owed waits on disk: how many, it answers. */
  stop(): Promise<number>;
};

const SWITCHES_BYTES_MAX = 1_000;
/** Ms that requests under way have to end when it stops. */
const STOP_MS_MAX = 2_000;

/** Paths of the one capture handler, with and without a slash at the end. */
const CAPTURE_PATHS = ["/e", "/i/v0/e", "/capture", "/track", "/engage", "/batch"] as const;

/** Recordings, and what the browser's console and measurements give: taken and thrown away. */
const THROWN_AWAY = ["/s", "/i/v1/logs", "/i/v1/metrics"] as const;
/** What a page may ask for by its own options, and the name of the list in the answer: there is never any. */
const EMPTY_LISTS = {
  surveys: "surveys",
  product_tours: "product_tours",
  web_experiments: "experiments",
  early_access_features: "earlyAccessFeatures",
} as const;

/** Answers that keep every client quiet: nothing to load, flags and recordings off, compression on. */
const REMOTE_CONFIG = {
  supportedCompression: ["gzip", "gzip-js"],
  hasFeatureFlags: false,
  sessionRecording: false,
  surveys: false,
  heatmaps: false,
  capturePerformance: false,
  autocapture_opt_out: true,
  siteApps: [],
};
const JAVASCRIPT = { "content-type": "text/javascript; charset=utf-8" };
const JSON_MAP = { "content-type": "application/json" };
const NO_FLAGS = { flags: {}, featureFlags: {}, featureFlagPayloads: {}, errorsWhileComputingFlags: false };

/** Opens the store, listens, and begins with what an earlier run still owed. Throws where the port or store is taken. */
export function startPosthogStandIn(
  config: StandInConfig,
  dependencies: StandInDependencies,
): PosthogStandIn {
  using held = new DisposableStack();
  const db = openStore(config.directory, held);
  const queue = openDeliveryQueue(db);
  const deliveries = createDeliveries({ ...dependencies, ...config, ...config.limits, queue });
  let projectUrl = "";
  const options = { ...dependencies, config, db, deliveries, projectUrl: () => projectUrl };
  const { host, port } = config;
  const app = buildApp(options);
  const { server, url } = listen((request, info) => app.fetch(request, info), {
    host,
    port,
    portSetting: "POSTHOG_STAND_IN_PORT",
  });
  projectUrl = `${url}/project/1`;
  deliveries.begin(queue.owed());
  const untilStopped = held.move();
  return {
    url,
    deliveries,
    async stop() {
      const drained = new AbortController();
      void dependencies.clock.wait(STOP_MS_MAX, drained.signal).then(() => {
        if (!drained.signal.aborted) server.abort();
      });
      await server.shutdown();
      drained.abort();
      await deliveries.stop();
      const { waiting } = deliveries.status();
      untilStopped.dispose();
      return waiting;
    },
  };
}

function openStore(directory: string, held: DisposableStack): DatabaseSync {
  makePrivateDirectory(directory);
  const lock = tryLockFile(join(directory, "stand-in.lock"));
  if (lock === null) {
    throw new Error(
      `Cannot start posthog-stand-in on "${directory}": another one already works there. ` +
        "Stop it, or give this one a DATA_DIR of its own.",
    );
  }
  const path = join(directory, "stand_in.sqlite");
  held.defer(() => lock.release());
  makePrivateFile(path);
  const db = held.adopt(new DatabaseSync(path), (opened) => opened.close());
  // An erasure takes its rows out beside a running stand-in, within a moment.
  db.exec(
    "PRAGMA busy_timeout=2000; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA secure_delete=ON",
  );
  return db;
}

type AppOptions = StandInDependencies & {
  readonly config: StandInConfig;
  readonly db: DatabaseSync;
  readonly deliveries: Deliveries;
  readonly projectUrl: () => string;
};

function buildApp(options: AppOptions): Hono {
  const app = new Hono();
  const intake = createIntake(options);
  const scripts = openClientScripts();
  const clientScript = async (c: Context) => {
    const name = c.req.param("name") ?? "";
    const text = await scripts.read(name);
    return text === null ? c.notFound() : c.body(text, 200, name.endsWith(".map") ? JSON_MAP : JAVASCRIPT);
  };
  app.use(async (c, next) => {
    const misdirected = hostRefusal(visitOf(c.req.raw, null), options.config.hosts);
    return misdirected ? refusalAnswer(misdirected) : await next();
  });
  app.use(cors({ origin: "*", allowMethods: ["GET", "POST", "OPTIONS"], maxAge: 600 }));
  for (const path of CAPTURE_PATHS) {
    app.on(["GET", "POST"], [path, `${path}/`], (c) => capture(c, { ...options, intake }));
  }
  app.get("/array/:token/config", (c) => c.json(REMOTE_CONFIG));
  app.get("/array/:token/config.js", (c) => c.body(configScript(c.req.param("token")), 200, JAVASCRIPT));
  app.get("/array/:token/:name{array(\\.\\w+)*\\.js}", clientScript);
  app.get("/static/:name", clientScript);
  app.get("/static/:version/:name", clientScript);
  app.on(["GET", "POST"], ["/flags", "/flags/"], (c) => c.json(NO_FLAGS));
  app.on(["GET", "POST"], ["/decide", "/decide/"], (c) => c.json({ ...REMOTE_CONFIG, ...NO_FLAGS }));
  for (const path of THROWN_AWAY) {
    app.on(["GET", "POST"], [path, `${path}/`], (c) => c.json({ status: "Ok" }));
  }
  for (const [name, list] of Object.entries(EMPTY_LISTS)) {
    app.get(`/api/${name}`, (c) => c.json({ [list]: [] }));
    app.get(`/api/${name}/`, (c) => c.json({ [list]: [] }));
  }
  app.get("/api/deliveries", (c) => c.json(options.deliveries.status()));
  app.post("/api/switches", (c) => throwSwitches(c, options));
  app.get("/healthz", (c) => c.json({ status: "ok", delivered: options.deliveries.status().delivered }));
  return app;
}

/** For programs of this machine alone: a page always says where it comes from, and every page may ask the stand-in. */
async function throwSwitches(c: Context, { deliveries }: AppOptions): Promise<Response> {
  const isPage = ["origin", "sec-fetch-site"].some((name) => c.req.header(name) !== undefined);
  if (isPage || !isLocal(visitOf(c.req.raw, c.env))) return c.text("for programs of this machine alone", 403);
  const body = await readBody(c.req.raw, SWITCHES_BYTES_MAX);
  const wanted = body && readSwitches(body);
  if (!wanted) {
    return c.text("expected pauseMs from 0 to 60000, and duplicate, reorder, drop from 0 to 1", 400);
  }
  const { pauseMs, ...shares } = wanted;
  deliveries.disturb(shares);
  if (pauseMs !== undefined) deliveries.pause(pauseMs);
  return c.json(deliveries.status().switched);
}

/** The remote config as the script that sets it, where posthog-js looks for it. The token is anybody's text. */
function configScript(token: string): string {
  const ours = JSON.stringify({ config: REMOTE_CONFIG, siteApps: [] });
  return `(window._POSTHOG_REMOTE_CONFIG ??= {})[${JSON.stringify(token)}] = ${ours};\n`;
}

/** Answers as PostHog does: exactly 200 (anything else makes posthog-js send again), refusals as plain text. */
async function capture(c: Context, options: AppOptions & { intake: Intake }): Promise<Response> {
  const { limits } = options.config;
  const body = await readBody(c.req.raw, limits.bodyBytesMax);
  if (body === null) {
    return c.text(`maximum event size exceeded: more than ${limits.bodyBytesMax} bytes`, 413);
  }
  const url = new URL(c.req.url);
  const receivedAt = options.clock.now();
  const outcome = readCapture(body, {
    path: url.pathname,
    query: url.searchParams,
    receivedAt,
    newUuid: options.newId,
    decodedBytesMax: limits.decodedBytesMax,
  });
  if (!outcome.ok) return c.text(outcome.message, outcome.status);
  const taken = options.intake(outcome.events, { receivedAt, ip: clientIp(c) });
  return taken ? c.json({ status: "Ok" }) : c.text("transient error, please retry", 503);
}

/** The body, or null as soon as more than `bytesMax` have come. */
async function readBody(request: Request, bytesMax: number): Promise<Uint8Array | null> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.length;
    if (bytes > bytesMax) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** A loopback address says nothing about a person, so that it is no `$ip`. */
function clientIp(c: Context): string | null {
  const forwarded = c.req.header("x-forwarded-for")?.split(",")[0]?.trim();
  const ip = forwarded || (c.env as { remoteAddr?: { hostname?: string } })?.remoteAddr?.hostname || "";
  return ip === "" || ip === "::1" || /^(::ffff:)?127\./.test(ip) ? null : ip;
}

/** Persons and owed deliveries of one request, in one transaction; false where there is no room for them now. */
type Intake = (events: readonly CapturedEvent[], at: { receivedAt: number; ip: string | null }) => boolean;

function createIntake({ config, db, deliveries, projectUrl }: AppOptions): Intake {
  const matches = (event: string) => config.events.includes("*") || config.events.includes(event);
  let persons: Persons | null = null;
  return (events, { receivedAt, ip }) => {
    if (!deliveries.hasRoomFor(events.length)) return false;
    persons ??= openPersons(db, { projectUrl: projectUrl() });
    db.exec("BEGIN IMMEDIATE");
    let owed;
    try {
      const invocations: Invocation[] = [];
      for (const event of events) {
        const person = persons.apply(event);
        if (person === null || !matches(event.event)) continue;
        const body = webhookBody(event, person, { capturedAt: receivedAt, ip, projectUrl: projectUrl() });
        invocations.push({ uuid: event.uuid, event: event.event, body });
      }
      owed = deliveries.owe(invocations);
      db.exec("COMMIT");
    } catch (error) {
      db.exec("ROLLBACK");
      throw error;
    }
    deliveries.begin(owed);
    return true;
  };
}

/** The default body of PostHog's HTTP Webhook destination, compact. */
export function webhookBody(
  captured: CapturedEvent,
  person: PersonSnapshot,
  { capturedAt, ip, projectUrl }: { capturedAt: number; ip: string | null; projectUrl: string },
): Uint8Array {
  const { uuid, event, distinctId, timestamp, properties } = captured;
  const { $elements_chain: chain, ...rest } = properties;
  const body = {
    event: {
      uuid,
      event,
      distinct_id: distinctId,
      properties: ip === null || "$ip" in rest ? rest : { ...rest, $ip: ip },
      elements_chain: typeof chain === "string" ? chain : "",
      timestamp,
      captured_at: new Date(capturedAt).toISOString(),
      url: `${projectUrl}/events/${encodeURIComponent(uuid)}/${encodeURIComponent(timestamp)}`,
    },
    person,
  };
  return new TextEncoder().encode(JSON.stringify(body));
}
