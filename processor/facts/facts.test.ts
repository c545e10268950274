import { describe, expect, it } from "vitest";
import { encodeFact, isNewer } from "./encode.ts";
import { decodeFact, type Fact } from "./facts.ts";

const subject = "0123456789abcdef0123456789abcdef";
const at = Date.UTC(2026, 0, 1, 12, 30);
const position = { partition: 3, offset: 42 };
const by = { dataDir: "d1", start: 2, claim: 3 };
const attempt = { subject, at, offer: 17, attempt: 2 };

const FACTS: readonly Fact[] = [
  { fact: "secret", at, fingerprint: "00ff", lostBefore: { "3": 5 }, caughtUp: { "3": 5 } },
  { fact: "dataset", at, id: "set-1" },
  { fact: "counted", subject, at, position, uuid: "u-1" },
  { fact: "joined", subject, at, position, other: `p-${subject}` },
  { fact: "joined", subject, at, position, other: `p-${subject}`, eventAt: at - 1 },
  {
    fact: "merge_asked",
    ...{ subject, at, position, other: subject, how: "identify", askedAt: at - 1, person: `p-${subject}` },
  },
  { fact: "addressed", subject, at, position, mailbox: subject },
  { fact: "opted_out", subject, at, position, mailbox: null },
  { fact: "suppressed", at, mailbox: subject },
  { fact: "erased", at, position, subjects: [subject] },
  { fact: "earned", subject, at, position, uses: 5, dueAt: at + 120_000 },
  { fact: "claimed", ...attempt, by, mailbox: subject, messageId: "<1@x>" },
  { fact: "accepted", ...attempt, by, words: "250" },
  { fact: "deferred", ...attempt, by: null, words: "450", nextAttemptAt: at + 5_000 },
  { fact: "deferred", ...attempt, by, words: "450", nextAttemptAt: null },
  { fact: "refused", ...attempt, by: null, words: "550" },
  { fact: "unknown", ...attempt, by, words: "cut" },
  { fact: "closed", ...attempt, reason: "opted_out", mailbox: null },
  { fact: "reopened", subject, at, offer: 17, after: 2, reason: "asked for" },
  { fact: "secret", at, fingerprint: "00ff", topicId: subject },
];

const text = (fact: Fact) => new TextDecoder().decode(encodeFact(fact).value);

describe("a fact on the wire", () => {
  it.each(FACTS.map((fact) => [fact.fact, fact] as const))("comes back as it went: %s", (_, fact) => {
    expect(decodeFact(text(fact))).toEqual({ ok: true, fact });
  });

  it("is JSON with ISO times and partition:offset, keyed by its subject", () => {
    const record = encodeFact(FACTS[2]!);
    expect(text(FACTS[2]!)).toBe(
      `{"fact":"counted","subject":"${subject}","at":"2026-01-01T12:30:00.000Z","position":"3:42","uuid":"u-1"}`,
    );
    expect(new TextDecoder().decode(record.key)).toBe(subject);
    expect(record).toMatchObject({ timestamp: at, partition: 0 });
  });

  it("tells what is no fact from what a newer version made", () => {
    expect(decodeFact("{")).toMatchObject({ ok: false, is: "no_fact" });
    expect(decodeFact(`{"some":"thing"}`)).toMatchObject({ ok: false, is: "no_fact" });
    expect(decodeFact(`{"fact":"counted","subject":"x"}`)).toMatchObject({ ok: false, is: "no_fact" });
    expect(decodeFact(`{"fact":"gifted","subject":"${subject}"}`)).toMatchObject({ ok: false, is: "newer" });
  });
});

describe("isNewer()", () => {
  it("goes by time, then by position", () => {
    const one = { at, position };
    expect(isNewer({ at: at + 1, position: { partition: 0, offset: 0 } }, one)).toBe(true);
    expect(isNewer({ at, position: { partition: 3, offset: 43 } }, one)).toBe(true);
    expect(isNewer({ at, position: { partition: 2, offset: 99 } }, one)).toBe(false);
    expect(isNewer(one, one)).toBe(false);
  });
});
