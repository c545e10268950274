import { expect, test } from "vitest";
import { publishEverywhere } from "./topic.ts";

test("an erasure is published into partitions too that are added while it is published or handled", async () => {
  let partitions = 2;
  const done: string[] = [];
  const bounds = () =>
    Promise.resolve(
      Array.from({ length: partitions }, (_, partition) => ({ partition, startOffset: 0, endOffset: 0 })),
    );
  const positions = await publishEverywhere({ bounds }, {
    publish: (into) => {
      done.push(`publish ${into}`);
      if (partitions === 2) partitions = 3;
      return Promise.resolve(into.map((partition) => ({ partition, offset: 7 })));
    },
    handled: (all) => {
      done.push(`handled ${all.map(({ partition }) => partition)}`);
      if (all.length === 3 && partitions === 3) partitions = 4;
      return Promise.resolve();
    },
  });
  expect(done).toEqual([
    "publish 0,1",
    "handled 0,1",
    "publish 2",
    "handled 0,1,2",
    "publish 3",
    "handled 0,1,2,3",
  ]);
  expect(positions).toHaveLength(4);
});
