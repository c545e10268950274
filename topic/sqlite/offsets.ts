import { join } from "node:path";
import { logFileOf } from "./file.ts";
import { SqliteReader } from "./reader.ts";
import { SqliteWriter } from "./writer.ts";

/**
 * Next offsets that consumer groups have committed; they lie in the processor's file, whatever topic they speak of.
 *
 * A commit is not fsynced (synchronous=NORMAL): it survives the death of the process, and a power cut takes back the
 * newest at most. That is right because a committed offset is a hint: what a group has done lies in its own durable
 * state (manifest, facts), written before, and the records that come again bring nothing new.
 */
export class SqliteOffsets {
  readonly #writer: SqliteWriter;
  readonly #reader: SqliteReader;

  constructor(dataDir: string, options: { readonly busyTimeoutMs: number; readonly busyMsMax: number }) {
    const path = join(dataDir, logFileOf("processor"));
    this.#writer = new SqliteWriter(path, { synchronous: "NORMAL", ...options });
    this.#reader = new SqliteReader(path);
  }

  /** Writes what the group says, also where it is lower: a group may be set back on purpose. */
  async commit(group: string, topic: string, { partition, nextOffset }: {
    readonly partition: number;
    readonly nextOffset: number;
  }): Promise<void> {
    await this.#writer.transaction((connection) =>
      connection.run(
        "insert into group_offset (consumer_group, topic, number, next_offset) values (?, ?, ?, ?) " +
          "on conflict do update set next_offset = excluded.next_offset",
        group,
        topic,
        partition,
        nextOffset,
      )
    );
  }

  /** By partition; partitions without a commit are missing. */
  async committed(group: string, topic: string): Promise<ReadonlyMap<number, number>> {
    return await this.#reader.look((connection) =>
      new Map(
        connection?.all<[number, number]>(
          "select number, next_offset from group_offset where consumer_group = ? and topic = ?",
          group,
          topic,
        ),
      )
    );
  }

  /**
   * Below which offset every group that is known for the topic has handled the partition: 0 where one of them has
   * committed nothing in it, infinity where no group is known.
   */
  async handledByAll(topic: string, partition: number): Promise<number> {
    return await this.#reader.look((connection) => {
      const row = connection?.first<[number, number, number | null]>(
        "select count(distinct consumer_group), count(next_offset) filter (where number = ?2), " +
          "min(next_offset) filter (where number = ?2) from group_offset where topic = ?1",
        topic,
        partition,
      );
      const [groups, withCommit, lowest] = row ?? [0, 0, null];
      return groups === 0 ? Infinity : withCommit < groups ? 0 : lowest!;
    });
  }

  close(): void {
    this.#reader.close();
    this.#writer.close();
  }
}
