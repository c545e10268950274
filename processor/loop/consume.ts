import type { Clock } from "../../runtime/clock.ts";
import { backOffMs, retry } from "../../runtime/retry.ts";
import {
  type Consumption,
  LogUnavailableError,
  type PartitionHandler,
  type TopicLog,
  type UnreadableRecords,
  UnreadableRecordsError,
} from "../../topic/topic.ts";
import { createTopicIdLook } from "./topic_id.ts";

/**
 * A consumer group's loop: poll → handle → commit, by {@link TopicLog.consume}, with back-off around what fails for
 * now. It knows bytes and offsets, no business word.
 *
 * A handler that throws because the log or the disk will not take something now is called again by the partition's own
 * way in: the batch is given up, nothing is committed, and `assigned` finds out anew where to go on. So it does where the
 * topic has another id than when the partition came. Anything else that it throws ends the loop.
 */
export type ConsumeGroupOptions = {
  readonly topic: string;
  readonly group: string;
  readonly handler: Omit<PartitionHandler, "unreadable">;
  /**
   * What to do at records that cannot be read, asked again and again while their partition stands there; default: wait.
   * What fails for now is as good as `wait`.
   */
  readonly unreadable?: (records: UnreadableRecords) => Promise<"skip" | "wait">;
  readonly batchRecordsMax?: number;
  readonly clock: Clock;
  /** The loop drains and resolves when it aborts. */
  readonly signal: AbortSignal;
  /** Gets the membership as soon as there is one. */
  readonly started?: (consumption: Consumption) => void;
  /** Told at each failure that is tried again. */
  readonly trouble?: (trouble: Trouble) => void;
  /** From 0 to below 1; default `Math.random`. */
  readonly random?: () => number;
};

/** A batch that failed and is tried again: with which error, and after how many milliseconds. */
export type Trouble = {
  readonly partition: number;
  readonly error: Error;
  /** How many times in a row. */
  readonly attempt: number;
  readonly waitMs: number;
};

/** Around what the log, the disk or the view does not do now. */
export const LOOP_BACK_OFF = { msFirst: 100, msMax: 10_000 };

/** Resolves when `signal` has aborted and everything is let go; rejects with what a handler threw for good. */
export async function consumeGroup(log: TopicLog, options: ConsumeGroupOptions): Promise<void> {
  const consumption = log.consume({
    topic: options.topic,
    group: options.group,
    handler: withBackOff(options.handler, { ...options, topicId: createTopicIdLook(log, options) }),
    ...(options.batchRecordsMax === undefined ? {} : { batchRecordsMax: options.batchRecordsMax }),
  });
  options.started?.(consumption);
  let stopped: Promise<void> | undefined;
  const stop = () => stopped = consumption.stop();
  options.signal.addEventListener("abort", stop, { once: true });
  if (options.signal.aborted) stop();
  try {
    await consumption.ended;
    await stopped;
  } finally {
    options.signal.removeEventListener("abort", stop);
  }
}

/** Does something that the log or the disk may refuse for now, until it succeeds; undefined once `signal` aborts. */
export async function retrying<T>(
  action: () => Promise<T>,
  { clock, signal, trouble, random }: Pick<ConsumeGroupOptions, "clock" | "signal" | "random"> & {
    readonly trouble?: ((trouble: Omit<Trouble, "partition">) => void) | undefined;
  },
): Promise<T | undefined> {
  if (signal.aborted) return undefined;
  return await retry(action, {
    ...LOOP_BACK_OFF,
    clock,
    signal,
    random,
    failed: ({ error, failures: attempt, waitMs }) => {
      if (!isTransient(error)) throw error;
      trouble?.({ error, attempt, waitMs });
    },
  });
}

/**
 * The log is away, the operating system said no (disk full, I/O error), or something cannot be read until somebody has
 * set it aside: the same may succeed later.
 */
export function isTransient(error: unknown): error is Error {
  if (error instanceof LogUnavailableError || error instanceof UnreadableRecordsError) return true;
  const code = error instanceof Error ? (error as { code?: unknown }).code : undefined;
  return typeof code === "string" && /^E[A-Z0-9]{2,}$/.test(code);
}

function withBackOff(
  handler: ConsumeGroupOptions["handler"],
  options: ConsumeGroupOptions & { readonly topicId: () => Promise<string | null> },
): PartitionHandler {
  const { clock, trouble, random, topicId, unreadable = () => Promise.resolve("wait" as const) } = options;
  const waits = new Map<number, { attempt: number; waitMs: number }>();
  const topicIds = new Map<number, string | null>();
  const note = (partition: number, error: unknown) => {
    if (!isTransient(error)) throw error;
    const attempt = (waits.get(partition)?.attempt ?? 0) + 1;
    const waitMs = backOffMs(attempt, LOOP_BACK_OFF, random);
    waits.set(partition, { attempt, waitMs });
    trouble?.({ partition, error, attempt, waitMs });
  };
  return {
    async assigned(partition, control) {
      for (;;) {
        const waiting = waits.get(partition);
        // Here and not in `handle`: meanwhile heartbeats go on and other partitions flow.
        if (waiting) await clock.wait(waiting.waitMs, AbortSignal.any([control.signal, options.signal]));
        if (control.signal.aborted) return null;
        try {
          topicIds.set(partition, await topicId());
          return await handler.assigned(partition, control);
        } catch (error) {
          note(partition, error);
        }
      }
    },
    async handle(batch, control) {
      try {
        if (await topicId() !== topicIds.get(batch.partition)) return "reassign";
        const answer = await handler.handle(batch, control);
        if (answer !== "reassign") waits.delete(batch.partition);
        return answer;
      } catch (error) {
        note(batch.partition, error);
        return "reassign";
      }
    },
    async unreadable(records) {
      try {
        return await unreadable(records);
      } catch (error) {
        if (!isTransient(error)) throw error;
        return "wait";
      }
    },
    async revoked(partition) {
      waits.delete(partition);
      await handler.revoked(partition);
    },
  };
}
