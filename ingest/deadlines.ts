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
    for (const deadline of this.#open) {
      const left = deadline.at - this.clock.monotonic();
      // Those that are met in the meantime leave the set: an iteration over a Set passes over what was deleted.
      if (left > 0) await this.clock.wait(left);
      if (this.#open.delete(deadline)) deadline.late();
    }
    this.#watching = false;
  }
}
