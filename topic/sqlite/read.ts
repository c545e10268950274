import { batchOf } from "./batch.ts";
import type { SqliteReader } from "./reader.ts";
import { type FilePartition, missingTopic, partitionsOf } from "./topics.ts";
import { pause } from "./writer.ts";
import { LogSetupError, type ReadOptions, type RecordBatch, UnreadableRecordsError } from "../topic.ts";

type Reading = ReadOptions & {
  readonly topic: string;
  /** Aborts when the log is closed: who still reads gets its reason as an error, since an end would be a lie. */
  readonly closing: AbortSignal;
};

const BATCH_BYTES_MAX = 4 * 1024 * 1024;

/** See `TopicLog.read`. A topic that is not there yet is waited for only by who follows it. */
export async function* readSqlite(reader: SqliteReader, reading: Reading): AsyncGenerator<RecordBatch> {
  refuseUnusable(reading);
  const { until } = reading;
  const over = reading.signal ? AbortSignal.any([reading.signal, reading.closing]) : reading.closing;
  for (let from = reading.from; until === undefined || from < until;) {
    if (reading.signal?.aborted) return;
    reading.closing.throwIfAborted();
    const { batch, unreadable, seen } = await reader.look((connection, seen) => {
      const partition = partitionToRead(partitionsOf(connection, reading.topic), reading);
      if (connection === null || partition === null) return { batch: null, unreadable: null, seen };
      const recordsMax = reading.batchRecordsMax ?? 500;
      const wanted = { from, below: until, recordsMax, bytesMax: BATCH_BYTES_MAX };
      return { ...batchOf(connection, partition, wanted), seen };
    });
    if (batch !== null && unreadable !== null) {
      const answer = await reading.unreadable?.(unreadable);
      if (answer !== "skip") throw new UnreadableRecordsError(unreadable, reading.topic);
      from = unreadable.nextOffset;
      yield { ...batch, nextOffset: from };
      continue;
    }
    from = batch?.nextOffset ?? from;
    if (batch !== null && batch.records.length > 0) {
      yield batch;
      // One turn of the event loop per batch: a loop that never waits must not hold up everything else.
      await pause(0);
    } else if (batch !== null && until !== undefined && batch.endOffset >= until) {
      return;
    } else {
      await reader.changed(seen, over);
    }
  }
}

function refuseUnusable({ from, until, partition }: Reading): void {
  for (const [name, value] of Object.entries({ from, until: until ?? 0, partition })) {
    if (Number.isSafeInteger(value) && value >= 0) continue;
    throw new TypeError(`Cannot read with ${name} ${value}: a whole number from 0 on is needed.`);
  }
}

function partitionToRead(partitions: readonly FilePartition[], reading: Reading): FilePartition | null {
  if (partitions.length === 0) {
    if (reading.until === undefined) return null;
    throw missingTopic(reading.topic);
  }
  const partition = partitions[reading.partition];
  if (partition) return partition;
  throw new LogSetupError(
    `Cannot read partition ${reading.partition} of topic "${reading.topic}": it has ${partitions.length} of them.`,
  );
}
