/** Where time comes from, so that tests can hold it in their hand. */
export type Clock = {
  /** Milliseconds since 1970, UTC: what people's clocks say; may jump. */
  now(): number;
  /** Milliseconds since some moment; never goes back. For "how long ago did I see it". */
  monotonic(): number;
  /** Resolves after `ms` milliseconds, or as soon as `signal` aborts; never rejects. */
  wait(ms: number, signal?: AbortSignal): Promise<void>;
};

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  wait: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener("abort", done, { once: true });
    }),
};

/** What comes of `work`, or "late" where that takes more than `ms` milliseconds; its timer does not outlive it. */
export async function within<T>(
  work: Promise<T>,
  { ms, clock = systemClock }: { readonly ms: number; readonly clock?: Clock },
): Promise<T | "late"> {
  const done = new AbortController();
  try {
    return await Promise.race([work, clock.wait(ms, done.signal).then(() => "late" as const)]);
  } finally {
    done.abort();
  }
}
