import { DATASET_WRITER_GROUP, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import type { RecordBatch } from "../../topic/topic.ts";
import { chunksOf } from "./chunk.ts";
import type { PartitionContext } from "./context.ts";
import { isMisplaced } from "./counts.ts";
import { type OpenPartition, openUnder, sweepNow } from "./opening.ts";
import type { PartitionLock, PartitionManifest } from "./store.ts";
import { refuseOtherLog } from "./topic_check.ts";
import { eraseByChunk, writeChunk } from "./writing.ts";
import type { DedupWindow, WindowFinding } from "./core/dedup_window.ts";

const LOCK_EVERY_MS = 200;
/** Between two questions how many partitions there are, in ms. */
const COUNTED_EVERY_MS = 1_000;
/** Records between two copies of the window on disk, or a quarter of it where that is more. */
const WINDOW_SAVED_EVERY = 25_000;

/**
 * One partition of the dataset, from its lock to its last chunk. The manifest is the truth: whenever it is opened, it
 * goes on from there, whatever the group has committed.
 */
export class DatasetPartition {
  /** What the partition stands at, for /readyz. */
  phase: "opening" | "waiting for lock" | "open" | "let go" = "opening";
  #open: OpenPartition | null = null;
  /** The last one in hand: of use again where it ends at the next offset. */
  #window: DedupWindow | null = null;
  #opening: Promise<unknown> = Promise.resolve();
  #busy = false;
  /** What is done between batches: none is handled meanwhile. */
  #idle: Promise<unknown> = Promise.resolve();
  /** When it was last asked, because of a record whose key goes elsewhere, whether there are more partitions. */
  #countedAt = -Infinity;
  #handled = false;
  /** Where the log goes on for this partition, as the group sees it. */
  #position: number | null = null;

  constructor(readonly partition: number, private readonly context: PartitionContext) {}

  /** The assignment path; answers the offset to go on from, or null where `signal` aborted first. */
  async assigned(signal: AbortSignal): Promise<number | null> {
    const nextOffset = await this.#reopen(signal);
    this.#position = nextOffset === null ? null : await this.#startFor(nextOffset);
    return this.#position;
  }

  /** Comes back from {@link letGo} without being asked for a record, so that an idle partition has its letters out. */
  async resume(signal: AbortSignal): Promise<void> {
    await this.#reopen(signal);
  }

  /** Writes a batch, chunk by chunk; `reassign` where a replay wants the partition or it stands elsewhere. */
  async handle(batch: RecordBatch, heartbeat: () => Promise<void>): Promise<"handled" | "reassign"> {
    if (this.#handled) this.context.faultPoint("dataset.committed");
    await this.#idle;
    if (this.context.dataset.swapWanted()) this.release();
    const open = this.#open;
    // Another tree may lie there by now: the log must not hand over from above what the dataset lacks next.
    if (!open || this.#busy || this.#position === null || open.store.manifest.nextOffset < this.#position) {
      return "reassign";
    }
    this.#busy = true;
    try {
      await this.#refuseGap(open.store.manifest, batch);
      if (await this.#mayHaveMorePartitions(open, batch)) {
        this.#busy = false;
        this.release();
        return "reassign";
      }
      await this.#learn(open);
      const { nextOffset } = open.store.manifest;
      const records = batch.records.filter((record) => record.offset >= nextOffset);
      const end = Math.max(nextOffset, batch.nextOffset);
      const { chunkRecordsMax: recordsMax } = this.context;
      const chunks = end === nextOffset ? [] : chunksOf(records, { nextOffset: end, recordsMax });
      for (const chunk of chunks) {
        await (chunk.erases
          ? eraseByChunk(chunk, open, { context: this.context, heartbeat })
          : writeChunk(chunk, open, this.context));
        this.#keepWindow(open);
        if (end > chunk.nextOffset) await heartbeat();
      }
      await this.#sweep(open, heartbeat);
      this.#handled = true;
      this.#position = end;
      return "handled";
    } finally {
      this.#busy = false;
    }
  }

  /** What no record brings about: an erasure that lies in another partition only. Does nothing where there is no news. */
  async look(): Promise<void> {
    const open = this.#open;
    if (!open || this.#busy) return;
    if (open.tree.state(open.partitions) === open.seen && open.store.unswept.size === 0) return;
    this.#busy = true;
    const looking = this.#learn(open)
      .then(() => this.#sweep(open, () => Promise.resolve()))
      .finally(() => this.#busy = false);
    this.#idle = looking.catch(() => {});
    await looking;
  }

  /** Where ids occur in its window, and which offsets that covers; null while it is not open. */
  lookFor(ids: readonly string[]): WindowFinding | null {
    const window = this.#open?.window;
    if (!window) return null;
    const found = ids.flatMap((id) => window.offsetsOf(id).map((one) => ({ id, ...one })));
    const { partition } = this;
    return { partition, from: Math.max(0, window.fedTo - window.size), to: window.fedTo, found };
  }

  /** Waits for an opening under way, then lets go: for good, or until it is assigned again. */
  async revoked(): Promise<void> {
    await this.#opening.catch(() => {});
    await this.#idle;
    this.#handled = false;
    this.release();
  }

  /** Gives the lock back, unless a batch is in hand. What lies beyond the manifest stays for the next opening to cut. */
  release(): void {
    const open = this.#open;
    if (!open || this.#busy) return;
    this.#open = null;
    this.#saveWindow(open);
    open.store.close();
    open.lock.release();
    this.#enter("let go");
  }

  /** As {@link letGo}, without a look at what is in hand and without keeping the window: after a failure. */
  abort(): void {
    const open = this.#open;
    this.#open = null;
    this.#window = null;
    open?.store.close();
    open?.lock.release();
    this.#enter("let go");
  }

  #enter(phase: DatasetPartition["phase"]): void {
    this.phase = phase;
    this.context.reporter.state();
  }

  /** One opening after another: a resumption may be under way when the partition is assigned anew. */
  #reopen(signal: AbortSignal): Promise<number | null> {
    const opening = this.#opening.catch(() => {}).then(() => this.#reopenNow(signal));
    this.#opening = opening;
    return opening;
  }

  async #reopenNow(signal: AbortSignal): Promise<number | null> {
    await this.#idle;
    this.release();
    this.#busy = true;
    try {
      this.#enter("opening");
      const lock = await this.#takeLock(signal);
      if (!lock) return null;
      try {
        const opening = { partition: this.partition, known: this.#window, signal };
        this.#open = await openUnder(lock, this.context, opening);
      } catch (error) {
        lock.release();
        throw error;
      }
      if (!this.#open) {
        lock.release();
        return null;
      }
      this.#window = this.#open.window;
      this.#enter("open");
      return this.#open.store.manifest.nextOffset;
    } finally {
      this.#busy = false;
      if (!this.#open) this.#enter("let go");
    }
  }

  /**
   * The manifest's next offset, whatever the group has committed. Where that lies behind (a crash came before the
   * commit) one record is asked for once more, and passed over, so that the group's lag ends without waiting for news.
   */
  async #startFor(nextOffset: number): Promise<number> {
    const { log, reporter } = this.context;
    const committed = (await log.committed(WEBHOOKS_TOPIC, DATASET_WRITER_GROUP))[this.partition] ?? null;
    if (committed === nextOffset) return nextOffset;
    if (committed !== null) {
      const message = `partition ${this.partition} goes on at ${nextOffset}, as its manifest says`;
      reporter.log("info", `${message}; the group's offset ${committed} is not used.`);
    }
    const { startOffset } = await log.boundsOf(WEBHOOKS_TOPIC, this.partition);
    return (committed ?? 0) < nextOffset && nextOffset > startOffset ? nextOffset - 1 : nextOffset;
  }

  async #takeLock(signal: AbortSignal): Promise<PartitionLock | null> {
    const { dataset, clock } = this.context;
    while (!signal.aborted) {
      const lock = dataset.swapWanted() ? null : dataset.takePartition(this.partition);
      if (lock) return lock;
      if (this.phase !== "waiting for lock") this.#enter("waiting for lock");
      await clock.wait(LOCK_EVERY_MS, signal);
    }
    return null;
  }

  /** Records that the log dropped before they were written would be missing for ever. */
  async #refuseGap(manifest: PartitionManifest, batch: RecordBatch): Promise<void> {
    const first = batch.records[0]?.offset ?? batch.nextOffset;
    if (first <= manifest.nextOffset) return;
    const bounds = await this.context.log.boundsOf(WEBHOOKS_TOPIC, this.partition);
    refuseOtherLog(manifest, bounds);
  }

  /** Looks what other partitions' owners have erased since; two looks at a file each where there is no news. */
  async #learn(open: OpenPartition): Promise<void> {
    const { store, tree, partitions } = open;
    const state = tree.state(partitions);
    if (state === open.seen) return;
    const { partition, context } = this;
    const before = store.unswept.size;
    store.learn(context.elsewhere.kept(tree, { partition, partitions }));
    // Normally a record of this partition says the same, and takes the lines out when its turn comes.
    if (store.unswept.size > before) {
      open.sweepAt = (await context.log.boundsOf(WEBHOOKS_TOPIC, partition)).endOffset;
    }
    open.seen = state;
  }

  async #sweep({ store, sweepAt }: OpenPartition, heartbeat: () => Promise<void>): Promise<void> {
    if (store.manifest.nextOffset >= sweepAt) await sweepNow(store, this.context, heartbeat);
  }

  /** A key that goes elsewhere tells of more partitions before anybody is assigned one: from here on they count. */
  async #mayHaveMorePartitions(
    { tree, partitions, seen }: OpenPartition,
    { records }: RecordBatch,
  ): Promise<boolean> {
    const isNoted = tree.state(partitions) !== seen && tree.counts().at(-1)!.count !== partitions;
    if (isNoted) return true;
    if (!records.some((record) => isMisplaced(record, partitions))) return false;
    const { clock, log } = this.context;
    // Another program may choose partitions by rules of its own: asked for all its records it would cost as much again.
    if (clock.monotonic() - this.#countedAt < COUNTED_EVERY_MS) return false;
    this.#countedAt = clock.monotonic();
    return await log.partitions(WEBHOOKS_TOPIC) !== partitions;
  }

  #keepWindow(open: OpenPartition): void {
    const every = Math.max(WINDOW_SAVED_EVERY, this.context.dedupWindow / 4);
    if (open.window.fedTo - open.windowSavedAt >= every) this.#saveWindow(open);
  }

  /** A cache: where it cannot be written the next start reads the log instead. */
  #saveWindow(open: OpenPartition): void {
    if (open.windowSavedAt === open.window.fedTo) return;
    try {
      open.store.saveWindow(open.window);
      open.windowSavedAt = open.window.fedTo;
    } catch (error) {
      this.context.reporter.log(
        "warn",
        `Cannot keep the dedup window of ${this.partition}: ${(error as Error).message}`,
      );
    }
  }
}
