import type { Clock } from "../../runtime/clock.ts";
import type { About, Level } from "../../runtime/log.ts";
import type { FaultPoint } from "../../runtime/fault_point.ts";
import type { KeyedHashes } from "../../contract/keyed_hash.ts";
import type { RecordBatch, TopicLog } from "../../topic/topic.ts";
import type { TraceStep } from "../../contract/trace_step.ts";
import type { LatencyCounts } from "./latency.ts";
import type { StandingPartition } from "./standing.ts";

/** What a loop tells the process it runs in. Plain data: it crosses from a Worker by message. */
export type LoopMessage =
  | { readonly kind: "steps"; readonly steps: readonly TraceStep[] }
  | { readonly kind: "health"; readonly health: LoopHealth }
  /** Somebody was erased: steps that were told before may speak of them, and are kept no longer. */
  | { readonly kind: "forget" }
  /** Adds to a counter of `/metrics`. */
  | { readonly kind: "count"; readonly counter: LoopCounter; readonly by: number; readonly label?: string }
  /** How long lines took from their event's own time on, by bucket, and their sum in ms. */
  | { readonly kind: "latencies"; readonly counts: LatencyCounts; readonly sumMs: number }
  | { readonly kind: "log"; readonly level: Level; readonly text: string; readonly about?: About };

/** `is: ready` makes the loop part of a 200 of `/readyz`; words say what it waits for or what is wrong. */
export type LoopHealth = {
  readonly is: "starting" | "ready" | "waiting" | "failing" | "stays_out";
  readonly message: string | null;
  readonly partitions: readonly number[];
  /** Partitions that stand at what cannot be read; missing where none does. */
  readonly standing?: readonly StandingPartition[];
};

/** What loops count for the metrics; the loop says of what kind. */
export type LoopCounter =
  | "records"
  | "lines"
  | "duplicates"
  | "dead_letters"
  | "ignored"
  | "facts"
  | "mails"
  | "uncaught_errors";

/** How a loop speaks; the main file relays it from the loop's Worker. */
export type LoopReport = (message: LoopMessage) => void;

/** Most trace steps that a loop tells per chunk: under load only the newest are shown. */
export const TRACE_STEPS_PER_CHUNK_MAX = 100;

/**
 * Records behind a chunk in its partition above which a loop makes no steps of single records: what would push them out
 * of what is kept is on its way, and whoever catches up should do nothing else.
 */
export const TRACE_RECORDS_BEHIND_MAX = 1_000;

/** True where steps of this batch's records are worth making. */
export function isNearTheEnd(
  { nextOffset, endOffset }: Pick<RecordBatch, "nextOffset" | "endOffset">,
): boolean {
  return endOffset - nextOffset <= TRACE_RECORDS_BEHIND_MAX;
}

/** What every loop of the processor gets. It runs until `signal` aborts, drains, and resolves; it rejects where it must stop loudly. */
export type LoopDependencies = {
  readonly log: TopicLog;
  readonly hashes: KeyedHashes;
  readonly clock: Clock;
  readonly report: LoopReport;
  readonly faultPoint: FaultPoint;
  readonly signal: AbortSignal;
};
