import { retrying, type Trouble } from "../loop/consume.ts";
import type { LoopDependencies } from "../loop/loop.ts";
import { factsEnd } from "../facts/topic.ts";
import { type OfferChannel, openOfferChannel } from "./channel.ts";
import type { OfferLoopDependencies } from "./policy.ts";
import { openOfferStoreReader } from "./sqlite/open.ts";
import type { OfferStoreReader } from "./store.ts";
import { checkView } from "./view_check.ts";

/** How a loop waits for the view of its process. */
export type ViewWatch = {
  /** Resolves with true once every fact below `nextFact` is applied, with false if `signal` aborts first. */
  applied(nextFact: number, signal: AbortSignal): Promise<boolean>;
  /** Resolves after `ms` at the latest, sooner when the view moves or `signal` aborts. */
  moved(ms: number, signal: AbortSignal): Promise<void>;
};

/** Between two looks at the view, where its bell is not heard. */
const POLL_MS = 2;

/** Watches the view by the channel's messages, and by a look every few milliseconds where none comes. */
export function createViewWatch(
  store: Pick<OfferStoreReader, "end">,
  channel: Pick<OfferChannel, "wait">,
): ViewWatch {
  return {
    async applied(nextFact, signal) {
      while (store.end().nextFact < nextFact) {
        if (signal.aborted) return false;
        await channel.wait(POLL_MS, signal);
      }
      return true;
    },
    moved: (ms, signal) => channel.wait(ms, signal),
  };
}

/** What the loops beside the view work with. */
type BesideView = {
  readonly store: OfferStoreReader;
  readonly view: ViewWatch;
  readonly channel: OfferChannel;
};

/** Waits until the view's writer has made it, and lets go of everything when `work` ends. */
export async function besideView(
  { config: { dataDir }, clock, signal }: OfferLoopDependencies,
  work: (beside: BesideView) => Promise<void>,
): Promise<void> {
  const store = await openOfferStoreReader(dataDir, { clock, signal });
  if (store === null) return;
  const channel = openOfferChannel(dataDir, clock);
  try {
    await work({ store, view: createViewWatch(store, channel), channel });
  } finally {
    channel.close();
    store.close();
  }
}

/**
 * Waits until the view, made from this log's facts, has applied those of this moment: by one that is behind everything
 * that it lacks would be published again. False once `signal` aborts.
 */
export async function viewIsUpToDate(
  { log, clock, signal, store, view }:
    & Pick<LoopDependencies, "log" | "clock" | "signal">
    & Omit<BesideView, "channel">,
  trouble?: (trouble: Omit<Trouble, "partition">) => void,
): Promise<boolean> {
  const end = await retrying(async () => {
    await checkView(log, store.end());
    return await factsEnd(log);
  }, { clock, signal, trouble });
  return end !== undefined && await view.applied(end, signal);
}
