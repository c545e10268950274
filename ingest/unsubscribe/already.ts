import type { Clock } from "../../runtime/clock.ts";
import { FACTS_TOPIC } from "../../contract/names.ts";
import { readOptedOutMailbox } from "../../contract/opt_out_fact.ts";
import type { TopicLog } from "../../topic/topic.ts";

export type AlreadyOptions = {
  readonly log: Pick<TopicLog, "bounds" | "read">;
  readonly clock: Clock;
  /** Mailboxes that are remembered; the oldest go first. Default 100,000, about 10 MB. */
  readonly mailboxesMax?: number;
  /** Newest facts that are looked at, at most. Default 200,000, about 50 MB that are read once. */
  readonly factsMax?: number;
};

/** For which one caller waits for a look, in ms; a slow look goes on for the next caller. */
const CALLER_WAITS_MS = 1_000;
/** Between two looks at the log, in ms. */
const LOOK_AGAIN_MS = 250;

/**
 * Which mailboxes get no mail already: what this process has published itself, and what the newest facts say. An opt-out
 * is never taken back, so what is known stays true; what is not known is no answer. Reads only when asked, and only what is
 * new; who asks holds a signed link.
 */
export class AlreadyOut {
  readonly #mailboxes = new Set<string>();
  #next = 0;
  #look: Promise<void> | null = null;
  #lookedAt = -Infinity;

  constructor(private readonly options: AlreadyOptions) {}

  remember(mailbox: string): void {
    this.#mailboxes.delete(mailbox);
    this.#mailboxes.add(mailbox);
    const [oldest] = this.#mailboxes;
    if (this.#mailboxes.size > (this.options.mailboxesMax ?? 100_000)) this.#mailboxes.delete(oldest!);
  }

  /** As far as it is known now. */
  has(mailbox: string): boolean {
    return this.#mailboxes.has(mailbox);
  }

  /** Looks at the newest facts first; false where the log is away or too slow to tell. */
  async hasNow(mailbox: string): Promise<boolean> {
    if (this.has(mailbox)) return true;
    const { clock } = this.options;
    if (this.#look === null && clock.monotonic() - this.#lookedAt > LOOK_AGAIN_MS) {
      this.#look = this.#readNewFacts().catch(() => {}).finally(() => {
        this.#look = null;
        this.#lookedAt = clock.monotonic();
      });
    }
    if (this.#look) await Promise.race([this.#look, clock.wait(CALLER_WAITS_MS)]);
    return this.has(mailbox);
  }

  async #readNewFacts(): Promise<void> {
    const { log, factsMax = 200_000 } = this.options;
    const bounds = (await log.bounds(FACTS_TOPIC))[0];
    if (!bounds) return;
    // Begins again where the topic was made anew, and knows then only what that one says.
    if (bounds.endOffset < this.#next) {
      this.#mailboxes.clear();
      this.#next = 0;
    }
    const from = Math.max(bounds.startOffset, bounds.endOffset - factsMax, this.#next);
    if (from >= bounds.endOffset) return;
    for await (const batch of log.read(FACTS_TOPIC, { partition: 0, from, until: bounds.endOffset })) {
      for (const { value, offset } of batch.records) {
        const mailbox = readOptedOutMailbox(value);
        if (mailbox !== null) this.remember(mailbox);
        this.#next = offset + 1;
      }
    }
  }
}
