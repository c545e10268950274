import { createRequire } from "node:module";
import { describe, expect, test } from "vitest";
import { repairClient, unpackingAtMost, zstd } from "./kafkajs_repairs.ts";

describe("zstd", () => {
  const packed = async (bytes: number) => await zstd.compress({ buffer: new Uint8Array(bytes) });

  test("gives back what it packed", async () => {
    const bytes = new TextEncoder().encode("some words, some words, some words");
    expect([...await zstd.decompress(await zstd.compress({ buffer: bytes }))]).toEqual([...bytes]);
  });

  test("ends a fetch with the batch that reaches its budget: a little on the wire may be very much unpacked", async () => {
    const batch = await packed(1_000_000);
    expect(batch.length).toBeLessThan(1_000);
    const unpacked = await unpackingAtMost(2_500_000, async () => {
      const sizes: number[] = [];
      for (;;) {
        try {
          sizes.push((await zstd.decompress(batch)).length);
        } catch (error) {
          return { sizes, name: (error as Error).name };
        }
      }
    });
    expect(unpacked).toEqual({
      sizes: [1_000_000, 1_000_000, 1_000_000],
      name: "KafkaJSPartialMessageError",
    });
  });

  test("each fetch has a budget of its own, and one batch always comes", async () => {
    const batch = await packed(1_000_000);
    const fetch = () => unpackingAtMost(10, async () => (await zstd.decompress(batch)).length);
    expect(await Promise.all([fetch(), fetch()])).toEqual([1_000_000, 1_000_000]);
    expect((await zstd.decompress(batch)).length).toBe(1_000_000);
  });
});

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
