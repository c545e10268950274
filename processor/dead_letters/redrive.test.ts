import { describe, expect, test } from "vitest";
import { deadLetterRecord, redriveMarkRecord } from "../../contract/dead_letter.ts";
import { DEAD_LETTER_TOPIC, RECORD_BYTES_MAX, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { type DeadLetterWorld, startDeadLetterWorld } from "./fixtures/world.ts";
import { redrive } from "./redrive.ts";

async function redriveAll({ log, list, dedupWindow }: DeadLetterWorld) {
  await list.catchUp();
  const letters = list.letters({ all: false });
  const outcomes = await redrive(letters, { log, list, now: 0, dedupWindow, reach: () => {} });
  await list.catchUp();
  return outcomes.map(({ letter, is, why }) => ({ id: letter.id, is, why }));
}

const waiting = ({ list }: DeadLetterWorld) => list.letters({ all: false }).map(({ id }) => id);

describe("a redrive that was killed", () => {
  test("is finished by the next: its copies are found, in one partition and another, and the rest is published", async () => {
    const world = startDeadLetterWorld();
    await world.setAside({ id: "a", partition: 1 });
    await world.setAside({ id: "b", partition: 2 });
    await world.setAside({ id: "c", partition: 2 });
    for (const [letter, endOffset] of [["0:0", 1], ["0:1", 2], ["0:2", 2]] as const) {
      await world.log.publish(DEAD_LETTER_TOPIC, [
        redriveMarkRecord({ mark: "begun", letter, endOffset }, 0),
      ]);
    }
    await world.deliver("a", { redrives: 1, partition: 1 });
    await world.deliver("c", { redrives: 1, partition: 2 });
    expect(await redriveAll(world)).toEqual([
      { id: "0:0", is: "already_there", why: null },
      { id: "0:1", is: "redriven", why: null },
      { id: "0:2", is: "already_there", why: null },
    ]);
    expect(world.copies().map(({ headers }) => headers.id).sort()).toEqual(["a", "b", "c"]);
    expect(waiting(world)).toEqual([]);
  });

  test("takes a delivery of the source for no copy", async () => {
    const world = startDeadLetterWorld();
    await world.setAside({ id: "a" });
    await world.log.publish(DEAD_LETTER_TOPIC, [
      redriveMarkRecord({ mark: "begun", letter: "0:0", endOffset: 1 }, 0),
    ]);
    await world.deliver("a");
    expect(await redriveAll(world)).toMatchObject([{ is: "redriven" }]);
    expect(world.copies()).toHaveLength(1);
  });
});

describe("a letter that is older than the dedup window", () => {
  const old = async (redeliveries: readonly number[]) => {
    const world = startDeadLetterWorld({ dedupWindow: 10 });
    await world.setAside({ id: "a" });
    for (let offset = 1; offset < 40; offset++) {
      await world.deliver(redeliveries.includes(offset) ? "a" : `other-${offset}`);
    }
    return world;
  };

  test("whose event was delivered again too late to be a repeat is done without a copy: it has its line", async () => {
    const world = await old([11]);
    expect(await redriveAll(world)).toEqual([{ id: "0:0", is: "already_there", why: null }]);
    expect(world.copies()).toEqual([]);
    expect(waiting(world)).toEqual([]);
  });

  test("gets its copy where each redelivery was a repeat of the one before", async () => {
    const world = await old([10, 20, 30]);
    expect(await redriveAll(world)).toEqual([{ id: "0:0", is: "redriven", why: null }]);
    expect(world.copies()).toHaveLength(1);
  });

  test("gets its copy where nothing came after it", async () => {
    expect(await redriveAll(await old([]))).toEqual([{ id: "0:0", is: "redriven", why: null }]);
  });
});

describe("bytes", () => {
  /** A foreign record that fills its limit: a letter with its bytes does not fit into the topic. */
  async function setAsideWithoutBytes(world: DeadLetterWorld, value: Uint8Array): Promise<void> {
    const record = {
      key: null,
      value,
      headers: {},
      timestamp: 1,
      partition: 3,
    };
    const [position] = await world.log.publish(WEBHOOKS_TOPIC, [record]);
    await world.log.publish(DEAD_LETTER_TOPIC, [
      deadLetterRecord({ ...record, ...position!, value: new Uint8Array() }, {
        topic: WEBHOOKS_TOPIC,
        reason: "body is no JSON (too large for this topic)",
        step: "parse",
      }),
    ]);
  }

  test("of a letter that was too large for its topic are taken from its source", async () => {
    const world = startDeadLetterWorld();
    const value = new Uint8Array(RECORD_BYTES_MAX - 1_000).fill(0x20);
    await setAsideWithoutBytes(world, value);
    expect(await redriveAll(world)).toEqual([{ id: "0:0", is: "redriven", why: null }]);
    expect(world.copies().map((copy) => copy.value.length)).toEqual([value.length]);
  });

  test("that the log no longer has are said to be gone, and the letter stays", async () => {
    const world = startDeadLetterWorld();
    await setAsideWithoutBytes(world, new Uint8Array(100));
    await world.deliver("other");
    world.log.trim(WEBHOOKS_TOPIC, { partition: 3, startOffset: 1 });
    expect(await redriveAll(world)).toEqual([
      { id: "0:0", is: "refused", why: "its bytes are no longer in the log" },
    ]);
    expect(world.copies()).toEqual([]);
    expect(waiting(world)).toEqual(["0:0"]);
  });

  test("that fill their topic so that no header fits beside them are refused alone; the others go on", async () => {
    const world = startDeadLetterWorld();
    await world.setAside({ id: "a" });
    await setAsideWithoutBytes(world, new Uint8Array(RECORD_BYTES_MAX - 5));
    await world.setAside({ id: "b" });
    expect(await redriveAll(world)).toEqual([
      { id: "0:0", is: "redriven", why: null },
      { id: "0:1", is: "refused", why: "the raw topic takes no record of its size" },
      { id: "0:2", is: "redriven", why: null },
    ]);
    expect(world.copies().map(({ headers }) => headers.id)).toEqual(["a", "b"]);
    expect(waiting(world)).toEqual(["0:1"]);
  });
});
