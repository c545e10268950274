import { join, resolve } from "node:path";
import { type Environment, EnvironmentReader } from "../runtime/environment.ts";
import { type ConsoleSettings, isLoopback } from "../contract/door.ts";
import { readConsole } from "../contract/door_settings.ts";
import { DATASET_WRITER_GROUP, DISCOUNT_OFFERS_GROUP } from "../contract/names.ts";
import { GENERATION_FAILED } from "../contract/product_events.ts";
import type { OfferPolicy } from "./offers/policy.ts";
import { type LogConfig, readLogConfig } from "../topic/log_config.ts";

/** Settings of the processor, resolved: nothing optional, durations in ms, sizes in bytes. Plain data, for its Workers. */
export type ProcessorConfig = {
  readonly log: LogConfig;
  readonly dataDir: string;
  readonly datasetDir: string;
  readonly host: string;
  readonly port: number;
  readonly groups: readonly ProcessorGroup[];
  /** Loops that write the dataset, each in a Worker and a member of the group; more than one only on Kafka. */
  readonly datasetWriters: number;
  readonly trainingEvents: readonly string[];
  /** Records of a partition looked back for the same uuid. */
  readonly dedupWindow: number;
  readonly discount: OfferPolicy;
  readonly smtpUrl: string | null;
  readonly mailFrom: string;
  readonly publicUrl: string;
  /** Who may use the status API. */
  readonly console: ConsoleSettings;
  readonly pipelineSecret: string | null;
  readonly showRaw: boolean;
  readonly faultPoint: string | null;
};

/** A consumer group whose loops this process may run. */
export type ProcessorGroup = typeof DATASET_WRITER_GROUP | typeof DISCOUNT_OFFERS_GROUP;

const DEMO_MAIL_FROM = "Pipeline demo <offers@pipeline.example>";

/** Reads and checks the environment; throws `ConfigurationError` with every problem. */
export function readProcessorConfig(environment: Environment): ProcessorConfig {
  const env = new EnvironmentReader(environment);
  const dataDir = resolve(env.text("DATA_DIR", "./data"));
  const host = env.text("HOST", "127.0.0.1");
  const smtpUrl = env.optional("SMTP_URL") ?? null;
  const publicUrl = env.url("PUBLIC_URL", "http://localhost:8000");
  const config: ProcessorConfig = {
    log: readLogConfig(env, dataDir),
    dataDir,
    datasetDir: resolve(env.text("DATASET_DIR", join(dataDir, "dataset"))),
    host,
    port: env.port("PROCESSOR_PORT", 3001),
    groups: readGroups(env),
    datasetWriters: env.integer("DATASET_WRITERS", 1, { min: 1, max: 64 }),
    trainingEvents: env.list("TRAINING_EVENTS", [GENERATION_FAILED]),
    dedupWindow: env.integer("DEDUP_WINDOW", 100_000, { min: 1, max: 10_000_000 }),
    discount: {
      threshold: env.integer("DISCOUNT_THRESHOLD", 5, { min: 1, max: 1_000 }),
      waitMs: env.duration("DISCOUNT_WAIT", 120_000),
      eventAgeMsMax: env.duration("DISCOUNT_MAX_EVENT_AGE", 7 * 86_400_000),
      retryDelaysMs: env.durations("MAIL_RETRY_DELAYS", [
        5_000,
        30_000,
        120_000,
        600_000,
        3_600_000,
        21_600_000,
      ]),
      onUnknown: env.oneOf("MAIL_ON_UNKNOWN", ["hold", "resend-once"], "hold"),
      mailsPerMinuteMax: env.integer("MAIL_MAX_PER_MINUTE", 60, { min: 1, max: 100_000 }),
    },
    smtpUrl,
    mailFrom: env.text("MAIL_FROM", DEMO_MAIL_FROM),
    publicUrl,
    console: readConsole(env, { host, publicUrl }),
    pipelineSecret: env.optional("PIPELINE_SECRET") ?? null,
    showRaw: env.flag("SHOW_RAW", false),
    faultPoint: env.optional("FAULT_POINT") ?? null,
  };
  if (config.datasetWriters > 1 && config.log.kind === "embedded") {
    env.refuse(
      `Cannot run DATASET_WRITERS ${config.datasetWriters} on the embedded log: it knows one member per group. ` +
        "Leave it at 1, or name a broker with KAFKA_BROKERS.",
    );
  }
  if (smtpUrl !== null) checkSmtp(env, smtpUrl);
  if (config.pipelineSecret !== null && config.pipelineSecret.length < 16) {
    env.refuse(
      "Cannot use PIPELINE_SECRET: it has less than 16 characters. Make one with `openssl rand -base64 32`.",
    );
  }
  if (config.showRaw && !isLoopback(host)) {
    env.refuse(
      `Cannot use SHOW_RAW with HOST "${host}": prompts before sanitising are shown on loopback only.`,
    );
  }
  env.finish();
  return config;
}

function readGroups(env: EnvironmentReader): readonly ProcessorGroup[] {
  const known: readonly ProcessorGroup[] = [DATASET_WRITER_GROUP, DISCOUNT_OFFERS_GROUP];
  const named = env.list("PROCESSOR_GROUPS", known);
  for (const name of named) {
    if (!(known as readonly string[]).includes(name)) {
      env.refuse(`Cannot run PROCESSOR_GROUPS "${name}": expected ${known.join(" or ")}.`);
    }
  }
  return known.filter((group) => named.includes(group));
}

function checkSmtp(env: EnvironmentReader, smtpUrl: string): void {
  if (!URL.canParse(smtpUrl) || !/^smtps?:$/.test(new URL(smtpUrl).protocol)) {
    env.refuse("Cannot read SMTP_URL: expected smtp://user:pass@host:port or smtps://….");
  }
  if (env.optional("MAIL_FROM") === undefined) {
    env.refuse(
      "Cannot send with SMTP_URL: MAIL_FROM must name the sender, such as Shop <offers@shop.example>.",
    );
  }
  if (env.optional("PUBLIC_URL") === undefined) {
    env.refuse("Cannot send with SMTP_URL: PUBLIC_URL must say where the unsubscribe link leads.");
  }
}
