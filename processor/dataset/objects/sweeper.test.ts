import { expect, test } from "vitest";
import { manualClock } from "../../../tests/support/manual_clock.ts";
import { MemoryBucket, memoryStore } from "./fixtures/memory_store.ts";
import { ObjectStoreAwayError, ObjectStoreSetupError } from "./object_store.ts";
import { Sweeper } from "./sweeper.ts";

const ONE = { partition: 0, isLeftover: () => false, sweptUntil: Infinity, sweptAt: -Infinity };

function sweeperThatMeets(error: Error) {
  const clock = manualClock();
  const store = memoryStore(new MemoryBucket());
  let lists = 0;
  const list = () => {
    lists++;
    throw error;
  };
  const sweeper = new Sweeper({ ...store, list }, "b", clock);
  sweeper.add(ONE);
  return { sweeper, clock, lists: () => lists };
}

test("A sweep that the bucket refuses for good is told to whoever looks next", async () => {
  const { sweeper, clock } = sweeperThatMeets(new ObjectStoreSetupError("may not list"));
  sweeper.look();
  await clock.advance(0);
  expect(() => sweeper.look()).toThrow("may not list");
  expect(() => sweeper.look()).not.toThrow();
});

test("A sweep that finds the bucket away is tried again a minute later", async () => {
  const { sweeper, clock, lists } = sweeperThatMeets(new ObjectStoreAwayError("away"));
  for (let second = 0; second <= 60; second++) {
    sweeper.look();
    await clock.advance(1_000);
  }
  expect(lists()).toBe(2);
});
