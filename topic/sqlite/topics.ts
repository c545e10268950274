import { type Connection, OFFSETS_PER_PARTITION, PARTITION_IDS } from "./file.ts";
import type { SqliteReader } from "./reader.ts";
import type { SqliteWriter } from "./writer.ts";
import { behindIn, secondsSince } from "../group_lag.ts";
import { LogSetupError, type PartitionBounds, type PartitionLag, type TopicSpec } from "../topic.ts";

/** A partition as its file knows it. */
export type FilePartition = { readonly id: number; readonly number: number; readonly startOffset: number };

/** See `TopicLog.ensureTopic`. Takes the writer's lock only where something is to be changed. */
export async function ensureSqliteTopic(
  spec: TopicSpec,
  { reader, writer }: { readonly reader: SqliteReader; readonly writer: SqliteWriter },
): Promise<void> {
  refuseUnusable(spec);
  const asItIs = await reader.look((connection) => connection && readTopic(connection, spec.name));
  if (asItIs) refuseMorePartitions(spec, asItIs);
  if (asItIs && same(asItIs, raised(asItIs, spec))) return;
  await writer.transaction((connection) => {
    const existing = readTopic(connection, spec.name);
    if (existing) refuseMorePartitions(spec, existing);
    writeTopic(connection, existing, existing ? raised(existing, spec) : spec);
  });
}

function refuseUnusable({ name, partitions, recordBytesMax }: TopicSpec): void {
  if (!/^[A-Za-z0-9._-]{1,249}$/.test(name)) {
    throw new LogSetupError(
      `Cannot make topic "${name}": a name has 1 to 249 letters, digits, ".", "_" and "-", as in Kafka.`,
    );
  }
  if (!Number.isInteger(partitions) || partitions < 1 || partitions > 1_000) {
    throw new LogSetupError(
      `Cannot make topic "${name}" with ${partitions} partitions: 1 to 1000 are possible.`,
    );
  }
  if (!Number.isInteger(recordBytesMax) || recordBytesMax < 1) {
    throw new LogSetupError(`Cannot make topic "${name}" with records of ${recordBytesMax} bytes at most.`);
  }
}

function refuseMorePartitions(spec: TopicSpec, { partitions }: TopicSpec): void {
  if (spec.partitionsExact !== true || partitions <= spec.partitions) return;
  throw new LogSetupError(
    `Cannot use topic "${spec.name}" with its ${partitions} partitions: its records need one order. Is DATA_DIR the ` +
      `right one?`,
  );
}

/** The higher of each setting, where null (no bound) is the highest. */
function raised(existing: TopicSpec, spec: TopicSpec): TopicSpec {
  const bound = (a: number | null, b: number | null) => a === null || b === null ? null : Math.max(a, b);
  return {
    name: existing.name,
    partitions: Math.max(existing.partitions, spec.partitions),
    retentionMs: bound(existing.retentionMs, spec.retentionMs),
    retentionBytes: bound(existing.retentionBytes, spec.retentionBytes),
    recordBytesMax: Math.max(existing.recordBytesMax, spec.recordBytesMax),
  };
}

function same(a: TopicSpec, b: TopicSpec): boolean {
  return a.partitions === b.partitions && a.retentionMs === b.retentionMs &&
    a.retentionBytes === b.retentionBytes && a.recordBytesMax === b.recordBytesMax;
}

/** A topic as it was made; null where nobody has made it. */
export function readTopic(connection: Connection, name: string): TopicSpec | null {
  const row = connection.first<[number, number | null, number | null, number]>(
    "select record_bytes_max, retention_ms, retention_bytes, " +
      "(select count(*) from topic_partition where topic = topic.name) from topic where name = ?",
    name,
  );
  if (!row) return null;
  const [recordBytesMax, retentionMs, retentionBytes, partitions] = row;
  return { name, partitions, retentionMs, retentionBytes, recordBytesMax };
}

