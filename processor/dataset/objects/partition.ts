import { randomBytes } from "node:crypto";
import type { Clock } from "../../../runtime/clock.ts";
import type { FaultPoint } from "../../../runtime/fault_point.ts";
import { giveBack } from "../../../runtime/give_back.ts";
import { erasedLater, type ErasedSubjects, joinErased, NOBODY, withErasure } from "../../record/erasure.ts";
import { addOutcomes } from "../chunk.ts";
import type { AdoptedCount } from "../core/added_partitions.ts";
import type { Commit, CommitObject } from "../core/commit.ts";
import type { CommitState } from "../core/commit_state.ts";
import type { DedupWindow, WindowEntries } from "../core/dedup_window.ts";
import { theirsOf } from "../core/line_filter.ts";
import { type Compression, directoryOf } from "../core/path.ts";
import { addReceived } from "../core/received.ts";
import {
  type Advance,
  type ErasureHere,
  type ErasureTools,
  type FileEntries,
  type FileEntry,
  PartitionLostError,
  type PartitionManifest,
  type PartitionStore,
} from "../store.ts";
import type { CommitDraft, CommitLog } from "./commit_log.ts";
import { holdsTheirs, withoutTheirs } from "./erasing.ts";
import { ObjectMissingError } from "./lines.ts";
import { Gathered, type GatheredObject, namedUnder, type PackedObject, packObject } from "./gathering.ts";
import { type ObjectStore, ObjectStoreAwayError } from "./object_store.ts";
import type { Room, Tenant } from "./room.ts";
import type { ObjectsTree } from "./tree.ts";
import { type Sweeper, SWEPT_FOR_MS, type SweptPartition } from "./sweeper.ts";
import { readWindow, writeWindow } from "./window.ts";
import { decodeWindow } from "../core/window_encoding.ts";

/** A writer that another has fenced off comes back so much later, in ms: the group has told it by then whose the partition is. */
const FENCED_MS = 10_000;
/** How often an idle writer looks for the next number, in ms. */
const LOOK_EVERY_MS = 5_000;
/** Objects that an erasure reads at once. */
const READS_MAX = 8;

/** What the partitions of one writer share. */
export type ObjectsContext = {
  readonly store: ObjectStore;
  readonly build: string;
  /** What the partitions of this writer know of each other; null where nobody asks. */
  readonly tree: Pick<ObjectsTree, "writtenHere" | "leftHere"> | null;
  readonly room: Room;
  readonly sweeper: Sweeper;
  readonly clock: Clock;
  readonly faultPoint: FaultPoint;
  readonly objectBytes: number;
  readonly objectAgeMs: number;
  readonly compression: Compression;
  /**
   * Resolves where a seal holds no more. Throws {@link PartitionLostError} where another build is the dataset now, or a
   * replay may still make it so.
   */
  unseal(
    seal: { readonly partition: number; readonly number: number; readonly builds: number },
  ): Promise<void>;
  /** Throws {@link PartitionLostError} where another build is the dataset now. */
  stillCurrent(): Promise<void>;
};

/**
 * One partition of a build on object storage: its commits are its manifest. What is advanced to is gathered in memory;
 * a flush puts all of it as objects and names them in one commit, which fails where anybody else has committed meanwhile.
 */
export class ObjectPartition implements PartitionStore {
  readonly manifest: PartitionManifest;
  durableOffset: number;
  erased: ErasedSubjects;
  unswept: ErasedSubjects = NOBODY;
  readonly #state: CommitState;
  readonly #writer = randomBytes(8).toString("hex");
  #gathered: Gathered;
  /** What is on its way. */
  #held: Gathered | null = null;
  /** Bytes of it that are being put, beside itself. */
  #putting = 0;
  #lettersPublished: number;
  /** One at a time changes the log. */
  #turn: Promise<void> = Promise.resolve();
  #isFlushing = false;
  #isClosed = false;
  #failed: { readonly error: unknown } | null = null;
  #lookedAt: number;
  #window: Uint8Array | null = null;
  /** Of what a compaction has removed: what this has seen off. */
  readonly #left = new Set<string>();
  #files: { readonly number: number; readonly entries: FileEntries } | null = null;
  readonly #swept: SweptPartition;
  readonly #tenant: Tenant;

