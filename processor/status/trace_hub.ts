import type { TraceStep } from "../../contract/trace_step.ts";

/**
 * Keeps the newest trace steps, as the bytes that every listener is sent: the source of `GET /api/events`. A listener holds
 * no bytes here, only its place among them; one that is further behind than what is kept has lost its place.
 *
 * A step's number counts from 1 within the run, and its id is the run and that number.
 */
export type TraceHub = {
  add(steps: readonly TraceStep[]): void;
  /** Lets go of everything kept: somebody was erased, and who comes back later is told nothing of before. */
  forget(): void;
  /**
   * Number of the step that a listener begins with: the one behind `lastEventId` where that is of this run and still
   * kept, else the newest {@link REPLAY_STEPS_MAX} are its.
   */
  startFor(lastEventId: string | null): number;
  /** As server-sent events: the kept steps from `number` on, up to about 64 KiB, and the number behind them. */
  read(number: number): TracePiece;
  /** Resolves when steps are added, or `signal` aborts. */
  changed(signal: AbortSignal): Promise<void>;
  /** Takes a listener in, and answers how it leaves; null where {@link LISTENERS_MAX} are here. */
  join(): (() => void) | null;
};

export type TracePiece =
  | { readonly is: "steps"; readonly bytes: Uint8Array; readonly next: number }
  | { readonly is: "nothing_new" }
  /** The step is no longer kept. */
  | { readonly is: "lost" };

/** Steps that a listener gets at most of what was before it came. */
export const REPLAY_STEPS_MAX = 1_000;
/** Steps and bytes kept for all listeners together; many more than a chunk brings, so that who reads keeps its place. */
export const STEPS_KEPT_MAX = 20_000;
export const BYTES_KEPT_MAX = 8 * 1024 * 1024;
/** Open pages and scripts that listen at once; each holds one piece of {@link PIECE_BYTES} that it has not taken yet. */
export const LISTENERS_MAX = 200;
const PIECE_BYTES = 64 * 1024;

/** Longest prompt in a step, in characters: it may be 1 MiB, and nobody reads that on a page. */
const PROMPT_LENGTH_MAX = 20_000;

/** @param run Tells this run's ids from another's, such as its start time. */
export function createTraceHub(run: string): TraceHub {
  const kept: Uint8Array[] = [];
  const listeners = new Set<symbol>();
  const encoder = new TextEncoder();
  let bytes = 0;
  /** Number of the newest step. */
  let last = 0;
  const waiting = new Set<() => void>();
  const first = () => last - kept.length + 1;
  const drop = (count: number) => {
    for (const dropped of kept.splice(0, count)) bytes -= dropped.length;
  };
  return {
    add(steps) {
      for (const step of steps) {
        const message = encoder.encode(eventText(`${run}-${++last}`, withShortPrompts(step)));
        kept.push(message);
        bytes += message.length;
      }
      let over = 0;
      for (let left = bytes; kept.length - over > STEPS_KEPT_MAX || left > BYTES_KEPT_MAX; over++) {
        left -= kept[over]!.length;
      }
      drop(over);
      for (const wake of [...waiting]) wake();
    },
    forget: () => drop(kept.length),
    startFor(lastEventId) {
      const number = lastEventId?.startsWith(`${run}-`) ? Number(lastEventId.slice(run.length + 1)) : NaN;
      if (Number.isSafeInteger(number) && number >= first() - 1 && number <= last) return number + 1;
      return Math.max(first(), last - REPLAY_STEPS_MAX + 1);
    },
    read(number) {
      if (number > last) return { is: "nothing_new" };
      let at = number - first();
      if (at < 0) return { is: "lost" };
      const piece = [kept[at++]!];
      for (let size = piece[0]!.length; at < kept.length; at++) {
        size += kept[at]!.length;
        if (size > PIECE_BYTES) break;
        piece.push(kept[at]!);
      }
      return { is: "steps", bytes: joined(piece), next: first() + at };
    },
    changed: (signal) =>
      new Promise((resolve) => {
        const wake = () => {
          waiting.delete(wake);
          signal.removeEventListener("abort", wake);
          resolve();
        };
        if (signal.aborted) return resolve();
        waiting.add(wake);
        signal.addEventListener("abort", wake, { once: true });
      }),
    join() {
      if (listeners.size >= LISTENERS_MAX) return null;
      const listener = Symbol();
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

/** One message alone is shared as it is kept. */
function joined(messages: readonly Uint8Array[]): Uint8Array {
  if (messages.length === 1) return messages[0]!;
  const whole = new Uint8Array(messages.reduce((length, message) => length + message.length, 0));
  let at = 0;
  for (const message of messages) {
    whole.set(message, at);
    at += message.length;
  }
  return whole;
}

function eventText(id: string, step: TraceStep): string {
  return `id: ${id}\ndata: ${JSON.stringify(step)}\n\n`;
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
