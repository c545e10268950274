import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SqlitePublisher } from "./publisher.ts";
import { SqliteReader } from "./reader.ts";
import { boundsOf, ensureSqliteTopic, partitionsOf } from "./topics.ts";
import { SqliteWriter } from "./writer.ts";
import { numbered, saying } from "../contract_suite/context.ts";
import { LogUnavailableError } from "../topic.ts";

const SPEC = { name: "t", partitions: 2, retentionMs: null, retentionBytes: null, recordBytesMax: 10_000 };

let directory: string;
let writer: SqliteWriter;
let reader: SqliteReader;
let publisher: SqlitePublisher;
let other: DatabaseSync;

beforeEach(async () => {
  directory = await Deno.makeTempDir({ prefix: "sqlite-publisher-" });
  const path = join(directory, "processor.db");
  writer = new SqliteWriter(path, { synchronous: "FULL", busyTimeoutMs: 1, busyMsMax: 100 });
  reader = new SqliteReader(path);
  publisher = new SqlitePublisher(writer, { transactionRecordsMax: 100, pauseMs: 0, committed: () => {} });
  await ensureSqliteTopic(SPEC, { reader, writer });
  other = new DatabaseSync(path);
});

afterEach(async () => {
  other.close();
  await publisher.drain();
  writer.close();
  reader.close();
  await Deno.remove(directory, { recursive: true });
});

async function endOffset(): Promise<number> {
  return await reader.lookInside((connection) =>
    boundsOf(connection, partitionsOf(connection, "t")[0]!).endOffset
  );
}

describe("SqlitePublisher", () => {
  test("turns a batch away whole when SQLite refuses its transaction, and goes on at the right offset", async () => {
    await publisher.publish("t", numbered(3));
    other.exec(
      "create trigger fault before insert on record when new.value = cast('fault' as blob) " +
        "begin select raise(abort, 'disk I/O error'); end",
    );
    const outcomes = await Promise.allSettled([
      publisher.publish("t", numbered(2)),
      publisher.publish("t", [saying("fault")]),
      publisher.publish("t", numbered(2)),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    for (const outcome of outcomes) {
      expect((outcome as PromiseRejectedResult).reason).toBeInstanceOf(LogUnavailableError);
    }
    expect(await endOffset()).toBe(3);
    expect(await publisher.publish("t", numbered(1))).toEqual([{ partition: 0, offset: 3 }]);
  });

  test("waits for another writer and then publishes", async () => {
    other.exec("begin immediate");
    const published = publisher.publish("t", numbered(1));
    setTimeout(() => other.exec("commit"), 20);
    expect(await published).toEqual([{ partition: 0, offset: 0 }]);
  });

  test("gives up after its bound when another writer never lets go, and works again afterwards", async () => {
    other.exec("begin immediate");
    await expect(publisher.publish("t", numbered(1))).rejects.toThrow(/database is locked/);
    await expect(publisher.publish("t", numbered(1))).rejects.toBeInstanceOf(LogUnavailableError);
    other.exec("commit");
    expect(await publisher.publish("t", numbered(1))).toEqual([{ partition: 0, offset: 0 }]);
  });

  test("turns a call away when too much waits already", async () => {
    other.exec("begin immediate");
    const large = publisher.publish("t", numbered(20_000));
    const refused = publisher.publish("t", numbered(1));
    await expect(refused).rejects.toThrow(/already wait for their commit/);
    await expect(refused).rejects.toBeInstanceOf(LogUnavailableError);
    other.exec("commit");
    expect(await large).toHaveLength(20_000);
  });

  test("writes a large call in several transactions, in order, with others behind it", async () => {
    const [large, behind] = await Promise.all([
      publisher.publish("t", numbered(350)),
      publisher.publish("t", numbered(2)),
    ]);
    expect(large.map(({ offset }) => offset)).toEqual(Array.from({ length: 350 }, (_, i) => i));
    expect(behind.map(({ offset }) => offset)).toEqual([350, 351]);
  });

  test("takes next offsets from the file: another connection may have written since", async () => {
    await publisher.publish("t", numbered(1));
    const second = new SqliteWriter(writer.path, { synchronous: "FULL", busyTimeoutMs: 1, busyMsMax: 100 });
    const its = new SqlitePublisher(second, { transactionRecordsMax: 100, pauseMs: 0, committed: () => {} });
    expect(await its.publish("t", numbered(1))).toEqual([{ partition: 0, offset: 1 }]);
    expect(await publisher.publish("t", numbered(1))).toEqual([{ partition: 0, offset: 2 }]);
    second.close();
  });

  test("refuses a timestamp that is no whole number, before anything is queued", () => {
    expect(() => publisher.publish("t", [saying("x", { timestamp: 1.5 })])).toThrow(TypeError);
  });
});
