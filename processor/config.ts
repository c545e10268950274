import { join, resolve } from "node:path";
import { type Environment, EnvironmentReader } from "../runtime/environment.ts";
import { type ConsoleSettings, isLoopback } from "../contract/door.ts";
import { readConsole } from "../contract/door_settings.ts";
import { DATASET_WRITER_GROUP, DISCOUNT_OFFERS_GROUP } from "../contract/names.ts";
import { GENERATION_FAILED } from "../contract/product_events.ts";
import { type MailSender, readMailSender } from "./offers/core/mail_sender.ts";
import { defaultTls, readClientName, readSmtpUrl, type SmtpRelay } from "./offers/core/mail_relay.ts";
import {
  type DkimKey,
  isAligned,
  problemOfDkimKey,
  readDkimDomain,
  readDkimSelector,
} from "./offers/core/dkim.ts";
import { DISCOUNT_TEXT_DEFAULT, readDiscountText } from "./offers/core/discount_text.ts";
import type { OfferPolicy } from "./offers/policy.ts";
import { type ObjectsConfig, readObjectsConfig } from "./dataset/objects/config.ts";
import { type LogConfig, readLogConfig } from "../topic/log_config.ts";
import { readLog } from "../runtime/log.ts";

/** Settings of the processor, resolved: nothing optional, durations in ms, sizes in bytes. Plain data, for its Workers. */
export type ProcessorConfig = {
  readonly log: LogConfig;
  readonly dataDir: string;
  readonly datasetDir: string;
  /** The dataset lies in a bucket, and not in `datasetDir`; null: it does not. */
  readonly objects: ObjectsConfig | null;
  readonly host: string;
  readonly port: number;
  readonly groups: readonly ProcessorGroup[];
  /** Loops that write the dataset, each in a Worker and a member of the group; more than one only on Kafka. */
  readonly datasetWriters: number;
  readonly trainingEvents: readonly string[];
  /** Records of a partition looked back for the same uuid. */
  readonly dedupWindow: number;
  readonly discount: OfferPolicy;
  /** Null: mails are written as files. */
  readonly smtp: SmtpRelay | null;
  /**
   * DEMO_MAILBOX, which the demo alone sets: the server of SMTP_URL keeps what it takes in this DATA_DIR's `mail/new`, each
   * message once, so that what became of one can be looked up there.
   */
  readonly mailbox: boolean;
  readonly mailFrom: MailSender;
  /** What mails are signed with; null: not at all. */
  readonly dkim: DkimKey | null;
  /** What the mail offers: one line. */
  readonly discountText: string;
  readonly publicUrl: string;
  /** Who may use the status API. */
  readonly console: ConsoleSettings;
  readonly pipelineSecret: string | null;
  /** Under which the application's server proves addresses; null: everything counts without a proof. */
  readonly identitySecret: string | null;
  readonly showRaw: boolean;
  readonly faultPoint: string | null;
};

/** A consumer group whose loops this process may run. */
export type ProcessorGroup = typeof DATASET_WRITER_GROUP | typeof DISCOUNT_OFFERS_GROUP;

const DEMO_MAIL_FROM: MailSender = {
  name: "Pipeline demo",
  address: "offers@pipeline.example",
  domain: "pipeline.example",
};

