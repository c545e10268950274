import { existsSync } from "node:fs";
import { join } from "node:path";
import { SCRUBBED } from "../../contract/dead_letter.ts";
import type { TopicWriter } from "../../contract/names.ts";
import {
  type Connection,
  LOG_WRITERS,
  logFileOf,
  OFFSETS_PER_PARTITION,
  openForWriting,
  STORED_BYTES,
} from "./file.ts";
import { partitionsOf } from "./topics.ts";
import { pause, retryWhileBusy } from "./writer.ts";
import type { RecordPosition } from "../topic.ts";

/**
 * Takes bytes out of the embedded log, for an erasure: records are emptied in their place, and what SQLite has left of
 * them elsewhere in its files goes too. Works beside the services. No part of the port: other logs cannot do it.
 */
export type LogScrubber = {
  /**
   * Empties records: offset and timestamp stay, key and value go, the one header says what happened. Answers how many
   * were there; repeating it changes nothing. Durable when it resolves.
   */
  scrub(topic: string, positions: readonly RecordPosition[]): Promise<number>;
  /**
   * Writes the topic's file anew, without what SQLite has left of records in pages that it split (measured: 30 copies of
   * 124 records in a file of 38 MB that had been written without `secure_delete`). Takes room for two more copies of the
   * file for a moment, and 5 ms a megabyte, during which nobody else writes to it.
   */
  rewrite(topic: string): Promise<void>;
  /** Empties the write-ahead logs of all files, waiting for whoever still reads in them. */
  checkpoint(): Promise<void>;
};

/** Rows per transaction: how long a service may have to wait for its turn. */
const ROWS_MAX = 100;
const PAUSE_MS = 2;
const BUSY_TIMEOUT_MS = 50;
const BUSY_MS_MAX = 60_000;
const HEADERS = JSON.stringify({ event: SCRUBBED });

/**
 * Scrubs the embedded log of this DATA_DIR, also beside running services: short transactions with a pause between
 * them.
 *
 * @param writerOf As the services open the log with.
 */
export function createLogScrubber(
  dataDir: string,
  writerOf: (topic: string) => TopicWriter,
): LogScrubber {
  const pathOf = (writer: TopicWriter) => join(dataDir, logFileOf(writer));
  return {
    async scrub(topic, positions) {
      let scrubbed = 0;
      for (let at = 0; at < positions.length; at += ROWS_MAX) {
        const some = positions.slice(at, at + ROWS_MAX);
        scrubbed += await inFile(
          pathOf(writerOf(topic)),
          (connection) => scrubRows(connection, topic, some),
        ) ?? 0;
        await pause(PAUSE_MS);
      }
      return scrubbed;
    },
    async rewrite(topic) {
      await inFile(pathOf(writerOf(topic)), (connection) => connection.exec("vacuum"));
    },
    async checkpoint() {
      for (const writer of LOG_WRITERS) await inFile(pathOf(writer), truncateWal);
    },
  };
}

/** Runs `work` on a connection of its own, again while others hold the file; null where the file is missing. */
async function inFile<T>(path: string, work: (connection: Connection) => T): Promise<T | null> {
  if (!existsSync(path)) return null;
  return await retryWhileBusy(() => {
    const connection = openForWriting(path, { synchronous: "FULL", busyTimeoutMs: BUSY_TIMEOUT_MS });
    try {
      return work(connection);
    } finally {
      connection.close();
    }
  }, { doing: `erase in the log file "${path}"`, msMax: BUSY_MS_MAX });
}

function scrubRows(connection: Connection, topic: string, positions: readonly RecordPosition[]): number {
  const partitions = partitionsOf(connection, topic);
  let scrubbed = 0;
  connection.run("begin immediate");
  for (const { partition, offset } of positions) {
    const id = partitions[partition]!.id;
    const row = id * OFFSETS_PER_PARTITION + offset;
    const before = storedBytes(connection, row);
    if (before === undefined) continue;
    connection.run("update record set key = null, value = x'', headers = ? where id = ?", HEADERS, row);
    const gone = before - storedBytes(connection, row)!;
    // Only a topic with a bound counts its bytes; the others stay at 0.
    connection.run("update topic_partition set bytes = max(0, bytes - ?) where id = ?", gone, id);
    scrubbed++;
  }
  connection.run("commit");
  return scrubbed;
}

/** As retention counts them. */
function storedBytes(connection: Connection, row: number): number | undefined {
  return connection.first<[number]>(`select ${STORED_BYTES} from record where id = ?`, row)?.[0];
}

/** Somebody still reads from the write-ahead log; worded so that it counts as one of SQLite's own, to be tried again. */
class WalBusyError extends Error {
  readonly code = "ERR_SQLITE_ERROR";
}

function truncateWal(connection: Connection): void {
  const [busy] = connection.first<[number, number, number]>("pragma wal_checkpoint(truncate)")!;
  if (busy !== 0) throw new WalBusyError("its write-ahead log is busy");
}
