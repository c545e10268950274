import { describe, expect, test } from "vitest";
import { MicroBatcher, type MicroBatcherBounds, recordBytes, type SendRecords } from "./micro_batcher.ts";
import { LogSetupError, LogUnavailableError, RecordRefusedError, type RecordToPublish } from "../topic.ts";

const BOUNDS: MicroBatcherBounds = { recordsMax: 10, bytesMax: 10_000, waitingBytesMax: 100_000 };

const record = (text: string, bytes = text.length): RecordToPublish => ({
  key: null,
  value: new TextEncoder().encode(text.padEnd(bytes)),
  headers: {},
  timestamp: 0,
});
const textOf = ({ value }: RecordToPublish) => new TextDecoder().decode(value).trim();

/** Sends that end when the test says so. */
function controlled(bounds: Partial<MicroBatcherBounds> = {}) {
  const sends: { topic: string; texts: string[]; resolve(): void; reject(error: Error): void }[] = [];
  let offset = 0;
  const send: SendRecords = (topic, records) => {
    const { promise, resolve, reject } = Promise.withResolvers<{ partition: number; offset: number }[]>();
    const positions = records.map(() => ({ partition: 0, offset: offset++ }));
    sends.push({ topic, texts: records.map(textOf), resolve: () => resolve(positions), reject });
    return promise;
  };
  return { batcher: new MicroBatcher(send, { ...BOUNDS, ...bounds }), sends };
}

/** Every send succeeds at once but those that `refuse` names. */
function immediate(
  { bounds = {}, fail = () => null }: {
    bounds?: Partial<MicroBatcherBounds>;
    fail?: (texts: readonly string[]) => Error | null;
  } = {},
) {
  const sends: string[][] = [];
  let offset = 0;
  const batcher = new MicroBatcher((_, records) => {
    const texts = records.map(textOf);
    sends.push(texts);
    const error = fail(texts);
    if (error) return Promise.reject(error);
    return Promise.resolve(records.map(() => ({ partition: 0, offset: offset++ })));
  }, { ...BOUNDS, ...bounds });
  return { batcher, sends };
}

const turn = () => new Promise((resolve) => setTimeout(resolve, 0));
const refused = () => new RecordRefusedError("record_too_large", "too large");

