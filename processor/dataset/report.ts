import type { Clock } from "../../runtime/clock.ts";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import type { TraceStep } from "../../contract/trace_step.ts";
import type { Decided } from "./chunk.ts";
import type { PartitionReporter } from "./context.ts";
import { polledSteps, tailOf, writtenSteps } from "./trace.ts";
import { countLatencies } from "../loop/latency.ts";
import { type LoopCounter, type LoopReport, TRACE_STEPS_PER_CHUNK_MAX } from "../loop/loop.ts";

/** Tells the process what partitions do: trace steps of the newest records, and counters once their chunk is durable. */
export function reportTo(
  report: LoopReport,
  { clock, lineId, showRaw, state }: {
    readonly clock: Clock;
    readonly lineId: (distinctId: string) => string;
    readonly showRaw: boolean;
    readonly state: () => void;
  },
): PartitionReporter {
  const reportSteps = (steps: readonly TraceStep[]) => {
    if (steps.length > 0) report({ kind: "steps", steps: steps.slice(-TRACE_STEPS_PER_CHUNK_MAX) });
  };
  const now = () => new Date(clock.now()).toISOString();
  return {
    state,
    log: (level, text) => report({ kind: "log", level, text }),
    erased: () => report({ kind: "forget" }),
    decided: (decided) => reportSteps(polledSteps(tailOf(decided), { at: now(), lineId, showRaw })),
    written: (decided, recordsBefore) => {
      reportSteps(writtenSteps(decided, { at: now(), recordsBefore }));
      reportDeadLetters(decided, report);
      reportLatencies(decided, { report, now: clock.now() });
      for (const [name, by] of countersOf(decided)) {
        const [counter, label] = name.split(" ") as [LoopCounter, string | undefined];
        report({ kind: "count", counter, by, ...(label === undefined ? {} : { label }) });
      }
    },
  };
}

/** Of lines that have become durable now. What a backfill brings happened long ago, and says nothing of the pipeline. */
function reportLatencies(
  decided: readonly Decided[],
  { report, now }: { readonly report: LoopReport; readonly now: number },
): void {
  const times = decided.flatMap(({ record, decision: { outcome } }) =>
    outcome.is === "line" && record.headers.source !== "backfill" ? [now - outcome.time] : []
  );
  if (times.length > 0) report({ kind: "latencies", ...countLatencies(times) });
}

/** Each of them, however many a chunk has: nobody else says it to who reads the log alone. */
function reportDeadLetters(decided: readonly Decided[], report: LoopReport): void {
  for (const { record: { partition, offset }, decision: { id, outcome } } of decided) {
    if (outcome.is !== "dead_letter") continue;
    const { step, reason } = outcome;
    const text = `dead letter: ${reason} (${step}, ${WEBHOOKS_TOPIC} ${partition}:${offset})`;
    const about = { topic: WEBHOOKS_TOPIC, partition, offset, id, step, reason, outcome: "dead_letter" };
    report({ kind: "log", level: "warn", text, about });
  }
}

/** Sums by counter and, behind a blank, label. */
function countersOf(decided: readonly Decided[]): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  const add = (name: string) => sums.set(name, (sums.get(name) ?? 0) + 1);
  for (const { decision: { outcome } } of decided) {
    add("records");
    switch (outcome.is) {
      case "line":
        add("lines");
        break;
      case "duplicate":
        add("duplicates");
        break;
      case "dead_letter":
        add(`dead_letters ${outcome.step}`);
        break;
      case "ignored":
        add(`ignored ${outcome.reason}`);
        break;
    }
  }
  return sums;
}
