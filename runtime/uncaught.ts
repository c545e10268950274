import type { Clock } from "./clock.ts";

/**
 * Where everything ends that is thrown where nobody catches: in a timer, a message handler, a stream's callback. Deno
 * would end the process at once, in the middle of whatever it is at. Here it is logged with its stack and counted, and
 * the process goes on: what it was about has failed by itself, and all that is durable is made so elsewhere. More than
 * {@link UNCAUGHT_MAX} of them within {@link UNCAUGHT_MS} are no accident any more: the process drains and stops.
 */
export type Uncaught = {
  /** Since the start. */
  readonly count: number;
  /** Resolves, with words, once there are too many. */
  readonly tooMany: Promise<string>;
  take(error: unknown): void;
};

export const UNCAUGHT_MAX = 10;
export const UNCAUGHT_MS = 60_000;

export function createUncaught(
  { clock, report }: { readonly clock: Clock; readonly report: (text: string) => void },
): Uncaught {
  let count = 0;
  let recent: number[] = [];
  const { promise: tooMany, resolve } = Promise.withResolvers<string>();
  return {
    get count() {
      return count;
    },
    tooMany,
    take(error) {
      count++;
      report(`nobody caught: ${stackOf(error)}`);
      const now = clock.monotonic();
      recent = [...recent.filter((at) => now - at < UNCAUGHT_MS), now];
      if (recent.length > UNCAUGHT_MAX) {
        resolve(
          `more than ${UNCAUGHT_MAX} errors that nobody caught within ${UNCAUGHT_MS / 1000} s: it stops`,
        );
      }
    },
  };
}

/** Hands every uncaught error of this thread, a Worker's own too, to `take`; Deno does not end it then. */
export function onUncaught(take: (error: unknown) => void): void {
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    take(event.error ?? event.message);
  });
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    take(event.reason);
  });
}

/** An error with its stack as one line, as a log has them. */
export function stackOf(error: unknown): string {
  const text = error instanceof Error ? error.stack ?? error.message : String(error);
  return text.replaceAll(/\n\s*/g, " ");
}
