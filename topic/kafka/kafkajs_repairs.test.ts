import { Buffer } from "node:buffer";
import { createRequire } from "node:module";
import { expect, test } from "vitest";
import { protocolError } from "./client_parts.ts";
import { repairClient } from "./kafkajs_repairs.ts";

test("the client commits only what its membership of this moment has: a retry after a rebalance takes nobody back", async () => {
  repairClient();
  const ConsumerGroup = createRequire(import.meta.url)("kafkajs/src/consumer/consumerGroup");
  const sent: unknown[] = [];
  // The client's own object, without a group behind it.
  const group = Object.create(ConsumerGroup.prototype);
  const member = (...partitions: number[]) => ({
    memberAssignment: { t: partitions },
    commitOffsets: (offsets: unknown) => Promise.resolve(void sent.push(offsets)),
  });
  const at = (partition: number) => ({ partition, offset: "7" });
  const offsets = { topics: [{ topic: "t", partitions: [at(0), at(1)] }] };
  group.offsetManager = member(0, 1);
  await group.commitOffsets(offsets);
  group.offsetManager = member(1);
  await group.commitOffsets(offsets);
  group.offsetManager = member();
  await group.commitOffsets(offsets);
  expect(sent).toEqual([offsets, { topics: [{ topic: "t", partitions: [at(1)] }] }]);
});

test("one partition without a leader leaves what is known of the others; a topic without any is asked for again", async () => {
  repairClient();
  const { parse } = createRequire(import.meta.url)("kafkajs/src/protocol/requests/metadata/v5/response");
  const led = { partitionErrorCode: 0, partitionId: 0, leader: 1 };
  const lost = { partitionErrorCode: 5, partitionId: 1, leader: -1 };
  const metadata = (...partitionMetadata: object[]) => ({
    topicMetadata: [{ topicErrorCode: 0, partitionMetadata }],
  });
  expect(await parse(metadata(led, lost))).toEqual(metadata(led, lost));
  await expect(parse(metadata(lost))).rejects.toMatchObject({ type: "LEADER_NOT_AVAILABLE" });
  const severalTopics = { topicMetadata: [...metadata(lost).topicMetadata, ...metadata(led).topicMetadata] };
  expect(await parse(severalTopics)).toEqual(severalTopics);
  await expect(parse({ topicMetadata: [{ topicErrorCode: 3, partitionMetadata: [] }] })).rejects
    .toMatchObject({
      type: "UNKNOWN_TOPIC_OR_PARTITION",
    });
});

test("an error of a partition says which one, and has the protocol's name", () => {
  const error = protocolError(6, { request: "Fetch", about: "partition 4" });
  expect(error).toMatchObject({ type: "NOT_LEADER_FOR_PARTITION" });
  expect(error.message).toMatch(/^partition 4: /);
});

test("the chunks of an answer go as soon as it is joined, and nothing goes that is a part of an answer or of a larger buffer", () => {
  repairClient();
  const Connection = createRequire(import.meta.url)("kafkajs/src/network/connection");
  const answers: string[] = [];
  const kept: Uint8Array[] = [];
  const connection = Object.assign(Object.create(Connection.prototype), {
    chunks: [],
    bytesBuffered: 0,
    bytesNeeded: 4,
    requestQueue: {
      fulfillRequest: ({ payload }: { readonly payload: Uint8Array }) => {
        kept.push(payload);
        answers.push(new TextDecoder().decode(payload));
      },
    },
  });
  const answer = (text: string) => {
    const bytes = new Uint8Array(8 + text.length);
    new DataView(bytes.buffer).setInt32(0, 4 + text.length);
    bytes.set(new TextEncoder().encode(text), 8);
    return bytes;
  };
  const alone = Buffer.from(answer("alone").buffer);
  const [first, second] = [answer("in three parts").slice(0, 10), answer("in three parts").slice(10, 15)];
  const third = new Uint8Array([...answer("in three parts").slice(15), ...answer("next")]);
  const pool = new Uint8Array(100);
  pool.set(answer("part of a pool"), 50);
  const inPool = pool.subarray(50, 72);
  for (const chunk of [alone, first, second, third, inPool.subarray(0, 9), inPool.subarray(9)]) {
    connection.processData(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length));
  }
  expect(answers).toEqual(["alone", "in three parts", "next", "part of a pool"]);
  expect(kept.map((payload) => new TextDecoder().decode(payload))).toEqual(answers);
  const left = [alone, first, second, third, pool].map(({ buffer }) => buffer.byteLength);
  expect(left).toEqual([13, 0, 0, 0, 100]);
});
