import { Counter, Gauge, Histogram, Registry } from "../../runtime/telemetry/prometheus.ts";
import type { Figures, PipelineStatus } from "../../contract/processor_api.ts";
import type { SettingBreach } from "../../topic/topic.ts";
import { addLatencies, LATENCY_BOUNDS_MS, type LatencyCounts, NO_LATENCIES } from "../loop/latency.ts";
import type { LoopCounter } from "../loop/loop.ts";

/** The processor's `/metrics`: counters that loops add to, and what is set when somebody looks. */
export type ProcessorMetrics = {
  count(counter: LoopCounter, by: number, label: string): void;
  /** How long lines took from their event's own time on. */
  lines(counts: LatencyCounts, sumMs: number): void;
  /** A member of this group reads other partitions than before. */
  rebalanced(group: string): void;
  /** One request to this service, answered with `status` after `seconds`. */
  request(status: number, seconds: number): void;
  /** Prometheus text. */
  text(now: MetricsNow): Promise<string>;
};

/** What is looked up for a scrape. */
export type MetricsNow = {
  /** Null where the log cannot be asked: then nothing is said of what it knows. */
  readonly status: PipelineStatus | null;
  /** Since records are counted, as the dataset's manifests say; null where nobody has been able to ask yet. */
  readonly ever: { readonly records: number; readonly lines: number; readonly duplicates: number } | null;
  /** Spans in the dataset's lines, by entity. */
  readonly placeholders: Readonly<Record<string, number>>;
  /** Lines by the length of their prompt; each without those below it. */
  readonly promptLengths: Figures["promptLengths"];
  /** Letters that the topic has had, by step. */
  readonly lettersByStep: ReadonlyMap<string, number>;
  /** Null: not known. */
  readonly diskFreeBytes: number | null;
};

const HELP: Record<LoopCounter, string> = {
  records: "Records handled, by loop; those of dataset-writer as the manifests say.",
  lines: "Lines written to the dataset, as the manifests say.",
  duplicates: "Records dropped because their id had been seen, as the manifests say.",
  dead_letters: "Records set aside, by step, as the dead-letter topic says.",
  ignored: "Records without effect, by reason.",
  facts: "Facts published, by loop.",
  mails: "Attempts to send a mail since the start, by outcome.",
  uncaught_errors: "Errors that nobody caught, by thread.",
};

/** Those that there may be, so that each series is there before the first: what appears with 1 has not increased. */
const STEPS = ["parse", "sanitise", "erase", "read"];
const MAIL_OUTCOMES = ["accepted", "deferred", "refused", "unknown"];

/** Seconds. */
const REQUEST_BUCKETS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5];

/**
 * Metrics in a registry of their own, so that two processors in one process do not count together. Names, types and labels are
 * in docs/metrics.md: others hang dashboards and alerts on them.
 *
 * @param uncaught Errors of the main thread that nobody caught, until now.
 * @param breaches Settings of topics that break a promise, now.
 */
