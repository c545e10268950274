import { isScrubbed } from "../../contract/dead_letter.ts";
import { readLabel, recordId } from "../../contract/envelope.ts";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import type { TopicRecord } from "../../topic/topic.ts";
import { isErased, subjectsOf } from "../record/erasure.ts";
import type { Rules } from "./core/decision.ts";
import type { Counted } from "./chunk.ts";
import type { PartitionContext } from "./context.ts";
import type { DatasetTree, PartitionLock, PartitionManifest, PartitionStore } from "./store.ts";
import type { Letter } from "../dead_letters/positions.ts";
import { countsToAdopt } from "./core/added_partitions.ts";
import { DedupWindow } from "./core/dedup_window.ts";
import { Waiting } from "./core/waiting.ts";
import { countAsNoted } from "./counts.ts";
import type { MovedIds } from "./moved_ids.ts";
import { refuseOtherLog, refuseOtherRecords, refuseOtherTopic } from "./topic_check.ts";

/** What is held while a partition is written. Nothing of it outlives its lock but the window, a function of the log. */
export type OpenPartition = {
  readonly lock: PartitionLock;
  readonly store: PartitionStore;
  readonly window: DedupWindow;
  readonly rules: Rules;
  readonly tree: DatasetTree;
  /** Partitions that the topic had when this one was opened. */
  readonly partitions: number;
  /** What the tree's other partitions had kept when that was last looked at: see `DatasetTree.state`. */
  seen: string;
  /** Where this partition ended when it learned of erasures elsewhere: its own record of them may lie below. */
  sweepAt: number;
  /** Next offset of the window's copy on disk; -1 where there is none. */
  windowSavedAt: number;
  /** What is written and not durable yet; nothing on a disk. */
  readonly waiting: Waiting<WrittenChunk>;
  /** Everything below is durable, its letters are published, and it was told. */
  settledTo: number;
  /** Of that, what the group was told of beside the answers to its batches. */
  committedTo: number;
  /** True once it is nobody's: what is still under way for it ends. */
  isLetGo: boolean;
};

/** A chunk that was advanced to, and what is to be done once it is durable. */
export type WrittenChunk = {
  readonly nextOffset: number;
  readonly letters: Counted["letters"];
  /** Of the records that it holds. */
  readonly bytes: number;
  /** Tells of it, when its letters are published. */
  readonly settled: (letters: Counted["letters"]) => void;
};

/**
 * Opens a partition under its lock, in this order: manifest, is it this topic's, taken from whoever wrote it before (who
 * may have gone on meanwhile), everybody's letters, its own, files cut back, what other partitions have erased and where keys lay before, window. What failed is thereby decided once,
 * with the offset, also if the code is another one now. Null where `signal` aborted first.
 *
 * @param known The window that this process has in hand; used if it ends where the manifest does.
 */
export async function openUnder(
  lock: PartitionLock,
  context: PartitionContext,
  { partition, known, signal }: {
    readonly partition: number;
    readonly known: DedupWindow | null;
    readonly signal: AbortSignal;
  },
): Promise<OpenPartition | null> {
  const { log } = context;
  const tree = await context.dataset.tree();
  const topicId = await refuseOtherTopic(tree, log);
  const partitions = await countAsNoted(tree, { ...context, signal });
  if (partitions === null) return null;
  let bounds = await log.boundsOf(WEBHOOKS_TOPIC, partition);
  const store = await context.dataset.open(partition, bounds.startOffset, { tree });
  try {
    // Another host may have written on since the bounds were asked for: then they are of before.
    if (store.manifest.nextOffset > bounds.endOffset) bounds = await log.boundsOf(WEBHOOKS_TOPIC, partition);
    refuseOtherLog(store.manifest, bounds);
    await refuseOtherRecords(store.manifest, { log, bounds });
    await store.take();
    if (topicId !== null && tree.topicId() === null) await tree.addTopicId(topicId);
    await context.letters.catchUp();
    await publishMissing(store.manifest, { partition, context });
    store.published(store.manifest.nextOffset);
    await store.recover();
    const counts = tree.counts();
    await store.adopt(countsToAdopt(counts, store.manifest));
    const seen = tree.state(partitions);
    store.learn(await context.elsewhere.known(tree, { partition, partitions }));
    if (store.manifest.nextOffset >= bounds.endOffset) await sweepNow(store, context);
    const { nextOffset, counts: adopted } = store.manifest;
    // What lies in an open transaction is waited for, and that may end at any time.
    const moved = await unlessAborted(
      context.movedIds.of(partition, { counts, adopted, nextOffset }),
      signal,
    );
    if (moved === null) {
      store.close();
      return null;
    }
    const { window, windowSavedAt } = await warmWindow(store, { partition, known, context });
    const rules = rulesOf({ partition, store, window, moved: () => moved, context });
    return {
      lock,
      store,
      window,
      windowSavedAt,
      rules,
      tree,
      partitions,
      seen,
      sweepAt: bounds.endOffset,
      waiting: new Waiting(),
      settledTo: nextOffset,
      committedTo: nextOffset,
      isLetGo: false,
    };
  } catch (error) {
    store.close();
    throw error;
  }
}

