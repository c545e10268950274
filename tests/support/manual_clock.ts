import type { Clock } from "../../runtime/clock.ts";

/** A clock that stands still until a test moves it. Timers due at the same moment fire in the order they were set. */
export type ManualClock = Clock & {
  /** Moves time on and fires every timer on the way, each at its own moment. */
  advance(ms: number): Promise<void>;
  /** Timers not yet due. */
  readonly pending: number;
};

export function manualClock(start = Date.UTC(2026, 0, 1)): ManualClock {
  let now = start;
  let timers: { due: number; fire: () => void }[] = [];
  return {
    now: () => now,
    monotonic: () => now - start,
    wait: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted || ms <= 0) return resolve();
        const fire = () => {
          timers = timers.filter((other) => other !== timer);
          signal?.removeEventListener("abort", fire);
          resolve();
        };
        const timer = { due: now + ms, fire };
        timers.push(timer);
        signal?.addEventListener("abort", fire, { once: true });
      }),
    async advance(ms) {
      const end = now + ms;
      for (;;) {
        const next = timers.filter((timer) => timer.due <= end).sort((a, b) => a.due - b.due)[0];
        if (!next) break;
        now = next.due;
        next.fire();
        await settle();
      }
      now = end;
      await settle();
    },
    get pending() {
      return timers.length;
    },
  };
}

/** Lets everything run that waits for nothing but a turn of the event loop. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
}
