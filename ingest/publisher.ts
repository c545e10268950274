import type { Clock } from "../runtime/clock.ts";
import type { EnvelopeRecord } from "../contract/envelope.ts";
import type { FaultPoint } from "../runtime/fault_point.ts";
import { RecordRefusedError, type TopicLog } from "../topic/topic.ts";
import type { IngestLimits } from "./config.ts";
import { Deadlines } from "./deadlines.ts";
import type { RecentWebhooks } from "./recent.ts";
import { type Report, Seldom } from "./seldom.ts";
import type { Spool } from "./spool/spool.ts";

/** Where a record was made durable, or why it was not. */
export type PublishOutcome =
  | { readonly is: "published" | "spooled" }
  /** The log is set up so that it does not take it; its operator has been told, and may mend that. */
  | { readonly is: "refused" }
  /** Neither log nor spool can take it now. */
  | { readonly is: "unavailable" };

export type PublisherOptions = {
  readonly log: TopicLog;
  readonly topic: string;
  readonly spool: Spool;
  readonly clock: Clock;
  readonly limits: IngestLimits;
  readonly faultPoint: FaultPoint;
  readonly report: Report;
  /** Told of every record that has become durable, and where. */
  readonly recent?: Pick<RecentWebhooks, "published" | "spooled">;
  /** For the waits between attempts, from 0 to below 1; default `Math.random`. */
  readonly random?: () => number;
};

/**
 * Makes each record durable: in the log, or in the spool where the log is away, slow or behind a spool that is not
 * empty yet. So records keep their order across an outage, and no answer waits for a broker.
 *
 * A publish that was given up may still land, so a spooled record may be on the topic twice: its uuid absorbs that.
 *
 * What ingest lets in is never too large for the topic as it is made, so a topic that takes less is its operator's to mend:
 * that record is turned away and not spooled, where it would hold up all others. One that the log refuses for itself is
 * kept by way of the spool, which sets it aside. Without the right to write nothing is taken: records wait as in an outage.
 */
export class Publisher {
  /** Records that the log acknowledged, without those that came through the spool. */
  published = 0;
  spooled = 0;
  #logReady = false;
  #restsUntil = -Infinity;
  #awayReason: string | null = null;
  readonly #deadlines: Deadlines;
  readonly #seldom: Seldom;

  constructor(private readonly options: PublisherOptions) {
    this.#seldom = new Seldom(options);
    this.#deadlines = new Deadlines(options.clock, options.limits.publishMsMax);
  }

  /** The topic is there: from now on records go to the log. Before that a broker might make it with its own defaults. */
  logIsReady(): void {
    this.#logReady = true;
  }

  /** Whether the next record goes to the log, as far as the last ones showed. */
  get goesToLog(): boolean {
    return this.#logReady && this.options.spool.pendingRecords === 0 &&
      this.options.clock.monotonic() >= this.#restsUntil;
  }

  publish(record: EnvelopeRecord): Promise<PublishOutcome> {
    this.options.faultPoint("ingest.received");
    return this.goesToLog ? this.#toLog(record) : this.#toSpool(record);
  }

  #toLog(record: EnvelopeRecord): Promise<PublishOutcome> {
    return new Promise((resolve) => {
      const deadline = this.#deadlines.begin(() => {
        resolve(this.#givenUp(record, `no answer within ${this.options.limits.publishMsMax} ms`));
      });
      this.options.log.publish(this.options.topic, [record]).then(
        ([position]) => {
          // Also where the answer went out already: the record is there.
          this.published++;
          this.options.recent?.published(record, position);
          if (!this.#deadlines.met(deadline)) return;
          this.#back();
          this.options.faultPoint("ingest.published");
          resolve({ is: "published" });
        },
        (error) => {
          if (!this.#deadlines.met(deadline)) return;
          if (!isRefusal(error)) resolve(this.#givenUp(record, messageOf(error)));
          else if (error.code !== "record_too_large") resolve(this.#toSpool(record));
          else resolve(this.#refused(error));
        },
      );
    });
  }

  #givenUp(record: EnvelopeRecord, message: string): Promise<PublishOutcome> {
    if (this.#awayReason === null) {
      this.options.report("warn", `the log is away (${message}): webhooks go to the spool until it is back`);
    }
    this.#awayReason = message;
    this.#restsUntil = this.options.clock.monotonic() + this.options.limits.logRestMs;
    return this.#toSpool(record);
  }

  #refused({ message }: Error): PublishOutcome {
    this.#seldom.tell("refused", "error", `a webhook was answered 503: ${message}`);
    return { is: "refused" };
  }

  async #toSpool(record: EnvelopeRecord): Promise<PublishOutcome> {
    try {
      await this.options.spool.append(record);
      this.spooled++;
      this.options.recent?.spooled(record);
      return { is: "spooled" };
    } catch (error) {
      this.#seldom.tell("unavailable", "error", `a webhook was turned away: ${messageOf(error)}`);
      return { is: "unavailable" };
    }
  }

  #back(): void {
    if (this.#awayReason === null) return;
    this.#awayReason = null;
    this.options.report("info", "the log is back: webhooks go to it again");
  }
}

/** True where the log refuses a record for itself. A missing permission can be given, so such a record waits instead. */
export function isRefusal(error: unknown): error is RecordRefusedError {
  return error instanceof RecordRefusedError && error.code !== "not_authorised";
}

/** An error's message, or what was thrown as text where it is no Error. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
