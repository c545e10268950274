import { Buffer } from "node:buffer";
import fc from "fast-check";
import { CompressionCodecs, CompressionTypes } from "kafkajs";
import { expect, test } from "vitest";
import { inside } from "../client_parts.ts";
import { zstd } from "../kafkajs_repairs.ts";
import { type MessageToSend, produceBody, type ProduceRequest } from "./produce_request.ts";
import { RecordSet, roomFor } from "./record_set.ts";

/** What the client itself would send. */
async function byTheClient(request: ProduceRequest): Promise<Buffer> {
  CompressionCodecs[CompressionTypes.ZSTD] = () => zstd;
  const { protocol } = inside("protocol/requests/produce") as {
    protocol(wanted: object): (args: object) => { request: { encode(): Promise<{ buffer: Buffer }> } };
  };
  const { request: encoder } = protocol({ version: 7 })({ ...request, compression: CompressionTypes.ZSTD });
  return (await encoder.encode()).buffer;
}

const bytes = (lengthMax: number) =>
  fc.uint8Array({ maxLength: lengthMax }).map((array) => Buffer.from(array));
const text = fc.string({ unit: "grapheme", maxLength: 80 });
const message = fc.record({
  key: fc.option(bytes(20)),
  value: fc.option(bytes(300)),
  headers: fc.dictionary(text, text, { maxKeys: 4 }),
  // The client orders times as texts, which is right where all have as many digits.
  timestamp: fc.integer({ min: 1e12, max: 9e12 }).map(String),
});
const requests: fc.Arbitrary<ProduceRequest> = fc.record({
  acks: fc.constant(-1),
  timeout: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
  producerId: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
  producerEpoch: fc.integer({ min: 0, max: 32_767 }),
  topicData: fc.array(
    fc.record({
      topic: fc.stringMatching(/^[a-zA-Z0-9._-]{1,60}$/),
      partitions: fc.array(
        fc.record({
          partition: fc.nat(10_000),
          firstSequence: fc.nat(2 ** 31 - 1),
          messages: fc.array(message, { minLength: 1, maxLength: 70 }),
        }),
        { maxLength: 3 },
      ),
    }),
    { maxLength: 2 },
  ),
});

test("a request is byte for byte what the client's own encoder makes of it", async () => {
  await fc.assert(
    fc.asyncProperty(requests, async (request) => {
      const asText = { ...request, producerId: String(request.producerId) };
      expect(produceBody(request).equals(await byTheClient(asText))).toBe(true);
    }),
    { numRuns: 200 },
  );
});

test("times as far apart as milliseconds can say come back as they were, as the lengths of long fields do", () => {
  const times = [1_764_000_000_000, 5, 8_640_000_000_000_000, 0, 999_999_999_999];
  const large = Buffer.alloc(200_000, "x");
  const messages = times.map((timestamp, i): MessageToSend => ({
    key: i === 0 ? null : large.subarray(0, 64 * i),
    value: large.subarray(0, 10 ** i),
    headers: { ["é".repeat(100)]: "✓🎉".repeat(50 * i) },
    timestamp,
  }));
  const body = produceBody({
    acks: -1,
    timeout: 1,
    producerId: 7n,
    producerEpoch: 1,
    topicData: [{ topic: "t", partitions: [{ partition: 0, firstSequence: 0, messages }] }],
  });
  const records = new RecordSet(body.subarray(12 + 2 + 1 + 4 + 8), { partition: 0, from: 0 })
    .take(roomFor(100, Infinity));
  expect(records.map(({ timestamp }) => timestamp)).toEqual(times);
  records.forEach((record, i) => {
    const { key, value, headers } = messages[i]!;
    expect([record.offset, record.key?.length, record.value.length]).toEqual([i, key?.length, value!.length]);
    expect({ ...record.headers }).toEqual(headers);
  });
});
