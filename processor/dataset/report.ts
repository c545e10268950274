import type { Clock } from "../../runtime/clock.ts";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import type { TraceStep } from "../../contract/trace_step.ts";
import type { Counted } from "./chunk.ts";
import type { PartitionReporter } from "./context.ts";
import { polledSteps, writtenSteps } from "./trace.ts";
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
    decided: (told) => reportSteps(polledSteps(told, { at: now(), lineId, showRaw })),
    written: (counted, { told, recordsBefore }) => {
      reportSteps(writtenSteps(told, { at: now(), recordsBefore }));
      reportDeadLetters(counted, report);
      reportLatencies(counted, { report, now: clock.now() });
      reportCounts(counted, report);
    },
  };
}

/** Of lines that have become durable now. */
function reportLatencies(
  { lineTimes }: Counted,
  { report, now }: { readonly report: LoopReport; readonly now: number },
): void {
  if (lineTimes.length === 0) return;
  report({ kind: "latencies", ...countLatencies(lineTimes.map((time) => now - time)) });
}

/** Each of them, however many a chunk has: nobody else says it to who reads the log alone. */
function reportDeadLetters({ letters }: Counted, report: LoopReport): void {
  for (const { id, record: { partition, offset }, step, reason } of letters) {
    const text = `dead letter: ${reason} (${step}, ${WEBHOOKS_TOPIC} ${partition}:${offset})`;
    const about = { topic: WEBHOOKS_TOPIC, partition, offset, id, step, reason, outcome: "dead_letter" };
    report({ kind: "log", level: "warn", text, about });
  }
}

function reportCounts({ records, outcomes, letters, ignored }: Counted, report: LoopReport): void {
  const count = (counter: LoopCounter, by: number, label?: string) => {
    if (by > 0) report({ kind: "count", counter, by, ...(label === undefined ? {} : { label }) });
  };
  count("records", records);
  count("lines", outcomes.lines);
  count("duplicates", outcomes.duplicates);
  for (const [step, some] of Map.groupBy(letters, ({ step }) => step)) {
    count("dead_letters", some.length, step);
  }
  for (const [reason, by] of ignored) count("ignored", by, reason);
}
