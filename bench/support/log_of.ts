import type { KafkaBroker } from "../../tests/support/kafka_broker.ts";
import type { LogConfig } from "../../topic/log_config.ts";

/** The log of a benchmark: on a broker that it has started, or embedded in `embeddedIn`. */
export function logOf(
  broker: KafkaBroker | null,
  { prefix, dataDir, embeddedIn = dataDir }: {
    readonly prefix: string;
    readonly dataDir: string;
    readonly embeddedIn?: string;
  },
): LogConfig {
  if (broker === null) return { kind: "embedded", dataDir: embeddedIn };
  return {
    kind: "kafka",
    brokers: broker.brokers.split(","),
    prefix,
    replication: null,
    ssl: null,
    sasl: null,
    sessionTimeoutMs: 10_000,
    dataDir,
  };
}
