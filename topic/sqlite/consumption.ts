import type { HeldLock } from "../../runtime/data_dir.ts";
import { batchOf, type BatchRead } from "./batch.ts";
import type { SqliteOffsets } from "./offsets.ts";
import type { SqliteReader } from "./reader.ts";
import { boundsOf, type FilePartition, partitionsOf } from "./topics.ts";
import { pause } from "./writer.ts";
import {
  type ConsumeOptions,
  type Consumption,
  LogSetupError,
  LogUnavailableError,
  type UnreadableRecords,
} from "../topic.ts";

export type ConsumptionSource = {
  /** Of the topic's file. */
  readonly reader: SqliteReader;
  readonly offsets: SqliteOffsets;
  /** The group's one place; throws {@link LogSetupError} where another member has it. */
  readonly enterGroup: (group: string) => HeldLock;
  /** How long a partition stands before what cannot be read there is looked at again, in ms; default 5 s. */
  readonly unreadableAgainMs?: number | undefined;
};

const RETRY_MS = 200;
const UNREADABLE_AGAIN_MS = 5_000;

/**
 * The membership of a group on the embedded log: one member owns every partition, each partition runs in a loop of its
 * own (assigned → handle → commit → handle → …), and one more loop looks for partitions that are added later.
 */
export class SqliteConsumption implements Consumption {
  readonly ended: Promise<void>;
  readonly #leaving = new AbortController();
  /** Nobody takes a partition away from the only member but its own stop, and nobody counts beats. */
  readonly #handling = { signal: this.#leaving.signal, heartbeat: () => Promise.resolve() };
  readonly #owned = new Set<number>();
  /** What cannot be read, by the partition that stands there. */
  readonly #standing = new Map<number, UnreadableRecords>();
  /** What cannot be done just now, by attempt: one loop's success says nothing about another's failure. */
  readonly #failing = new Map<symbol, string>();
  /** By partition: up to where it was committed, or is to be, since it was assigned. */
  readonly #reached = new Map<number, number>();
  /** Of them what {@link commit} has brought and is not committed yet. */
  readonly #due = new Set<number>();
  #committing: Promise<void> | null = null;
  /** By partition: aborts where it is to begin anew. */
  readonly #anew = new Map<number, AbortController>();
  #failure: { readonly error: unknown } | null = null;

  constructor(private readonly options: ConsumeOptions, private readonly source: ConsumptionSource) {
    this.ended = this.#run();
    // Whoever awaits `ended` meets the rejection; one that nobody awaits yet must not end the process.
    this.ended.catch(() => {});
  }

  state(): ReturnType<Consumption["state"]> {
    const partitions = [...this.#owned].sort((a, b) => a - b);
    const [reason] = this.#failing.values();
    const standing = this.#standing.size > 0 ? { standing: [...this.#standing.values()] } : {};
    if (reason !== undefined) return { is: "away", partitions, reason, ...standing };
    return { is: partitions.length > 0 ? "joined" : "joining", partitions, ...standing };
  }

  commit(partition: number, nextOffset: number): void {
    if (!this.#owned.has(partition) || nextOffset <= (this.#reached.get(partition) ?? -1)) return;
    this.#reached.set(partition, nextOffset);
    this.#due.add(partition);
    this.#committing ??= this.#commitDue();
  }

  reassign(partition: number): void {
    this.#anew.get(partition)?.abort();
  }

  async stop(): Promise<void> {
    this.#leaving.abort();
    await this.ended.catch(() => {});
  }

  async #run(): Promise<void> {
    const lock = this.source.enterGroup(this.options.group);
    try {
      await this.#followPartitions();
    } finally {
      lock.release();
    }
    if (this.#failure) throw this.#failure.error;
  }

  async #followPartitions(): Promise<void> {
    const { reader } = this.source;
    const loops: Promise<void>[] = [];
    try {
      while (!this.#leaving.signal.aborted) {
        const now = await this.#retryingWhileBusy(() =>
          reader.look((connection, seen) => ({
            seen,
            partitions: partitionsOf(connection, this.options.topic),
          }))
        );
        if (now === null) break;
        for (const partition of now.partitions.slice(loops.length)) loops.push(this.#own(partition));
        await reader.changed(now.seen, this.#leaving.signal);
      }
    } catch (error) {
      this.#fail(error);
    }
    await Promise.all(loops);
  }

  /** From the partition's arrival to its leaving; whatever goes wrong in it ends the whole consumption. */
  async #own(partition: FilePartition): Promise<void> {
    this.#owned.add(partition.number);
    try {
      while (!this.#leaving.signal.aborted) {
        const from = await this.#startOffset(partition);
        if (from !== null) await this.#flow(partition, from);
      }
    } catch (error) {
      this.#fail(error);
    }
    try {
      await this.options.handler.revoked(partition.number);
    } catch (error) {
      this.#fail(error);
    }
    await this.#committing;
    this.#owned.delete(partition.number);
    this.#standing.delete(partition.number);
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#leaving.abort();
  }

  /** Where the handler wants to begin; null when the consumption stops meanwhile. */
  async #startOffset(partition: FilePartition): Promise<number | null> {
    const { signal } = this.#leaving;
    this.#anew.delete(partition.number);
    this.#reached.delete(partition.number);
    let wanted: number | null;
    try {
      wanted = await this.options.handler.assigned(partition.number, { signal });
    } catch (error) {
      if (signal.aborted) return null;
      throw error;
    }
    if (signal.aborted) return null;
    return await this.#retryingWhileBusy(() => this.#resolveStart(partition, wanted));
  }

