import type { ProcessorConfig } from "./config.ts";
import type { WindowFinding } from "./dataset/core/dedup_window.ts";
import type { LoopMessage } from "./loop/loop.ts";
import type { FromWorker, LoopName, ToWorker } from "./loop_messages.ts";

/** A loop at work in its Worker. */
export type RunningLoop = {
  /** Asks the loop to finish what it is at. */
  drain(): void;
  /** Where ids occur in the windows of a dataset writer's partitions; nothing where it has ended, or is no writer. */
  find(ids: readonly string[]): Promise<readonly WindowFinding[]>;
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
  const asked = new Map<number, (findings: readonly WindowFinding[]) => void>();
  let asks = 0;
  let isOver = false;
  const over = () => {
    isOver = true;
    for (const answer of asked.values()) answer([]);
    asked.clear();
    worker.terminate();
  };
  const ended = new Promise<void>((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (data.kind === "report") return report(data.message);
      if (data.kind === "found") {
        asked.get(data.ask)?.(data.findings);
        asked.delete(data.ask);
        return;
      }
      if (data.kind === "ended") resolve();
      else reject(Object.assign(new Error(data.message), { name: "LoopStoppedError", stack: data.stack }));
      over();
    };
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(event.message));
      over();
    };
  });
  const send = (message: ToWorker) => worker.postMessage(message);
  send({ order: "run", loop, config, pipelineSecret });
  const find = (ids: readonly string[]) =>
    new Promise<readonly WindowFinding[]>((resolve) => {
      if (isOver) return resolve([]);
      asked.set(++asks, resolve);
      send({ order: "find", ask: asks, ids });
    });
  return { drain: () => send({ order: "drain" }), find, ended };
}
