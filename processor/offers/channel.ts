import type { Clock } from "../../runtime/clock.ts";

/**
 * How the offers' loops, each in a Worker of its own, tell each other what is not worth a fact: that the view has come
 * further, and which partitions this process owns. Messages reach the Workers of this process only and die with it, so
 * that a crash leaves nothing false behind; a message that is missed costs a poll.
 */
export type OfferChannel = {
  /** The view has applied more. */
  notifyApplied(): void;
  /** Resolves after `ms`, at the next {@link OfferChannel.ring}, or when `signal` aborts; never rejects. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
  /** This process owns these partitions of `posthog.webhooks` now. */
  announce(partitions: readonly number[]): void;
  /** What was announced last; none before. */
  owned(): readonly number[];
  close(): void;
};

type Message = { readonly is: "applied" } | { readonly is: "who" } | {
  readonly is: "owned";
  readonly partitions: readonly number[];
};

/** Joins the channel of this DATA_DIR's loops, by `BroadcastChannel`: it reaches Workers of this process only. */
export function openOfferChannel(dataDir: string, clock: Clock): OfferChannel {
  const channel = new BroadcastChannel(`offers of ${dataDir}`);
  const waiting = new Set<() => void>();
  let announced: readonly number[] | null = null;
  let owned: readonly number[] = [];
  let closed = false;
  // A question may still come in between closing and the end of this turn of the event loop.
  const post = (message: Message) => closed ? undefined : channel.postMessage(message);

  channel.onmessage = ({ data }: MessageEvent<Message>) => {
    switch (data.is) {
      case "applied":
        for (const wake of waiting) wake();
        return;
      case "owned":
        owned = data.partitions;
        return;
      case "who":
        if (announced !== null) post({ is: "owned", partitions: announced });
        return;
    }
  };
  post({ is: "who" });

  return {
    notifyApplied: () => post({ is: "applied" }),
    async wait(ms, signal) {
      const woken = new AbortController();
      const wake = () => woken.abort();
      waiting.add(wake);
      signal.addEventListener("abort", wake, { once: true });
      await (signal.aborted ? undefined : clock.wait(ms, woken.signal));
      signal.removeEventListener("abort", wake);
      waiting.delete(wake);
    },
    announce(partitions) {
      announced = [...partitions].sort((a, b) => a - b);
      post({ is: "owned", partitions: announced });
    },
    owned: () => owned,
    close() {
      closed = true;
      channel.close();
    },
  };
}
