import type { EnvelopeRecord } from "../../contract/envelope.ts";
import { isTooLarge, messageOf, type PublisherOptions } from "../publisher.ts";
import { retry } from "../../runtime/retry.ts";
import type { SpoolBatch } from "./spool.ts";

/** Publishes what lies in the spool, in its order, as soon as the log takes it again. */
export class Drainer {
  /** Records that the log acknowledged from here; repeats after a crash count again. */
  published = 0;
  /** Records that the log will never take, kept in `spool/refused/`. */
  setAside = 0;
  readonly #stop = new AbortController();
  #running: Promise<void> | null = null;

  constructor(private readonly options: PublisherOptions) {}

  start(): void {
    this.#running = this.#run();
  }

  /**
   * Ends after the batch in hand, or sooner where the log does not answer; what is left waits in the spool for the
   * next start, which may publish that batch again.
   */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.race([this.#running, this.options.clock.wait(this.options.limits.publishMsMax)]);
  }

  async #run(): Promise<void> {
    const { spool, limits } = this.options;
    for (;;) {
      await spool.untilPending(this.#stop.signal);
      if (this.#stop.signal.aborted) return;
      const batch = await this.#retrying(
        "read the spool",
        () => spool.read({ recordsMax: limits.drainRecordsMax, bytesMax: limits.drainBytesMax }),
      );
      if (!batch) continue;
      if (!await this.#retrying("publish from the spool", () => this.#publish(batch))) return;
      this.options.faultPoint("spool.drained");
      // Only the mark is tried again: the records are on the topic.
      await this.#retrying("write the spool's mark", async () => (await spool.markDrained(batch), true));
      if (spool.pendingRecords === 0) this.options.report("info", "the spool is drained");
    }
  }

  async #publish(batch: SpoolBatch): Promise<true> {
    if (await this.#refusalOf(batch.records) === null) return true;
    for (const [index, record] of batch.records.entries()) {
      const reason = await this.#refusalOf([record]);
      if (reason === null) continue;
      const at = `${batch.end.segment}-${batch.starts[index]}`;
      const path = await this.options.spool.setAside(record, { at, reason });
      this.setAside++;
      this.options.report("error", `the log refused a spooled webhook (${reason}): kept in "${path}"`);
    }
    return true;
  }

  /** Publishes records; why, in its words, where the log will never take them so. */
  async #refusalOf(records: readonly EnvelopeRecord[]): Promise<string | null> {
    try {
      await this.options.log.publish(this.options.topic, records);
      this.published += records.length;
      return null;
    } catch (error) {
      if (!isTooLarge(error)) throw error;
      return messageOf(error);
    }
  }

  /** Tries until it succeeds; undefined once ingest stops and the attempt in hand has failed. */
  #retrying<T>(what: string, attempt: () => Promise<T>): Promise<T | undefined> {
    const { clock, limits, report, random } = this.options;
    return retry(attempt, {
      msFirst: limits.retryMsFirst,
      msMax: limits.retryMsMax,
      clock,
      signal: this.#stop.signal,
      random,
      failed: ({ error, failures }) => {
        if (failures === 1) report("warn", `cannot ${what} yet: ${messageOf(error)}`);
      },
    });
  }
}
