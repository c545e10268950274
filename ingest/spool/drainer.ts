import type { EnvelopeRecord } from "../../contract/envelope.ts";
import { isRefusal, messageOf, type PublisherOptions } from "../publisher.ts";
import { retry } from "../../runtime/retry.ts";
import { Seldom } from "../seldom.ts";
import type { SpoolBatch } from "./spool.ts";

/** Publishes what lies in the spool, in its order, as soon as the log takes it again. */
export class Drainer {
  /** Records that the log acknowledged from here; repeats after a crash count again. */
  published = 0;
  /** Records that the log will never take, kept in `spool/refused/`. */
  setAside = 0;
  readonly #stop = new AbortController();
  readonly #seldom: Seldom;
  #running: Promise<void> | null = null;

  constructor(private readonly options: PublisherOptions) {
    this.#seldom = new Seldom(options);
  }

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
      const progress: Progress = { next: null };
      if (!await this.#retrying("publish from the spool", () => this.#publish(batch, progress))) return;
      this.options.faultPoint("spool.drained");
      // Only the mark is tried again: the records are on the topic.
      await this.#retrying("write the spool's mark", async () => (await spool.markDrained(batch), true));
      if (spool.pendingRecords === 0) this.options.report("info", "the spool is drained");
    }
  }

  /** All at once; where one is refused each alone, so that an attempt after a failure goes on where it ended. */
  async #publish(batch: SpoolBatch, progress: Progress): Promise<true> {
    if (progress.next === null) {
      if (await this.#refusalOf(batch.records) === null) return true;
      progress.next = 0;
    }
    for (; progress.next < batch.records.length; progress.next++) {
      const record = batch.records[progress.next]!;
      const reason = await this.#refusalOf([record]);
      if (reason === null) continue;
      const at = `${batch.end.segment}-${batch.starts[progress.next]}`;
      const path = await this.options.spool.setAside(record, { at, reason });
      this.setAside++;
      this.#seldom.tell(
        "set aside",
        "error",
        `the log refused a spooled webhook (${reason}): kept in "${path}", and listed by \`deno task dead-letters list\``,
      );
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
      if (!isRefusal(error)) throw error;
      return messageOf(error);
    }
  }

  /** Tries until it succeeds; undefined once ingest stops and the attempt in hand has failed. */
  #retrying<T>(what: string, attempt: () => Promise<T>): Promise<T | undefined> {
    const { clock, limits, random } = this.options;
    return retry(attempt, {
      msFirst: limits.retryMsFirst,
      msMax: limits.retryMsMax,
      clock,
      signal: this.#stop.signal,
      random,
      failed: ({ error }) => this.#seldom.tell(what, "warn", `cannot ${what} yet: ${messageOf(error)}`),
    });
  }
}

/** Of a batch that is published record by record the next one; null before that. */
type Progress = { next: number | null };
