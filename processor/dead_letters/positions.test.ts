import { dismissalRecord } from "../../contract/dead_letter.ts";
import { describe, expect, test } from "vitest";
import { DEAD_LETTER_TOPIC } from "../../contract/names.ts";
import { MemoryLog } from "../../tests/support/memory_log.ts";
import { createDeadLettersContext } from "./fixtures/dead_letters.ts";
import { DeadLetterIndex } from "./positions.ts";

const unread = (place: { partition: number; offset: number; nextOffset: number }) => ({
  ...place,
  reason: "its codec 9 is not known",
  bytes: null,
});

describe("what cannot be read", () => {
  test("is waited for until it has a letter, then passed over whole, also in part", async () => {
    const context = createDeadLettersContext();
    const place = context.unreadable({ records: 5 });
    const index = new DeadLetterIndex(context.log);
    expect(await index.unreadable(unread(place))).toBe("wait");
    await context.skip(place);
    expect(await index.unreadable(unread(place))).toBe("skip");
    expect(await index.unreadable(unread({ ...place, offset: place.offset + 2 }))).toBe("skip");
    expect(await index.unreadable(unread({ ...place, nextOffset: place.nextOffset + 1 }))).toBe("wait");
    expect(await index.unreadable(unread({ ...place, partition: 2 }))).toBe("wait");
    expect([4, 0, 5].map((offset) => index.has(3, offset))).toEqual([true, true, false]);
  });

  test("is asked about by reading only what is new in the topic of letters", async () => {
    const context = createDeadLettersContext();
    for (let i = 0; i < 20; i++) await context.setAside();
    const place = context.unreadable();
    const index = new DeadLetterIndex(context.log);
    await index.unreadable(unread(place));
    let read = 0;
    const reading = context.log.read.bind(context.log);
    context.log.read = async function* (topic, options) {
      for await (const batch of reading(topic, options)) {
        read += batch.records.length;
        yield batch;
      }
    };
    for (let i = 0; i < 10; i++) await index.unreadable(unread(place));
    expect(read).toBe(0);
    await context.skip(place);
    expect([await index.unreadable(unread(place)), read]).toEqual(["skip", 1]);
  });

  test("is passed over where its one record has a letter from when it could be read", async () => {
    const context = createDeadLettersContext();
    await context.setAside();
    const index = new DeadLetterIndex(context.log);
    expect(await index.unreadable(unread({ partition: 3, offset: 0, nextOffset: 1 }))).toBe("skip");
    expect(await index.unreadable(unread({ partition: 3, offset: 0, nextOffset: 2 }))).toBe("wait");
  });

  test("is waited for where nobody has made the topic of letters", async () => {
    const index = new DeadLetterIndex(new MemoryLog());
    expect(await index.unreadable(unread({ partition: 3, offset: 0, nextOffset: 1 }))).toBe("wait");
  });

  test("in the topic of letters itself it is passed over, and the letters behind it are known", async () => {
    const context = createDeadLettersContext();
    context.log.appendUnreadable(DEAD_LETTER_TOPIC, { partition: 0 });
    await context.setAside();
    const index = new DeadLetterIndex(context.log);
    await index.catchUp();
    expect(index.has(3, 0)).toBe(true);
    await context.list.catchUp();
    expect(context.list.letters({ all: true })).toHaveLength(1);
  });
});

test("no header of a source makes its letter stand for more than one record", async () => {
  const context = createDeadLettersContext();
  const { log } = context;
  await context.setAside();
  const [letter] = log.records(DEAD_LETTER_TOPIC);
  const headers = { ...letter!.headers, "source-offset": "7", "source-next-offset": "1000" };
  await log.publish(DEAD_LETTER_TOPIC, [{ ...letter!, headers }]);
  const index = new DeadLetterIndex(log);
  await index.catchUp();
  expect([index.has(3, 7), index.has(3, 8)]).toEqual([true, false]);
});

test("a dismissed letter is one still: no replay sets its source aside again, or makes a line of it", async () => {
  const context = createDeadLettersContext();
  const { log, list } = context;
  const id = await context.setAside();
  const place = context.unreadable();
  const skipped = await context.skip(place);
  for (const letter of [id, skipped]) {
    await log.publish(DEAD_LETTER_TOPIC, [dismissalRecord({ letter, words: "ours" }, 1)]);
  }
  const index = new DeadLetterIndex(log);
  await index.catchUp();
  expect([index.has(3, 0), index.isPassedOver(3, place.offset)]).toEqual([true, true]);
  await list.catchUp();
  expect([list.letters({ all: false }), list.byReason()]).toEqual([[], {}]);
  expect(list.letters({ all: true })).toHaveLength(2);
});