function writeTopic(connection: Connection, existing: TopicSpec | null, spec: TopicSpec): void {
  if (existing === null) giveId(connection, spec.name);
  connection.run(
    "insert or replace into topic (name, record_bytes_max, retention_ms, retention_bytes) values (?, ?, ?, ?)",
    spec.name,
    spec.recordBytesMax,
    spec.retentionMs,
    spec.retentionBytes,
  );
  const highest = connection.first<[number | null]>("select max(id) from topic_partition")![0];
  let id = highest === null ? 0 : highest + 1;
  if (id + spec.partitions > PARTITION_IDS) {
    throw new LogSetupError(
      `Cannot make topic "${spec.name}": a log file holds ${PARTITION_IDS} partitions at most.`,
    );
  }
  for (let number = existing?.partitions ?? 0; number < spec.partitions; number++, id++) {
    connection.run("insert into topic_partition (id, topic, number) values (?, ?, ?)", id, spec.name, number);
  }
}

/** Ids lie beside the tables of the file's first format, so that a program of before still opens it. */
function giveId(connection: Connection, topic: string): void {
  connection.exec("create table if not exists topic_id (topic text primary key, id text not null) strict");
  connection.run("insert or ignore into topic_id (topic, id) values (?, lower(hex(randomblob(16))))", topic);
}

/** See `TopicLog.topicId`. */
export function topicIdOf(connection: Connection, topic: string): string | null {
  if (readTopic(connection, topic) === null) throw missingTopic(topic);
  const hasIds = connection.first("select 1 from sqlite_schema where name = 'topic_id'") !== undefined;
  return hasIds
    ? connection.first<[string]>("select id from topic_id where topic = ?", topic)?.[0] ?? null
    : null;
}

/** The partitions of a topic by number; none where nobody has made it. */
export function partitionsOf(connection: Connection | null, topic: string): readonly FilePartition[] {
  const rows = connection?.all<[number, number, number]>(
    "select id, number, start_offset from topic_partition where topic = ? order by number",
    topic,
  );
  return (rows ?? []).map(([id, number, startOffset]) => ({ id, number, startOffset }));
}

/** Where the partition's records begin and end; both the same where it is empty. */
export function boundsOf(connection: Connection, partition: FilePartition): PartitionBounds {
  return {
    partition: partition.number,
    startOffset: partition.startOffset,
    endOffset: nextOffsetOf(connection, partition),
  };
}

/** A group's lag in one partition; a next offset of null counts from the start of what the log still holds. */
export function lagOf(
  connection: Connection,
  partition: FilePartition,
  { nextOffset, now }: { readonly nextOffset: number | null; readonly now: number },
): PartitionLag {
  const { from, ...behind } = behindIn(boundsOf(connection, partition), nextOffset);
  const low = partition.id * OFFSETS_PER_PARTITION;
  const oldest = connection.first<[number]>(
    "select timestamp from record where id >= ? and id < ? order by id limit 1",
    low + from,
    low + OFFSETS_PER_PARTITION,
  )?.[0];
  return { ...behind, lagSeconds: secondsSince(oldest, now) };
}

/**
 * Where the partition's next record goes. Who appends asks inside the transaction: another process may have appended
 * since the last one.
 */
export function nextOffsetOf(
  connection: Connection,
  { id, startOffset }: { readonly id: number; readonly startOffset: number },
): number {
  const low = id * OFFSETS_PER_PARTITION;
  const last = connection.first<[number | null]>(
    "select max(id) from record where id >= ? and id < ?",
    low,
    low + OFFSETS_PER_PARTITION,
  )?.[0];
  return Math.max(startOffset, typeof last === "number" ? last - low + 1 : 0);
}

/** What every verb of the embedded log says about a topic that nobody has made. */
export function missingTopic(name: string): LogSetupError {
  return new LogSetupError(
    `Cannot find topic "${name}" in the embedded log: nobody has made it. Every service makes the topics it uses at ` +
      `start; is DATA_DIR the right one?`,
  );
}
