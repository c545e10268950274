import type { Chunk } from "./chunk.ts";
import { additionsOf, type Decided, NO_OUTCOMES, outcomesOf, pendingLettersOf } from "./chunk.ts";
import { readErasure, UNREADABLE_ERASURE_REASON } from "../record/erasure.ts";
import { decide } from "./core/decision.ts";
import { markOf } from "./core/record_mark.ts";
import { receivedOf } from "./core/received.ts";
import type { RecordMark } from "./core/record_mark.ts";
import { SANITISER_VERSION } from "../sanitise/mod.ts";
import { reportedFrom } from "./trace.ts";
import { type OpenPartition, remember } from "./opening.ts";
import type { PartitionContext } from "./context.ts";
import type { Letter } from "../dead_letters/positions.ts";

/**
 * The order of effects: lines are a function of the record → new paths as intent → append → sync → manifest with the
 * next offset and the chunk's letters → letters → (the caller commits). A crash anywhere leaves what the next opening
 * cuts off or publishes.
 */
export async function writeChunk(
  chunk: Chunk,
  { store, rules, window }: OpenPartition,
  { faultPoint, letters, reporter }: PartitionContext,
): Promise<void> {
  const firstReported = reportedFrom(chunk.records.length);
  const decided: readonly Decided[] = chunk.records.map((record, index) => {
    const { id, outcome, parsed } = decide(record, rules);
    // Events that stay in memory until their chunk is durable cost the garbage collector more than all else here.
    return { record, decision: { id, outcome, parsed: index < firstReported ? null : parsed } };
  });
  reporter.decided(decided);
  const additions = additionsOf(decided);
  const paths = [...additions.keys()];
  const recordsBefore = new Map(paths.map((path) => [path, store.recordsIn(path)]));
  await store.intend(paths, faultPoint);
  faultPoint("dataset.intended");
  store.append(additions);
  faultPoint("dataset.appended");
  await store.sync();
  faultPoint("dataset.synced");
  await store.advance({
    nextOffset: chunk.nextOffset,
    additions,
    letters: pendingLettersOf(decided),
    sanitiserVersion: SANITISER_VERSION,
    last: lastOf(chunk),
    outcomes: outcomesOf(decided),
    minutes: receivedOf(chunk.records),
  });
  faultPoint("dataset.manifest");
  await letters.publish(decided.flatMap(letterOf));
  faultPoint("dataset.letters");
  window.fedTo = chunk.nextOffset;
  reporter.written(decided, (path) => recordsBefore.get(path) ?? 0);
}

/** The lines of the erased leave this partition, and the offset moves on behind the record that says so. */
export async function eraseByChunk(
  chunk: Chunk,
  open: OpenPartition,
  { context, heartbeat }: { readonly context: PartitionContext; readonly heartbeat: () => Promise<void> },
): Promise<void> {
  const { store, window } = open;
  const record = chunk.records[0]!;
  const erasure = readErasure(record.value);
  if (!erasure) return await setErasureAside(chunk, open, context);
  remember(window, record);
  const { subject, faultPoint, reporter } = context;
  const { nextOffset } = chunk;
  const minutes = receivedOf(chunk.records);
  const here = { ...erasure, offset: record.offset, nextOffset, minutes };
  await store.erase(here, { subject, heartbeat, faultPoint });
  reporter.erased();
  window.fedTo = nextOffset;
}

/** A record that erases and cannot be read becomes a dead letter and an error, so that nobody takes it for done. */
async function setErasureAside(
  chunk: Chunk,
  { store, window }: OpenPartition,
  { letters, reporter }: PartitionContext,
): Promise<void> {
  const record = chunk.records[0]!;
  const outcome = { is: "dead_letter", step: "erase", reason: UNREADABLE_ERASURE_REASON } as const;
  const decision = { id: remember(window, record), outcome, parsed: null };
  const decided = letters.has(record.partition, record.offset) ? [] : [{ record, decision }];
  await store.advance({
    nextOffset: chunk.nextOffset,
    additions: new Map(),
    letters: pendingLettersOf(decided),
    sanitiserVersion: SANITISER_VERSION,
    last: lastOf(chunk),
    outcomes: decided.length > 0 ? outcomesOf(decided) : { ...NO_OUTCOMES, others: 1 },
    minutes: receivedOf(chunk.records),
  });
  await letters.publish(decided.flatMap(letterOf));
  window.fedTo = chunk.nextOffset;
  reporter.log(
    "error",
    `Cannot erase by record ${record.partition}:${record.offset}: ${outcome.reason}; set aside.`,
  );
  reporter.written(decided, () => 0);
}

function lastOf({ records }: Chunk): RecordMark | undefined {
  const last = records.at(-1);
  return last && markOf(last);
}

function letterOf({ record, decision: { outcome } }: Decided): readonly Letter[] {
  return outcome.is === "dead_letter" ? [{ record, step: outcome.step, reason: outcome.reason }] : [];
}
