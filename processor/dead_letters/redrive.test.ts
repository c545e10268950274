import { describe, expect, test, vi } from "vitest";
import { deadLetterRecord, redriveMarkRecord } from "../../contract/dead_letter.ts";
import { DEAD_LETTER_TOPIC, RECORD_BYTES_MAX, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { createDeadLettersContext, type DeadLettersContext } from "./fixtures/dead_letters.ts";
import { redrive } from "./redrive.ts";

async function redriveAll({ log, list, dedupWindow }: DeadLettersContext) {
  await list.catchUp();
  const letters = list.letters({ all: false });
  const outcomes = await redrive(letters, { log, list, now: 0, dedupWindow, faultPoint: () => {} });
  await list.catchUp();
  return outcomes.map(({ letter, is, why }) => ({ id: letter.id, is, why }));
}

const waiting = ({ list }: DeadLettersContext) => list.letters({ all: false }).map(({ id }) => id);

describe("a redrive that was killed", () => {
  test("is finished by the next: its copies are found, in one partition and another, and the rest is published", async () => {
    const context = createDeadLettersContext();
    await context.setAside({ id: "a", partition: 1 });
    await context.setAside({ id: "b", partition: 2 });
    await context.setAside({ id: "c", partition: 2 });
    for (const [letter, endOffset] of [["0:0", 1], ["0:1", 2], ["0:2", 2]] as const) {
      await context.log.publish(DEAD_LETTER_TOPIC, [
        redriveMarkRecord({ mark: "begun", letter, endOffset }, 0),
      ]);
    }
    await context.deliver("a", { redrives: 1, partition: 1 });
    await context.deliver("c", { redrives: 1, partition: 2 });
    expect(await redriveAll(context)).toEqual([
      { id: "0:0", is: "already_there", why: null },
      { id: "0:1", is: "redriven", why: null },
      { id: "0:2", is: "already_there", why: null },
    ]);
    expect(context.copies().map(({ headers }) => headers.id).sort()).toEqual(["a", "b", "c"]);
    expect(waiting(context)).toEqual([]);
  });

  test("takes a delivery of the source for no copy", async () => {
    const context = createDeadLettersContext();
    await context.setAside({ id: "a" });
    await context.log.publish(DEAD_LETTER_TOPIC, [
      redriveMarkRecord({ mark: "begun", letter: "0:0", endOffset: 1 }, 0),
    ]);
    await context.deliver("a");
    expect(await redriveAll(context)).toMatchObject([{ is: "redriven" }]);
    expect(context.copies()).toHaveLength(1);
  });
});

describe("a letter that is older than the dedup window", () => {
  const old = async (redeliveries: readonly number[]) => {
    const context = createDeadLettersContext({ dedupWindow: 10 });
    await context.setAside({ id: "a" });
    for (let offset = 1; offset < 40; offset++) {
      await context.deliver(redeliveries.includes(offset) ? "a" : `other-${offset}`);
    }
    return context;
  };

  test("whose event was delivered again too late to be a repeat is done without a copy: it has its line", async () => {
    const context = await old([11]);
    expect(await redriveAll(context)).toEqual([{ id: "0:0", is: "already_there", why: null }]);
    expect(context.copies()).toEqual([]);
    expect(waiting(context)).toEqual([]);
  });

  test("gets its copy where each redelivery was a repeat of the one before", async () => {
    const context = await old([10, 20, 30]);
    expect(await redriveAll(context)).toEqual([{ id: "0:0", is: "redriven", why: null }]);
    expect(context.copies()).toHaveLength(1);
  });

  test("gets its copy where nothing came after it", async () => {
    expect(await redriveAll(await old([]))).toEqual([{ id: "0:0", is: "redriven", why: null }]);
  });
});

describe("bytes", () => {
  /** A foreign record that fills its limit: a letter with its bytes does not fit into the topic. */
  async function setAsideWithoutBytes(context: DeadLettersContext, value: Uint8Array): Promise<void> {
    const record = {
      key: null,
      value,
      headers: {},
      timestamp: 1,
      partition: 3,
    };
    const [position] = await context.log.publish(WEBHOOKS_TOPIC, [record]);
    await context.log.publish(DEAD_LETTER_TOPIC, [
      deadLetterRecord({ ...record, ...position!, value: new Uint8Array() }, {
        topic: WEBHOOKS_TOPIC,
        reason: "body is no JSON (too large for this topic)",
        step: "parse",
      }),
    ]);
  }

  test("of a letter that was too large for its topic are taken from its source", async () => {
    const context = createDeadLettersContext();
    const value = new Uint8Array(RECORD_BYTES_MAX - 1_000).fill(0x20);
    await setAsideWithoutBytes(context, value);
    expect(await redriveAll(context)).toEqual([{ id: "0:0", is: "redriven", why: null }]);
    expect(context.copies().map((copy) => copy.value.length)).toEqual([value.length]);
  });

  test("that the log no longer has are said to be gone, and the letter stays", async () => {
    const context = createDeadLettersContext();
    await setAsideWithoutBytes(context, new Uint8Array(100));
    await context.deliver("other");
    context.log.trim(WEBHOOKS_TOPIC, { partition: 3, startOffset: 1 });
    expect(await redriveAll(context)).toEqual([
      { id: "0:0", is: "refused", why: "its bytes are no longer in the log" },
    ]);
    expect(context.copies()).toEqual([]);
    expect(waiting(context)).toEqual(["0:0"]);
  });

  test("that fill their topic so that no header fits beside them are refused alone; the others go on", async () => {
    const context = createDeadLettersContext();
    await context.setAside({ id: "a" });
    await setAsideWithoutBytes(context, new Uint8Array(RECORD_BYTES_MAX - 5));
    await context.setAside({ id: "b" });
    expect(await redriveAll(context)).toEqual([
      { id: "0:0", is: "redriven", why: null },
      { id: "0:1", is: "refused", why: "the raw topic takes no record of its size" },
      { id: "0:2", is: "redriven", why: null },
    ]);
    expect(context.copies().map(({ headers }) => headers.id)).toEqual(["a", "b"]);
    expect(waiting(context)).toEqual(["0:1"]);
  });
});

describe("the counts by reason", () => {
  test("are kept while letters come and are redriven, and asking for them looks at no letter", async () => {
    const context = createDeadLettersContext();
    const { list, log } = context;
    for (const [id, reason] of [["a", "one"], ["b", "two"], ["c", "two"], ["d", "two"]] as const) {
      await context.setAside({ id, reason });
    }
    await list.catchUp();
    expect(Object.entries(list.byReason())).toEqual([["two", 3], ["one", 1]]);
    for (const letter of ["0:0", "0:0", "0:1"]) {
      await log.publish(DEAD_LETTER_TOPIC, [redriveMarkRecord({ mark: "done", letter, endOffset: null }, 0)]);
    }
    await list.catchUp();
    const letters = vi.spyOn(list, "letters");
    expect(list.byReason()).toEqual({ two: 2 });
    expect(letters).not.toHaveBeenCalled();
  });
});

describe("a letter of what could not be read", () => {
  test("is refused, as there is no record to publish, and stays in the list with the operator's words", async () => {
    const context = createDeadLettersContext();
    const id = await context.skip(context.unreadable(), { words: "a producer's bug" });
    const [outcome] = await redriveAll(context);
    expect(outcome).toEqual({ id, is: "refused", why: expect.stringContaining("no record to publish") });
    expect([context.copies(), waiting(context)]).toEqual([[], [id]]);
    const { letters, redrivable } = await context.letters.list({ all: false, before: null, limit: 5 });
    expect(redrivable).toBe(0);
    expect(letters).toMatchObject([{
      id,
      reason: "unreadable",
      step: "read",
      unread: { nextOffset: 1, why: "its codec 9 is not known", words: "a producer's bug" },
    }]);
    const foreseen = await context.letters.redrive({ all: true, dryRun: true });
    expect(foreseen).toMatchObject({ is: "done", answer: { redriven: 0, refused: 1 } });
  });

  test("is shown with its bytes, and without them where nobody could have them", async () => {
    const context = createDeadLettersContext();
    const bytes = new TextEncoder().encode("packed");
    const ids = [
      await context.skip(context.unreadable(), { bytes }),
      await context.skip(context.unreadable()),
    ];
    const shown = await Promise.all(ids.map((id) => context.letters.show(id, { raw: true })));
    expect(shown.map((letter) => letter?.record)).toMatchObject([
      { value: "packed", headers: {}, key: null },
      { value: "", headers: {}, key: null },
    ]);
  });

  test("a repeat of it is not listed", async () => {
    const context = createDeadLettersContext();
    const place = context.unreadable();
    const id = await context.skip(place);
    await context.skip(place, { words: "once more" });
    await context.list.catchUp();
    expect(waiting(context)).toEqual([id]);
  });

  test("while something stands unread no copy is published that may lie behind it", async () => {
    const context = createDeadLettersContext();
    await context.setAside({ id: "a" });
    await context.log.publish(DEAD_LETTER_TOPIC, [
      redriveMarkRecord({ mark: "begun", letter: "0:0", endOffset: 1 }, 0),
    ]);
    const place = context.unreadable();
    await expect(redriveAll(context)).rejects.toThrow("deno task skip 3:1");
    expect(context.copies()).toEqual([]);
    await context.skip(place);
    expect(await redriveAll(context)).toContainEqual({ id: "0:0", is: "redriven", why: null });
  });
});
