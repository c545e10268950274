import type { EnvelopeRecord } from "../../contract/envelope.ts";
import { partitionFor } from "../../topic/partitioner.ts";
import { NoLeaderError } from "../../topic/topic.ts";
import { isRefusal, messageOf, type PublisherOptions } from "../publisher.ts";
import { retry } from "../../runtime/retry.ts";
import { Seldom } from "../seldom.ts";
import type { SpoolMark } from "./files.ts";
import type { SpoolBatch } from "./spool.ts";

/**
 * Publishes what lies in the spool, in its order, as soon as the log takes it again. While a partition has no leader the
 * mark stays before its first record, and the other partitions' records behind it go out ahead; when it is back, its own
 * follow in their order. A crash between publishes again what went ahead.
 */
export class Drainer {
  /** Records that the log acknowledged from here; repeats after a crash count again. */
  published = 0;
  /** Records that the log will never take, kept in `spool/refused/`. */
  setAside = 0;
  readonly #stop = new AbortController();
  readonly #seldom: Seldom;
  #running: Promise<void> | null = null;
  #ahead: Ahead | null = null;

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
      const attempt: Attempt = { due: null, progress: { next: null } };
      if (!await this.#retrying("publish from the spool", () => this.#publishOrGoAhead(batch, attempt))) {
        return;
      }
      this.options.faultPoint("spool.drained");
      // Only the mark is tried again: the records are on the topic.
      await this.#retrying("write the spool's mark", async () => (await spool.markDrained(batch), true));
      if (this.#ahead !== null && !isBefore(batch.end, this.#ahead.end)) this.#ahead = null;
      if (spool.pendingRecords === 0) this.options.report("info", "the spool is drained");
    }
  }

  /** While a partition of it has no leader, what goes to others goes ahead. */
  async #publishOrGoAhead(batch: SpoolBatch, attempt: Attempt): Promise<true> {
    const { clock, limits } = this.options;
    for (;;) {
      attempt.due ??= this.#dueOf(batch);
      try {
        return await this.#publish(attempt.due, attempt.progress);
      } catch (error) {
        if (!(error instanceof NoLeaderError) || this.#stop.signal.aborted) throw error;
        this.#seldom.tell("leaderless", "warn", `webhooks wait in the spool: ${error.message}`);
        Object.assign(attempt, { due: null, progress: { next: null } });
        await this.#goAhead(error.partition);
        await clock.wait(limits.retryMsFirst, this.#stop.signal);
      }
    }
  }

  async #goAhead(leaderless: number): Promise<void> {
    const { spool, limits, log, topic } = this.options;
    const ahead = this.#ahead ??= {
      end: spool.mark,
      partitions: await log.partitions(topic),
      held: new Map(),
    };
    if (!ahead.held.has(leaderless)) ahead.held.set(leaderless, ahead.end);
    while (!this.#stop.signal.aborted) {
      const batch = await spool.read(
        { recordsMax: limits.drainRecordsMax, bytesMax: limits.drainBytesMax },
        ahead.end,
      );
      if (!batch) return;
      const progress: Progress = { next: null };
      const others = only(batch, (record) => !ahead.held.has(partitionFor(record, ahead.partitions)));
      try {
        await this.#publish(others, progress);
        ahead.end = batch.end;
      } catch (error) {
        if (!(error instanceof NoLeaderError) || ahead.held.has(error.partition)) throw error;
        ahead.held.set(error.partition, ahead.end);
      }
    }
  }

  /** Of a batch at the mark what has not gone ahead. */
  #dueOf(batch: SpoolBatch): SpoolBatch {
    const ahead = this.#ahead;
    if (ahead === null) return batch;
    return only(batch, (record, bytes) => {
      const at = { segment: batch.end.segment, bytes };
      const heldFrom = ahead.held.get(partitionFor(record, ahead.partitions));
      return !isBefore(at, heldFrom ?? ahead.end);
    });
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
      const positions = await this.options.log.publish(this.options.topic, records);
      records.forEach((record, i) => this.options.recent?.published(record, positions[i]));
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

type Attempt = { due: SpoolBatch | null; progress: Progress };

/** How far the others have gone ahead of the mark. */
type Ahead = {
  end: SpoolMark;
  /** As many as the topic had when it began: by them a key's place is told. */
  readonly partitions: number;
  /** Partitions that had no leader, and from where on their records wait. */
  readonly held: Map<number, SpoolMark>;
};

function isBefore(a: SpoolMark, b: SpoolMark): boolean {
  return a.segment < b.segment || (a.segment === b.segment && a.bytes < b.bytes);
}

/** Some records of a batch, which still ends where it does. */
function only(batch: SpoolBatch, is: (record: EnvelopeRecord, start: number) => boolean): SpoolBatch {
  const kept = batch.records.flatMap((record, i) => is(record, batch.starts[i]!) ? [i] : []);
  return {
    ...batch,
    records: kept.map((i) => batch.records[i]!),
    starts: kept.map((i) => batch.starts[i]!),
  };
}
