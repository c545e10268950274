import type { TraceStep } from "../../contract/trace_step.ts";

/**
 * Keeps the newest trace steps and passes each on to whoever listens: the source of `GET /api/events`.
 *
 * An id names the run and the step's number in it. `after` an id of this run continues behind it; any other id (an
 * earlier run's, or one that is no longer kept) gets everything that is kept.
 */
export type TraceHub = {
  add(steps: readonly TraceStep[]): void;
  /** Lets go of everything kept: somebody was erased, and who comes back later is told nothing of before. */
  forget(): void;
  /** Kept steps after `lastEventId`, then every new one, until `stop` is called. */
  listen(lastEventId: string | null, send: (message: TraceMessage) => void): () => void;
};

/** A trace step under the id that a listener names when it comes back (`Last-Event-ID`). */
export type TraceMessage = { readonly id: string; readonly step: TraceStep };

/** Steps kept for `Last-Event-ID`. */
export const TRACE_STEPS_KEPT_MAX = 1_000;

/** Longest prompt in a step, in characters: it may be 1 MiB, a thousand steps are kept, and nobody reads that on a page. */
const PROMPT_LENGTH_MAX = 20_000;

/** @param run Tells this run's ids from another's, such as its start time. */
export function createTraceHub(run: string): TraceHub {
  const kept: TraceMessage[] = [];
  const listeners = new Set<(message: TraceMessage) => void>();
  let count = 0;
  return {
    add(steps) {
      for (const step of steps) {
        const message = { id: `${run}-${++count}`, step: withShortPrompts(step) };
        kept.push(message);
        for (const send of listeners) send(message);
      }
      if (kept.length > TRACE_STEPS_KEPT_MAX) kept.splice(0, kept.length - TRACE_STEPS_KEPT_MAX);
    },
    forget: () => void kept.splice(0),
    listen(lastEventId, send) {
      const seen = kept.findIndex((message) => message.id === lastEventId);
      for (const message of kept.slice(seen + 1)) send(message);
      listeners.add(send);
      return () => listeners.delete(send);
    },
  };
}

function withShortPrompts(step: TraceStep): TraceStep {
  if (step.step === "written") return { ...step, prompt: short(step.prompt) };
  if (step.step === "polled" && step.rawPrompt !== undefined) {
    return { ...step, rawPrompt: short(step.rawPrompt) };
  }
  return step;
}

function short(text: string): string {
  return text.length <= PROMPT_LENGTH_MAX ? text : `${text.slice(0, PROMPT_LENGTH_MAX).toWellFormed()}…`;
}
