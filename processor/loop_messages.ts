import type { ProcessorConfig } from "./config.ts";
import type { WindowFinding } from "./dataset/core/dedup_window.ts";
import type { LoopMessage } from "./loop/loop.ts";

/** The loops of a processor; each runs in a Worker of its own, so that none waits for another's work. */
export type LoopName = "dataset-writer" | "discount-offers" | "offer-view" | "offer-sender";

export type ToWorker =
  | {
    readonly order: "run";
    readonly config: ProcessorConfig;
    readonly pipelineSecret: string;
  }
  | { readonly order: "drain" }
  /** Of a dataset writer: where these ids occur in its windows. */
  | { readonly order: "find"; readonly ask: number; readonly ids: readonly string[] };

export type FromWorker =
  | { readonly kind: "report"; readonly message: LoopMessage }
  | { readonly kind: "found"; readonly ask: number; readonly findings: readonly WindowFinding[] }
  | { readonly kind: "ended" }
  | { readonly kind: "failed"; readonly message: string; readonly stack: string };
