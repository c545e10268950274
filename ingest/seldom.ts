import type { Clock } from "../runtime/clock.ts";

/** Tells the operator. */
export type Report = (level: "info" | "warn" | "error", text: string) => void;

/** Milliseconds between two lines of the same trouble. */
const QUIET_MS = 60_000;

/** Tells of a trouble that every webhook may have once a minute, and how often it came between. */
export class Seldom {
  readonly #troubles = new Map<string, { at: number; untold: number }>();

  constructor(private readonly options: { readonly clock: Clock; readonly report: Report }) {}

  /** `trouble` names what is the same; a few fixed words, as each is remembered. */
  tell(trouble: string, level: "warn" | "error", text: string): void {
    const now = this.options.clock.monotonic();
    const told = this.#troubles.get(trouble);
    if (told && now - told.at < QUIET_MS) {
      told.untold++;
      return;
    }
    this.#troubles.set(trouble, { at: now, untold: 0 });
    const more = told && told.untold > 0 ? ` (and ${told.untold} times more since this was last said)` : "";
    this.options.report(level, text + more);
  }
}
