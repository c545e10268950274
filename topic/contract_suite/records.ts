import { expect } from "vitest";
import { partitionOf } from "../partitioner.ts";
import { all, bytes, collect, type ContractTests, ends, numbered, saying, text, texts } from "./context.ts";
import { LogSetupError, LogUnavailableError, type RecordBatch, RecordRefusedError } from "../topic.ts";

/** What the port promises of topics, records and reading by position. */
export const RECORD_CONTRACT = {
  "a record comes back with everything it was published with": async (c) => {
    const topic = await c.topic();
    const everyByte = Uint8Array.from({ length: 256 }, (_, i) => i);
    const sent = [
      saying("", { value: everyByte, key: everyByte, timestamp: Date.UTC(2025, 10, 30, 16, 38, 21, 968) }),
      saying("no key"),
      saying("", { key: bytes("an empty value") }),
      saying("headers", {
        headers: { id: "ü — 漢字 🎈", "webhook-id": "", quote: '"\\', "two\nlines": "a\tb" },
      }),
    ].map((record) => ({ ...record, partition: 1 }));
    const positions = await c.log.publish(topic, sent);
    const read = await all(c.log, topic, 1);
    expect(read.map(({ partition, offset }) => ({ partition, offset }))).toEqual(positions);
    expect(read.map(({ key, value, headers, timestamp }) => ({
      key: key && [...key],
      value: [...value],
      headers: { ...headers },
      timestamp,
    }))).toEqual(sent.map(({ key, value, headers, timestamp }) => ({
      key: key && [...key],
      value: [...value],
      headers,
      timestamp,
    })));
  },

  "records of one call and one partition keep their order": async (c) => {
    const topic = await c.topic();
    const positions = await c.log.publish(topic, numbered(250, { partition: 2 }));
    expect(texts(await all(c.log, topic, 2))).toEqual(numbered(250).map((record) => text(record.value)));
    const offsets = positions.map((position) => position.offset);
    expect(offsets).toEqual([...offsets].sort((a, b) => a - b));
    expect(new Set(offsets).size).toBe(250);
  },

  "the key chooses the partition as Kafka's default partitioner does": async (c) => {
    const topic = await c.topic({ partitions: 6 });
    const keys = Array.from({ length: 40 }, (_, i) => bytes(`user-${i}`));
    const positions = await c.log.publish(topic, keys.map((key) => saying("x", { key })));
    expect(positions.map((position) => position.partition)).toEqual(keys.map((key) => partitionOf(key, 6)));
  },

  "a record that names its partition goes there, one without key and partition to 0": async (c) => {
    const topic = await c.topic({ partitions: 6 });
    const positions = await c.log.publish(topic, [
      saying("named", { key: bytes("21"), partition: 5 }),
      saying("neither"),
    ]);
    expect(positions.map((position) => position.partition)).toEqual([5, 0]);
  },

  "publishing no record resolves with no position": async (c) => {
    expect(await c.log.publish(await c.topic(), [])).toEqual([]);
  },

  "calls made at the same time each get the positions of their own records": async (c) => {
    const topic = await c.topic();
    const calls = Array.from(
      { length: 60 },
      (_, i) => numbered(1 + i % 4, { key: bytes(`key-${i % 9}`) }, i * 10),
    );
    const published = await Promise.all(calls.map((records) => c.log.publish(topic, records)));
    const found = new Map<string, string>();
    for (const partition of [0, 1, 2]) {
      for (const record of await all(c.log, topic, partition)) {
        found.set(`${partition}:${record.offset}`, text(record.value));
      }
    }
    const wanted = published.flatMap((positions, call) =>
      positions.map(({ partition, offset }, i) => [`${partition}:${offset}`, text(calls[call]![i]!.value)])
    );
    expect(found).toEqual(new Map(wanted as [string, string][]));
  },

  "two handles that publish at the same time lose nothing and share no offset": async (c) => {
    const topic = await c.topic({ partitions: 1 });
    const handles = [c.log, await c.open("command")];
    const positions = await Promise.all(
      handles.flatMap((log, h) =>
        Array.from({ length: 20 }, (_, i) => log.publish(topic, numbered(5, {}, h * 1_000 + i * 5)))
      ),
    );
    expect(new Set(positions.flat().map((position) => position.offset)).size).toBe(200);
    const read = texts(await all(c.log, topic)).map(Number).sort((a, b) => a - b);
    expect(read).toEqual([0, 1_000].flatMap((from) => Array.from({ length: 100 }, (_, i) => from + i)));
  },

  "a record that is too large is refused with its whole call, and with no other": async (c) => {
    const topic = await c.topic({ partitions: 1, recordBytesMax: 10_000 });
    const outcomes = await Promise.allSettled([
      c.log.publish(topic, [saying("before")]),
      c.log.publish(topic, [saying("beside it"), saying("x".repeat(20_000))]),
      c.log.publish(topic, [saying("after")]),
    ]);
    expect(outcomes.map((outcome) => outcome.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    const error = (outcomes[1] as PromiseRejectedResult).reason;
    expect(error).toBeInstanceOf(RecordRefusedError);
    expect(error.code).toBe("record_too_large");
    expect(texts(await all(c.log, topic)).sort()).toEqual(["after", "before"]);
  },

  "a record as large as the topic allows is taken": async (c) => {
    const topic = await c.topic({ partitions: 1, recordBytesMax: 2 * 1024 * 1024 });
    const value = new Uint8Array(1024 * 1024).fill(120);
    await c.log.publish(topic, [saying("", { value, key: bytes("k"), headers: { id: "1" } })]);
    expect((await all(c.log, topic))[0]!.value.length).toBe(value.length);
  },

  "publishing to a topic that is not there is an error of the set-up": async (c) => {
    await c.topic();
    await expect(c.log.publish(c.name("topic"), [saying("x")])).rejects.toBeInstanceOf(LogSetupError);
  },

  "bounds tell what each partition holds": async (c) => {
    const topic = await c.topic({ partitions: 2 });
    const empty = await c.log.bounds(topic);
    expect(empty.map((bounds) => bounds.partition)).toEqual([0, 1]);
    for (const bounds of empty) expect(bounds.endOffset).toBe(bounds.startOffset);
    const positions = await c.log.publish(topic, numbered(7, { partition: 1 }));
    const [zero, one] = await c.log.bounds(topic);
    expect(zero).toEqual(empty[0]);
    expect(one!.startOffset).toBe(empty[1]!.startOffset);
    expect(one!.endOffset).toBeGreaterThan(positions.at(-1)!.offset);
  },

  "how many partitions there are, and what one of them holds, is told without the others": async (c) => {
    const topic = await c.topic({ partitions: 3 });
    await c.log.publish(topic, numbered(4, { partition: 1 }));
    expect(await c.log.partitions(topic)).toBe(3);
    expect(await c.log.boundsOf(topic, 1)).toEqual((await c.log.bounds(topic))[1]);
    await expect(c.log.boundsOf(topic, 3)).rejects.toBeInstanceOf(LogSetupError);
    const missing = c.name("topic");
    await expect(c.log.boundsOf(missing, 0)).rejects.toBeInstanceOf(LogSetupError);
    await expect(c.log.partitions(missing)).rejects.toBeInstanceOf(LogSetupError);
  },

  "bounds of a topic that is not there are an error of the set-up": async (c) => {
    await c.topic();
    await expect(c.log.bounds(c.name("topic"))).rejects.toBeInstanceOf(LogSetupError);
  },

  "making a topic again raises what is too low and lowers nothing": async (c) => {
    const spec = { name: c.name("topic"), retentionMs: null, retentionBytes: null };
    await c.log.ensureTopic({ ...spec, partitions: 2, recordBytesMax: 1_000 });
    await c.log.publish(spec.name, [saying("kept", { partition: 1 })]);
    await c.log.ensureTopic({ ...spec, partitions: 4, recordBytesMax: 50_000 });
    await c.log.ensureTopic({ ...spec, partitions: 1, recordBytesMax: 500 });
    expect(await ends(c.log, spec.name)).toHaveLength(4);
    expect(texts(await all(c.log, spec.name, 1))).toEqual(["kept"]);
    await c.log.publish(spec.name, [saying("x".repeat(40_000), { partition: 3 })]);
  },

  "a topic with more partitions is refused where its records need one order": async (c) => {
    const spec = { name: c.name("topic"), retentionMs: null, retentionBytes: null, recordBytesMax: 10_000 };
    await c.log.ensureTopic({ ...spec, partitions: 2 });
    await expect(c.log.ensureTopic({ ...spec, partitions: 1, partitionsExact: true }))
      .rejects.toBeInstanceOf(LogSetupError);
    await c.log.ensureTopic({ ...spec, partitions: 2, partitionsExact: true });
    expect(await ends(c.log, spec.name)).toHaveLength(2);
  },

  "a topic has one id for whoever asks, and no other topic has it": async (c) => {
    const [topic, other] = [await c.topic(), await c.topic()];
    const command = await c.open("command");
    const id = await c.log.topicId!(topic);
    // A broker that gives no ids gives none to anybody.
    expect(id ?? "0".repeat(32)).toMatch(/^[0-9a-f]{32}$/);
    expect(await command.topicId!(topic)).toBe(id);
    await c.log.ensureTopic({
      name: topic,
      partitions: 4,
      retentionMs: null,
      retentionBytes: null,
      recordBytesMax: 200_000,
    });
    expect(await c.log.topicId!(topic)).toBe(id);
    if (id !== null) expect(await c.log.topicId!(other)).not.toBe(id);
    await expect(c.log.topicId!(c.name("topic"))).rejects.toBeInstanceOf(LogSetupError);
  },

  "several handles may make the same topic at once": async (c) => {
    const spec = { name: c.name("topic"), partitions: 3, retentionMs: null, retentionBytes: null };
    const handles = [c.log, await c.open("ingest"), await c.open("processor"), await c.open("command")];
    await Promise.all(handles.map((log) => log.ensureTopic({ ...spec, recordBytesMax: 10_000 })));
    for (const log of handles) await log.publish(spec.name, [saying("x", { partition: 2 })]);
    expect(await all(c.log, spec.name, 2)).toHaveLength(4);
  },

  "reading begins at the offset wanted and ends below `until`": async (c) => {
    const topic = await c.topic();
    const positions = await c.log.publish(topic, numbered(30, { partition: 1 }));
    const [from, to] = [positions[10]!.offset, positions[20]!.offset];
    const read = await collect(c.log.read(topic, { partition: 1, from, until: to, batchRecordsMax: 4 }));
    expect(texts(read)).toEqual(numbered(10, {}, 10).map((record) => text(record.value)));
  },

  "a batch holds no more records than asked for and says where to go on": async (c) => {
    const topic = await c.topic({ partitions: 1 });
    await c.log.publish(topic, numbered(10));
    const [end] = await ends(c.log, topic);
    const batches: RecordBatch[] = [];
    for await (const batch of c.log.read(topic, { partition: 0, from: 0, until: end!, batchRecordsMax: 3 })) {
      batches.push(batch);
    }
    for (const batch of batches) {
      expect(batch.records.length).toBeLessThanOrEqual(3);
      expect(batch.nextOffset).toBeGreaterThan(batch.records.at(-1)!.offset);
      expect(batch.endOffset).toBeGreaterThanOrEqual(batch.nextOffset);
    }
    expect(batches.flatMap((batch) => texts(batch.records))).toHaveLength(10);
    expect(batches.at(-1)!.nextOffset).toBe(end);
  },

  "reading up to where nothing is left to read ends at once": async (c) => {
    const topic = await c.topic({ partitions: 1 });
    expect(await collect(c.log.read(topic, { partition: 0, from: 0, until: 0 }))).toEqual([]);
    await c.log.publish(topic, numbered(3));
    const [end] = await ends(c.log, topic);
    expect(await collect(c.log.read(topic, { partition: 0, from: end!, until: end! }))).toEqual([]);
  },

  "reading without `until` follows the partition until it is aborted": async (c) => {
    const topic = await c.topic({ partitions: 1 });
    await c.log.publish(topic, [saying("there before")]);
    const stop = new AbortController();
    const seen: string[] = [];
    const publisher = await c.open("ingest");
    for await (const batch of c.log.read(topic, { partition: 0, from: 0, signal: stop.signal })) {
      seen.push(...texts(batch.records));
      if (seen.length === 1) await publisher.publish(topic, [saying("published by another handle")]);
      if (seen.length === 2) void publisher.publish(topic, [saying("published while it waits")]);
      if (seen.length === 3) stop.abort();
    }
    expect(seen).toEqual(["there before", "published by another handle", "published while it waits"]);
  },

  "an abort ends a reader that waits for records": async (c) => {
    const topic = await c.topic({ partitions: 1 });
    const stop = new AbortController();
    const reading = collect(c.log.read(topic, { partition: 0, from: 0, signal: stop.signal }));
    stop.abort();
    expect(await reading).toEqual([]);
  },

  "a partition that the topic does not have cannot be read": async (c) => {
    const topic = await c.topic({ partitions: 1 });
    await expect(collect(c.log.read(topic, { partition: 1, from: 0, until: 1 }))).rejects.toBeInstanceOf(
      LogSetupError,
    );
  },

  "closing waits for what is being published, and nothing is published after it": async (c) => {
    const topic = await c.topic({ partitions: 1 });
    const closing = await c.open("ingest");
    const published = Array.from({ length: 20 }, (_, i) => closing.publish(topic, numbered(3, {}, i * 3)));
    await closing.close();
    const positions = (await Promise.all(published)).flat();
    expect((await all(c.log, topic)).map((record) => record.offset)).toEqual(
      positions.map((position) => position.offset),
    );
    await expect(closing.publish(topic, [saying("late")])).rejects.toBeInstanceOf(LogUnavailableError);
  },
} satisfies ContractTests;
