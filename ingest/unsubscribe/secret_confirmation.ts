import { FACTS_TOPIC } from "../../contract/names.ts";
import { readSecretFact } from "../../contract/secret_fact.ts";
import type { PublisherOptions } from "../publisher.ts";

export type SecretConfirmationOptions = Pick<PublisherOptions, "log" | "clock" | "report"> & {
  /** Of this process's own secret. */
  readonly fingerprint: string;
};

/** Milliseconds between two looks at the log, and for which one caller waits for a look. */
const LOOK_AGAIN_MS = 250;
const CALLER_WAITS_MS = 2_000;

/**
 * Whether the log has confirmed that this ingest works under the pipeline's secret: the first fact of
 * `discount.facts` names it. Until then no unsubscribe token can be told from a forged one, and what is made of it
 * could not be matched by a processor. Looks when asked; once confirmed it stays so.
 */
export class SecretConfirmation {
  #confirmed = false;
  #look: Promise<void> | null = null;
  #lookedAt = -Infinity;
  #wrongReported = false;

  constructor(private readonly options: SecretConfirmationOptions) {}

  async confirmed(): Promise<boolean> {
    if (this.#confirmed) return true;
    const { clock } = this.options;
    if (this.#look === null && clock.monotonic() - this.#lookedAt > LOOK_AGAIN_MS) {
      this.#look = this.#lookAtLog().catch(() => {}).finally(() => {
        this.#look = null;
        this.#lookedAt = clock.monotonic();
      });
    }
    // A slow look goes on for the next caller.
    if (this.#look) await Promise.race([this.#look, clock.wait(CALLER_WAITS_MS)]);
    return this.#confirmed;
  }

  async #lookAtLog(): Promise<void> {
    const bounds = (await this.options.log.bounds(FACTS_TOPIC))[0];
    if (!bounds || bounds.endOffset <= bounds.startOffset) return;
    const found = await this.#firstFingerprint(bounds.endOffset);
    if (found === this.options.fingerprint) {
      this.#confirmed = true;
    } else if (found !== null && !this.#wrongReported) {
      this.#wrongReported = true;
      this.options.report(
        "error",
        `Cannot answer /unsubscribe: the log was begun under another PIPELINE_SECRET (fingerprint ${found}, here ` +
          `${this.options.fingerprint}). Give ingest the secret that the processor uses.`,
      );
    }
  }

  async #firstFingerprint(until: number): Promise<string | null> {
    for await (
      const batch of this.options.log.read(FACTS_TOPIC, { partition: 0, from: 0, until, batchRecordsMax: 1 })
    ) {
      const first = batch.records[0];
      if (first) return readSecretFact(first.value)?.fingerprint ?? null;
    }
    return null;
  }
}
