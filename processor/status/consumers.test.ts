import { describe, expect, test } from "vitest";
import { consumersOf, topicConsumers } from "./consumers.ts";

const own = [{ name: "dataset-writer", partitions: [2, 0] }, { name: "dataset-writer 2", partitions: [] }];

describe("consumersOf()", () => {
  test("on a log of one process its own loops are all that read", () => {
    expect(consumersOf("dataset-writer", { own, found: [], isAlone: true })).toEqual({
      group: "dataset-writer",
      complete: true,
      consumers: [{ name: "dataset-writer", own: true, host: null, partitions: [0, 2] }],
    });
  });

  test("on a log of many, a member is this processor's where it has the same partitions", () => {
    const found = [
      { memberId: "pipeline-processor-b", host: "/10.0.0.2", partitions: [1] },
      { memberId: "pipeline-processor-a", host: "/10.0.0.1", partitions: [0, 2] },
      { memberId: "pipeline-processor-c", host: "/10.0.0.3", partitions: [] },
    ];
    expect(consumersOf("dataset-writer", { own, found, isAlone: false })).toEqual({
      group: "dataset-writer",
      complete: true,
      consumers: [
        { name: "dataset-writer", own: true, host: "/10.0.0.1", partitions: [0, 2] },
        { name: "pipeline-processor-b", own: false, host: "/10.0.0.2", partitions: [1] },
      ],
    });
  });

  test("of a group that rebalances nobody reads, whatever this processor had before", () => {
    expect(consumersOf("dataset-writer", { own, found: [], isAlone: false }).consumers).toEqual([]);
  });
});

test("topicConsumers() says that it knows its own alone where the log cannot be asked", async () => {
  const away = { members: () => Promise.reject(new Error("away")) };
  const options = { topic: "t", groups: ["dataset-writer"], own: () => own };
  const { groups: [group] } = await topicConsumers(away, options);
  expect(group).toMatchObject({
    complete: false,
    consumers: [{ name: "dataset-writer", partitions: [0, 2] }],
  });
  expect((await topicConsumers({}, options)).groups[0]).toMatchObject({ complete: true });
});
