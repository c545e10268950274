import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { until } from "../../tests/support/until.ts";
import { writerOf } from "../../contract/names.ts";
import { openSqliteLog } from "./log.ts";
import { all, numbered, observed, saying, texts } from "../contract_suite/context.ts";
import type { TopicLog } from "../topic.ts";

const HOUR = 3_600_000;
const SPEC = { name: "t", partitions: 1, retentionMs: HOUR, retentionBytes: null, recordBytesMax: 10_000 };

let dataDir: string;
let log: TopicLog;

beforeEach(async () => {
  dataDir = await Deno.makeTempDir({ prefix: "sqlite-retention-" });
  log = openSqliteLog({ dataDir, role: "processor", retentionEveryMs: 5, writerOf });
});

afterEach(async () => {
  await log.close();
  await Deno.remove(dataDir, { recursive: true });
});

const old = () => ({ timestamp: Date.now() - 2 * HOUR });
const young = () => ({ timestamp: Date.now() });

async function untilStart(offset: number): Promise<void> {
  await until(`the log starts at ${offset}`, async () => (await log.bounds("t"))[0]!.startOffset === offset);
}

describe("Retention", () => {
  test("lets records older than the topic keeps go, in several chunks, and keeps the others", async () => {
    await log.ensureTopic(SPEC);
    await log.publish("t", numbered(2_500, old()));
    await log.publish("t", numbered(5, young(), 2_500));
    await untilStart(2_500);
    expect(texts(await all(log, "t"))).toEqual(["2500", "2501", "2502", "2503", "2504"]);
  });

  test("stops at the first record that is kept, whatever lies behind it", async () => {
    await log.ensureTopic(SPEC);
    await log.publish("t", [saying("old", old()), saying("young", young()), saying("old too", old())]);
    await untilStart(1);
    await swept();
    expect(texts(await all(log, "t"))).toEqual(["young", "old too"]);
  });

  test("never uses an offset twice: when all has gone the next record goes on above it", async () => {
    await log.ensureTopic(SPEC);
    await log.publish("t", numbered(4, old()));
    await untilStart(4);
    expect(await log.bounds("t")).toEqual([{ partition: 0, startOffset: 4, endOffset: 4 }]);
    expect(await log.publish("t", [saying("next", young())])).toEqual([{ partition: 0, offset: 4 }]);
  });

  test("keeps what a known group has yet to handle, and lets it go afterwards", async () => {
    await log.close();
    const quiet = openSqliteLog({ dataDir, role: "command", writerOf });
    await quiet.ensureTopic({ ...SPEC, partitions: 2 });
    await quiet.publish("t", numbered(8, { ...old(), partition: 0 }));
    await quiet.publish("t", numbered(2, { ...old(), partition: 1 }));
    const gate = Promise.withResolvers<void>();
    const { handler } = observed({
      handle: async ({ partition, nextOffset }) => {
        if (partition === 1 || nextOffset > 3) await gate.promise;
        return "handled";
      },
    });
    const consumption = quiet.consume({ topic: "t", group: "g", handler, batchRecordsMax: 3 });
    await until("three are committed", async () => (await quiet.committed("t", "g"))[0] === 3);

    log = openSqliteLog({ dataDir, role: "processor", retentionEveryMs: 5, writerOf });
    await untilStart(3);
    await swept();
    expect((await log.bounds("t")).map(({ startOffset }) => startOffset)).toEqual([3, 0]);
    gate.resolve();
    await untilStart(8);
    await until("the other has gone too", async () => (await log.bounds("t"))[1]!.startOffset === 2);
    await consumption.stop();
    await quiet.close();
  });

  test("keeps a partition to its bytes", async () => {
    await log.ensureTopic({ ...SPEC, retentionMs: null, retentionBytes: 1_000 });
    await log.publish("t", Array.from({ length: 50 }, () => saying("x".repeat(100), old())));
    await untilStart(40);
    await log.publish("t", Array.from({ length: 3 }, () => saying("x".repeat(100), young())));
    await untilStart(43);
    expect(await all(log, "t")).toHaveLength(10);
  });

  test("never touches a topic without a bound", async () => {
    await log.ensureTopic({ ...SPEC, name: "kept", retentionMs: null });
    await log.publish("kept", numbered(3, { timestamp: 0 }));
    await swept();
    expect((await log.bounds("kept"))[0]!.startOffset).toBe(0);
  });

  test("a reader and a group that stood below the new start go on from it", async () => {
    await log.ensureTopic(SPEC);
    await log.publish("t", numbered(3, old()));
    await untilStart(3);
    await log.publish("t", [saying("kept", young())]);
    const { handler, records } = observed({ assigned: () => Promise.resolve(1) });
    const consumption = log.consume({ topic: "t", group: "g", handler });
    await until("the group has what is left", () => records.length === 1);
    await consumption.stop();
    expect(texts(records)).toEqual(["kept"]);
    expect((await log.lag("t", "late", Date.now()))[0]!.lag).toBe(1);
  });

  test("leaves no byte of what it deleted in the processor's file", async () => {
    await log.ensureTopic(SPEC);
    const secret = `very private ${crypto.randomUUID()}`;
    await log.publish("t", [saying(secret, old()), saying(secret.repeat(200), old())]);
    await untilStart(2);
    await log.close();
    const directory = join(dataDir, "log");
    for (const { name } of Deno.readDirSync(directory)) {
      const raw = new TextDecoder("latin1").decode(await Deno.readFile(join(directory, name)));
      expect(raw.includes(secret), name).toBe(false);
    }
  });
});

/** Resolves when a whole pass has been made after this call: an expired record elsewhere in the file has gone. */
async function swept(): Promise<void> {
  const topic = `sweep-${crypto.randomUUID()}`;
  for (const name of [`${topic}-1`, `${topic}-2`]) {
    await log.ensureTopic({ ...SPEC, name });
    await log.publish(name, [saying("expired", old())]);
    await until("it has gone", async () => (await log.bounds(name))[0]!.startOffset === 1);
  }
}
