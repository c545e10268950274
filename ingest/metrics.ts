import { Counter, Gauge, Histogram, Registry } from "../runtime/telemetry/prometheus.ts";
import type { Room } from "../runtime/room.ts";
import type { Drainer } from "./spool/drainer.ts";
import type { HttpServer } from "../runtime/http/server.ts";
import type { Publisher } from "./publisher.ts";
import type { Spool } from "./spool/spool.ts";

/** What `/metrics` tells; each ingest has a registry of its own. */
export type IngestMetrics = {
  /** One webhook request, answered with `status` after `seconds`. */
  webhook(status: number, seconds: number): void;
  /** One unsubscribe request, answered with `status`. */
  unsubscribe(status: number): void;
  /** Prometheus text. */
  text(): Promise<string>;
  readonly contentType: string;
};

export type MetricsSources = {
  readonly publisher: Publisher;
  readonly drainer: Drainer;
  readonly spool: Spool;
  readonly spoolBytesMax: number;
  /** Null: not known. */
  readonly diskFreeBytes: () => number | null;
  readonly inFlight: Room;
  /** Errors of this process that nobody caught. */
  readonly uncaught: () => number;
  /** Settings of the topic that break a promise. */
  readonly breaches: () => number;
  /** Null before it listens. */
  readonly server: () => Pick<HttpServer, "open" | "shed" | "expired" | "acceptFailures"> | null;
};

/** Seconds; PostHog gives up after 3. */
const LATENCY_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 3, 5];

/** Ingest's Prometheus metrics, in a registry of their own; gauges are read from their sources at each scrape. */
export function createIngestMetrics(sources: MetricsSources): IngestMetrics {
  const { publisher, drainer, spool, spoolBytesMax, diskFreeBytes, inFlight, uncaught, breaches, server } =
    sources;
  const registers = [new Registry()];
  const registry = registers[0]!;
  const webhooks = new Counter({
    name: "ingest_webhooks_total",
    help: "Webhook requests by answer.",
    labelNames: ["status"],
    registers,
  });
  const unsubscribes = new Counter({
    name: "ingest_unsubscribes_total",
    help: "Requests of the unsubscribe page by answer.",
    labelNames: ["status"],
    registers,
  });
  const latency = new Histogram({
    name: "ingest_webhook_seconds",
    help: "Time from a webhook's headers to its answer.",
    buckets: LATENCY_BUCKETS,
    registers,
  });
  // Plain numbers are kept where things happen; they are fetched when somebody asks.
  const fetched = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  const counted = (name: string, help: string, read: () => number) =>
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  counted(
    "ingest_published_records_total",
    "Records that the log acknowledged.",
    () => publisher.published + drainer.published,
  );
  counted("ingest_spooled_records_total", "Records that went to the spool first.", () => publisher.spooled);
  counted(
    "ingest_refused_records_total",
    "Spooled records that the log refused for good and that were set aside in spool/refused.",
    () => drainer.setAside,
  );
  fetched("ingest_refused_files", "Webhooks that lie in spool/refused.", () => spool.refused.records);
  fetched("ingest_spool_records", "Records in the spool, not yet on the log.", () => spool.pendingRecords);
  fetched("ingest_spool_bytes", "Bytes of the spool's files.", () => spool.bytes);
  fetched("ingest_spool_max_bytes", "Bytes that the spool may have: SPOOL_MAX_BYTES.", () => spoolBytesMax);
  fetched(
    "ingest_disk_free_bytes",
    "Bytes free on the disk of DATA_DIR; NaN where it cannot be known.",
    () => diskFreeBytes() ?? NaN,
  );
  fetched("ingest_in_flight_requests", "Requests not yet answered.", () => inFlight.requests);
  fetched("ingest_in_flight_bytes", "Bytes of bodies not yet answered.", () => inFlight.bytes);
  counted("ingest_uncaught_errors_total", "Errors that nobody caught.", uncaught);
  fetched("ingest_topic_setting_breaches", "Settings of the topic that break a promise.", breaches);
  fetched("ingest_connections", "Connections that are open.", () => server()?.open ?? 0);
  counted("ingest_connections_shed_total", "Connections closed to make room.", () => server()?.shed ?? 0);
  counted(
    "ingest_connections_expired_total",
    "Connections closed in mid-request: too slow.",
    () => server()?.expired ?? 0,
  );
  counted(
    "ingest_accept_failures_total",
    "Connections that could not be accepted.",
    () => server()?.acceptFailures ?? 0,
  );
  counted(
    "ingest_evicted_requests_total",
    "Requests that had proved nothing and were ended to make room for others.",
    () => inFlight.evicted,
  );
  return {
    webhook(status, seconds) {
      webhooks.inc({ status });
      latency.observe(seconds);
    },
    unsubscribe: (status) => unsubscribes.inc({ status }),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}
