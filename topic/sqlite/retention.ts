import { type Connection, OFFSETS_PER_PARTITION, STORED_BYTES, TIME } from "./file.ts";
import type { SqliteOffsets } from "./offsets.ts";
import type { SqliteReader } from "./reader.ts";
import { type FilePartition, partitionsOf } from "./topics.ts";
import { pause, type SqliteWriter } from "./writer.ts";

/** Deleting so many takes 2 ms: what a publish may have to wait for. */
const CHUNK_RECORDS = 1_000;

/**
 * Deletes from the start of each partition what its topic need not keep any longer, but nothing that a group known for
 * the topic has yet to handle: a group that stands still holds retention up, and a group nobody runs any more does so
 * until its offsets are removed. A topic without a bound is never touched.
 */
export class SqliteRetention {
  constructor(
    private readonly file: {
      readonly reader: SqliteReader;
      readonly writer: SqliteWriter;
      readonly offsets: SqliteOffsets;
    },
  ) {}

  /** One pass over the file; publishes go between its transactions. `now` in ms since 1970. Stops early on `signal`. */
  async sweep(now: number, signal: AbortSignal): Promise<void> {
    for (const topic of await this.file.reader.look(boundedTopics)) {
      const partitions = await this.file.reader.look((connection) => partitionsOf(connection, topic.name));
      for (const partition of partitions) {
        while (!signal.aborted && await this.#deleteChunk(topic, { partition, now })) await pause(0);
      }
    }
  }

  /** True where more may be left to delete. */
  async #deleteChunk(
    topic: BoundedTopic,
    { partition, now }: { readonly partition: FilePartition; readonly now: number },
  ): Promise<boolean> {
    const below = await this.file.offsets.handledByAll(topic.name, partition.number);
    const cut = await this.file.reader.look((connection) =>
      connection && expiredEnd(connection, { topic, partition, now, below })
    );
    if (cut === null) return false;
    await this.file.writer.transaction((connection) => deleteBelow(connection, { partition, cut }));
    return true;
  }
}

type BoundedTopic = {
  readonly name: string;
  readonly retentionMs: number | null;
  readonly retentionBytes: number | null;
};

function boundedTopics(connection: Connection | null): readonly BoundedTopic[] {
  const rows = connection?.all<[string, number | null, number | null]>(
    "select name, retention_ms, retention_bytes from topic where retention_ms is not null or retention_bytes is not null",
  );
  return (rows ?? []).map(([name, retentionMs, retentionBytes]) => ({ name, retentionMs, retentionBytes }));
}

/** The key up to which the partition's oldest records have expired, a chunk at most; null where none has. */
function expiredEnd(connection: Connection, { topic, partition, now, below }: {
  readonly topic: BoundedTopic;
  readonly partition: FilePartition;
  readonly now: number;
  readonly below: number;
}): number | null {
  const low = partition.id * OFFSETS_PER_PARTITION;
  const rows = connection.all<[number, number, number]>(
    `select id, ${TIME}, ${STORED_BYTES} from record where id >= ? and id < ? order by id limit ?`,
    low,
    low + Math.min(below, OFFSETS_PER_PARTITION),
    CHUNK_RECORDS,
  );
  let held = connection.first<[number]>("select bytes from topic_partition where id = ?", partition.id)![0];
  let cut: number | null = null;
  for (const [id, timestamp, bytes] of rows) {
    const tooOld = topic.retentionMs !== null && timestamp < now - topic.retentionMs;
    const tooMuch = topic.retentionBytes !== null && held > topic.retentionBytes;
    if (!tooOld && !tooMuch) break;
    held -= bytes;
    cut = id + 1;
  }
  return cut;
}

/** Counts what it really deletes: another connection may have made the same cut just before. */
function deleteBelow(
  connection: Connection,
  { partition, cut }: { readonly partition: FilePartition; readonly cut: number },
): void {
  const low = partition.id * OFFSETS_PER_PARTITION;
  const gone = connection.first<[number | null]>(
    `select sum(${STORED_BYTES}) from record where id >= ? and id < ?`,
    low,
    cut,
  )?.[0];
  connection.run("delete from record where id >= ? and id < ?", low, cut);
  connection.run(
    "update topic_partition set start_offset = max(start_offset, ?), bytes = max(0, bytes - ?) where id = ?",
    cut - low,
    gone ?? 0,
    partition.id,
  );
}
