/// <reference lib="webworker" />
import { systemClock } from "../../runtime/clock.ts";
import { handLogTo } from "../../runtime/log.ts";
import { createUncaught, onUncaught } from "../../runtime/uncaught.ts";
import { createKeyedHashes } from "../../contract/keyed_hash.ts";
import { faultPointFrom } from "../../runtime/fault_point.ts";
import { openTopicLog } from "../../topic/open_topic.ts";
import type { ProcessorConfig } from "../config.ts";
import type { WindowFinding } from "../dataset/core/dedup_window.ts";
import type { LoopDependencies, LoopMessage } from "../loop/loop.ts";
import type { FromWorker, ToWorker } from "../loop_messages.ts";

type Look = (ids: readonly string[]) => readonly WindowFinding[];

const worker = self as unknown as DedicatedWorkerGlobalScope;
const draining = new AbortController();
/** Into the windows of a dataset writer, once it runs. */
let lookFor: Look = () => [];
const post = (message: FromWorker) => worker.postMessage(message);

// A timer or a socket's callback that throws must not end a loop in the middle of its chunk.
const tell = (message: LoopMessage) => post({ kind: "report", message });
handLogTo((level, text, about) => tell({ kind: "log", level, text, about }));
const uncaught = createUncaught({
  clock: systemClock,
  report: (text) => tell({ kind: "log", level: "error", text }),
});
onUncaught((error) => {
  uncaught.take(error);
  tell({ kind: "count", counter: "uncaught_errors", by: 1 });
});

/** What a loop is started with; `windows` is told, by a dataset writer, how to look into its windows. */
type WorkerDependencies = LoopDependencies & {
  readonly config: ProcessorConfig;
  readonly windows: (look: Look) => void;
};

/**
 * The inside of a loop's Worker: gets its orders by message, runs one loop with adapters of its own, and tells by
 * message what happens. Loops share no objects, and each has a module of its own beside this one, so that its Worker loads
 * nothing of the others.
 */
export function serveLoop(start: (deps: WorkerDependencies) => Promise<void>): void {
  worker.onmessage = ({ data }: MessageEvent<ToWorker>) => {
    if (data.order === "drain") return draining.abort();
    if (data.order === "find") return post({ kind: "found", ask: data.ask, findings: lookFor(data.ids) });
    const fail = (error: Error) => post({ kind: "failed", message: error.message, stack: error.stack ?? "" });
    run(start, data).then(() => post({ kind: "ended" }), fail);
    void uncaught.tooMany.then((words) => fail(new Error(words)));
  };
}

async function run(
  start: Parameters<typeof serveLoop>[0],
  { config, pipelineSecret }: { readonly config: ProcessorConfig; readonly pipelineSecret: string },
): Promise<void> {
  const log = await openTopicLog(config.log, "processor");
  try {
    await start({
      log,
      config,
      hashes: createKeyedHashes(pipelineSecret),
      clock: systemClock,
      report: (message) => post({ kind: "report", message }),
      faultPoint: faultPointFrom(config.faultPoint ?? undefined),
      signal: draining.signal,
      windows: (look) => lookFor = look,
    });
  } finally {
    await log.close();
  }
}
