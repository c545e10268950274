import { describe, expect, it } from "vitest";
import type { ProductEvent } from "./product_event.ts";
import {
  factsOf,
  type HashedEvent,
  learn,
  type MergeAsked,
  type PersonShown,
  type SubjectKnown,
} from "./record_facts.ts";

const subject = "a".repeat(32);
const other = "b".repeat(32);
const [box, box2] = ["c".repeat(32), "d".repeat(32)] as const;
const policy = { threshold: 2 };
const T = 1_000_000;

const nothing: SubjectKnown = {
  subject,
  uuids: new Set(),
  address: null,
  personMailbox: null,
  joined: new Map(),
  erasedAt: null,
  isOptedOut: false,
  suppressed: new Set(),
  unproven: new Set(),
};

function event(more: Partial<ProductEvent> = {}): ProductEvent {
  return {
    id: "u1",
    distinctId: "ada",
    personId: null,
    position: { partition: 0, offset: 5 },
    receivedAt: T,
    eventAt: T,
    isUse: true,
    isOptOut: false,
    merge: null,
    said: [],
    isBackfill: false,
    ...more,
  };
}

type Brought = {
  event?: Partial<ProductEvent>;
  mailbox?: string;
  merge?: MergeAsked;
  person?: PersonShown;
  optOut?: HashedEvent["optOut"];
  isProven?: boolean;
  unproven?: HashedEvent["unproven"];
};

function hashed({ event: more, mailbox, ...brought }: Brought): HashedEvent {
  const nothing = { merge: null, person: null, optOut: null, isProven: false, unproven: [] };
  return { ...nothing, event: event(more), mailbox: mailbox ?? null, ...brought };
}

function kinds(brought: Brought, known: SubjectKnown): string[] {
  return factsOf(hashed(brought), known, policy).map(({ fact }) => fact);
}

const merge: MergeAsked = { subject: other, erasedAt: null, held: null, how: "identify" };
const person: PersonShown = { subject: `p-${other}`, erasedAt: null, held: null, askedSince: null };

