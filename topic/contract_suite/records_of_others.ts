import { expect } from "vitest";
import { until } from "../../tests/support/until.ts";
import { all, collect, type Context, type ContractTests, ends, NotHere, text, texts } from "./context.ts";

/** What the port promises of records that other programs have written, and of what their transactions leave in a log. */
export const RECORDS_OF_OTHERS_CONTRACT = {
  "records that a broker packs by any codec are read": async (c) => {
    for (const codec of ["uncompressed", "gzip", "snappy", "lz4", "zstd"]) {
      const topic = c.name("topic");
      await c.other.topic(topic, { "compression.type": codec });
      // More than a block of each codec, with much and with little to save.
      const values = Array.from(
        { length: 400 },
        (_, n) => `${n} ${`event ${n % 7} `.repeat(n % 60)}${Math.sqrt(n)}`,
      );
      await c.other.publish(topic, values.map((value) => ({ value })));
      expect([codec, ...texts(await all(c.log, topic))]).toEqual([codec, ...values]);
      const { records, consumption } = c.consume({ topic, group: c.name("group") });
      await until(`${codec} is handled`, () => records.length >= values.length);
      expect(texts(records)).toEqual(values);
      await consumption.stop();
    }
  },

  "a tombstone's value is empty, and its key is there": async (c) => {
    const topic = await otherTopic(c);
    await c.other.publish(topic, [{ key: "gone", value: null }, { value: "next" }]);
    const [tombstone, next] = await all(c.log, topic);
    expect([text(tombstone!.key!), tombstone!.value.length, text(next!.value)]).toEqual(["gone", 0, "next"]);
  },

  "of a header that comes twice the last one counts": async (c) => {
    const topic = await otherTopic(c);
    await c.other.publish(topic, [{ value: "x", headers: { id: ["first", "last"], event: "e" } }]);
    expect((await all(c.log, topic))[0]!.headers).toEqual({ id: "last", event: "e" });
  },

  "records of an aborted transaction are given to nobody, those around it are": async (c) => {
    const topic = await otherTopic(c);
    await c.other.publish(topic, [{ value: "before" }]);
    await (await c.other.transaction(topic, [{ value: "taken back" }])).abort();
    await (await c.other.transaction(topic, [{ value: "committed" }])).commit();
    await c.other.publish(topic, [{ value: "after" }]);
    expect(texts(await all(c.log, topic))).toEqual(["before", "committed", "after"]);
    const { records, batches, consumption } = c.consume({
      topic,
      group: c.name("group"),
      batchRecordsMax: 1,
    });
    await until("the last is handled", () => texts(records).includes("after"));
    expect(texts(records)).toEqual(["before", "committed", "after"]);
    const ends = batches.map(({ nextOffset }) => nextOffset);
    expect(ends).toEqual([...ends].sort((a, b) => a - b));
    await consumption.stop();
  },

  "two transactions that lie in each other are told apart": async (c) => {
    const topic = await otherTopic(c);
    const taken = await c.other.transaction(topic, [{ value: "taken back" }]);
    const kept = await c.other.transaction(topic, [{ value: "committed" }]);
    await taken.abort();
    await kept.commit();
    expect(texts(await all(c.log, topic))).toEqual(["committed"]);
  },

  "a group reaches the end of a log that ends with the end of a transaction": async (c) => {
    for (const end of ["commit", "abort"] as const) {
      const [topic, group] = [await otherTopic(c), c.name("group")];
      await (await c.other.transaction(topic, [{ value: "x" }]))[end]();
      const { records, consumption } = c.consume({ topic, group });
      await until("the log has both", async () => (await ends(c.log, topic))[0] === 2);
      await until("its end is committed", async () => (await c.log.committed(topic, group))[0] === 2);
      expect((await c.log.lag(topic, group, Date.now()))[0]).toMatchObject({ lag: 0, nextOffset: 2 });
      expect(records.length).toBe(end === "commit" ? 1 : 0);
      await consumption.stop();
    }
  },

  "an open transaction counts as lag, shows where it begins, and flows once it has ended": async (c) => {
    const [topic, group] = [await otherTopic(c), c.name("group")];
    await c.other.publish(topic, [{ value: "before" }]);
    const transaction = await c.other.transaction(topic, [{ value: "in it" }]);
    await c.other.publish(topic, [{ value: "behind it" }]);
    const { records, consumption } = c.consume({ topic, group });
    await until(
      "what lies before it is committed",
      async () => (await c.log.committed(topic, group))[0] === 1,
    );
    const now = Date.UTC(2026, 0, 1, 0, 1);
    expect((await c.log.lag(topic, group, now))[0]).toEqual({
      partition: 0,
      nextOffset: 1,
      endOffset: 3,
      lag: 2,
      lagSeconds: 60,
      openTransactionAt: 1,
    });
    expect(texts(records)).toEqual(["before"]);
    const range = { partition: 0, from: 0, until: 3, endsAtOpenTransaction: true };
    expect(texts(await collect(c.log.read(topic, range)))).toEqual(["before"]);
    expect(texts(await collect(c.log.read(topic, { ...range, from: 2 })))).toEqual([]);
    await transaction.commit();
    await until("all is handled", () => records.length === 3);
    expect(texts(records)).toEqual(["before", "in it", "behind it"]);
    await until("the end is committed", async () => (await c.log.committed(topic, group))[0] === 4);
    expect((await c.log.lag(topic, group, now))[0]).not.toHaveProperty("openTransactionAt");
    await consumption.stop();
  },

  "records that were deleted are a gap, and reading begins behind them": async (c) => {
    const topic = await otherTopic(c);
    await c.other.publish(topic, ["a", "b", "c", "d"].map((value) => ({ value })));
    await c.other.deleteBelow(topic, 2);
    expect(texts(await collect(c.log.read(topic, { partition: 0, from: 0, until: 4 })))).toEqual(["c", "d"]);
    const { records, consumption } = c.consume({ topic, group: c.name("group") }, {
      assigned: () => Promise.resolve(1),
    });
    await until("what is left is handled", () => records.length === 2);
    expect(records.map(({ offset }) => offset)).toEqual([2, 3]);
    await consumption.stop();
  },

  "messages of clients of before Kafka 0.11 are read": async (c) => {
    const topic = await otherTopic(c);
    const answer = await c.other.publishAsBefore011(topic, [{ key: "k", value: "old" }, { value: "older" }]);
    if (answer === "refused") throw new NotHere("this broker takes no messages of before Kafka 0.11");
    expect(texts(await all(c.log, topic))).toEqual(["old", "older"]);
  },

  "records that cannot be read stop a reader, and are passed over where it says so": async (c) => {
    const topic = await otherTopic(c);
    await c.other.publish(topic, [{ value: "before" }]);
    // A few kilobytes on the wire that unpack to more than may be held in memory.
    await c.other.publish(topic, [{ value: "a".repeat(65 * 1024 * 1024) }], { codec: "zstd" });
    await c.other.publish(topic, [{ value: "behind" }]);
    const seen: string[] = [];
    const reading = async () => {
      for await (const { records } of c.log.read(topic, { partition: 0, from: 0, until: 3 })) {
        seen.push(...texts(records));
      }
    };
    await expect(reading()).rejects.toMatchObject({
      code: "unreadable_records",
      records: { partition: 0, offset: 1, nextOffset: 2 },
      message: expect.stringMatching(/deno task skip 0:1 /),
    });
    expect(seen).toEqual(["before"]);
    const skip = () => Promise.resolve("skip" as const);
    const rest = c.log.read(topic, { partition: 0, from: 0, until: 3, unreadable: skip });
    expect(texts(await collect(rest))).toEqual(["before", "behind"]);
  },

  "records that cannot be read stop their partition, which says so, until its handler passes over them":
    async (c) => {
      const [topic, group] = [await otherTopic(c), c.name("group")];
      await c.other.publish(topic, [{ value: "before" }]);
      await c.other.publish(topic, [{ value: "a".repeat(65 * 1024 * 1024) }], { codec: "zstd" });
      await c.other.publish(topic, [{ value: "behind" }]);
      const first = c.consume({ topic, group });
      const standing = await until("it stands", () => first.consumption.state().standing);
      expect(standing).toMatchObject([{ partition: 0, offset: 1, reason: expect.stringMatching(/64 MiB/) }]);
      expect(texts(first.records)).toEqual(["before"]);
      await first.consumption.stop();
      const second = c.consume({ topic, group }, { unreadable: () => Promise.resolve("skip") });
      await until("what lies behind is handled", () => second.records.length === 1);
      expect(texts(second.records)).toEqual(["behind"]);
      await second.consumption.stop();
    },
} satisfies ContractTests;

async function otherTopic(c: Context): Promise<string> {
  const topic = c.name("topic");
  await c.other.topic(topic);
  return topic;
}
