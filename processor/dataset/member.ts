import { retrying } from "../loop/consume.ts";
import { reportHealth } from "../loop/health.ts";
import { DatasetOwner, untilOwnerChanges, whyItStaysOut } from "./owner.ts";
import { runDatasetWriter } from "./writer.ts";
import type { DatasetDependencies } from "./context.ts";

/**
 * The dataset writer as a member of one group on one host: it writes while this dataset is the one that the facts name,
 * stays out and says so while it is not, and changes over when a take-over changes that.
 */
export async function runDatasetMember(deps: DatasetDependencies): Promise<void> {
  while (!deps.signal.aborted) await runUntilOwnerChanges(deps);
}

async function runUntilOwnerChanges(deps: DatasetDependencies): Promise<void> {
  const { log, clock, report, signal } = deps;
  const changed = new AbortController();
  const inner = AbortSignal.any([signal, changed.signal]);
  const owner = new DatasetOwner(log);
  const health = reportHealth(report);
  let watching = Promise.resolve();
  await runDatasetWriter({ ...deps, signal: inner }, {
    async staysOut({ id }) {
      const held = await retrying(() => owner.claim(id, clock.now()), {
        clock,
        signal: inner,
        trouble: ({ error }) => health("waiting", error.message),
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
