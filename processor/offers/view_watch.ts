import type { OfferChannel } from "./channel.ts";
import type { OfferStoreReader } from "./store.ts";

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
