import { expect } from "vitest";
import { until } from "../../tests/support/until.ts";
import { all, bytes, type ContractTests, ends, numbered, observed, saying, texts } from "./context.ts";
import { LogSetupError, type TopicLog } from "../topic.ts";

/** What the port promises of consumer groups. */
export const GROUP_CONTRACT = {
  "a group gets every record, each partition's in order": async (c) => {
    const [topic, group] = [await c.topic(), c.name("group")];
    const keyed = (from: number) =>
      numbered(60, {}, from).map((record, i) => ({ ...record, key: bytes(`k${i % 7}`) }));
    await c.log.publish(topic, keyed(0));
    const { records, consumption } = c.consume({ topic, group });
    await until("the first half is handled", () => records.length >= 60);
    await (await c.open("ingest")).publish(topic, keyed(60));
    await until("the second half is handled", () => records.length >= 120);
    await consumption.stop();
    for (const partition of [0, 1, 2]) {
      const got = records.filter((record) => record.partition === partition);
      expect(got).toEqual(await all(c.log, topic, partition));
    }
    expect(records).toHaveLength(120);
  },

  "a membership shows that it has joined, and which partitions it has": async (c) => {
    const [topic, group] = [await c.topic(), c.name("group")];
    const { consumption } = c.consume({ topic, group });
    await until(
      "it has joined",
      () => consumption.state().is === "joined" && consumption.state().partitions.length === 3,
    );
    expect(consumption.state().partitions).toEqual([0, 1, 2]);
    await consumption.stop();
    expect(consumption.state().partitions).toEqual([]);
  },

  "a log that several processes read says which member has which partitions": async (c) => {
    const [topic, group] = [await c.topic(), c.name("group")];
    if (!c.log.members) return;
    expect(await c.log.members(topic, group)).toEqual([]);
    const { consumption } = c.consume({ topic, group });
    await until("it has joined", () => consumption.state().partitions.length === 3);
    const members = await (await c.open("command")).members!(topic, group);
    expect(members.map(({ partitions }) => [...partitions].sort())).toEqual([[0, 1, 2]]);
    expect(members[0]!.memberId).not.toBe("");
    expect(members[0]!.host).not.toBe("");
    await consumption.stop();
    expect(await c.log.members(topic, group)).toEqual([]);
  },

  "what has been handled is committed, and the next membership goes on from there": async (c) => {
    const [topic, group] = [await c.topic({ partitions: 2 }), c.name("group")];
    expect(await c.log.committed(topic, group)).toEqual([null, null]);
    await c.log.publish(topic, numbered(10, { partition: 1 }));
    const first = c.consume({ topic, group });
    await until("all are handled", () => first.records.length === 10);
    await untilCommitted(c.log, topic, group);
    await first.consumption.stop();
    await c.log.publish(topic, numbered(5, { partition: 1 }, 10));

    const other = await c.open("processor");
    const second = observed();
    const again = other.consume({ topic, group, handler: second.handler });
    await until("the rest is handled", () => second.records.length >= 5);
    await again.stop();
    expect(texts(second.records)).toEqual(["10", "11", "12", "13", "14"]);
    expect((await c.log.committed(topic, group))[1]).toBe((await ends(c.log, topic))[1]);
  },

  "what its handler calls pending is committed as far as it says later, and comes again from there": async (
    c,
  ) => {
    const [topic, group] = [await c.topic({ partitions: 2 }), c.name("group")];
    const positions = await c.log.publish(topic, numbered(10, { partition: 1 }));
    const first = c.consume({ topic, group, batchRecordsMax: 3 }, {
      handle: () => Promise.resolve("pending"),
    });
    await until("all are handed over", () => first.records.length === 10);
    expect(await c.log.committed(topic, group)).toEqual([null, null]);
    const behind = (n: number) => positions[n]!.offset + 1;
    first.consumption.commit(1, behind(3));
    await until("it is committed", async () => (await c.log.committed(topic, group))[1] === behind(3));
    first.consumption.commit(1, behind(6));
    first.consumption.commit(1, behind(5));
    await first.consumption.stop();
    expect(await c.log.committed(topic, group)).toEqual([null, behind(6)]);

    const second = c.consume({ topic, group });
    await until("the rest has come again", () => second.records.length >= 3);
    await second.consumption.stop();
    expect(texts(second.records)).toEqual(["7", "8", "9"]);
  },

  "a batch that is handled commits what was pending before it": async (c) => {
    const [topic, group] = [await c.topic({ partitions: 1 }), c.name("group")];
    await c.log.publish(topic, numbered(9));
    let batches = 0;
    const { records, consumption } = c.consume({ topic, group, batchRecordsMax: 3 }, {
      handle: () => Promise.resolve(++batches < 3 ? "pending" : "handled"),
    });
    await until("all are handed over", () => records.length >= 9);
    await untilCommitted(c.log, topic, group);
    consumption.commit(0, records[0]!.offset + 1);
    await consumption.stop();
    expect(await c.log.committed(topic, group)).toEqual(await ends(c.log, topic));
  },

  "what a handler commits while it is revoked is committed before the group is left": async (c) => {
    const [topic, group] = [await c.topic({ partitions: 1 }), c.name("group")];
    const positions = await c.log.publish(topic, numbered(5));
    const { records, consumption } = c.consume({ topic, group }, {
      handle: () => Promise.resolve("pending"),
      revoked: async () => {
        await new Promise((resolve) => setImmediate(resolve));
        consumption.commit(0, positions[2]!.offset + 1);
      },
    });
    await until("all are handed over", () => records.length === 5);
    await consumption.stop();
    expect(await c.log.committed(topic, group)).toEqual([positions[2]!.offset + 1]);
  },

  "what is committed for a partition that is not this member's changes nothing": async (c) => {
    const [topic, group] = [await c.topic({ partitions: 1 }), c.name("group")];
    const positions = await c.log.publish(topic, numbered(5));
    const first = c.consume({ topic, group }, { handle: () => Promise.resolve("pending") });
    await until("all are handed over", () => first.records.length === 5);
    first.consumption.commit(7, 3);
    await first.consumption.stop();
    first.consumption.commit(0, positions[2]!.offset + 1);
    const second = c.consume({ topic, group });
    await until("all have come again", () => second.records.length === 5);
    await untilCommitted(c.log, topic, group);
    await second.consumption.stop();
    expect(texts(second.records)).toEqual(["0", "1", "2", "3", "4"]);
  },

  "a partition begins anew when it is asked to, also where no record comes": async (c) => {
    const [topic, group] = [await c.topic({ partitions: 2 }), c.name("group")];
    const positions = await c.log.publish(topic, numbered(4, { partition: 1 }));
    const { calls, records, consumption } = c.consume({ topic, group }, {
      assigned: (partition) => Promise.resolve(partition === 1 ? positions[1]!.offset : null),
      handle: () => Promise.resolve("pending"),
    });
    await until("all are handed over", () => records.length === 3);
    consumption.reassign(1);
    consumption.reassign(7);
    await until("they come again", () => records.length === 6);
    await consumption.stop();
    expect(texts(records)).toEqual(["1", "2", "3", "1", "2", "3"]);
    expect(calls.filter((call) => call.endsWith(" 0"))).toEqual(["assigned 0", "revoked 0"]);
    expect(calls.filter((call) => call === "assigned 1")).toHaveLength(2);
    expect(calls.filter((call) => call === "revoked 1")).toHaveLength(1);
  },

  "two groups of one topic each get everything": async (c) => {
    const topic = await c.topic();
    await c.log.publish(topic, numbered(9, { partition: 0 }));
    const observers = [observed(), observed()];
    const consumptions = observers.map(({ handler }) =>
      c.log.consume({ topic, group: c.name("group"), handler })
    );
    await until("both have handled all", () => observers.every(({ records }) => records.length === 9));
    for (const consumption of consumptions) await consumption.stop();
  },

  "the handler's own offset beats the committed one": async (c) => {
    const [topic, group] = [await c.topic({ partitions: 1 }), c.name("group")];
    const positions = await c.log.publish(topic, numbered(10));
    const first = c.consume({ topic, group });
    await until("all are handled", () => first.records.length === 10);
    await untilCommitted(c.log, topic, group);
    await first.consumption.stop();

    const behind = c.consume({ topic, group }, { assigned: () => Promise.resolve(positions[4]!.offset) });
    await until("the records from its offset on came again", () => behind.records.length >= 6);
    await behind.consumption.stop();
    expect(texts(behind.records)).toEqual(["4", "5", "6", "7", "8", "9"]);
  },

  "an offset beyond the log's end ends the membership: it is not the log that the state was made from":
    async (c) => {
      const [topic, group] = [await c.topic({ partitions: 1 }), c.name("group")];
      await c.log.publish(topic, numbered(3));
      const { records, consumption } = c.consume({ topic, group }, {
        assigned: () => Promise.resolve(1_000_000),
      });
      await expect(consumption.ended).rejects.toBeInstanceOf(LogSetupError);
      expect(records).toEqual([]);
    },

  "`reassign` commits nothing and begins with `assigned` again": async (c) => {
    const [topic, group] = [await c.topic({ partitions: 1 }), c.name("group")];
    await c.log.publish(topic, numbered(5));
    let committedMeanwhile: unknown;
    let batches = 0;
    const { calls, records, consumption } = c.consume({ topic, group, batchRecordsMax: 5 }, {
      handle: async () => {
        if (++batches > 1) return "handled";
        await Promise.resolve();
        return "reassign";
      },
      assigned: async () => {
        if (batches === 1) committedMeanwhile = await c.log.committed(topic, group);
        return null;
      },
    });
    await untilCommitted(c.log, topic, group);
    await consumption.stop();
    expect(committedMeanwhile).toEqual([null]);
    expect(calls).toEqual(["assigned 0", "handle 0", "assigned 0", "handle 0", "revoked 0"]);
    expect(texts(records)).toEqual(["0", "1", "2", "3", "4", "0", "1", "2", "3", "4"]);
  },

  "at most one batch of a partition is in flight, and batches keep to their bounds": async (c) => {
    const [topic, group] = [await c.topic({ partitions: 2 }), c.name("group")];
    await c.log.publish(topic, numbered(40, { partition: 0 }));
    await c.log.publish(topic, numbered(40, { partition: 1 }));
    const inFlight = new Set<number>();
    let overlapped = false;
    const { records, batches, consumption } = c.consume({ topic, group, batchRecordsMax: 3 }, {
      handle: async (batch, control) => {
        if (inFlight.has(batch.partition)) overlapped = true;
        inFlight.add(batch.partition);
        await control.heartbeat();
        await new Promise((resolve) => setImmediate(resolve));
        inFlight.delete(batch.partition);
        return "handled";
      },
    });
    await until("all are handled", () => records.length >= 80);
    await consumption.stop();
    expect(overlapped).toBe(false);
    expect(Math.max(...batches.map((batch) => batch.records.length))).toBeLessThanOrEqual(3);
    for (const batch of batches) expect(batch.nextOffset).toBeGreaterThan(batch.records.at(-1)!.offset);
  },

  "a batch ends with the record that reaches its bound of bytes": async (c) => {
    const [topic, group] = [await c.topic({ partitions: 1 }), c.name("group")];
    await c.log.publish(topic, Array.from({ length: 6 }, () => saying("x".repeat(400))));
    const { records, batches, consumption } = c.consume({ topic, group, batchBytesMax: 700 });
    await until("all are handled", () => records.length >= 6);
    await consumption.stop();
    expect(Math.max(...batches.map((batch) => batch.records.length))).toBeLessThanOrEqual(2);
  },

  "a partition whose batch takes long does not hold up the others": async (c) => {
    const [topic, group] = [await c.topic({ partitions: 2 }), c.name("group")];
    await c.log.publish(topic, [saying("slow", { partition: 0 }), saying("quick", { partition: 1 })]);
    const gate = Promise.withResolvers<void>();
    const { records, consumption } = c.consume({ topic, group }, {
      handle: async ({ partition }) => {
        if (partition === 0) await gate.promise;
        return "handled";
      },
    });
    await until("the quick one is handled", () => texts(records).includes("quick"));
    await c.log.publish(topic, [saying("quick again", { partition: 1 })]);
    await until("so is the one after it", () => texts(records).includes("quick again"));
    expect(texts(records)).not.toContain("slow");
    gate.resolve();
    await until("the slow one is handled too", () => texts(records).includes("slow"));
    await consumption.stop();
  },

  "a partition whose assignment takes long does not hold up the others": async (c) => {
    const [topic, group] = [await c.topic({ partitions: 2 }), c.name("group")];
    await c.log.publish(topic, [saying("waits", { partition: 0 }), saying("flows", { partition: 1 })]);
    const gate = Promise.withResolvers<void>();
    const { records, consumption } = c.consume({ topic, group }, {
      assigned: async (partition) => {
        if (partition === 0) await gate.promise;
        return null;
      },
    });
    await until("the other is handled", () => texts(records).includes("flows"));
    expect(texts(records)).not.toContain("waits");
    gate.resolve();
    await until("the first flows too", () => texts(records).includes("waits"));
    await consumption.stop();
  },

  "stopping lets the batch in flight finish, commits it, revokes, and then calls no more": async (c) => {
    const [topic, group] = [await c.topic({ partitions: 1 }), c.name("group")];
    const positions = await c.log.publish(topic, numbered(10));
    const [started, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const { calls, records, consumption } = c.consume({ topic, group, batchRecordsMax: 4 }, {
      handle: async () => {
        started.resolve();
        await gate.promise;
        return "handled";
      },
    });
    await started.promise;
    const stopped = consumption.stop();
    const twice = consumption.stop();
    gate.resolve();
    await Promise.all([stopped, twice, consumption.ended]);
    expect(calls).toEqual(["assigned 0", "handle 0", "revoked 0"]);
    expect(records).toHaveLength(4);
    expect(await c.log.committed(topic, group)).toEqual([positions[3]!.offset + 1]);
  },

  "stopping tells a handler that waits, and what it does not call handled comes again": async (c) => {
    const [topic, group] = [await c.topic({ partitions: 1 }), c.name("group")];
    await c.log.publish(topic, numbered(3));
    const { calls, consumption } = c.consume({ topic, group }, {
      handle: (_, { signal }) =>
        new Promise((resolve) => signal.addEventListener("abort", () => resolve("reassign"), { once: true })),
    });
    await until("a batch is in hand", () => calls.includes("handle 0"));
    await consumption.stop();
    expect(calls).toEqual(["assigned 0", "handle 0", "revoked 0"]);
    expect(await c.log.committed(topic, group)).toEqual([null]);
  },

  "stopping aborts an assignment that waits, and revokes all the same": async (c) => {
    const [topic, group] = [await c.topic({ partitions: 1 }), c.name("group")];
    await c.log.publish(topic, numbered(3));
    const { calls, consumption } = c.consume({ topic, group }, {
      assigned: (_, { signal }) =>
        new Promise((resolve) => signal.addEventListener("abort", () => resolve(0), { once: true })),
    });
    await until("the assignment is under way", () => calls.includes("assigned 0"));
    await consumption.stop();
    expect(calls).toEqual(["assigned 0", "revoked 0"]);
    expect(await c.log.committed(topic, group)).toEqual([null]);
  },

  "a handler that throws ends the membership with its error; its batch comes again to the next": async (
    c,
  ) => {
    const [topic, group] = [await c.topic({ partitions: 2 }), c.name("group")];
    await c.log.publish(topic, numbered(3, { partition: 0 }));
    const bug = new Error("a bug in the handler");
    const broken = c.consume({ topic, group }, { handle: () => Promise.reject(bug) });
    await expect(broken.consumption.ended).rejects.toBe(bug);
    await broken.consumption.stop();
    expect(broken.calls.filter((call) => call === "revoked 0")).toHaveLength(1);
    expect(await c.log.committed(topic, group)).toEqual([null, null]);

    const { records, consumption: next } = c.consume({ topic, group });
    await until("the batch came again", () => records.length >= 3);
    await next.stop();
    expect(texts(records)).toEqual(["0", "1", "2"]);
  },

  "a handler may publish to the log it is fed from": async (c) => {
    const [source, sink, group] = [await c.topic(), await c.topic({ partitions: 1 }), c.name("group")];
    await c.log.publish(source, numbered(20, { partition: 1 }));
    const { consumption } = c.consume({ topic: source, group }, {
      handle: async ({ records }) => {
        await c.log.publish(sink, records.map(({ value }) => saying("", { value })));
        return "handled";
      },
    });
    await untilCommitted(c.log, source, group);
    await consumption.stop();
    expect(texts(await all(c.log, sink))).toEqual(texts(await all(c.log, source, 1)));
  },

  "closing the log stops its memberships as `stop` does": async (c) => {
    const [topic, group] = [await c.topic({ partitions: 1 }), c.name("group")];
    const log = await c.open("processor");
    await log.publish(topic, numbered(3));
    const { handler, calls, records } = observed({
      handle: async () => {
        await log.publish(topic, [saying("published while it closes")]);
        return "handled";
      },
    });
    const consumption = log.consume({ topic, group, handler, batchRecordsMax: 3 });
    await until("a batch is in flight", () => calls.includes("handle 0"));
    await log.close();
    await consumption.ended;
    expect(calls.at(-1)).toBe("revoked 0");
    expect((await c.log.committed(topic, group))[0]).toBe(records.at(-1)!.offset + 1);
  },

  "partitions that are added later come to the group": async (c) => {
    const [name, group] = [c.name("topic"), c.name("group")];
    const spec = { name, retentionMs: null, retentionBytes: null, recordBytesMax: 10_000 };
    await c.log.ensureTopic({ ...spec, partitions: 1 });
    const { records, consumption } = c.consume({ topic: name, group });
    await until("it has joined", () => consumption.state().is === "joined");
    await (await c.open("command")).ensureTopic({ ...spec, partitions: 3 });
    await c.log.publish(name, [saying("in a new partition", { partition: 2 })]);
    await until("its record is handled", () => records.length === 1);
    expect(consumption.state().partitions).toEqual([0, 1, 2]);
    await consumption.stop();
  },

  "lag counts from the log's start until something is committed, and its seconds from the oldest record":
    async (c) => {
      const [topic, group] = [await c.topic({ partitions: 2 }), c.name("group")];
      const [first, last] = [Date.UTC(2026, 0, 1, 12, 0, 0), Date.UTC(2026, 0, 1, 12, 0, 30)];
      await c.log.publish(topic, [
        saying("first", { partition: 1, timestamp: first }),
        saying("last", { partition: 1, timestamp: last }),
      ]);
      const [, end] = await ends(c.log, topic);
      const now = last + 10_000;
      const [idle, waiting] = await c.log.lag(topic, group, now);
      expect(idle).toMatchObject({ partition: 0, nextOffset: null, lag: 0, lagSeconds: 0 });
      expect(waiting).toEqual({ partition: 1, nextOffset: null, endOffset: end, lag: 2, lagSeconds: 40 });

      const { batches, consumption } = c.consume({ topic, group, batchRecordsMax: 1 });
      await until("one is handled", () => batches.length >= 1);
      await untilCommitted(c.log, topic, group);
      await consumption.stop();
      expect((await c.log.lag(topic, group, now))[1]).toEqual({
        partition: 1,
        nextOffset: end,
        endOffset: end,
        lag: 0,
        lagSeconds: 0,
      });
    },

  "a second member of a group shares its partitions": async (c) => {
    const [topic, group] = [await c.topic({ partitions: 4 }), c.name("group")];
    const members = [observed(), observed()];
    const logs = [c.log, await c.open("processor")];
    const consumptions = logs.map((log, i) => log.consume({ topic, group, handler: members[i]!.handler }));
    await until(
      "each has two partitions",
      () => consumptions.every((consumption) => consumption.state().partitions.length === 2),
    );
    await c.log.publish(topic, numbered(4).map((record, partition) => ({ ...record, partition })));
    await until("all are handled", () => members.flatMap(({ records }) => records).length >= 4);
    for (const consumption of consumptions) await consumption.stop();
    const offsets = members.flatMap(({ records }) =>
      records.map((record) => `${record.partition}:${record.offset}`)
    );
    expect(new Set(offsets).size).toBe(offsets.length);
  },
} satisfies ContractTests;

/** Waits until the group has committed everything that the topic holds now (partitions without records apart). */
async function untilCommitted(log: TopicLog, topic: string, group: string): Promise<void> {
  const wanted = await ends(log, topic);
  await until(`group has committed ${wanted}`, async () => {
    const committed = await log.committed(topic, group);
    return wanted.every((end, partition) => end === 0 || committed[partition] === end);
  });
}
