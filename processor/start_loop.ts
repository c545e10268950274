import type { ProcessorConfig } from "./config.ts";
import type { LoopMessage } from "./loop/loop.ts";
import type { FromWorker, LoopName, ToWorker } from "./loop_messages.ts";

/** A loop at work in its Worker. */
export type RunningLoop = {
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
  const worker = new Worker(new URL("./worker_main.ts", import.meta.url).href, {
    type: "module",
    name: loop,
  });
  const ended = new Promise<void>((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (data.kind === "report") return report(data.message);
      if (data.kind === "ended") resolve();
      else reject(Object.assign(new Error(data.message), { name: "LoopStoppedError", stack: data.stack }));
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
  return { drain: () => send({ order: "drain" }), ended };
}
