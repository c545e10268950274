import type { Clock } from "../runtime/clock.ts";

/** Something that must be done within the time of its {@link Deadlines}; `late` runs once, if it was not. */
export type Deadline = { readonly at: number; readonly late: () => void };

/**
 * Many deadlines of one length on one timer: at 20,000 requests a second a timer for each would cost more than the
 * bookkeeping here, a set that keeps the order in which they come due.
 */
export class Deadlines {
  readonly #open = new Set<Deadline>();
  #watching = false;

  constructor(private readonly clock: Clock, private readonly ms: number) {}

  begin(late: () => void): Deadline {
    const deadline = { at: this.clock.monotonic() + this.ms, late };
    this.#open.add(deadline);
    if (!this.#watching) this.#watch();
    return deadline;
  }

  /** True where it was met; false where `late` has run. */
  met(deadline: Deadline): boolean {
    return this.#open.delete(deadline);
  }

  async #watch(): Promise<void> {
    this.#watching = true;
    for (let first = this.#first(); first !== undefined; first = this.#first()) {
      const left = first.at - this.clock.monotonic();
      // An iterator must not wait with it: through it V8 keeps all that the set has held since it last moved.
      if (left > 0) await this.clock.wait(left);
      if (this.#open.delete(first)) first.late();
    }
    this.#watching = false;
  }

  #first(): Deadline | undefined {
    for (const deadline of this.#open) return deadline;
  }
}