  constructor(
    readonly partition: number,
    private readonly log: CommitLog,
    private readonly context: ObjectsContext,
  ) {
    this.#state = log.state;
    this.durableOffset = this.#state.nextOffset;
    this.erased = this.#state.erased;
    this.#gathered = new Gathered(this.#state.nextOffset);
    this.#lettersPublished = this.#state.lettersPublished;
    this.#lookedAt = context.clock.monotonic();
    this.manifest = this.#manifest();
    this.#swept = {
      partition,
      isLeftover: (path) => this.#state.isLeftover(path, context.clock.now()),
      sweptUntil: -Infinity,
      sweptAt: -Infinity,
    };
    this.#tenant = {
      gatheredRoom: () => this.#gathered.room,
      heldRoom: () => (this.#held?.room ?? 0) + this.#putting,
      isFlushing: () => this.#isFlushing,
      beginFlush: () => this.#beginFlush(),
    };
  }

  async take(): Promise<void> {
    await this.#inTurn(async () => {
      for (;;) {
        await this.log.readOn();
        const { seal } = this.#state;
        if (seal) await this.context.unseal({ partition: this.partition, ...seal });
        else await this.context.stillCurrent();
        // Whoever was faster: what it has written is this partition's, and the fence comes behind it.
        if (!await this.log.append(this.#draft("fence"))) break;
      }
      this.durableOffset = this.#state.nextOffset;
      this.erased = joinErased(this.#state.erased, this.unswept);
      this.#gathered = new Gathered(this.#state.nextOffset);
      this.#lettersPublished = this.#state.lettersPublished;
      this.#window = await readWindow(this.context.store, this.#place());
    });
    this.context.tree?.writtenHere(this.partition, this.#state);
    this.context.room.enter(this.#tenant);
    this.#sweepAnew();
  }

  recover(): Promise<void> {
    return Promise.resolve();
  }

  intend(): Promise<void> {
    return Promise.resolve();
  }

  /** Of the object that the directory's lines are gathered for. */
  recordsIn(path: string): number {
    const directory = directoryOf(path);
    for (const object of this.#gathered.objects.values()) {
      if (object.directory === directory) return object.records;
    }
    return 0;
  }

  append(): void {}

  sync(): Promise<void> {
    return Promise.resolve();
  }

  async advance(to: Advance): Promise<void> {
    this.#refuseAfterFailure();
    this.#gathered.advance(to);
    this.#gathered.since ??= this.context.clock.monotonic();
    await this.context.room.make();
    this.#refuseAfterFailure();
  }

  async flush(when: "due" | "now"): Promise<void> {
    this.#refuseAfterFailure();
    if (when === "due") {
      if (!this.#isFlushing && this.#isDue()) this.#beginFlush();
      else if (!this.#isFlushing) this.#lookForOthers();
      this.context.sweeper.look();
      this.#removeWhatHasLeft();
      return;
    }
    while (!this.#gathered.isEmpty || this.#isFlushing) {
      this.#refuseWhereClosed();
      if (!this.#isFlushing) this.#beginFlush();
      await this.#turn;
      this.#refuseAfterFailure();
    }
  }

  published(below: number): void {
    for (const { number, nextOffset } of this.#state.letters) {
      if (nextOffset > below) return;
      this.#lettersPublished = Math.max(this.#lettersPublished, number);
    }
  }

  async erase(erasure: ErasureHere, tools: ErasureTools): Promise<void> {
    await this.flush("now");
    await this.#inTurn(async () => {
      await this.#rewrite(erasure, tools);
      this.erased = withErasure(this.erased, erasure);
    });
  }

  learn(elsewhere: ErasedSubjects): void {
    const news = erasedLater(elsewhere, this.erased);
    this.unswept = joinErased(this.unswept, news);
    this.erased = joinErased(this.erased, news);
  }

  async sweep(tools: ErasureTools): Promise<void> {
    await this.flush("now");
    // Without an object there is nothing to look through, nor to note: it is learnt again at the next opening.
    if (this.#state.objects.size === 0) this.unswept = NOBODY;
    if (this.unswept.size === 0) return;
    await this.#inTurn(() => this.#rewrite(null, tools));
  }

  async adopt(counts: readonly AdoptedCount[]): Promise<void> {
    if (counts.length === 0) return;
    this.#gathered.counts = [...this.#gathered.counts, ...counts];
    await this.flush("now");
  }

  loadWindow(size: number): (WindowEntries & { readonly nextOffset: number }) | null {
    const cached = this.#window && decodeWindow(this.#window, size);
    this.#window = null;
    return cached && cached.nextOffset <= this.manifest.nextOffset ? cached : null;
  }

  saveWindow(window: DedupWindow): void {
    // A cache: whatever becomes of it, the log is there.
    writeWindow(this.context.store, { ...this.#place(), window }).catch(() => {});
  }

  close(): void {
    this.#isClosed = true;
    this.context.tree?.leftHere(this.partition, this.#state);
    this.context.sweeper.remove(this.#swept);
    this.context.room.leave(this.#tenant);
  }

  // ---- the commit

  #beginFlush(): void {
    if (this.#isFlushing || this.#gathered.isEmpty || this.#isClosed) return;
    this.#isFlushing = true;
    const held = this.#held = this.#gathered;
    this.#gathered = new Gathered(held.nextOffset);
    this.#inTurn(() => this.#commit(held)).catch(() => {}).finally(() => {
      this.#isFlushing = false;
      this.#held = null;
      held.free();
      this.context.room.freed();
    });
  }

  /** All of it becomes one commit: objects that lose their number are put anew under the next, since a sweep may take the first. */
  async #commit(held: Gathered): Promise<void> {
    for (;;) {
      const commit = this.#state.number + 1;
      const named = await this.#putAll([...held.objects.values()], commit);
      this.context.faultPoint("dataset.objects_put");
      this.#refuseWhereClosed();
      const met = await this.log.append({
        ...this.#draft("lines"),
        nextOffset: held.nextOffset,
        added: named,
        letters: [...held.letters],
        last: held.last,
        outcomes: held.outcomes,
        minutes: held.minutes?.map(([minute, records]) => [minute, records]),
        ...(held.counts.length > 0 ? { counts: [...held.counts] } : {}),
      });
      if (!met) break;
      this.#giveUp(named);
      await this.#meet(met, { isGathered: true });
    }
    this.durableOffset = held.nextOffset;
    this.context.faultPoint("dataset.commit_created");
  }

  async #putAll(objects: readonly GatheredObject[], commit: number): Promise<CommitObject[]> {
    const put = await Promise.allSettled(objects.map((object) =>
      this.context.room.inTurn(async () => {
        this.#refuseWhereClosed();
        return await this.#putOne(object, commit);
      })
    ));
    const failed = put.find((one) => one.status === "rejected");
    if (failed) throw failed.reason;
    return put.map((one) => (one as PromiseFulfilledResult<CommitObject>).value);
  }

  async #putOne(object: GatheredObject, commit: number): Promise<CommitObject> {
    const { compression } = this.context;
    this.#putting += object.bytes;
    try {
      const packed = await packObject(object, compression);
      const named = await this.#put(packed, commit);
      // What was compressed may lie in a buffer that the compressor uses again.
      if (compression === "none") giveBack(packed.body);
      return named;
    } finally {
      this.#putting -= object.bytes;
    }
  }

  async #put(object: PackedObject, commit: number): Promise<CommitObject> {
    const { store, build, compression } = this.context;
    const named = namedUnder(object, { commit, partition: this.partition, compression });
    await store.put(`${build}/${named.path}`, object.body);
    return named;
  }

  /** Another's commit stands where ours was to be. Resolves where we may go on under the next number. */
  async #meet(met: Commit, { isGathered }: { readonly isGathered: boolean }): Promise<void> {
    switch (met.kind) {
      case "compact":
        return;
      case "erase":
        this.erased = joinErased(this.erased, this.#state.erased);
        // Lines in memory were decided without it: they are read and decided anew.
        if (isGathered && met.erased.length > 0) throw this.#lost("somebody was erased by a command", 0);
        return;
      case "seal":
        return await this.context.unseal({ partition: this.partition, ...this.#state.seal! });
      case "fence":
      case "lines":
        throw this.#lost("another writer has taken it", FENCED_MS);
    }
  }

  #lost(why: string, waitMs: number): PartitionLostError {
    return new PartitionLostError(`Cannot go on with partition ${this.partition}: ${why}.`, waitMs);
  }

  /** Objects that no commit can name any more; what this cannot remove a sweep does. */
  #giveUp(objects: readonly CommitObject[]): void {
    const { store, build } = this.context;
    if (objects.length === 0) return;
    store.remove(objects.map(({ path }) => `${build}/${path}`)).catch(() => {});
    this.#sweepAnew();
  }

  #draft(kind: Commit["kind"]): CommitDraft {
    const { firstOffset, nextOffset } = this.#state;
    return {
      kind,
      writer: this.#writer,
      at: new Date(this.context.clock.now()).toISOString(),
      firstOffset,
      nextOffset,
      lettersPublished: this.#lettersPublished,
    };
  }

  // ---- erasure

  /** Without all lines of these subjects, and those of the unswept that are not after their erasures. */
  async #rewrite(
    erasure: ErasureHere | null,
    { subject, heartbeat, faultPoint }: ErasureTools,
  ): Promise<void> {
    const { store, build, compression } = this.context;
    const { unswept } = this;
    const theirs = theirsOf(erasure?.subjects ?? [], { unswept, subject });
    const clean = new Set<string>();
    for (;;) {
      const commit = this.#state.number + 1;
      const added: CommitObject[] = [];
      let touched: readonly CommitObject[];
      try {
        touched = await this.#touched(clean, { theirs, heartbeat });
        for (const object of touched) {
          const kept = await withoutTheirs(object, { store, build, theirs, compression });
          if (kept) added.push(await this.#put(kept, commit));
          faultPoint("erase.temp");
          await heartbeat();
        }
      } catch (error) {
        if (!(error instanceof ObjectMissingError)) throw error;
        // Somebody has removed it, who has committed that: then this goes on from there, or is no longer ours to do.
        const met = await this.log.readNext();
        if (!met) {
          // With its whole build, where that was replaced and dropped meanwhile.
          await this.context.stillCurrent();
          throw error;
        }
        this.#giveUp(added);
        await this.#meet(met, { isGathered: false });
        continue;
      }
      this.#refuseWhereClosed();
      const gone = [...touched.map(({ path }) => path), ...this.#state.leaving.keys()];
      const met = await this.log.append({
        ...this.#draft("erase"),
        ...(erasure ? { nextOffset: erasure.nextOffset } : {}),
        added,
        removed: touched.map(({ path }) => path),
        erased: erasedList(erasure ? withErasure(unswept, erasure) : unswept),
        outcomes: this.#outcomesAfter(erasure, { touched, added }),
        minutes: erasure?.minutes?.map(([minute, records]) => [minute, records]),
      });
      if (met) {
        this.#giveUp(added);
        await this.#meet(met, { isGathered: false });
        continue;
      }
      faultPoint("erase.manifest");
      await store.remove(gone.map((path) => `${build}/${path}`));
      await store.abortUploads(`${build}/`);
      break;
    }
    this.durableOffset = this.#state.nextOffset;
    this.#gathered = new Gathered(this.#state.nextOffset);
    this.unswept = NOBODY;
    // A repeat of a put that was lost on its way may still bring back what has just gone.
    this.#sweepAnew();
  }

  /** Objects that hold lines of theirs; `clean` remembers those that do not. */
  async #touched(
    clean: Set<string>,
    { theirs, heartbeat }: { readonly theirs: ReturnType<typeof theirsOf>; heartbeat(): Promise<void> },
  ): Promise<readonly CommitObject[]> {
    const { store, build } = this.context;
    const touched: CommitObject[] = [];
    const { objects } = this.#state;
    const unread = [...objects.keys()].filter((path) => !clean.has(path));
    for (let from = 0; from < unread.length; from += READS_MAX) {
      const some = unread.slice(from, from + READS_MAX).map((path) => objects.get(path)!);
      const held = await Promise.all(some.map((object) => holdsTheirs(object, { store, build, theirs })));
      some.forEach((object, i) => held[i] ? touched.push(object) : clean.add(object.path));
      await heartbeat();
    }
    return touched;
  }

  /** The lines that an erasure takes out are others then, and so is its own record. */
  #outcomesAfter(
    erasure: ErasureHere | null,
    { touched, added }: {
      readonly touched: readonly CommitObject[];
      readonly added: readonly CommitObject[];
    },
  ): Commit["outcomes"] {
    const taken = recordsOf(touched) - recordsOf(added);
    const { outcomes, nextOffset } = this.#state;
    const lines = outcomes?.to === nextOffset ? Math.min(taken, outcomes.lines) : 0;
    const own = erasure && erasure.nextOffset > nextOffset ? 1 : 0;
    return { lines: -lines || 0, duplicates: 0, deadLetters: 0, others: lines + own, taken: lines };
  }

  // ---- what nobody asks for

  #isDue(): boolean {
    const { isEmpty, since, objectBytesMax, hasManyLetters } = this.#gathered;
    if (isEmpty || since === null) return false;
    const { clock, objectAgeMs, objectBytes } = this.context;
    return objectBytesMax >= objectBytes || hasManyLetters || clock.monotonic() >= since + objectAgeMs;
  }

  /** An idle writer learns of a fence, a seal, an erasure and another build by itself. */
  #lookForOthers(): void {
    const now = this.context.clock.monotonic();
    if (now < this.#lookedAt + LOOK_EVERY_MS) return;
    this.#lookedAt = now;
    this.#inTurn(async () => {
      const before = this.#state.number;
      const gathered = !this.#gathered.isEmpty;
      for (let met = await this.log.readNext(); met; met = await this.log.readNext()) {
        await this.#meet(met, { isGathered: gathered });
      }
      // A partition that had no log yet when a replay sealed the others meets no seal.
      if (before === this.#state.number) await this.context.stillCurrent();
    }).catch(() => {});
  }

  #sweepAnew(): void {
    this.#swept.sweptUntil = this.context.clock.monotonic() + SWEPT_FOR_MS;
    if (!this.#isClosed) this.context.sweeper.add(this.#swept);
  }

  /** What a compaction has removed, an hour later. */
  #removeWhatHasLeft(): void {
    const { store, build } = this.context;
    const now = this.context.clock.now();
    const paths = [...this.#state.leaving.keys()].filter((path) =>
      !this.#left.has(path) && this.#state.isLeftover(path, now)
    );
    if (paths.length === 0) return;
    for (const path of paths) this.#left.add(path);
    store.remove(paths.map((path) => `${build}/${path}`)).catch(() => this.#sweepAnew());
  }

  // ---- order

  /** One after the other; after a failure nothing goes on. */
  async #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(async () => {
      this.#refuseAfterFailure();
      await work();
    }).catch((error) => {
      this.#failed ??= { error };
      throw error;
    });
    this.#turn = turn.catch(() => {});
    await turn;
  }

  #refuseAfterFailure(): void {
    if (this.#failed) throw this.#failed.error;
  }

  #refuseWhereClosed(): void {
    if (this.#isClosed) throw new ObjectStoreAwayError(`Partition ${this.partition} has been let go.`);
  }

  // ---- the manifest

  #place() {
    const { build } = this.context;
    return { build, partition: this.partition, nextOffset: this.#state.nextOffset };
  }

  #manifest(): PartitionManifest {
    // deno-lint-ignore no-this-alias
    const own = this;
    return {
      get firstOffset() {
        return own.#state.firstOffset;
      },
      get nextOffset() {
        return own.#gathered.nextOffset;
      },
      /** Those that the log names. */
      get files() {
        return own.#entries();
      },
      get letters() {
        return [
          ...own.#state.letters.filter(({ number }) => number > own.#lettersPublished)
            .flatMap(({ letters }) => letters),
          ...own.#notDurable().flatMap(({ letters }) => letters),
        ];
      },
      get counts() {
        const counts = [...own.#state.counts, ...own.#notDurable().flatMap(({ counts }) => counts)];
        return counts.length > 0 ? counts : undefined;
      },
      get last() {
        return own.#gathered.last ?? own.#held?.last ?? own.#state.last;
      },
      get outcomes() {
        return own.#outcomes();
      },
      get received() {
        return own.#received();
      },
    };
  }

  /** What the state lacks, in its order. */
  #notDurable(): readonly Gathered[] {
    const held = this.#held && this.#held.nextOffset > this.#state.nextOffset ? [this.#held] : [];
    return [...held, this.#gathered];
  }

  /** Made anew only where a commit has come: nobody pays for it per chunk. */
  #entries(): FileEntries {
    const { number, objects } = this.#state;
    if (this.#files?.number !== number) {
      const entries = Object.fromEntries([...objects.values()].map((one) => [one.path, entryOf(one)]));
      this.#files = { number, entries };
    }
    return this.#files!.entries;
  }

  #outcomes(): PartitionManifest["outcomes"] {
    return this.#notDurable().reduce((sum, { from, nextOffset: to, outcomes }) => {
      if (!outcomes) return sum;
      if (sum?.to !== from) return { from, to, ...outcomes };
      const { taken } = sum;
      return { from: sum.from, to, ...addOutcomes(sum, outcomes), ...(taken ? { taken } : {}) };
    }, this.#state.outcomes as PartitionManifest["outcomes"]);
  }

  #received(): PartitionManifest["received"] {
    return this.#notDurable().reduce((sum, { from, nextOffset: to, minutes }) => {
      if (!minutes) return sum;
      const known = sum?.to === from ? sum : { from, minutes: [] };
      return { from: known.from, to, minutes: addReceived(known.minutes, minutes) };
    }, this.#state.received as PartitionManifest["received"]);
  }
}

function recordsOf(objects: readonly CommitObject[]): number {
  return objects.reduce((sum, { records }) => sum + records, 0);
}

/** As commits have them. */
export function erasedList(erased: ErasedSubjects): Commit["erased"] {
  return [...erased].map(([subject, { at, offset }]) => ({
    subject,
    at: new Date(at).toISOString(),
    offset,
  }));
}

/** An object's entry as the port says it. */
export function entryOf(
  { bytes, records, placeholders, sanitiserVersion, figures }: CommitObject,
): FileEntry {
  return { bytes, records, placeholders, sanitiserVersions: [sanitiserVersion], figures };
}
