import { expect, test } from "vitest";
import { manualClock } from "../../tests/support/manual_clock.ts";
import type { TopicLog } from "../../topic/topic.ts";
import { AlreadyOut } from "./already.ts";

const box = (n: number) => n.toString(16).padStart(32, "0");

/** A facts topic; it imitates no batches' bounds and no failures but those asked for. */
function factsOf(facts: readonly unknown[]) {
  const read: number[] = [];
  const log = {
    bounds: () => Promise.resolve([{ partition: 0, startOffset: 0, endOffset: facts.length }]),
    async *read(_: string, { from, until }: { from: number; until: number }) {
      for (let offset = from; offset < until; offset++) {
        read.push(offset);
        const fact = facts[offset];
        const value = new TextEncoder().encode(typeof fact === "string" ? fact : JSON.stringify(fact));
        yield { records: [{ offset, value }] };
      }
    },
  } as unknown as Pick<TopicLog, "bounds" | "read">;
  return { log, read };
}

const out = (n: number, fact = "opted_out") => ({ fact, mailbox: box(n) });

test("facts are read once each, however often somebody asks", async () => {
  const facts: unknown[] = [{ fact: "secret" }, out(1), { fact: "addressed", mailbox: box(2) }];
  const { log, read } = factsOf(facts);
  const clock = manualClock();
  const already = new AlreadyOut({ log, clock });
  expect([await already.hasNow(box(1)), await already.hasNow(box(2))]).toEqual([true, false]);
  facts.push(out(2, "suppressed"));
  await clock.advance(1_000);
  expect(await already.hasNow(box(2))).toBe(true);
  expect(read).toEqual([0, 1, 2, 3]);
});

test("only the newest facts are read, and only so many mailboxes are kept", async () => {
  const { log, read } = factsOf([out(1), out(2), out(3), out(4)]);
  const already = new AlreadyOut({ log, clock: manualClock(), factsMax: 3, mailboxesMax: 2 });
  expect(await already.hasNow(box(1))).toBe(false);
  expect(read).toEqual([1, 2, 3]);
  expect([2, 3, 4].map((n) => already.has(box(n)))).toEqual([false, true, true]);
});

test("what is no opt-out says nothing, whatever it holds", async () => {
  const odd = ["", "{", '"opted_out"', { fact: "earned", note: "opted_out", mailbox: box(1) }, {
    fact: "opted_out",
    mailbox: null,
  }];
  const { log } = factsOf(odd);
  const already = new AlreadyOut({ log, clock: manualClock() });
  expect(await already.hasNow(box(1))).toBe(false);
});

test("a topic that was made anew is read from its begin, and what the one before said is forgotten", async () => {
  const facts: unknown[] = [out(1), out(1)];
  const { log } = factsOf(facts);
  const clock = manualClock();
  const already = new AlreadyOut({ log, clock });
  expect(await already.hasNow(box(1))).toBe(true);
  facts.splice(0, 2, out(2));
  await clock.advance(1_000);
  expect([await already.hasNow(box(2)), already.has(box(1))]).toEqual([true, false]);
});

test("a log that is away is no answer", async () => {
  const log = { bounds: () => Promise.reject(new Error("away")), read: () => null! };
  expect(await new AlreadyOut({ log, clock: manualClock() }).hasNow(box(1))).toBe(false);
});
