import { Buffer } from "node:buffer";
import { resolve } from "node:path";
import { type Environment, EnvironmentReader } from "../runtime/environment.ts";
import { type ConsoleSettings, isLoopback } from "../contract/door.ts";
import { readConsole } from "../contract/door_settings.ts";
import { BODY_BYTES_MAX } from "../contract/names.ts";
import { type LogConfig, readLogConfig } from "../topic/log_config.ts";
import { readLog } from "../runtime/log.ts";

/** Settings of ingest, resolved: nothing optional, durations in ms, sizes in bytes. */
export type IngestConfig = {
  readonly log: LogConfig;
  readonly dataDir: string;
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Static secret of `Authorization: Bearer …` or `X-Webhook-Secret`; null: not asked for. */
  readonly webhookSecret: string | null;
  /** Keys of Standard Webhooks signatures, decoded; any of them is good (rotation). Empty: no signature is asked for. */
  readonly signingKeys: readonly Uint8Array[];
  /** True where everybody who reaches the port may publish, and somebody said that this is meant. */
  readonly anonymous: boolean;
  readonly spoolBytesMax: number;
  readonly pipelineSecret: string | null;
  readonly publicUrl: string;
  /** Who may read what ingest tells of the last webhooks; also the names that it answers to. */
  readonly console: ConsoleSettings;
  readonly faultPoint: string | null;
  readonly limits: IngestLimits;
};

/** Everything has a bound. */
export type IngestLimits = {
  /** Bytes of a webhook body; PostHog's are a few KiB, and one more MiB must fit beside it into a record. */
  readonly bodyBytesMax: number;
  /** Milliseconds until a body must be there: PostHog gives up after 3 s, so a slower one has nobody waiting. */
  readonly bodyReadMsMax: number;
  /** Least pace of a body until then: bytes that must have come for each `bodyPaceMs` milliseconds gone by. */
  readonly bodyPaceBytes: number;
  readonly bodyPaceMs: number;
  /** Announced bytes of bodies read in one go, which count only when they are whole; beyond it they come in pieces. */
  readonly bodiesUncountedBytesMax: number;
  /** Milliseconds given to the log before a record goes to the spool: half of PostHog's 3 s. */
  readonly publishMsMax: number;
  /** Requests between their first byte and their answer; a connection holds one of them. */
  readonly inFlightRequestsMax: number;
  /** Bytes that have come of bodies between their first byte and their answer. */
  readonly inFlightBytesMax: number;
  /** The part of both that requests may hold which have not proved themselves; a signature does so with the body. */
  readonly unprovenRequestsMax: number;
  readonly unprovenBytesMax: number;
  /** Milliseconds without `progressBytes` more bytes after which an unproven one gives way where room is short. */
  readonly stalledMs: number;
  readonly progressBytes: number;
  /** Milliseconds for which the log is left alone after a failure that could not even be spooled. */
  readonly logRestMs: number;
  /** Bytes after which the spool begins a new file, so that what is drained can be deleted. */
  readonly spoolSegmentBytes: number;
  /** Most records and bytes that the drainer publishes at once. */
  readonly drainRecordsMax: number;
  readonly drainBytesMax: number;
  /** First and longest wait between two attempts to reach the log, in milliseconds; doubled in between. */
  readonly retryMsFirst: number;
  readonly retryMsMax: number;
  /** Milliseconds that a stopping ingest may take; safe by construction, as nothing unanswered is promised. */
  readonly stopMsMax: number;
};

export const DEFAULT_LIMITS: IngestLimits = {
  bodyBytesMax: BODY_BYTES_MAX,
  bodyReadMsMax: 4_000,
  bodyPaceBytes: 32 * 1024,
  bodyPaceMs: 2_000,
  bodiesUncountedBytesMax: 8 * 1024 * 1024,
  publishMsMax: 1_500,
  inFlightRequestsMax: 10_000,
  inFlightBytesMax: 64 * 1024 * 1024,
  unprovenRequestsMax: 8_000,
  unprovenBytesMax: 48 * 1024 * 1024,
  stalledMs: 500,
  progressBytes: 8 * 1024,
  logRestMs: 1_000,
  spoolSegmentBytes: 16 * 1024 * 1024,
  drainRecordsMax: 500,
  drainBytesMax: 4 * 1024 * 1024,
  retryMsFirst: 200,
  retryMsMax: 5_000,
  stopMsMax: 10_000,
};

/** Fewest bytes of a signing key: PostHog refuses to sign with less. */
const SIGNING_KEY_BYTES_MIN = 24;

