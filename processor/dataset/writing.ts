import { beginsAnew, type Decided, erases, Gathered } from "./chunk.ts";
import { readErasure, UNREADABLE_ERASURE_REASON } from "../record/erasure.ts";
import { decide, type RecordOutcome } from "./core/decision.ts";
import { receivedOf } from "./core/received.ts";
import { isTracing } from "../../runtime/telemetry/tracing.ts";
import { traceWritten } from "./spans.ts";
import { SANITISER_VERSION } from "../sanitise/mod.ts";
import { toldFrom } from "./trace.ts";
import { type OpenPartition, remember, type WrittenChunk } from "./opening.ts";
import type { PartitionContext } from "./context.ts";
import type { RecordBatch, TopicRecord } from "../../topic/topic.ts";
import type { Letter } from "../dead_letters/positions.ts";

/** Longest that records are decided before what they have come to is written, in ms; looked at every so many records. */
const GATHERED_MS_MAX = 200;
const LOOKED_EVERY = 64;
/** Bytes of records' values above which chunks that wait, for their letters and what is told of them, are made durable. */
const WAITING_BYTES_MAX = 16 * 1024 * 1024;
/** What a record is counted for beside its value, in bytes: key, headers, and what was decided about it. */
const RECORD_BYTES = 512;

type ChunkTools = { readonly context: PartitionContext; readonly heartbeat: () => Promise<void> };

/**
 * Writes the next chunk, and answers where in the batch the one behind it begins: an erasure alone, or the records before the
 * next one and of one file's range, as many as there may be and as take no longer than {@link GATHERED_MS_MAX}. Any cutting
 * gives the same files. `from`: index of the first record that is left; where none is, only the next offset moves on.
 */
export async function writeNext(
  batch: RecordBatch,
  open: OpenPartition,
  { from, ...tools }: ChunkTools & { readonly from: number },
): Promise<number> {
  const { records, nextOffset } = batch;
  const first = records[from];
  const nextAt = (to: number) => to < records.length ? records[to - 1]!.offset + 1 : nextOffset;
  if (first !== undefined && erases(first)) {
    await eraseBy(first, open, { ...tools, nextOffset: nextAt(from + 1) });
    return from + 1;
  }
  const piece = gather(batch, { from, open, context: tools.context });
  await writeGathered({ ...piece, nextOffset: nextAt(piece.to) }, open, tools.context);
  return piece.to;
}

/** Records that have been decided. */
type Piece = {
  readonly gathered: Gathered;
  /** Those whose steps are told. */
  readonly told: readonly Decided[];
  /** All of them where OpenTelemetry is told. */
  readonly traced: readonly Decided[];
  readonly began: number;
  /** Index behind the last of them. */
  readonly to: number;
};

function gather(
  batch: RecordBatch,
  { from, open: { rules }, context: { clock, chunkRecordsMax } }: {
    readonly from: number;
    readonly open: OpenPartition;
    readonly context: PartitionContext;
  },
): Piece {
  const { records } = batch;
  const firstTold = toldFrom(batch);
  const began = clock.now();
  const until = clock.monotonic() + GATHERED_MS_MAX;
  const gathered = new Gathered();
  const [told, traced]: [Decided[], Decided[]] = [[], []];
  const end = Math.min(records.length, from + chunkRecordsMax);
  let to = from;
  while (to < end) {
    const record = records[to]!;
    if (to > from && beginsAnew(record, records[to - 1]!)) break;
    const decision = decide(record, rules);
    const line = gathered.add(record, decision);
    if (to >= firstTold) told.push({ record, decision, line });
    if (isTracing) traced.push({ record, decision, line });
    to++;
    if (to % LOOKED_EVERY === 0 && clock.monotonic() >= until) break;
  }
  return { gathered, told, traced, began, to };
}

/**
 * The order of effects: lines are a function of the record → new paths as intent → append → sync → manifest with the
 * next offset and the chunk's letters → (on object storage, later: durable) → letters → (the caller commits). A crash
 * anywhere leaves what the next opening cuts off or publishes.
 */