/** Null where `signal` aborts first. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T | null> {
  const { promise, resolve, reject } = Promise.withResolvers<T | null>();
  work.then(resolve, reject);
  if (signal.aborted) resolve(null);
  signal.addEventListener("abort", () => resolve(null), { once: true });
  return promise;
}

/** Adds a record to the window without deciding about it; answers its id. */
export function remember(window: DedupWindow, record: TopicRecord): string {
  if (isScrubbed(record)) return "";
  const label = readLabel(record.headers);
  const id = recordId(label, record.value);
  window.seen(id, { offset: record.offset, redrives: label.redrives });
  return id;
}

/** Takes out lines of people that only other partitions' records have erased: this one has none of its own for them. */
export async function sweepNow(
  store: PartitionStore,
  { subject, faultPoint, reporter }: PartitionContext,
  heartbeat: () => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  if (store.unswept.size === 0) return;
  await store.sweep({ subject, faultPoint, heartbeat });
  reporter.erased();
}

type Opening = { readonly partition: number; readonly context: PartitionContext };

/** What deciding depends on beside the partition itself. */
export type RulesContext = Pick<PartitionContext, "trainingEvents" | "lineId" | "subject"> & {
  readonly letters: { has(partition: number, offset: number): boolean };
};

/** The rules of one partition, live and in a replay. `store.erased` is looked at anew for each record. */
export function rulesOf(
  { partition, store, window, moved, context }: {
    readonly partition: number;
    readonly store: Pick<PartitionStore, "erased">;
    readonly window: DedupWindow;
    readonly moved: () => MovedIds;
    readonly context: RulesContext;
  },
): Rules {
  const { trainingEvents, lineId, letters, subject } = context;
  return {
    trainingEvents,
    lineId,
    seen: (id, at) => window.seen(id, at) || moved().has(id, at),
    hasLetter: (offset) => letters.has(partition, offset),
    erased: (distinctId, at) =>
      store.erased.size > 0 &&
      isErased(store.erased, { subjects: subjectsOf(distinctId, subject), ...at }),
  };
}

/** Offsets of letters whose records are read in one go, and published together. */
const LETTERS_SPAN = 500;

/**
 * Publishes letters that the manifest carries and the topic lacks: a crash came between the two, or a replay left them
 * (perhaps thousands, of a sanitiser that refuses more).
 */
async function publishMissing(
  { letters }: PartitionManifest,
  { partition, context }: Opening,
): Promise<void> {
  const missing = letters.filter(({ offset }) => !context.letters.has(partition, offset))
    .sort((a, b) => a.offset - b.offset);
  while (missing.length > 0) {
    const beyond = missing.findIndex(({ offset }) => offset >= missing[0]!.offset + LETTERS_SPAN);
    const span = missing.splice(0, beyond < 0 ? missing.length : beyond);
    const records = await recordsAt(context, { partition, offsets: span.map(({ offset }) => offset) });
    await context.letters.publish(span.flatMap(({ offset, step, reason }): readonly Letter[] => {
      const record = records.get(offset);
      if (record && !isScrubbed(record)) return [{ record, step, reason }];
      if (!record) {
        context.reporter.log("error", `The dead letter of ${partition}:${offset} is lost with its record.`);
      }
      return [];
    }));
  }
}

/** Records by offset; `offsets` ascend and lie close together. */
async function recordsAt(
  { log, letters }: Pick<PartitionContext, "log" | "letters">,
  { partition, offsets }: { readonly partition: number; readonly offsets: readonly number[] },
): Promise<ReadonlyMap<number, TopicRecord>> {
  const wanted = new Set(offsets);
  const found = new Map<number, TopicRecord>();
  const [from, until] = [offsets[0]!, offsets.at(-1)! + 1];
  const range = { partition, from, until, unreadable: letters.unreadable };
  for await (const { records } of log.read(WEBHOOKS_TOPIC, range)) {
    for (const record of records) if (wanted.has(record.offset)) found.set(record.offset, record);
  }
  return found;
}

/** The window below the next offset: the one in hand, else the cached one, and the log for what they lack. */
export async function warmWindow(
  store: Pick<PartitionStore, "loadWindow"> & { readonly manifest: { readonly nextOffset: number } },
  { partition, known, context }: {
    readonly partition: number;
    readonly known: DedupWindow | null;
    readonly context: Pick<PartitionContext, "log" | "dedupWindow"> & {
      readonly letters: Pick<PartitionContext["letters"], "unreadable">;
    };
  },
): Promise<Pick<OpenPartition, "window" | "windowSavedAt">> {
  const { nextOffset } = store.manifest;
  const size = context.dedupWindow;
  const cached = store.loadWindow(size);
  const windowSavedAt = cached?.nextOffset ?? -1;
  if (known?.fedTo === nextOffset) return { window: known, windowSavedAt };
  const window = new DedupWindow(size, crypto.getRandomValues(new Uint32Array(1))[0]!);
  if (cached) window.restore(cached);
  const from = Math.max(cached?.nextOffset ?? 0, nextOffset - size, 0);
  const { unreadable } = context.letters;
  const range = { partition, from, until: nextOffset, unreadable };
  for await (const { records } of context.log.read(WEBHOOKS_TOPIC, range)) {
    for (const record of records) remember(window, record);
  }
  window.fedTo = nextOffset;
  return { window, windowSavedAt };
}
