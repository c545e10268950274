import type { Clock } from "../runtime/clock.ts";
import type { DemoControl, Proof } from "./control.ts";
import { type Switch, SWITCHES } from "./proof.ts";

/** The key b: what can be broken, one digit each, and what came of it. */

const WORDS: Readonly<Record<Switch, string>> = {
  "kill-processor": "kill -9 the processor",
  "kill-ingest": "kill -9 ingest",
  "pause-deliveries": "stop deliveries for 10 s",
  "deliver-twice": "deliver twice (again: no more)",
  "out-of-order": "deliver out of order (again: no more)",
  "drop-deliveries": "drop a share (again: no more)",
  "mail-refuses": "mail server answers 451 (again: no more)",
  "send-broken": "send something broken",
};

export const MENU: readonly string[] = [
  "",
  "  Break something:",
  ...SWITCHES.map((name, index) => `    ${index + 1}  ${WORDS[name]}`),
  "  Any other key breaks nothing.",
  "",
];

/** Ms between two looks at the proof, and for which it is looked at. */
const LOOK_MS = 500;
const PROOF_MS_MAX = 60_000;

export type BreakerOptions = {
  readonly clock: Clock;
  readonly stop: AbortSignal;
  readonly say: (words: string) => void;
  readonly fetch?: typeof globalThis.fetch;
};

export class Breaker {
  #asks = false;
  /** Counts what was broken: only the last one's proof is said. */
  #broken = 0;

  constructor(
    private readonly control: Pick<DemoControl, "url" | "token">,
    private readonly options: BreakerOptions,
  ) {}

  /** The next key is an answer to {@link MENU}. */
  ask(): void {
    this.#asks = true;
  }

  answer(key: string): void {
    if (!this.#asks) return;
    this.#asks = false;
    const what = SWITCHES[Number(key) - 1];
    if (what === undefined) return;
    this.break(what).catch((error) => this.options.say(`Cannot break it: ${error.message}`));
  }

  /** Throws the switch, back where it is on, and says the proof's words once all agrees again. */
  async break(what: Switch): Promise<void> {
    const { clock, stop, say } = this.options;
    const mine = ++this.#broken;
    const { switches } = await this.#proof();
    const on = !switches[what];
    const answer = await this.#ask(`/break/${what}`, { method: "POST", body: JSON.stringify({ on }) });
    const { error } = await answer.json();
    if (error) return say(error.message);
    say(on ? `broken: ${WORDS[what]}` : `whole again: ${what}`);
    const until = clock.monotonic() + PROOF_MS_MAX;
    while (!stop.aborted && mine === this.#broken) {
      await clock.wait(LOOK_MS, stop);
      const { agree, words, switches } = await this.#proof();
      // While it is broken, what was sent since may not even be on its way.
      if (agree && !switches[what] || clock.monotonic() > until) return say(words);
    }
  }

  async #proof(): Promise<Proof> {
    return await (await this.#ask("/proof")).json();
  }

  #ask(path: string, init: RequestInit = {}): Promise<Response> {
    const { url, token } = this.control;
    const { fetch = globalThis.fetch } = this.options;
    return fetch(`${url}${path}`, { ...init, headers: { authorization: `Bearer ${token}` } });
  }
}
