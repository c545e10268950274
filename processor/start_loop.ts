import { DATASET_WRITER_GROUP, DISCOUNT_OFFERS_GROUP } from "../contract/names.ts";
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

const MODULES: Readonly<Record<LoopName, URL>> = {
  "dataset-writer": new URL("./workers/dataset_writer.ts", import.meta.url),
  "discount-offers": new URL("./workers/discount_offers.ts", import.meta.url),
  "offer-view": new URL("./workers/offer_view.ts", import.meta.url),
  "offer-sender": new URL("./workers/offer_sender.ts", import.meta.url),
};

/** A loop that runs here, by the name that its health and its log lines carry. */
export type Seat = { readonly loop: LoopName; readonly name: string };

/** The view runs in every processor: any of them answers for an offer. */
export function seatsOf({ groups, datasetWriters }: ProcessorConfig): readonly Seat[] {
  const one = (loop: LoopName): Seat => ({ loop, name: loop });
  const writers = Array.from(
    { length: groups.includes(DATASET_WRITER_GROUP) ? datasetWriters : 0 },
    (_, i): Seat =>
      i === 0 ? one("dataset-writer") : { loop: "dataset-writer", name: `dataset-writer ${i + 1}` },
  );
  const offers = groups.includes(DISCOUNT_OFFERS_GROUP) ? [one("discount-offers"), one("offer-sender")] : [];
  return [...writers, one("offer-view"), ...offers];
}

/** A Worker that loads what its loop needs, and does nothing before its order. */
export type LoadedLoop = {
  readonly worker: Worker;
  /** Rejects with what the Worker dies of, whenever that is; never resolves. */
  readonly failed: Promise<never>;
};

/** Begins to load a loop, which {@link startLoop} starts; `module` is the one of its Worker. */
export function loadLoop(loop: LoopName, module: URL = MODULES[loop]): LoadedLoop {
  const worker = new Worker(module.href, { type: "module", name: loop });
  const { promise: failed, reject } = Promise.withResolvers<never>();
  // It may fail before somebody starts it.
  failed.catch(() => {});
  worker.onerror = (event) => {
    event.preventDefault();
    reject(new Error(event.message));
  };
  return { worker, failed };
}

/** Starts one loop, `loaded` before or now; `report` gets what it tells. */
export function startLoop(
  loop: LoopName,
  { config, pipelineSecret, report, loaded = loadLoop(loop) }: {
    readonly config: ProcessorConfig;
    readonly pipelineSecret: string;
    readonly report: (message: LoopMessage) => void;
    readonly loaded?: LoadedLoop | undefined;
  },
): RunningLoop {
  const { worker, failed } = loaded;
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
    failed.catch((error) => {
      reject(error);
      over();
    });
  });
  const send = (message: ToWorker) => worker.postMessage(message);
  send({ order: "run", config, pipelineSecret });
  const find = (ids: readonly string[]) =>
    new Promise<readonly WindowFinding[]>((resolve) => {
      if (isOver) return resolve([]);
      asked.set(++asks, resolve);
      send({ order: "find", ask: asks, ids });
    });
  return { drain: () => send({ order: "drain" }), find, ended };
}
