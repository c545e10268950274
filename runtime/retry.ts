import type { Clock } from "./clock.ts";

/** Bounds of the waits between attempts, in milliseconds. */
export type BackOff = {
  /** The most that is waited after the first failure. */
  readonly msFirst: number;
  readonly msMax: number;
};

/** Milliseconds to wait after so many failures in a row: doubling up to the bound, a random half of it. */
export function backOffMs(failures: number, { msFirst, msMax }: BackOff, random = Math.random): number {
  const most = Math.min(msMax, msFirst * 2 ** Math.min(failures - 1, 20));
  return Math.round(most / 2 + random() * most / 2);
}

export type Failure = {
  readonly error: unknown;
  /** How many there were in a row. */
  readonly failures: number;
  readonly waitMs: number;
};

export type RetryOptions = BackOff & {
  readonly clock: Clock;
  /** Once it has aborted nothing is tried again. */
  readonly signal?: AbortSignal;
  /** Told of each failure before the wait; throws what is not to be tried again. */
  readonly failed?: (failure: Failure) => void;
  /** From 0 to below 1; default `Math.random`. */
  readonly random?: () => number;
};

/** Attempts, once at least, until it succeeds; undefined where `signal` has aborted by the time an attempt fails, or while it waits. */
export async function retry<T>(attempt: () => T | Promise<T>, options: RetryOptions): Promise<T | undefined> {
  const { clock, signal, failed, random } = options;
  for (let failures = 1;; failures++) {
    try {
      return await attempt();
    } catch (error) {
      const waitMs = backOffMs(failures, options, random);
      failed?.({ error, failures, waitMs });
      if (!signal?.aborted) await clock.wait(waitMs, signal);
      if (signal?.aborted) return undefined;
    }
  }
}