/** Reads and checks the environment; throws `ConfigurationError` with every problem. */
export function readProcessorConfig(environment: Environment): ProcessorConfig {
  const env = new EnvironmentReader(environment);
  const dataDir = resolve(env.text("DATA_DIR", "./data"));
  const host = env.text("HOST", "127.0.0.1");
  const mailFrom = readMailFrom(env);
  const identitySecret = env.optional("IDENTITY_SECRET") ?? null;
  const publicUrl = readPublicUrl(env);
  const config: ProcessorConfig = {
    log: readLogConfig(env, dataDir),
    dataDir,
    datasetDir: resolve(env.text("DATASET_DIR", join(dataDir, "dataset"))),
    objects: readObjectsConfig(env),
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
      provenOnly: identitySecret !== null,
    },
    smtp: readSmtp(env, mailFrom),
    mailbox: env.flag("DEMO_MAILBOX", false),
    mailFrom,
    dkim: readDkim(env),
    discountText: readDiscount(env),
    publicUrl,
    console: readConsole(env, { host, publicUrl }),
    pipelineSecret: env.optional("PIPELINE_SECRET") ?? null,
    identitySecret,
    showRaw: env.flag("SHOW_RAW", false),
    faultPoint: env.optional("FAULT_POINT") ?? null,
  };
  if (config.datasetWriters > 1 && config.log.kind === "embedded") {
    env.refuse(
      `Cannot run DATASET_WRITERS ${config.datasetWriters} on the embedded log: it knows one member per group. ` +
        "Leave it at 1, or name a broker with KAFKA_BROKERS.",
    );
  }
  if (config.pipelineSecret !== null && config.pipelineSecret.length < 16) {
    env.refuse(
      "Cannot use PIPELINE_SECRET: it has less than 16 characters. Make one with `openssl rand -base64 32`.",
    );
  }
  if (identitySecret !== null && identitySecret.length < 16) {
    env.refuse(
      "Cannot use IDENTITY_SECRET: it has less than 16 characters. Make one with `openssl rand -base64 32`.",
    );
  }
  if (config.showRaw && !isLoopback(host)) {
    env.refuse(
      `Cannot use SHOW_RAW with HOST "${host}": prompts before sanitising are shown on loopback only.`,
    );
  }
  readLog(env); // Kept by who runs the service; what is wrong with it is said here, beside the rest.
  env.finish();
  return config;
}

/**
 * The same for a command, without what mails are signed with: none sends one, and the key is not for everybody to read who
 * may look at the lag.
 */
export function readCommandConfig(
  { DKIM_DOMAIN: _, DKIM_SELECTOR: __, DKIM_KEY: ___, ...environment }: Environment,
): ProcessorConfig {
  return readProcessorConfig(environment);
}

