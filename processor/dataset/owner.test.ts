import { describe, expect, test } from "vitest";
import { MemoryLog } from "../../tests/support/memory_log.ts";
import { DatasetOwner, takeOverDataset, untilOwnerChanges, whyItStaysOut } from "./owner.ts";
import { FACTS_TOPIC_SPEC } from "../facts/topic.ts";
import { manualClock } from "../../tests/support/manual_clock.ts";

const NOW = Date.UTC(2026, 0, 1);

async function logWithFacts() {
  const log = new MemoryLog();
  await log.ensureTopic(FACTS_TOPIC_SPEC);
  return log;
}

describe("the dataset that the group writes", () => {
  test("is the first that was named, also where two processors name theirs at once", async () => {
    const log = await logWithFacts();
    const held = await Promise.all([
      new DatasetOwner(log).claim("a", NOW),
      new DatasetOwner(log).claim("b", NOW),
    ]);
    expect(new Set(held).size).toBe(1);
    expect(await new DatasetOwner(log).claim("c", NOW)).toBe(held[0]);
  });

  test("is another one after a take-over, for everybody who looks again", async () => {
    const log = await logWithFacts();
    const owner = new DatasetOwner(log);
    expect(await owner.claim("a", NOW)).toBe("a");
    await takeOverDataset(log, { id: "b", now: NOW });
    expect(await owner.current()).toBe("b");
    expect(await new DatasetOwner(log).claim("a", NOW)).toBe("b");
  });

  test("goes to one of two that take over at once, and the later one knows it", async () => {
    const log = await logWithFacts();
    await new DatasetOwner(log).claim("a", NOW);
    await Promise.all(["b", "c"].map((id) => takeOverDataset(log, { id, now: NOW })));
    const held = await new DatasetOwner(log).current();
    expect(["b", "c"]).toContain(held);
  });

  test("may be named by a take-over where none was named before", async () => {
    const log = await logWithFacts();
    await takeOverDataset(log, { id: "b", now: NOW });
    expect(await new DatasetOwner(log).current()).toBe("b");
  });

  test("a processor with another one says which is written and how to take over", () => {
    expect(whyItStaysOut("a", "a")).toBeNull();
    expect(whyItStaysOut("a", "b")).toMatch(/writes dataset a, this processor has b.*replay --take-over/);
  });

  test("a writer hears of a take-over", async () => {
    const log = await logWithFacts();
    const clock = manualClock();
    const owner = new DatasetOwner(log);
    const held = await owner.claim("a", NOW);
    let notified = false;
    const waiting = untilOwnerChanges(owner, { held, clock, signal: new AbortController().signal })
      .then(() => notified = true);
    await clock.advance(10_000);
    expect(notified).toBe(false);
    await takeOverDataset(log, { id: "b", now: NOW });
    await clock.advance(10_000);
    await waiting;
  });
});
