import { createPrivateKey, X509Certificate } from "node:crypto";
import { isIPv6 } from "node:net";
import type { EnvironmentReader } from "../runtime/environment.ts";

/** Which log a process works on. */
export type LogConfig =
  | { readonly kind: "embedded"; readonly dataDir: string }
  | ({ readonly kind: "kafka" } & KafkaConfig);

/** Who opens the log: how large its transactions are, how long it waits for a lock, and which records it lets expire. */
export type LogRole = "ingest" | "processor" | "command";

export type KafkaConfig = {
  /** host:port each, an IPv6 address in brackets. */
  readonly brokers: readonly string[];
  /** Before topics and groups; empty for none. */
  readonly prefix: string;
  /** null leaves it to the broker. */
  readonly replication: number | null;
  /** null: no TLS. What the files hold, as PEM. */
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

/** Reads the log's part of the environment, and the files that it names; problems are noted in the reader. */
export function readLogConfig(env: EnvironmentReader, dataDir: string): LogConfig {
  const brokers = readBrokers(env);
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
  if (!/^[A-Za-z0-9._-]*$/.test(kafka.prefix)) {
    env.refuse(
      `Cannot use KAFKA_TOPIC_PREFIX "${kafka.prefix}": only letters, digits, ".", "_" and "-" may stand in it.`,
    );
  }
  return brokers.length === 0 ? { kind: "embedded", dataDir } : kafka;
}

function readBrokers(env: EnvironmentReader): readonly string[] {
  const brokers = env.list("KAFKA_BROKERS", []);
  brokers.forEach((broker, n) => {
    const wrong = whyNoBroker(broker) ?? (brokers.indexOf(broker) < n ? "it stands there twice" : null);
    // Not quoted: who writes an address with a scheme may write a password into it.
    if (wrong !== null) {
      env.refuse(
        `Cannot read KAFKA_BROKERS (number ${n + 1} of ${brokers.length}): ${wrong}. Expected host:port, ` +
          "several with commas between them, an IPv6 address in brackets, such as kafka-1:9092,[::1]:9092.",
      );
    }
  });
  return brokers;
}

function whyNoBroker(broker: string): string | null {
  if (broker.includes("://")) return "it has a scheme before the host; TLS is asked for by KAFKA_SSL";
  if (/\s/.test(broker)) return "there is a space in it";
  const [, bracketed, host, port] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d*))?$/.exec(broker) ?? [];
  if (bracketed === undefined && host === undefined) {
    return isIPv6(broker) ? "an IPv6 address stands in brackets" : "it is no host:port";
  }
  if (bracketed !== undefined && !isIPv6(bracketed)) return "what stands in brackets is no IPv6 address";
  if (host !== undefined && !/^[A-Za-z0-9._-]+$/.test(host)) return "it names no host";
  if (!port) return "it has no port; a broker's is often 9092";
  if (Number(port) < 1 || Number(port) > 65_535) return "its port is not within 1 and 65535";
  return null;
}

const CERTIFICATES = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

function readSsl(env: EnvironmentReader): KafkaConfig["ssl"] {
  const names = ["KAFKA_SSL_CA", "KAFKA_SSL_CERT", "KAFKA_SSL_KEY"] as const;
  const [cert, key] = [env.optional("KAFKA_SSL_CERT"), env.optional("KAFKA_SSL_KEY")];
  if ((cert === undefined) !== (key === undefined)) {
    env.refuse("Cannot use KAFKA_SSL_CERT without KAFKA_SSL_KEY, nor the other way round: set both.");
  }
  if (!env.flag("KAFKA_SSL", names.some((name) => env.optional(name) !== undefined))) return null;
  return {
    ca: readPem(env, "KAFKA_SSL_CA", certificatesIn),
    cert: readPem(env, "KAFKA_SSL_CERT", certificatesIn),
    key: readPem(env, "KAFKA_SSL_KEY", (text) => createPrivateKey(text)),
  };
}

/** What the file of a variable holds; null where it is unset, or cannot be used, which is noted. */
function readPem(env: EnvironmentReader, name: string, check: (text: string) => unknown): string | null {
  const path = env.optional(name);
  if (path === undefined) return null;
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    env.refuse(
      `Cannot read ${name} "${path}": ${(error as Error).message}. Name a file that this user may read.`,
    );
    return null;
  }
  try {
    check(text);
    return text;
  } catch {
    const [what, more] = name === "KAFKA_SSL_KEY"
      ? ["private key", ", without a passphrase (openssl pkey -in FILE -out PLAIN)"]
      : ["certificate", ""];
    env.refuse(`Cannot use ${name} "${path}": there is no ${what} in it. Name a ${what} as PEM${more}.`);
    return null;
  }
}

function certificatesIn(text: string): void {
  const found = text.match(CERTIFICATES);
  if (found === null) throw new Error("none");
  for (const one of found) new X509Certificate(one);
}

function readSasl(env: EnvironmentReader) {
  const mechanism = env.optional("KAFKA_SASL_MECHANISM");
  const username = env.optional("KAFKA_SASL_USERNAME");
  const password = env.optional("KAFKA_SASL_PASSWORD");
  if (mechanism === undefined) {
    if (username !== undefined || password !== undefined) {
      env.refuse(
        "Cannot use KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD without KAFKA_SASL_MECHANISM: set it to PLAIN, " +
          "SCRAM-SHA-256 or SCRAM-SHA-512, as the broker has this user.",
      );
    }
    return null;
  }
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
