import { type Clock, within } from "../runtime/clock.ts";
import type { TraceStep } from "../contract/trace_step.ts";
import type { History } from "./history.ts";
import type { TraceHub } from "./status/trace_hub.ts";

/** So long a start waits for the writers' windows and the offers' view, and for what is read, in ms; then the trace begins without. */
const READY_MS_MAX = 10_000;
const READ_MS_MAX = 10_000;
const LOOK_EVERY_MS = 50;
/** Readings at most: each is for nothing where somebody is erased meanwhile. */
const ATTEMPTS = 3;
/** Live steps that wait for that at most: with more there is enough to see. */
const HELD_MAX = 2_000;

/**
 * The trace of a start: first what the log and the manifests tell of the newest events, then what is told live; live steps
 * wait meanwhile, so that they stand in their order.
 */
export class TraceStart {
  #held: TraceStep[] | null = [];
  #forgotten = false;

  constructor(private readonly hub: TraceHub) {}

  add(steps: readonly TraceStep[]): void {
    if (this.#held === null) return this.hub.add(steps);
    this.#held.push(...steps);
    if (this.#held.length > HELD_MAX) this.#release([]);
  }

  /** Somebody was erased: what is being read may speak of them. */
  forget(): void {
    this.#forgotten = true;
    if (this.#held !== null) this.#held = [];
    this.hub.forget();
  }

  /** Never rejects: a trace that begins empty is no trouble of the pipeline. */
  async begin(
    history: Pick<History, "newestSteps">,
    { clock, signal, isReady }: {
      readonly clock: Clock;
      readonly signal: AbortSignal;
      /** True once the windows of this process are open, and its view of the offers is up to date. */
      readonly isReady: () => boolean;
    },
  ): Promise<void> {
    const end = clock.monotonic() + READY_MS_MAX;
    while (!isReady() && clock.monotonic() < end && !signal.aborted) await clock.wait(LOOK_EVERY_MS, signal);
    if (this.#held === null || signal.aborted) return this.#release([]);
    const told = () =>
      new Set((this.#held ?? []).flatMap((step) => step.step === "polled" ? [step.position] : []));
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      this.#forgotten = false;
      const read = await within(
        history.newestSteps(told, new Date(clock.now()).toISOString()).catch(() => []),
        { ms: READ_MS_MAX, clock },
      );
      if (this.#forgotten) continue;
      const live = new Set((this.#held ?? []).flatMap((step) => offerTold(step) ?? []));
      return this.#release(read === "late" ? [] : read.filter((step) => !live.has(offerTold(step) ?? "")));
    }
    this.#release([]);
  }

  #release(steps: readonly TraceStep[]): void {
    const held = this.#held;
    if (held === null) return;
    this.#held = null;
    if (steps.length > 0) this.hub.add(steps);
    if (held.length > 0) this.hub.add(held);
  }
}

/** What a step says of an offer; null where it speaks of none. */
function offerTold(step: TraceStep): string | null {
  if (step.step === "earned") return `${step.offer} earned`;
  return step.step === "mail" ? `${step.offer} ${step.outcome} ${step.messageId}` : null;
}
