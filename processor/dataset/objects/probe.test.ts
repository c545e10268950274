import { expect, it } from "vitest";
import { manualClock } from "../../../tests/support/manual_clock.ts";
import { openObjectDataset } from "./dataset.ts";
import { MemoryBucket, memoryStore } from "./fixtures/memory_store.ts";
import { settings } from "./fixtures/settings.ts";
import { type ObjectStore, ObjectStoreSetupError } from "./object_store.ts";

function open(store: ObjectStore) {
  return openObjectDataset(settings(), { store, dedupWindow: 100, clock: manualClock() });
}

it("a bucket that creates once is taken, and what was asked for that is gone", async () => {
  const bucket = new MemoryBucket();
  await open(
    memoryStore(bucket, {
      random: () => 0,
      faults: () => ({ answerLost: 0, refused: 0, retried: 0.1, repeated: 0, late: 0 }),
    }),
  );
  expect(bucket.keys()).toEqual([]);
});

it("a bucket that ignores the condition is refused in words", async () => {
  const store = memoryStore();
  const create = async (key: string, bytes: Uint8Array) => {
    await store.put(key, bytes);
    return "created" as const;
  };
  const refused = open({ ...store, create });
  await expect(refused).rejects.toBeInstanceOf(ObjectStoreSetupError);
  await expect(refused).rejects.toThrow("If-None-Match");
});

it("a bucket that looks and then puts is refused: one alone would get past it", async () => {
  const store = memoryStore();
  const create = async (key: string, bytes: Uint8Array) => {
    if (await store.get(key)) return "unsure" as const;
    await store.put(key, bytes);
    return "created" as const;
  };
  await expect(open({ ...store, create })).rejects.toBeInstanceOf(ObjectStoreSetupError);
});
