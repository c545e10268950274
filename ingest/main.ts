import { join } from "node:path";
import { type Clock, systemClock } from "../runtime/clock.ts";
import { ConfigurationError } from "../runtime/environment.ts";
import type { FaultPoint } from "../runtime/fault_point.ts";
import { createKeyedHashes } from "../contract/keyed_hash.ts";
import { WEBHOOKS_TOPIC } from "../contract/names.ts";
import { enterDataDir, pipelineSecret } from "../runtime/data_dir.ts";
import { retry } from "../runtime/retry.ts";
import { faultPointFrom } from "../runtime/stop_at_fault_point.ts";
import { openTopicLog } from "../topic/open_topic.ts";
import { WEBHOOKS_TOPIC_SPEC } from "../topic/raw_topics.ts";
import type { TopicLog } from "../topic/topic.ts";
import { createIngestApp } from "./app.ts";
import { createAuthenticity } from "./authenticity.ts";
import { type IngestConfig, readIngestConfig, warningsOf } from "./config.ts";
import { Deadlines } from "./deadlines.ts";
import { Drainer } from "./spool/drainer.ts";
import { InFlight } from "./in_flight.ts";
import { createIngestMetrics } from "./metrics.ts";
import { Publisher, wordsOf } from "./publisher.ts";
import { createReadiness } from "./readiness.ts";
import { SecretConfirmation } from "./unsubscribe/secret_confirmation.ts";
import { Spool } from "./spool/spool.ts";
import { createUnsubscribe } from "./unsubscribe/handler.ts";

/** The composition root of ingest. */

export type Report = (level: "info" | "warn" | "error", text: string) => void;

export type IngestParts = {
  readonly clock?: Clock;
  /** The log to work on; closed with ingest. Default: the one that the configuration names. */
  readonly log?: TopicLog;
  readonly report?: Report;
  readonly reach?: FaultPoint;
};

export type RunningIngest = {
  readonly url: string;
  readonly port: number;
  /** Stops accepting, answers what is in flight, flushes, lets go of everything. May be called twice. */
  stop(): Promise<void>;
};

/** Starts ingest in this process. Rejects where DATA_DIR or port are taken, or the log cannot be used at all. */
export async function startIngest(config: IngestConfig, parts: IngestParts = {}): Promise<RunningIngest> {
  const { clock = systemClock, report = reportToStderr } = parts;
  const reach = parts.reach ?? faultPointFrom(config.faultPoint ?? undefined);
  const { limits } = config;
  // Whatever was taken hold of is let go of in reverse, also when a later step of the start fails.
  const held: (() => void | Promise<void>)[] = [];
  const letGo = async () => {
    for (const release of held.splice(0).reverse()) await release();
  };
  try {
    const place = enterDataDir(config.dataDir, "ingest");
    held.push(() => place.release());
    const log = parts.log ?? await openTopicLog(config.log, "ingest");
    held.push(() => log.close());
    const spool = await Spool.open({
      directory: join(config.dataDir, "spool"),
      bytesMax: config.spoolBytesMax,
      segmentBytes: limits.spoolSegmentBytes,
      reach,
      report,
    });
    held.push(() => spool.close());

    const topic = WEBHOOKS_TOPIC;
    const publishing = { log, topic, spool, clock, limits, reach, report };
    const publisher = new Publisher(publishing);
    const drainer = new Drainer(publishing);
    const preparing = new AbortController();
    const prepared = prepareTopic({ log, clock, limits, report, signal: preparing.signal }).then((ready) => {
      if (!ready) return;
      publisher.logIsReady();
      drainer.start();
    });
    held.push(async () => {
      preparing.abort();
      await drainer.stop();
    });
    // The embedded log is ready at once, and the first webhook need not take the way through the spool.
    await Promise.race([prepared, clock.wait(limits.publishMsMax)]);

    const hashes = createKeyedHashes(pipelineSecret(config.dataDir, config.pipelineSecret ?? undefined));
    const confirmation = new SecretConfirmation({ log, fingerprint: hashes.fingerprint, clock, report });
    prepared.then(() => confirmation.confirmed());
    const inFlight = new InFlight({
      requestsMax: limits.inFlightRequestsMax,
      bytesMax: limits.inFlightBytesMax,
    });
    const body = { inFlight, deadlines: new Deadlines(clock, limits.bodyReadMsMax) };
    const app = createIngestApp({
      authenticity: createAuthenticity({
        secret: config.webhookSecret,
        signingKeys: config.signingKeys,
        clock,
      }),
      publisher,
      inFlight,
      body,
      metrics: createIngestMetrics({ publisher, drainer, spool, inFlight }),
      readiness: createReadiness({ log, topic, publisher, spool, clock, answerMsMax: limits.publishMsMax }),
      unsubscribe: createUnsubscribe({
        hashes,
        confirmation,
        publisher,
        publicUrl: config.publicUrl,
        clock,
        body,
      }),
      limits,
      clock,
      report,
    });
    const server = Deno.serve(
      { hostname: config.host, port: config.port, onListen: () => {} },
      (request) => app.fetch(request),
    );
    held.push(() => server.shutdown());
    // Deno's shutdown breaks off bodies that are being read, so they come first; whoever comes now is sent away with 503.
    held.push(() => inFlight.close());
    let stopped: Promise<void> | null = null;
    return {
      url: urlOf(config.host, server.addr.port),
      port: server.addr.port,
      stop: () => stopped ??= letGo(),
    };
  } catch (error) {
    await letGo();
    throw error;
  }
}

