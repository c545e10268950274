import type { ProcessorConfig } from "../config.ts";
import type { LoopMessage } from "./loop.ts";

/** The loops of a processor; each runs in a Worker of its own, so that none waits for another's work. */
export type LoopName = "dataset-writer" | "discount-offers" | "offer-view" | "offer-sender";

/** Messages to a loop's Worker: `run` comes once and first, `drain` asks it to finish what it is at. */
export type ToWorker =
  | {
    readonly order: "run";
    readonly loop: LoopName;
    readonly config: ProcessorConfig;
    readonly pipelineSecret: string;
  }
  | { readonly order: "drain" };

/** Messages of a loop's Worker: any number of `report`, then one of `ended` and `failed`. */
export type FromWorker =
  | { readonly kind: "report"; readonly message: LoopMessage }
  | { readonly kind: "ended" }
  | { readonly kind: "failed"; readonly words: string; readonly stack: string };

/** A loop at work in its Worker. */
export type RunningLoop = {
  readonly loop: LoopName;
  /** Asks the loop to finish what it is at. */
  drain(): void;
  /** Resolves when the loop has drained; rejects with the loop's own words if it had to stop. */
  readonly ended: Promise<void>;
};

/** Starts one loop; `report` gets what it tells. */
export function startLoop(
  loop: LoopName,
  { config, pipelineSecret, report }: {
    readonly config: ProcessorConfig;
    readonly pipelineSecret: string;
    readonly report: (message: LoopMessage) => void;
  },
): RunningLoop {
  const worker = new Worker(new URL("../worker_main.ts", import.meta.url).href, {
    type: "module",
    name: loop,
  });
  const ended = new Promise<void>((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (data.kind === "report") return report(data.message);
      if (data.kind === "ended") resolve();
      else reject(Object.assign(new Error(data.words), { name: "LoopStoppedError", stack: data.stack }));
      worker.terminate();
    };
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(event.message));
      worker.terminate();
    };
  });
  const send = (message: ToWorker) => worker.postMessage(message);
  send({ order: "run", loop, config, pipelineSecret });
  return { loop, drain: () => send({ order: "drain" }), ended };
}
