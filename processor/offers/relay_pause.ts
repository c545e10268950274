import type { Clock } from "../../runtime/clock.ts";

const BACK_OFF_MS_MIN = 1_000;
const BACK_OFF_MS_MAX = 60_000;

/** Sending pauses while the relay has trouble: longer after each failure in a row, up to a minute. Without jitter: its words name the time. */
export class RelayPause {
  #pause: { readonly until: number; readonly ms: number; readonly message: string } | null = null;

  constructor(private readonly clock: Pick<Clock, "monotonic">) {}

  /** True where the trouble is a new one. */
  begin(message: string): boolean {
    const now = this.clock.monotonic();
    // Mails in flight fail together: they are one trouble.
    if (this.#pause !== null && now < this.#pause.until) return false;
    const before = this.#pause;
    const ms = Math.min(BACK_OFF_MS_MAX, before === null ? BACK_OFF_MS_MIN : before.ms * 2);
    this.#pause = { until: now + ms, ms, message };
    return before === null;
  }

  /** The relay answered. True where there was trouble. */
  end(): boolean {
    const had = this.#pause !== null;
    this.#pause = null;
    return had;
  }

  /** Null while there is no trouble; `leftMs` is not above 0 when it is time to try again. */
  look(): { readonly leftMs: number; readonly message: string } | null {
    if (this.#pause === null) return null;
    const { until, ms, message } = this.#pause;
    return {
      leftMs: until - this.clock.monotonic(),
      message: `mail relay: ${message}; tries again every ${ms / 1000} s`,
    };
  }
}
