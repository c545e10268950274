import { join } from "node:path";
import { type Clock, systemClock } from "../runtime/clock.ts";
import type { Environment } from "../runtime/environment.ts";
import { type FaultPoint, faultPointFrom } from "../runtime/fault_point.ts";
import { createKeyedHashes } from "../contract/keyed_hash.ts";
import { WEBHOOKS_TOPIC } from "../contract/names.ts";
import { diskFreeBytes, enterDataDir, pipelineSecret } from "../runtime/data_dir.ts";
import { listen, type Listener } from "../runtime/listen.ts";
import { retry } from "../runtime/retry.ts";
import { Room } from "../runtime/room.ts";
import { type RunningService, runService } from "../runtime/service.ts";
import type { Uncaught } from "../runtime/uncaught.ts";
import { openTopicLog } from "../topic/open_topic.ts";
import { WEBHOOKS_TOPIC_SPEC } from "../topic/raw_topics.ts";
import { SettingsWatch } from "../topic/settings_watch.ts";
import type { TopicLog } from "../topic/topic.ts";
import { createIngestApp } from "./app.ts";
import { createAuthenticity } from "./authenticity.ts";
import { BodyReader } from "./body.ts";
import { type IngestConfig, readIngestConfig, warningsOf } from "./config.ts";
import { Drainer } from "./spool/drainer.ts";
import { createIngestMetrics } from "./metrics.ts";
import { messageOf, Publisher, type PublisherOptions } from "./publisher.ts";
import { createTopicEnds, RecentWebhooks } from "./recent.ts";
import { createReadiness } from "./readiness.ts";
import type { Report } from "./seldom.ts";
import { AlreadyOut } from "./unsubscribe/already.ts";
import { SecretConfirmation } from "./unsubscribe/secret_confirmation.ts";
import { Spool } from "./spool/spool.ts";
import { createUnsubscribe } from "./unsubscribe/handler.ts";
import { log as say } from "../runtime/log.ts";

/** The composition root of ingest. */

export type IngestParts = {
  readonly clock?: Clock;
  /** The log to work on; closed with ingest. Default: the one that the configuration names. */
  readonly log?: TopicLog;
  readonly report?: Report;
  readonly faultPoint?: FaultPoint;
  /** Errors of this process that nobody caught, for its metrics. */
  readonly uncaught?: () => number;
};

export type RunningIngest = {
  readonly url: string;
  readonly port: number;
  /** Stops accepting, answers what is in flight, flushes, lets go of everything. May be called twice. */
  stop(): Promise<void>;
};

