import { Counter, Gauge, Registry } from "prom-client";
import type { PipelineStatus } from "../../contract/processor_api.ts";
import type { SettingBreach } from "../../topic/topic.ts";
import type { LoopCounter } from "../loop/loop.ts";

/** The processor's `/metrics`: counters that loops add to, gauges set from the status when somebody looks. */
export type ProcessorMetrics = {
  count(counter: LoopCounter, by: number, label: string): void;
  /** Prometheus text, with the gauges of this status. */
  text(status: PipelineStatus): Promise<string>;
};

const HELP: Record<LoopCounter, string> = {
  records: "Records handled, by loop",
  lines: "Lines written to the dataset",
  duplicates: "Records dropped because their id had been seen",
  dead_letters: "Records set aside, by reason",
  ignored: "Records without effect, by reason",
  facts: "Facts published, by kind",
  mails: "Mails, by outcome",
  uncaught_errors: "Errors that nobody caught, by thread",
};

/**
 * Metrics in a registry of their own, so that two processors in one process do not count together.
 *
 * @param uncaught Errors of the main thread that nobody caught, until now.
 * @param breaches Settings of topics that break a promise, now.
 */
export function createProcessorMetrics({ uncaught, breaches }: {
  readonly uncaught: () => number;
  readonly breaches: () => readonly SettingBreach[];
}): ProcessorMetrics {
  const registry = new Registry();
  const counters = new Map<LoopCounter, Counter<"what">>();
  for (const [name, help] of Object.entries(HELP) as [LoopCounter, string][]) {
    counters.set(
      name,
      new Counter({ name: `processor_${name}_total`, help, labelNames: ["what"], registers: [registry] }),
    );
  }
  const gauge = <L extends string>(name: string, help: string, labelNames: L[]) =>
    new Gauge({ name: `processor_${name}`, help, labelNames, registers: [registry] });
  const lag = gauge("lag_records", "Records not yet handled", ["group", "partition"]);
  const lagSeconds = gauge("lag_seconds", "Age of the oldest record not yet handled", ["group", "partition"]);
  const standing = gauge("partitions_standing", "Partitions that stand at what cannot be read", ["group"]);
  const leaderless = gauge("partitions_without_leader", "Partitions whose lag is not known", ["group"]);
  const offers = gauge("offers", "Offers by state", ["state"]);
  const dataset = gauge("dataset", "Size of the dataset", ["unit"]);
  const settings = gauge("topic_setting_breaches", "Settings that break a promise", ["topic", "setting"]);
  return {
    count: (counter, by, label) => counters.get(counter)!.inc({ what: label }, by),
    async text(status) {
      const main = counters.get("uncaught_errors")!;
      main.remove({ what: "main" });
      main.inc({ what: "main" }, uncaught());
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
      for (const [unit, size] of Object.entries(status.dataset)) dataset.set({ unit }, size);
      settings.reset();
      for (const { topic, setting } of breaches()) settings.set({ topic, setting }, 1);
      return await registry.metrics();
    },
  };
}