  async #resolveStart(partition: FilePartition, wanted: number | null): Promise<number> {
    const { topic, group } = this.options;
    const committed = (await this.source.offsets.committed(group, topic)).get(partition.number) ?? null;
    const { startOffset, endOffset } = await this.source.reader.lookInside((connection) =>
      boundsOf(connection, partition)
    );
    if (wanted !== null && wanted > endOffset) {
      throw new LogSetupError(
        `Cannot begin partition ${partition.number} of topic "${topic}" at offset ${wanted}: the log ends at ` +
          `${endOffset}. It is not the log that this state was made from; restore it, or remove the state too.`,
      );
    }
    // A committed offset beyond the end speaks of a log that is gone: what the new one holds was never handled.
    const from = wanted ?? (committed !== null && committed <= endOffset ? committed : startOffset);
    return Math.max(from, startOffset);
  }

  /** Batch after batch until the handler asks for a new assignment or the consumption stops. */
  async #flow(partition: FilePartition, from: number): Promise<void> {
    const { reader } = this.source;
    const anew = new AbortController();
    this.#anew.set(partition.number, anew);
    const signal = AbortSignal.any([this.#leaving.signal, anew.signal]);
    for (let next = from;;) {
      // One turn of the event loop per batch: a handler that never waits must not hold up the other partitions.
      await pause(0);
      if (signal.aborted) return;
      const polled = await this.#retryingWhileBusy(() => this.#poll(partition, next));
      if (polled === null) return;
      let { batch } = polled;
      if (polled.unreadable !== null) {
        if (!(await this.#passesOver(polled.unreadable, signal))) continue;
        // Without a record, so that whoever keeps a position moves on and the group commits.
        batch = { ...batch, nextOffset: polled.unreadable.nextOffset };
      } else {
        this.#standing.delete(partition.number);
        if (batch.records.length === 0) {
          next = batch.nextOffset;
          await reader.changed(polled.seen, signal);
          continue;
        }
      }
      const answer = await this.options.handler.handle(batch, this.#handling);
      if (answer === "reassign") return;
      next = batch.nextOffset;
      if (answer === "handled") await this.#commit(partition.number, next);
    }
  }

  /** True where the handler passes over; else false after a while of standing, when it is to be read again. */
  async #passesOver(unreadable: UnreadableRecords, signal: AbortSignal): Promise<boolean> {
    if (await this.options.handler.unreadable?.(unreadable) === "skip") {
      this.#standing.delete(unreadable.partition);
      return true;
    }
    this.#standing.set(unreadable.partition, unreadable);
    await pauseUnless(signal, this.source.unreadableAgainMs ?? UNREADABLE_AGAIN_MS);
    return false;
  }

  #poll(partition: FilePartition, from: number): Promise<BatchRead & { seen: string }> {
    const { reader } = this.source;
    const { batchRecordsMax = 500, batchBytesMax = 4 * 1024 * 1024 } = this.options;
    return reader.lookInside((connection, seen) => ({
      ...batchOf(connection, partition, { from, recordsMax: batchRecordsMax, bytesMax: batchBytesMax }),
      seen,
    }));
  }

  /** Never rejects. What comes up while one commit is on its way is committed behind it. */
  async #commitDue(): Promise<void> {
    try {
      for (const partition of this.#due) {
        this.#due.delete(partition);
        await this.#commit(partition, this.#reached.get(partition)!);
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      // With the last look at what is due: a turn later something could have come that nobody commits.
      this.#committing = null;
    }
  }

  async #commit(partition: number, nextOffset: number): Promise<void> {
    const { topic, group } = this.options;
    this.#reached.set(partition, nextOffset);
    await this.#retryingWhileBusy(async () => {
      // What was tried again meanwhile must not take back what came behind it.
      if (this.#reached.get(partition)! > nextOffset) return;
      await this.source.offsets.commit(group, topic, { partition, nextOffset });
    });
  }

  /** Repeats what the log could not do, and shows it as `away` meanwhile; null when the consumption stops first. */
  async #retryingWhileBusy<T>(attempt: () => Promise<T>): Promise<T | null> {
    const self = Symbol();
    try {
      for (;;) {
        try {
          return await attempt();
        } catch (error) {
          if (!(error instanceof LogUnavailableError)) throw error;
          this.#failing.set(self, error.message);
        }
        if (this.#leaving.signal.aborted) return null;
        await pause(RETRY_MS);
      }
    } finally {
      this.#failing.delete(self);
    }
  }
}

/** Waits so many milliseconds, or until `signal` aborts. */
async function pauseUnless(signal: AbortSignal, ms: number): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", wake);
      resolve();
    };
    const timer = setTimeout(wake, ms);
    signal.addEventListener("abort", wake);
  });
}
