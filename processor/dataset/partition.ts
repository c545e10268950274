import { DATASET_WRITER_GROUP, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { within } from "../../runtime/clock.ts";
import type { RecordBatch, TopicRecord } from "../../topic/topic.ts";
import type { PartitionContext } from "./context.ts";
import { isMisplaced } from "./counts.ts";
import { type OpenPartition, openUnder, sweepNow } from "./opening.ts";
import { type PartitionLock, PartitionLostError, type PartitionManifest } from "./store.ts";
import { refuseOtherLog } from "./topic_check.ts";
import { settle, settleAll, writeNext } from "./writing.ts";
import type { DedupWindow, WindowFinding } from "./core/dedup_window.ts";

const LOCK_EVERY_MS = 200;
/** Between two questions how many partitions there are, in ms. */
const COUNTED_EVERY_MS = 1_000;
/** Records between two copies of the window on disk, or a quarter of it where that is more. */
const WINDOW_SAVED_EVERY = 25_000;
/**
 * Longest that a partition that is let go takes to make durable what waits, in ms: below the 10 s after which the process
 * ends hard. What is left then is read again by its next owner.
 */
const DRAIN_MS_MAX = 6_000;

/**
 * One partition of the dataset, from its lock to its last chunk. The manifest is the truth: whenever it is opened, it
 * goes on from there, whatever the group has committed.
 */
export class DatasetPartition {
  /** What the partition stands at, for /readyz. Where it was aborted or lost, the log assigns it anew. */
  phase: "opening" | "waiting for lock" | "open" | "let go" | "aborted" | "lost" = "opening";
  /** Why it waits before it is opened again. */
  lost: PartitionLostError | null = null;
  #open: OpenPartition | null = null;
  /** The last one in hand: of use again where it ends at the next offset. */
  #window: DedupWindow | null = null;
  #opening: Promise<unknown> = Promise.resolve();
  #busy = false;
  #looking = false;
  /** What is done between batches: none is handled meanwhile. */
  #idle: Promise<unknown> = Promise.resolve();
  /** When it was last asked, because of a record whose key goes elsewhere, whether there are more partitions. */
  #countedAt = -Infinity;
  /** Of what it has written, the group's offset has gone past something: with the next batch comes that fault point. */
  #hasCommitted = false;
  /** Where the log goes on for this partition, as the group sees it. */
  #position: number | null = null;

  constructor(readonly partition: number, private readonly context: PartitionContext) {}

  /** The assignment path; answers the offset to go on from, or null where `signal` aborted first. */
  async assigned(signal: AbortSignal): Promise<number | null> {
    this.#position = null;
    const nextOffset = await this.#reopen(signal);
    this.#position = nextOffset === null ? null : await this.#startFor(nextOffset);
    return this.#position;
  }

  /** Comes back from {@link letGo} without being asked for a record, so that an idle partition has its letters out. */
  async resume(signal: AbortSignal): Promise<void> {
    const nextOffset = await this.#reopen(signal);
    if (nextOffset === null || this.#position === null || nextOffset >= this.#position) return;
    // What lies between has been handed over, and without another record nobody would ask for it again.
    this.context.group.reassign(this.partition);
  }

  /**
   * Writes a batch, chunk by chunk; `pending` where not all of it is durable yet, `reassign` where a replay wants the
   * partition or it stands elsewhere.
   */
  async handle(
    batch: RecordBatch,
    heartbeat: () => Promise<void>,
  ): Promise<"handled" | "pending" | "reassign"> {
    if (this.#hasCommitted) this.context.faultPoint("dataset.committed");
    await this.#untilIdle();
    if (this.context.dataset.swapWanted()) await this.release();
    const open = this.#open;
    // Another tree may lie there by now: the log must not hand over from above what the dataset lacks next.
    if (!open || this.#busy || this.#position === null || open.store.manifest.nextOffset < this.#position) {
      return "reassign";
    }
    this.#busy = true;
    try {
      await this.#refuseGap(open.store.manifest, batch);
      const state = open.tree.state(open.partitions);
      if (await this.#mayHaveMorePartitions(open, { batch, state })) {
        this.#busy = false;
        await this.release();
        return "reassign";
      }
      await this.#learn(open, state);
      const { nextOffset } = open.store.manifest;
      const isNew = (record: TopicRecord) => record.offset >= nextOffset;
      const records = batch.records.every(isNew) ? batch.records : batch.records.filter(isNew);
      const end = Math.max(nextOffset, batch.nextOffset);
      const rest = { ...batch, records, nextOffset: end };
      for (let from = 0; open.store.manifest.nextOffset < end;) {
        from = await writeNext(rest, open, { from, context: this.context, heartbeat });
        this.#keepWindow(open);
        if (from < records.length) await heartbeat();
      }
      await this.#sweep(open, heartbeat);
      this.#position = end;
      if (open.settledTo < batch.nextOffset) {
        this.#commit(open);
        return "pending";
      }
      open.committedTo = open.settledTo;
      this.#hasCommitted = true;
      return "handled";
    } finally {
      this.#busy = false;
    }
  }

  /** What no record brings about: what waits becomes old and durable, and an erasure may lie in another partition only. */
  async look(): Promise<void> {
    const open = this.#open;
    if (!open || this.#looking) return;
    this.#looking = true;
    try {
      await this.#between(open, () => this.#settleDue(open));
      const refreshed = open.tree.refresh();
      // Batches are handled meanwhile; a failure is met below, and not while one is in hand.
      await refreshed.catch(() => {});
      await this.#between(open, async () => {
        await refreshed;
        await this.#learnNews(open);
      });
    } finally {
      this.#looking = false;
    }
  }

  /** Unless a batch is in hand, and none is handled meanwhile. A failure aborts before the next one finds the store. */
  async #between(open: OpenPartition, work: () => Promise<void>): Promise<void> {
    if (this.#open !== open || this.#busy) return;
    this.#busy = true;
    const working = work().catch((error) => {
      this.abort(error);
      throw error;
    }).finally(() => this.#busy = false);
    this.#idle = working.catch(() => {});
    await working;
  }

  async #settleDue(open: OpenPartition): Promise<void> {
    await open.store.flush("due");
    await settle(open, this.context);
    this.#commit(open);
  }

  async #learnNews(open: OpenPartition): Promise<void> {
    const state = open.tree.state(open.partitions);
    await this.#learn(open, state);
    await this.#sweep(open, () => Promise.resolve());
  }

  #commit(open: OpenPartition): void {
    // While it is assigned, where the group goes on is the answer to that.
    if (this.#position === null || open.settledTo === open.committedTo) return;
    open.committedTo = open.settledTo;
    this.context.group.commit(this.partition, open.settledTo);
    this.#hasCommitted = true;
  }

  async #untilIdle(): Promise<void> {
    let idle: unknown;
    while (idle !== this.#idle) {
      idle = this.#idle;
      await idle;
    }
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
    await this.#untilIdle();
    this.#hasCommitted = false;
    await this.release();
  }

  /**
   * Gives the lock back, unless a batch is in hand; at once where nothing waits to become durable. What lies beyond the
   * manifest stays for the next opening to cut.
   */
  async release(): Promise<void> {
    const open = this.#open;
    if (!open || this.#busy) return;
    if (!open.waiting.isEmpty) await this.#drain(open);
    if (this.#open !== open) return;
    this.#open = null;
    open.isLetGo = true;
    if (open.waiting.isEmpty) this.#saveWindow(open);
    open.store.close();
    open.lock.release();
    this.#enter("let go");
  }

  /** A failure is no error: the next owner reads the same records again. */
  async #drain(open: OpenPartition): Promise<void> {
    const { clock, reporter } = this.context;
    this.#busy = true;
    const draining = within(settleAll(open, this.context), { ms: DRAIN_MS_MAX, clock })
      .then((ended) => ended === "late" ? new Error(`not done after ${DRAIN_MS_MAX} ms`) : null)
      .catch((error: Error) => error)
      .then((error) => {
        this.#busy = false;
        this.#commit(open);
        if (error === null) return;
        if (error instanceof PartitionLostError) this.lost = error;
        const text = `Cannot make durable what partition ${this.partition} has handled: ${error.message}`;
        reporter.log(this.lost ? "info" : "warn", `${text}. Its next owner reads it again.`);
      });
    this.#idle = draining;
    await draining;
  }

  /**
   * As {@link release}, without a look at what is in hand, after a failure: nothing is made durable any more, and nothing
   * kept but a window where another has the partition, which may fit what that one has written.
   */
  abort(error: unknown): void {
    const open = this.#open;
    this.#open = null;
    if (error instanceof PartitionLostError) this.lost = error;
    else this.#window = null;
    if (open) open.isLetGo = true;
    open?.store.close();
    open?.lock.release();
    this.#enter(this.lost ? "lost" : "aborted");
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
    await this.#untilIdle();
    await this.release();
    this.#busy = true;
    try {
      do await this.#openNow(signal); while (this.lost && !signal.aborted);
      if (!this.#open) return null;
      this.#window = this.#open.window;
      this.#enter("open");
      return this.#open.store.manifest.nextOffset;
    } finally {
      this.#busy = false;
      if (!this.#open) this.#enter("let go");
    }
  }

  /** Leaves it closed where `signal` aborted first, and where it was lost (again). */
  async #openNow(signal: AbortSignal): Promise<void> {
    if (this.lost) {
      this.#enter("lost");
      await this.context.clock.wait(this.lost.waitMs, signal);
      this.lost = null;
    }
    this.#enter("opening");
    const lock = await this.#takeLock(signal);
    if (!lock) return;
    try {
      const opening = { partition: this.partition, known: this.#window, signal };
      this.#open = await openUnder(lock, this.context, opening);
    } catch (error) {
      if (!(error instanceof PartitionLostError)) throw error;
      this.lost = error;
    } finally {
      if (!this.#open) lock.release();
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

  /** Looks what other partitions' owners have erased since; `state` is the tree's now. */
  async #learn(open: OpenPartition, state: string): Promise<void> {
    const { store, tree, partitions } = open;
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

  async #sweep(open: OpenPartition, heartbeat: () => Promise<void>): Promise<void> {
    const { store, sweepAt } = open;
    if (store.unswept.size === 0 || store.manifest.nextOffset < sweepAt) return;
    await settleAll(open, this.context);
    await sweepNow(store, this.context, heartbeat);
  }

  /** A key that goes elsewhere tells of more partitions before anybody is assigned one: from here on they count. */
  async #mayHaveMorePartitions(
    { tree, partitions, seen }: OpenPartition,
    { batch: { records }, state }: { readonly batch: RecordBatch; readonly state: string },
  ): Promise<boolean> {
    const isNoted = state !== seen && tree.counts().at(-1)!.count !== partitions;
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