/** What goes, and is worth a line at every start. */
export function startWarnings(
  { log, pipelineSecret, smtp, publicUrl, dkim, mailFrom }: ProcessorConfig,
): readonly string[] {
  const { protocol, hostname } = new URL(publicUrl);
  const onOneMachine = smtp === null || (isLoopback(smtp.host) && isLoopback(hostname));
  return [
    ...log.kind === "kafka" && pipelineSecret === null
      ? ["PIPELINE_SECRET is not set: the one in DATA_DIR is used. Set it where several machines must agree."]
      : [],
    ...protocol === "http:" && !onOneMachine
      ? [
        `PUBLIC_URL is http: mailboxes show one-click unsubscribing over https only (RFC 8058), and the link's token ` +
        "can be read on its way. Serve it over https.",
      ]
      : [],
    ...dkim !== null && !isAligned(dkim.domain, mailFrom.domain)
      ? [
        `DKIM_DOMAIN ${dkim.domain} is not the domain of MAIL_FROM, ${mailFrom.domain}: by DMARC the signature counts for ` +
        "nothing then. Sign with a key of the sender's own domain, or send from the domain that signs.",
      ]
      : [],
  ];
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

function readMailFrom(env: EnvironmentReader): MailSender {
  const text = env.optional("MAIL_FROM");
  const sender = text === undefined ? DEMO_MAIL_FROM : readMailSender(text);
  if (sender === null) {
    env.refuse(
      `Cannot read MAIL_FROM ${JSON.stringify(text)}: expected one address with a domain, such as ` +
        "offers@shop.example or Shop <offers@shop.example>; a name with a comma in it stands in double quotes.",
    );
  }
  return sender ?? DEMO_MAIL_FROM;
}

function readSmtp(env: EnvironmentReader, { domain }: MailSender): SmtpRelay | null {
  const tls = env.oneOf("SMTP_TLS", ["require", "opportunistic"], "require");
  const named = env.optional("SMTP_CLIENT_NAME");
  const clientName = named === undefined ? domain : readClientName(named);
  if (clientName === null) {
    env.refuse(
      `Cannot read SMTP_CLIENT_NAME ${
        JSON.stringify(named)
      }: expected a host name such as mail.shop.example, ` +
        "or an address in brackets such as [192.0.2.1].",
    );
  }
  const smtpUrl = env.optional("SMTP_URL");
  if (smtpUrl === undefined) return null;
  const address = readSmtpUrl(smtpUrl);
  if (typeof address === "string") env.refuse(`Cannot read SMTP_URL: ${address}.`);
  if (env.optional("MAIL_FROM") === undefined) {
    env.refuse(
      "Cannot send with SMTP_URL: MAIL_FROM must name the sender, such as Shop <offers@shop.example>.",
    );
  }
  if (env.optional("PUBLIC_URL") === undefined) {
    env.refuse("Cannot send with SMTP_URL: PUBLIC_URL must say where the unsubscribe link leads.");
  }
  if (typeof address === "string" || clientName === null) return null;
  return { ...address, tls: env.optional("SMTP_TLS") === undefined ? defaultTls(address) : tls, clientName };
}

function readDkim(env: EnvironmentReader): DkimKey | null {
  const names = ["DKIM_DOMAIN", "DKIM_SELECTOR", "DKIM_KEY"] as const;
  const [domain, selector, path] = names.map((name) => env.optional(name));
  if (domain === undefined || selector === undefined || path === undefined) {
    const missing = names.filter((name) => env.optional(name) === undefined);
    if (missing.length < names.length) {
      env.refuse(
        `Cannot sign mails: ${missing.join(" and ")} ${
          missing.length === 1 ? "is" : "are"
        } not set. Set DKIM_DOMAIN, ` +
          "DKIM_SELECTOR and DKIM_KEY (a file), or none of them.",
      );
    }
    return null;
  }
  const asciiDomain = readDkimDomain(domain);
  if (asciiDomain === null) {
    env.refuse(`Cannot read DKIM_DOMAIN ${JSON.stringify(domain)}: expected a domain such as shop.example.`);
  }
  const asciiSelector = readDkimSelector(selector);
  if (asciiSelector === null) {
    env.refuse(
      `Cannot read DKIM_SELECTOR ${
        JSON.stringify(selector)
      }: expected the name before ._domainkey in DNS, such as 2026a.`,
    );
  }
  const privateKey = readDkimKeyFile(env, path);
  if (asciiDomain === null || asciiSelector === null || privateKey === null) return null;
  return { domain: asciiDomain, selector: asciiSelector, privateKey };
}

function readDkimKeyFile(env: EnvironmentReader, path: string): string | null {
  let pem: string;
  try {
    pem = Deno.readTextFileSync(path);
  } catch (error) {
    env.refuse(
      `Cannot read DKIM_KEY ${JSON.stringify(path)}: ${
        (error as Error).message
      }. Name a file that this user may read.`,
    );
    return null;
  }
  const problem = problemOfDkimKey(pem);
  if (problem !== null) env.refuse(`Cannot use DKIM_KEY ${JSON.stringify(path)}: ${problem}.`);
  return problem === null ? pem : null;
}

function readDiscount(env: EnvironmentReader): string {
  const text = readDiscountText(env.optional("DISCOUNT_TEXT") ?? DISCOUNT_TEXT_DEFAULT);
  if (text === null) {
    env.refuse(
      "Cannot use DISCOUNT_TEXT: it stands in the mail as one line of at most 200 characters, without control characters. " +
        `Shorten it, such as ${DISCOUNT_TEXT_DEFAULT}.`,
    );
  }
  return text ?? DISCOUNT_TEXT_DEFAULT;
}

/** In characters; a line of a mail has at most 998, with the token behind it (RFC 5322 section 2.1.1). */
const PUBLIC_URL_LENGTH_MAX = 500;

/** It stands in every mail, with a path behind it: as the URL parser writes it, and nothing else in it. */
function readPublicUrl(env: EnvironmentReader): string {
  const url = new URL(env.url("PUBLIC_URL", "http://localhost:8000"));
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    env.refuse(
      "Cannot use PUBLIC_URL: it stands in every mail, with a path behind it. Leave out user, password, ? and #.",
    );
  }
  if (url.href.length > PUBLIC_URL_LENGTH_MAX) {
    env.refuse(
      `Cannot use PUBLIC_URL: it is longer than ${PUBLIC_URL_LENGTH_MAX} characters, and stands in one line of a mail.`,
    );
  }
  return url.href.replace(/\/+$/, "");
}
