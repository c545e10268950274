import { retrying } from "../loop/consume.ts";
import { DatasetOwner, untilOwnerChanges, whyItStaysOut } from "./owner.ts";
import { runDatasetWriter } from "./writer.ts";
import type { DatasetDependencies as LoopDependencies } from "./dependencies.ts";

/**
 * The dataset writer as a member of one group on one host: it writes while this dataset is the one that the facts name,
 * stays out and says so while it is not, and changes over when a take-over changes that.
 */
export async function runDatasetMember(deps: LoopDependencies): Promise<void> {
  while (!deps.signal.aborted) await runUntilOwnerChanges(deps);
}

async function runUntilOwnerChanges(deps: LoopDependencies): Promise<void> {
  const { log, clock, report, signal } = deps;
  const changed = new AbortController();
  const inner = AbortSignal.any([signal, changed.signal]);
  const owner = new DatasetOwner(log);
  const health = (message: string) =>
    report({ kind: "health", health: { is: "waiting", message, partitions: [] } });
  let watching = Promise.resolve();
  await runDatasetWriter({ ...deps, signal: inner }, {
    async staysOut({ id }) {
      const held = await retrying(() => owner.claim(id, clock.now()), {
        clock,
        signal: inner,
        trouble: ({ error }) => health(error.message),
      });
      if (held === undefined || held === null) return null;
      watching = untilOwnerChanges(owner, { held, clock, signal: inner }).then(() => changed.abort());
      const message = whyItStaysOut(held, id);
      if (message !== null) report({ kind: "log", level: "warn", text: message });
      return message;
    },
  }).finally(() => changed.abort());
  await watching;
}