describe("factsOf()", () => {
  it("brings everything that is not known yet, the join first", () => {
    expect(kinds({ mailbox: box, merge }, nothing)).toEqual([
      "merge_asked",
      "counted",
      "addressed",
    ]);
  });

  it("brings nothing a second time", () => {
    const input = hashed({ mailbox: box, merge });
    const known = learn(nothing, factsOf(input, nothing, policy));
    expect(factsOf(input, known, policy)).toEqual([]);
  });

  it("keeps at most as many uuids of a subject as earn an offer", () => {
    expect(kinds({ event: { id: "u3" } }, { ...nothing, uuids: new Set(["u1"]) })).toEqual(["counted"]);
    expect(kinds({ event: { id: "u3" } }, { ...nothing, uuids: new Set(["u1", "u2"]) })).toEqual([]);
  });

  it("tells an address again where it is news for the person", () => {
    const address = { at: T - 1, position: { partition: 0, offset: 1 }, mailbox: box };
    const known = { ...nothing, uuids: new Set(["u1"]), address, personMailbox: box };
    expect(kinds({ mailbox: box }, known)).toEqual([]);
    expect(kinds({ mailbox: box2 }, known)).toEqual(["addressed"]);
    expect(kinds({ mailbox: box }, { ...known, personMailbox: box2 })).toEqual(["addressed"]);
    expect(kinds({ mailbox: box2 }, { ...known, address: { ...address, at: T + 1 } })).toEqual([]);
    expect(kinds({ mailbox: box, merge }, known)).toEqual([
      "merge_asked",
      "addressed",
    ]);
  });

  it("brings nothing of what an erased person did before, but an opt-out, without the address", () => {
    const known = { ...nothing, erasedAt: T };
    expect(kinds({ mailbox: box, merge }, known)).toEqual([]);
    const optOut = { mailbox: box, isSuppressed: false };
    const [fact, ...more] = factsOf(hashed({ mailbox: box, optOut }), known, policy);
    expect([fact, more]).toMatchObject([{ fact: "opted_out", mailbox: null }, []]);
    expect(kinds({ event: { eventAt: T + 1 } }, known)).toEqual(["counted"]);
  });

  it("joins nobody to somebody who was erased later", () => {
    expect(kinds({ merge: { ...merge, erasedAt: T } }, nothing)).toEqual(["counted"]);
    expect(kinds({ merge: { ...merge, erasedAt: T - 1 } }, nothing)).toEqual(["merge_asked", "counted"]);
  });

  it("asks for a merge again where that is earlier, cannot be refused, or is proven", () => {
    const isTold = (held: MergeAsked["held"], more: Brought = {}) =>
      kinds({ event: { isUse: false }, merge: { ...merge, held }, ...more }, nothing).length === 1;
    const held = { time: T, isSure: false, isProven: false };
    expect([isTold(held), isTold({ ...held, time: T + 1 })]).toEqual([false, true]);
    expect(isTold(held, { merge: { ...merge, held, how: "dangerous" } })).toBe(true);
    const sure = { ...held, isSure: true };
    expect([isTold(sure), isTold({ ...sure, time: T + 1 })]).toEqual([false, true]);
    expect(isTold(sure, { merge: { ...merge, held: sure, how: "dangerous" } })).toBe(false);
    expect([false, true].map((isProven) => isTold({ ...held, isProven }, { isProven: true }))).toEqual([
      true,
      false,
    ]);
  });

  it("shows a person.id once, and again where it decides a merge and none has", () => {
    const isTold = (more: Partial<PersonShown>, eventAt = T) =>
      kinds({ event: { isUse: false, eventAt }, person: { ...person, ...more } }, nothing).length === 1;
    const held = { time: T - 100, isSure: true, isProven: false };
    expect([isTold({}), isTold({ held })]).toEqual([true, false]);
    expect(isTold({ held, askedSince: T - 50 })).toBe(true);
    expect(isTold({ held, askedSince: T - 50 }, T - 60)).toBe(false);
    expect(isTold({ held: { ...held, time: T - 40 }, askedSince: T - 50 })).toBe(false);
  });

  it("suppresses the mailbox that an opt-out names", () => {
    const optOut = { mailbox: box, isSuppressed: false };
    const facts = factsOf(hashed({ event: { isUse: false }, mailbox: box, optOut }), nothing, policy);
    expect(facts).toMatchObject([{ fact: "addressed", mailbox: box }, { fact: "opted_out", mailbox: box }]);
  });

  it("tells an opt-out that comes with every event once, and again where a mailbox is new to it", () => {
    const optOut = { mailbox: box, isSuppressed: false };
    const input = hashed({ event: { isUse: false }, mailbox: box, optOut });
    const known = learn(nothing, factsOf(input, nothing, policy));
    expect(factsOf(input, known, policy)).toEqual([]);
    const other = { mailbox: box2, optOut: { mailbox: box2, isSuppressed: false } };
    expect(kinds({ event: { isUse: false, receivedAt: T + 1 }, ...other }, known)).toEqual([
      "addressed",
      "opted_out",
    ]);
  });

  it("tells an address or a join again once it is proven", () => {
    const address = { at: T - 1, position: { partition: 0, offset: 1 }, mailbox: box };
    const known = { ...nothing, uuids: new Set(["u1"]), address, personMailbox: box };
    expect(factsOf(hashed({ mailbox: box, isProven: true }), known, policy)).toMatchObject([
      { fact: "addressed", proven: true },
    ]);
    const proven = { ...known, address: { ...address, proven: true as const } };
    expect(kinds({ mailbox: box, isProven: true }, proven)).toEqual([]);
    expect(factsOf(hashed({ merge, isProven: true }), known, policy)).toMatchObject([
      { fact: "merge_asked", proven: true },
    ]);
  });

  it("tells once per subject and kind that something came without its proof", () => {
    const input = hashed({ event: { isUse: false }, unproven: ["address", "join"] });
    const facts = factsOf(input, nothing, policy);
    expect(facts).toMatchObject([{ fact: "unproven", what: "address" }, { fact: "unproven", what: "join" }]);
    expect(factsOf(input, learn(nothing, facts), policy)).toEqual([]);
    expect(kinds({ event: { isUse: false }, unproven: ["opt_out"] }, learn(nothing, facts))).toEqual([
      "unproven",
    ]);
  });
});