export function createProcessorMetrics({ uncaught, breaches }: {
  readonly uncaught: () => number;
  readonly breaches: () => readonly SettingBreach[];
}): ProcessorMetrics {
  const registry = new Registry();
  const registers = [registry];
  const counters = new Map<LoopCounter, Counter<"what">>();
  for (const [name, help] of Object.entries(HELP) as [LoopCounter, string][]) {
    const counter = new Counter({ name: `processor_${name}_total`, help, labelNames: ["what"], registers });
    counters.set(name, counter);
  }
  for (const what of MAIL_OUTCOMES) counters.get("mails")!.inc({ what }, 0);
  const set = (counter: LoopCounter, what: string, to: number) => {
    counters.get(counter)!.remove({ what });
    counters.get(counter)!.inc({ what }, to);
  };
  const gauge = <L extends string>(name: string, help: string, labelNames: L[]) =>
    new Gauge({ name: `processor_${name}`, help, labelNames, registers });
  const logAvailable = gauge("log_available", "1 while the log can be asked, else 0.", []);
  const lag = gauge("lag_records", "Records not yet handled.", ["group", "partition"]);
  const lagSeconds = gauge("lag_seconds", "Age of the oldest record not yet handled.", [
    "group",
    "partition",
  ]);
  const standing = gauge("partitions_standing", "Partitions that stand at what cannot be read.", ["group"]);
  const leaderless = gauge("partitions_without_leader", "Partitions whose lag is not known.", ["group"]);
  const offers = gauge("offers", "People by the state of their offer.", ["state"]);
  const mails = gauge("mail_outcomes", "Attempts to send a mail, as the facts have them, by outcome.", [
    "outcome",
  ]);
  const waiting = gauge("dead_letters_waiting", "Dead letters that are neither redriven nor dismissed.", []);
  const dataset = gauge("dataset", "Size of the dataset.", ["unit"]);
  const placeholders = gauge("dataset_placeholders", "Replaced spans in the dataset's lines, by entity.", [
    "entity",
  ]);
  const prompts = gauge("dataset_prompts", "Lines by the length of their prompt in UTF-16 units.", ["up_to"]);
  const settings = gauge("topic_setting_breaches", "Settings that break a promise.", ["topic", "setting"]);
  const diskFree = gauge(
    "disk_free_bytes",
    "Bytes free on the disk of DATA_DIR; NaN where it cannot be known.",
    [],
  );
  const rebalances = new Counter({
    name: "processor_rebalances_total",
    help: "Times that a member of a group here came to read other partitions, the first time too.",
    labelNames: ["group"],
    registers,
  });
  const requests = new Histogram({
    name: "processor_http_request_seconds",
    help: "Time from a request's headers to those of its answer.",
    labelNames: ["status"],
    buckets: REQUEST_BUCKETS,
    registers,
  });
  let [latencies, latencySum] = [NO_LATENCIES, 0];
  registry.registerMetric(histogramOf(() => ({ counts: latencies, sumSeconds: latencySum / 1_000 })));

  function setFrom(status: PipelineStatus): void {
    for (const { group, partitions } of status.groups) {
      standing.set({ group }, partitions.filter((one) => one.standing !== undefined).length);
      leaderless.set({ group }, partitions.filter(({ noLeader }) => noLeader).length);
      for (const one of partitions) {
        // The last known ones stay: 0 would look as if nothing waited.
        if (one.noLeader) continue;
        lag.set({ group, partition: String(one.partition) }, one.lag);
        lagSeconds.set({ group, partition: String(one.partition) }, one.lagSeconds);
      }
    }
    for (const [state, count] of Object.entries(status.offers)) offers.set({ state }, count);
    for (const [outcome, count] of Object.entries(status.mails)) mails.set({ outcome }, count);
    for (const [unit, size] of Object.entries(status.dataset)) dataset.set({ unit }, size);
    waiting.set(status.deadLetters.total);
  }

  return {
    count(counter, by, label) {
      // These are told by the topic, which knows those of before the start too.
      if (counter !== "dead_letters") counters.get(counter)!.inc({ what: label }, by);
    },
    lines(counts, sumMs) {
      latencies = addLatencies(latencies, counts);
      latencySum += sumMs;
    },
    rebalanced: (group) => rebalances.inc({ group }),
    request: (status, seconds) => requests.observe({ status }, seconds),
    async text(now) {
      set("uncaught_errors", "main", uncaught());
      for (const name of ["records", "lines", "duplicates"] as const) {
        if (now.ever) set(name, "dataset-writer", now.ever[name]);
      }
      logAvailable.set(now.status === null ? 0 : 1);
      diskFree.set(now.diskFreeBytes ?? NaN);
      placeholders.reset();
      for (const [entity, spans] of Object.entries(now.placeholders)) placeholders.set({ entity }, spans);
      for (const { upTo, lines } of now.promptLengths) prompts.set({ up_to: String(upTo ?? "more") }, lines);
      settings.reset();
      for (const { topic, setting } of breaches()) settings.set({ topic, setting }, 1);
      if (now.status === null) {
        // What nobody knows now is not said: figures of before would look as if all went on.
        for (const one of [lag, lagSeconds, standing, leaderless]) one.reset();
      } else {
        setFrom(now.status);
        for (const step of STEPS) set("dead_letters", step, now.lettersByStep.get(step) ?? 0);
      }
      return await registry.metrics();
    },
  };
}

/** The buckets that loops count in, as prom-client prints a histogram; its own takes single values only. */
function histogramOf(
  read: () => { readonly counts: LatencyCounts; readonly sumSeconds: number },
): Histogram {
  const name = "processor_click_to_line_seconds";
  const get = () => {
    const { counts, sumSeconds } = read();
    let below = 0;
    const buckets = counts.map((count, i) => ({
      metricName: `${name}_bucket`,
      labels: { le: i < LATENCY_BOUNDS_MS.length ? LATENCY_BOUNDS_MS[i]! / 1_000 : "+Inf" },
      value: below += count,
    }));
    return Promise.resolve({
      name,
      help:
        "From an event's own time to its line being durable, since the start; backfilled ones are not in it.",
      type: "histogram",
      aggregator: "sum",
      values: [
        ...buckets,
        { metricName: `${name}_sum`, labels: {}, value: sumSeconds },
        { metricName: `${name}_count`, labels: {}, value: below },
      ],
    });
  };
  return { name, get } as unknown as Histogram;
}
