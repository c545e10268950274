/// <reference lib="webworker" />

/** Runs a module's seeds in as many Workers as there are processor cores, at most four; the module calls {@link serveSeeds}. */
export function runInWorkers<A extends { readonly seeds: readonly number[] }, O>(
  module: string,
  asked: A,
): Promise<O[]> {
  const workers = Math.min(4, navigator.hardwareConcurrency, asked.seeds.length);
  return Promise.all(
    Array.from(
      { length: workers },
      (_, n) => askWorker<A, O>(module, { ...asked, seeds: asked.seeds.filter((_, i) => i % workers === n) }),
    ),
  );
}

function askWorker<A, O>(module: string, asked: A): Promise<O> {
  const worker = new Worker(module, { type: "module", name: "seeds" });
  return new Promise<O>((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<O>) => resolve(data);
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(event.message));
    };
    worker.postMessage(asked);
  }).finally(() => worker.terminate());
}

/** Answers what is asked where the module that calls this is the Worker. */
export function serveSeeds<A, O>(run: (asked: A) => Promise<O>): void {
  if (typeof DedicatedWorkerGlobalScope === "undefined" || !(self instanceof DedicatedWorkerGlobalScope)) {
    return;
  }
  const worker = self;
  worker.onmessage = async ({ data }: MessageEvent<A>) => worker.postMessage(await run(data));
}

/** Those of all outcomes that broke a promise, the lowest seed first. */
export function allBroken<B extends { readonly seed: number }>(
  outcomes: readonly { readonly broken: readonly B[] }[],
): B[] {
  return outcomes.flatMap(({ broken }) => broken).sort((a, b) => a.seed - b.seed);
}