describe("MicroBatcher", () => {
  test("sends together what came while the send before was in flight, and one send at a time", async () => {
    const { batcher, sends } = controlled();
    const first = batcher.publish("t", [record("a")]);
    await turn();
    const later = ["b", "c", "d"].map((text) => batcher.publish("t", [record(text)]));
    await turn();
    expect(sends.map(({ texts }) => texts)).toEqual([["a"]]);
    sends[0]!.resolve();
    await first;
    await turn();
    expect(sends.map(({ texts }) => texts)).toEqual([["a"], ["b", "c", "d"]]);
    sends[1]!.resolve();
    expect((await Promise.all(later)).flat().map(({ offset }) => offset)).toEqual([1, 2, 3]);
  });

  test("answers each call the positions of its own records", async () => {
    const { batcher } = immediate();
    const answers = await Promise.all([
      batcher.publish("t", [record("a"), record("b")]),
      batcher.publish("t", []),
      batcher.publish("t", [record("c")]),
    ]);
    expect(answers.map((positions) => positions.map(({ offset }) => offset))).toEqual([[0, 1], [], [2]]);
  });

  test("keeps a send within its records and its bytes, and calls in their order", async () => {
    const { batcher, sends } = immediate({ bounds: { recordsMax: 3, bytesMax: 1_000 } });
    await Promise.all([
      ...["a", "b", "c", "d"].map((text) => batcher.publish("t", [record(text)])),
      batcher.publish("t", [record("large", 900)]),
      batcher.publish("t", [record("e")]),
    ]);
    expect(sends).toEqual([["a", "b", "c"], ["d"], ["large"], ["e"]]);
  });

  test("cuts one call that is larger than a send, in order, and answers it whole", async () => {
    const { batcher, sends } = immediate({ bounds: { recordsMax: 2 } });
    const positions = await batcher.publish("t", ["a", "b", "c", "d", "e"].map((text) => record(text)));
    expect(sends).toEqual([["a", "b"], ["c", "d"], ["e"]]);
    expect(positions.map(({ offset }) => offset)).toEqual([0, 1, 2, 3, 4]);
  });

  test("puts records of one topic only into a send", async () => {
    const { batcher, sends } = controlled();
    void batcher.publish("t", [record("a")]);
    void batcher.publish("u", [record("b")]);
    await turn();
    expect(sends.map(({ topic }) => topic)).toEqual(["t"]);
    sends[0]!.resolve();
    await turn();
    expect(sends.map(({ topic }) => topic)).toEqual(["t", "u"]);
    sends[1]!.resolve();
    await batcher.drain();
  });

  test("a record that is refused fails its own call, not those that were sent with it", async () => {
    const { batcher } = immediate({ fail: (texts) => texts.includes("bad") ? refused() : null });
    const [good, bad, also] = await Promise.allSettled(
      ["good", "bad", "also good"].map((text) => batcher.publish("t", [record(text)])),
    );
    expect([good!.status, bad!.status, also!.status]).toEqual(["fulfilled", "rejected", "fulfilled"]);
  });

  test("a broker that is away fails all calls of the send at once: each would wait as long again", async () => {
    const { batcher, sends } = immediate({ fail: () => new LogUnavailableError("away") });
    const ends = await Promise.allSettled(["a", "b"].map((text) => batcher.publish("t", [record(text)])));
    expect(ends.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    expect(sends).toHaveLength(1);
  });

  test("a missing right or topic fails all calls of the send at once: alone each would fail alike", async () => {
    for (
      const error of [new RecordRefusedError("not_authorised", "no right"), new LogSetupError("no topic")]
    ) {
      const { batcher, sends } = immediate({ fail: () => error });
      const ends = await Promise.allSettled(["a", "b"].map((text) => batcher.publish("t", [record(text)])));
      expect(ends.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
      expect(sends).toHaveLength(1);
    }
  });

  test("goes on after a send that failed", async () => {
    const { batcher } = immediate({ fail: (texts) => texts.includes("bad") ? refused() : null });
    await expect(batcher.publish("t", [record("bad")])).rejects.toBeInstanceOf(RecordRefusedError);
    await expect(batcher.publish("t", [record("good")])).resolves.toHaveLength(1);
  });

  test("turns away what would wait beyond its bytes, and takes more once they are sent", async () => {
    const { batcher, sends } = controlled({ waitingBytesMax: 1_000 });
    const first = batcher.publish("t", [record("a", 600)]);
    await expect(batcher.publish("t", [record("b", 600)])).rejects.toBeInstanceOf(LogUnavailableError);
    await turn();
    sends[0]!.resolve();
    await first;
    const again = batcher.publish("t", [record("b", 600)]);
    await turn();
    sends[1]!.resolve();
    await expect(again).resolves.toHaveLength(1);
  });

  test("a single call may be larger than all that may wait: nothing else would ever take it", async () => {
    const { batcher } = immediate({ bounds: { waitingBytesMax: 100 } });
    await expect(batcher.publish("t", [record("a", 600)])).resolves.toHaveLength(1);
  });

  test("drain waits for what waits and what is in flight", async () => {
    const { batcher, sends } = controlled({ recordsMax: 1 });
    void batcher.publish("t", [record("a")]);
    void batcher.publish("t", [record("b")]);
    let isDrained = false;
    const drained = batcher.drain().then(() => isDrained = true);
    await turn();
    sends[0]!.resolve();
    await turn();
    expect(isDrained).toBe(false);
    sends[1]!.resolve();
    await drained;
  });
});

test("recordBytes counts key, value and headers, and never less than their UTF-8 bytes", () => {
  const headers = { name: "ünïcødé €" };
  const full = { key: new Uint8Array(10), value: new Uint8Array(100), headers, timestamp: 0 };
  const headerBytes = new TextEncoder().encode("name" + headers.name).length;
  expect(recordBytes(full)).toBeGreaterThanOrEqual(110 + headerBytes);
});
