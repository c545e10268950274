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