async function writeGathered(
  { gathered, told, traced, began, nextOffset }: Omit<Piece, "to"> & { readonly nextOffset: number },
  open: OpenPartition,
  context: PartitionContext,
): Promise<void> {
  const { store, window } = open;
  const { clock, faultPoint, reporter } = context;
  const { additions, letters, ...counted } = gathered;
  reporter.decided(told);
  const paths = [...additions.keys()];
  const recordsBefore = new Map(
    told.flatMap(({ decision: { outcome } }) =>
      outcome.is === "line" ? [[outcome.path, store.recordsIn(outcome.path)] as const] : []
    ),
  );
  await store.intend(paths, faultPoint);
  faultPoint("dataset.intended");
  store.append(additions);
  faultPoint("dataset.appended");
  await store.sync();
  faultPoint("dataset.synced");
  await store.advance(gathered.advanceTo(nextOffset, SANITISER_VERSION));
  faultPoint("dataset.manifest");
  window.fedTo = nextOffset;
  await settleOrWait(open, context, {
    nextOffset,
    letters,
    bytes: bytesOf(letters) + bytesOf(isTracing ? traced : told),
    settled: (letters) => {
      faultPoint("dataset.letters");
      reporter.written({ ...counted, letters }, {
        told,
        recordsBefore: (path) => recordsBefore.get(path) ?? 0,
      });
      if (isTracing) traceWritten(traced, { from: began, to: clock.now() });
    },
  });
}

function bytesOf(some: readonly { readonly record: TopicRecord }[]): number {
  return some.reduce((sum, { record }) => sum + record.value.length + RECORD_BYTES, 0);
}

/** Settles a chunk that was advanced to and what waits before it, as far as that is durable. */
async function settleOrWait(
  open: OpenPartition,
  context: PartitionContext,
  chunk: WrittenChunk,
): Promise<void> {
  const { store, waiting } = open;
  const isDurable = store.durableOffset >= chunk.nextOffset;
  waiting.add(isDurable ? chunk : { ...chunk, letters: chunk.letters.map(onItsOwn) });
  await store.flush(waiting.bytes > WAITING_BYTES_MAX ? "now" : "due");
  await settle(open, context);
}

/** A record may lie in a fetched batch, which it would keep in memory. */
function onItsOwn<L extends Letter>({ record, ...letter }: L) {
  const { partition, offset, timestamp, key, value, headers } = record;
  const own = { partition, offset, timestamp, key: key?.slice() ?? null, value: value.slice(), headers };
  return { ...letter, record: own };
}

/** Publishes the letters of what is durable by now and tells of it, chunk by chunk. */
export async function settle(
  open: OpenPartition,
  { letters }: Pick<PartitionContext, "letters">,
): Promise<void> {
  const { store, waiting } = open;
  for (const chunk of waiting.takeUpTo(store.durableOffset)) {
    if (open.isLetGo) return;
    await letters.publish(chunk.letters);
    // The next owner finds them in the manifest and in their topic.
    if (open.isLetGo) return;
    store.published(chunk.nextOffset);
    chunk.settled(chunk.letters);
    open.settledTo = chunk.nextOffset;
  }
}

/** Makes everything durable that waits, and settles it. */
export async function settleAll(
  open: OpenPartition,
  context: Pick<PartitionContext, "letters">,
): Promise<void> {
  await open.store.flush("now");
  await settle(open, context);
}

/** The lines of the erased leave this partition, and the offset moves on behind the record that says so. */
async function eraseBy(
  record: TopicRecord,
  open: OpenPartition,
  { nextOffset, context, heartbeat }: ChunkTools & { readonly nextOffset: number },
): Promise<void> {
  const { store, window } = open;
  const erasure = readErasure(record.value);
  if (!erasure) return await setErasureAside(record, open, { nextOffset, context });
  await settleAll(open, context);
  remember(window, record);
  const { subject, faultPoint, reporter } = context;
  const here = { ...erasure, offset: record.offset, nextOffset, minutes: receivedOf([record]) };
  await store.erase(here, { subject, heartbeat, faultPoint });
  reporter.erased();
  open.settledTo = window.fedTo = nextOffset;
}

/** A record that erases and cannot be read becomes a dead letter and an error, so that nobody takes it for done. */
async function setErasureAside(
  record: TopicRecord,
  open: OpenPartition,
  { nextOffset, context }: { readonly nextOffset: number; readonly context: PartitionContext },
): Promise<void> {
  const { store, window } = open;
  const { reporter } = context;
  const id = remember(window, record);
  const gathered = new Gathered();
  const outcome: RecordOutcome = context.letters.has(record.partition, record.offset)
    ? { is: "ignored", reason: "has_letter" }
    : { is: "dead_letter", step: "erase", reason: UNREADABLE_ERASURE_REASON };
  gathered.add(record, { id, outcome });
  const { additions: _, letters: own, ...counted } = gathered;
  await store.advance(gathered.advanceTo(nextOffset, SANITISER_VERSION));
  window.fedTo = nextOffset;
  await settleOrWait(open, context, {
    nextOffset,
    letters: own,
    bytes: bytesOf(own),
    settled: (letters) => {
      reporter.log(
        "error",
        `Cannot erase by record ${record.partition}:${record.offset}: ${UNREADABLE_ERASURE_REASON}; set aside.`,
      );
      reporter.written({ ...counted, letters }, { told: [], recordsBefore: () => 0 });
    },
  });
}