/** Starts ingest in this process. Rejects where DATA_DIR or port are taken, or the log cannot be used at all. */
export async function startIngest(config: IngestConfig, parts: IngestParts = {}): Promise<RunningIngest> {
  const { clock = systemClock, report = say } = parts;
  const faultPoint = parts.faultPoint ?? faultPointFrom(config.faultPoint ?? undefined);
  const { limits, publicUrl } = config;
  // Whatever was taken hold of is let go of in reverse, also when a later step of the start fails.
  await using held = new AsyncDisposableStack();
  const place = enterDataDir(config.dataDir, "ingest");
  held.defer(() => place.release());
  const log = parts.log ?? await openTopicLog(config.log, "ingest");
  held.defer(() => log.close());
  const spool = await Spool.open({
    directory: join(config.dataDir, "spool"),
    bytesMax: config.spoolBytesMax,
    segmentBytes: limits.spoolSegmentBytes,
    faultPoint,
    report,
  });
  held.defer(() => spool.close());

  const topic = WEBHOOKS_TOPIC;
  const settings = new SettingsWatch(log, { specs: [WEBHOOKS_TOPIC_SPEC], clock, report });
  const reportTrouble: Report = (level, text) => {
    report(level, text);
    // Where a record is refused, a setting may have changed.
    if (level !== "info") settings.lookSoon();
  };
  const recent = new RecentWebhooks();
  for (const record of spool.takeWaited()) recent.spooled(record);
  const startedAt = new Date(clock.now()).toISOString();
  const ends = createTopicEnds(log, { topic, clock, msMax: limits.publishMsMax });
  const publishing = { log, topic, spool, clock, limits, faultPoint, report: reportTrouble, recent };
  const publisher = new Publisher(publishing);
  const drainer = new Drainer(publishing);
  const preparing = new AbortController();
  let refilled = Promise.resolve();
  const prepared = prepareTopic(publishing, preparing.signal).then((ready) => {
    if (!ready) return;
    publisher.logIsReady();
    drainer.start();
    void settings.run(preparing.signal);
    refilled = recent.refill(log, topic, preparing.signal).catch(() => {
      // Shown is what has come since; the log's own trouble is told by who publishes.
    });
  });
  held.defer(async () => {
    preparing.abort();
    await drainer.stop();
    await refilled;
  });
  // The embedded log is ready at once, and the first webhook need not take the way through the spool.
  await Promise.race([prepared, clock.wait(limits.publishMsMax)]);

  const hashes = createKeyedHashes(pipelineSecret(config.dataDir, config.pipelineSecret ?? undefined));
  const confirmation = new SecretConfirmation({ log, fingerprint: hashes.fingerprint, clock, report });
  prepared.then(() => confirmation.confirmed());
  const inFlight = new Room(clock, {
    ...limits,
    requestsMax: limits.inFlightRequestsMax,
    bytesMax: limits.inFlightBytesMax,
  });
  const bodies = new BodyReader(clock, limits);
  let listener: Listener | null = null;
  const app = createIngestApp({
    authenticity: createAuthenticity({
      secret: config.webhookSecret,
      signingKeys: config.signingKeys,
      clock,
    }),
    publisher,
    inFlight,
    bodies,
    metrics: createIngestMetrics({
      publisher,
      drainer,
      spool,
      spoolBytesMax: config.spoolBytesMax,
      diskFreeBytes: () => diskFreeBytes(config.dataDir),
      inFlight,
      uncaught: parts.uncaught ?? (() => 0),
      breaches: () => settings.breaches.length,
      server: () => listener?.server ?? null,
    }),
    readiness: createReadiness(publisher, { ...publishing, breaches: () => settings.breaches }),
    unsubscribe: createUnsubscribe({
      hashes,
      confirmation,
      already: new AlreadyOut({ log, clock }),
      publisher,
      publicUrl,
      clock,
      inFlight,
      bodies,
    }),
    recent: async () => ({
      recent: recent.list(),
      published: publisher.published + drainer.published,
      spooled: spool.pendingRecords,
      spoolBytes: spool.bytes,
      refused: spool.refused.records,
      since: startedAt,
      topic: await ends(),
    }),
    console: config.console,
    limits,
    clock,
    report,
  });
  listener = listen(app, {
    host: config.host,
    port: config.port,
    portSetting: "INGEST_PORT",
    report: (text) => report("error", text),
  });
  const { server, port, url } = listener;
  held.defer(() => server.shutdown());
  // Deno's shutdown breaks off bodies that are being read, so they come first; whoever comes now is sent away with 503.
  held.defer(() => inFlight.close());
  const running = held.move();
  let stopped: Promise<void> | null = null;
  return { url, port, stop: () => stopped ??= running.disposeAsync() };
}

/** Makes the topic, however long the broker is away; false where ingest stopped before that. */
async function prepareTopic(options: PublisherOptions, signal: AbortSignal): Promise<boolean> {
  const { log, clock, limits, report } = options;
  await retry(() => log.ensureTopic(WEBHOOKS_TOPIC_SPEC), {
    msFirst: limits.retryMsFirst,
    msMax: limits.retryMsMax,
    clock,
    signal,
    failed: ({ error, failures }) => {
      if (failures > 1 || signal.aborted) return;
      report("warn", `the log is not ready (${messageOf(error)}): webhooks go to the spool until it is`);
    },
  });
  return !signal.aborted;
}

const USAGE = `Usage: deno task ingest

Takes PostHog's webhooks at POST /api/webhooks and makes each one durable in the log before it answers.
Configured by the environment: DATA_DIR, HOST, INGEST_PORT, WEBHOOK_SECRET, WEBHOOK_SIGNING_SECRET, ALLOW_ANONYMOUS,
SPOOL_MAX_BYTES, PIPELINE_SECRET, PUBLIC_URL, ALLOWED_HOSTS, KAFKA_BROKERS and more: see docs/configuration.md.`;

async function run(environment: Environment, uncaught: Uncaught): Promise<RunningService> {
  const config = readIngestConfig(environment);
  for (const warning of warningsOf(config)) say("warn", warning);
  const { url, stop } = await startIngest(config, { uncaught: () => uncaught.count });
  return { line: `${url} (${logName(config)})`, stop, stopMsMax: config.limits.stopMsMax };
}

function logName(config: IngestConfig): string {
  return config.log.kind === "embedded" ? "embedded log" : `Kafka at ${config.log.brokers.join(", ")}`;
}

if (import.meta.main) Deno.exit(await runService({ name: "ingest", usage: USAGE }, run));