type TopicPreparation = {
  readonly log: TopicLog;
  readonly clock: Clock;
  readonly limits: IngestConfig["limits"];
  readonly report: Report;
  readonly signal: AbortSignal;
};

/** Makes the topic, however long the broker is away; false where ingest stopped before that. */
async function prepareTopic({ log, clock, limits, report, signal }: TopicPreparation): Promise<boolean> {
  await retry(() => log.ensureTopic(WEBHOOKS_TOPIC_SPEC), {
    msFirst: limits.retryMsFirst,
    msMax: limits.retryMsMax,
    clock,
    signal,
    failed: ({ error, failures }) => {
      if (failures > 1 || signal.aborted) return;
      report("warn", `the log is not ready (${wordsOf(error)}): webhooks go to the spool until it is`);
    },
  });
  return !signal.aborted;
}

function urlOf(host: string, port: number): string {
  return `http://${host.includes(":") && !host.startsWith("[") ? `[${host}]` : host}:${port}`;
}

const reportToStderr: Report = (level, text) => console.error(`ingest: ${level}: ${text}`);

const USAGE = `Usage: deno task ingest

Takes PostHog's webhooks at POST /api/webhooks and makes each one durable in the log before it answers.
Configured by the environment: DATA_DIR, HOST, INGEST_PORT, WEBHOOK_SECRET, WEBHOOK_SIGNING_SECRET, ALLOW_ANONYMOUS,
SPOOL_MAX_BYTES, PIPELINE_SECRET, PUBLIC_URL, KAFKA_BROKERS and more: see README.md.`;

/** Exit codes: 0 stopped as asked, 1 failed, 2 wrong usage or configuration. */
async function main(args: readonly string[]): Promise<number> {
  if (args.includes("--help")) return console.log(USAGE), 0;
  if (args.length > 0) {
    return console.error(`Cannot read "${args[0]}": ingest takes no arguments. Try --help.`), 2;
  }
  try {
    const config = readIngestConfig(Deno.env.toObject());
    for (const warning of warningsOf(config)) reportToStderr("warn", warning);
    const asked = signalled();
    const ingest = await startIngest(config);
    console.log(`ingest: ${ingest.url} (${logName(config)})`);
    await asked;
    return await stopWithin(ingest, config.limits.stopMsMax);
  } catch (error) {
    if (error instanceof ConfigurationError) {
      for (const problem of error.problems) console.error(problem);
      return 2;
    }
    console.error(`ingest: ${startWords(error)}`);
    return 1;
  }
}

/** The listeners stay: a second Ctrl-C, or the copy that `deno task` hands on, must not cut draining short. */
function signalled(): Promise<void> {
  return new Promise((resolve) => {
    Deno.addSignalListener("SIGTERM", () => resolve());
    Deno.addSignalListener("SIGINT", () => resolve());
  });
}

/** Hard exit is safe: what was answered is durable, what was not will be sent again. */
async function stopWithin(ingest: RunningIngest, ms: number): Promise<number> {
  const stopped = ingest.stop().then(() => 0);
  const late = systemClock.wait(ms).then(() => {
    reportToStderr("error", `could not stop within ${ms} ms: the process ends all the same`);
    return 1;
  });
  return await Promise.race([stopped, late]);
}

function logName(config: IngestConfig): string {
  return config.log.kind === "embedded" ? "embedded log" : `Kafka at ${config.log.brokers.join(", ")}`;
}

function startWords(error: unknown): string {
  if (error instanceof Deno.errors.AddrInUse) {
    return "Cannot listen: the port is taken. Stop what uses it, or set INGEST_PORT to another one.";
  }
  return wordsOf(error);
}

if (import.meta.main) Deno.exit(await main(Deno.args));
