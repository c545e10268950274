import type { EnvironmentReader } from "../runtime/environment.ts";

/** Which log a process works on. */
export type LogConfig =
  | { readonly kind: "embedded"; readonly dataDir: string }
  | ({ readonly kind: "kafka" } & KafkaConfig);

/** Who opens the log: how large its transactions are, how long it waits for a lock, and which records it lets expire. */
export type LogRole = "ingest" | "processor" | "command";

export type KafkaConfig = {
  readonly brokers: readonly string[];
  /** Before topics and groups; empty for none. */
  readonly prefix: string;
  /** null leaves it to the broker. */
  readonly replication: number | null;
  /** null: no TLS. Contents of files are read by the adapter. */
  readonly ssl:
    | { readonly ca: string | null; readonly cert: string | null; readonly key: string | null }
    | null;
  readonly sasl: {
    readonly mechanism: "plain" | "scram-sha-256" | "scram-sha-512";
    readonly username: string;
    readonly password: string;
  } | null;
  readonly sessionTimeoutMs: number;
  /** Where the adapter remembers its member ids, so that a restart can leave in its former self's name. */
  readonly dataDir: string;
};

/** Reads the log's part of the environment; problems are noted in the reader. */
export function readLogConfig(env: EnvironmentReader, dataDir: string): LogConfig {
  const brokers = env.list("KAFKA_BROKERS", []);
  const kafka: LogConfig = {
    kind: "kafka",
    brokers,
    prefix: env.text("KAFKA_TOPIC_PREFIX", ""),
    replication: env.optional("KAFKA_REPLICATION") === undefined
      ? null
      : env.integer("KAFKA_REPLICATION", 1, { min: 1, max: 9 }),
    ssl: readSsl(env),
    sasl: readSasl(env),
    sessionTimeoutMs: env.duration("KAFKA_SESSION_TIMEOUT", 10_000),
    dataDir,
  };
  for (const broker of brokers) {
    if (!/^[^\s:]+:\d{1,5}$/.test(broker) && !/^\[[0-9a-fA-F:]+\]:\d{1,5}$/.test(broker)) {
      env.refuse(`Cannot read KAFKA_BROKERS "${broker}": expected host:port.`);
    }
  }
  if (!/^[A-Za-z0-9._-]*$/.test(kafka.prefix)) {
    env.refuse(
      `Cannot use KAFKA_TOPIC_PREFIX "${kafka.prefix}": only letters, digits, ".", "_" and "-" may stand in it.`,
    );
  }
  return brokers.length === 0 ? { kind: "embedded", dataDir } : kafka;
}

function readSsl(env: EnvironmentReader) {
  const file = (name: string) => env.optional(name) ?? null;
  const files = { ca: file("KAFKA_SSL_CA"), cert: file("KAFKA_SSL_CERT"), key: file("KAFKA_SSL_KEY") };
  const named = Object.values(files).some((value) => value !== null);
  if ((files.cert === null) !== (files.key === null)) {
    env.refuse("Cannot use KAFKA_SSL_CERT without KAFKA_SSL_KEY, nor the other way round: set both.");
  }
  return env.flag("KAFKA_SSL", named) ? files : null;
}

function readSasl(env: EnvironmentReader) {
  const mechanism = env.optional("KAFKA_SASL_MECHANISM");
  if (mechanism === undefined) return null;
  const username = env.optional("KAFKA_SASL_USERNAME");
  const password = env.optional("KAFKA_SASL_PASSWORD");
  if (username === undefined || password === undefined) {
    env.refuse(
      "Cannot use KAFKA_SASL_MECHANISM without KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD: set both.",
    );
  }
  const mechanisms = ["plain", "scram-sha-256", "scram-sha-512"] as const;
  const known = mechanisms.find((name) => name === mechanism.toLowerCase());
  if (known === undefined) {
    env.refuse(
      `Cannot use KAFKA_SASL_MECHANISM "${mechanism}": expected PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.`,
    );
  }
  return { mechanism: known ?? "plain", username: username ?? "", password: password ?? "" } as const;
}