/** Reads and checks the environment; throws `ConfigurationError` with every problem. */
export function readIngestConfig(environment: Environment): IngestConfig {
  const env = new EnvironmentReader(environment);
  const dataDir = resolve(env.text("DATA_DIR", "./data"));
  const host = env.text("HOST", "127.0.0.1");
  const webhookSecret = readWebhookSecret(env);
  const signingKeys = readSigningKeys(env);
  const open = webhookSecret === null && signingKeys.length === 0;
  const anonymous = env.flag("ALLOW_ANONYMOUS", false) && open;
  if (open && !anonymous && !isLoopback(host) && env.problems.length === 0) {
    env.refuse(
      `Cannot listen on HOST "${host}" without a secret: everybody who reaches it could write into the topic. ` +
        `Set WEBHOOK_SIGNING_SECRET or WEBHOOK_SECRET, or ALLOW_ANONYMOUS=1 if this is meant.`,
    );
  }
  const publicUrl = env.url("PUBLIC_URL", "http://localhost:8000");
  const config: IngestConfig = {
    log: readLogConfig(env, dataDir),
    dataDir,
    host,
    port: env.port("INGEST_PORT", 3000),
    webhookSecret,
    signingKeys,
    anonymous,
    spoolBytesMax: readSpoolBytes(env),
    pipelineSecret: readPipelineSecret(env),
    publicUrl,
    // The webhooks' door has secrets of its own: without a password the console stays shut to other machines, and nobody
    // who opens the port need say anything about it.
    console: readConsole(env, { host: "127.0.0.1", publicUrl }),
    faultPoint: env.optional("FAULT_POINT") ?? null,
    limits: DEFAULT_LIMITS,
  };
  readLog(env); // Kept by who runs the service; what is wrong with it is said here, beside the rest.
  env.finish();
  return config;
}

/** What an operator is told at every start, in whole sentences. */
export function warningsOf(config: IngestConfig): readonly string[] {
  const warnings: string[] = [];
  if (config.anonymous) {
    warnings.push(
      `ALLOW_ANONYMOUS: everybody who reaches ${config.host} may publish. ` +
        `Set WEBHOOK_SIGNING_SECRET or WEBHOOK_SECRET before the port is opened to others.`,
    );
  }
  if (config.log.kind === "kafka" && config.pipelineSecret === null) {
    warnings.push(
      `KAFKA_BROKERS is set and PIPELINE_SECRET is not: the secret kept in DATA_DIR "${config.dataDir}" is used. ` +
        `Set PIPELINE_SECRET where several machines or disks must agree.`,
    );
  }
  return warnings;
}

function readWebhookSecret(env: EnvironmentReader): string | null {
  const secret = env.optional("WEBHOOK_SECRET");
  if (secret === undefined) return null;
  if (!/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(secret)) {
    env.refuse(
      "Cannot use WEBHOOK_SECRET: only printable ASCII without spaces around it can travel in a header. " +
        "Make one with `openssl rand -base64 32`.",
    );
  }
  return secret;
}

function readSigningKeys(env: EnvironmentReader): readonly Uint8Array[] {
  const words = (env.optional("WEBHOOK_SIGNING_SECRET") ?? "").split(/\s+/).filter((word) => word !== "");
  return words.map((word, index) => {
    // PostHog takes the secret with and without its prefix, so the same text must work here.
    const text = word.replace(/^whsec_/, "");
    const key = Buffer.from(text, "base64");
    if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(text) || key.length < SIGNING_KEY_BYTES_MIN) {
      env.refuse(
        `Cannot use WEBHOOK_SIGNING_SECRET (number ${index + 1} of ${words.length}): expected whsec_ and ` +
          `base64 of at least ${SIGNING_KEY_BYTES_MIN} bytes. Make one with \`echo whsec_$(openssl rand -base64 32)\`.`,
      );
    }
    return key;
  });
}

function readSpoolBytes(env: EnvironmentReader): number {
  const least = 4 * BODY_BYTES_MAX;
  const bytes = env.size("SPOOL_MAX_BYTES", 1024 ** 3);
  if (bytes < least) {
    env.refuse(`Cannot use SPOOL_MAX_BYTES of ${bytes} bytes: the smallest useful spool holds ${least}.`);
  }
  return bytes;
}

function readPipelineSecret(env: EnvironmentReader): string | null {
  const secret = env.optional("PIPELINE_SECRET") ?? null;
  if (secret !== null && secret.length < 16) {
    env.refuse(
      "Cannot use PIPELINE_SECRET: it has less than 16 characters. Make one with `openssl rand -base64 32`.",
    );
  }
  return secret;
}
