import { describe, expect, it } from "vitest";
import type { ProductEvent } from "./product_event.ts";
import { factsOf, learn, type SubjectKnown } from "./record_facts.ts";

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
  joined: new Set(),
  erasedAt: null,
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
    aliases: [],
    email: null,
    isBackfill: false,
    ...more,
  };
}

type Brought = {
  event?: Partial<ProductEvent>;
  mailbox?: string;
  others?: { subject: string; erasedAt: number | null }[];
};

function kinds({ event: more, mailbox, others = [] }: Brought, known: SubjectKnown): string[] {
  return factsOf({ event: event(more), mailbox: mailbox ?? null, others }, known, policy).map(({ fact }) =>
    fact
  );
}

describe("factsOf()", () => {
  it("brings everything that is not known yet, the join first", () => {
    expect(kinds({ mailbox: box, others: [{ subject: other, erasedAt: null }] }, nothing)).toEqual([
      "joined",
      "counted",
      "addressed",
    ]);
  });

  it("brings nothing a second time", () => {
    const input = { event: event(), mailbox: box, others: [{ subject: other, erasedAt: null }] };
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
    expect(kinds({ mailbox: box, others: [{ subject: other, erasedAt: null }] }, known)).toEqual([
      "joined",
      "addressed",
    ]);
  });

  it("brings nothing of what an erased person did before, but an opt-out, without the address", () => {
    const known = { ...nothing, erasedAt: T };
    expect(kinds({ mailbox: box, others: [{ subject: other, erasedAt: null }] }, known)).toEqual([]);
    const [fact, ...more] = factsOf(
      { event: event({ isOptOut: true }), mailbox: box, others: [] },
      known,
      policy,
    );
    expect([fact, more]).toMatchObject([{ fact: "opted_out", mailbox: null }, []]);
    expect(kinds({ event: { eventAt: T + 1 } }, known)).toEqual(["counted"]);
  });

  it("joins nobody to somebody who was erased later", () => {
    expect(kinds({ others: [{ subject: other, erasedAt: T }] }, nothing)).toEqual(["counted"]);
    expect(kinds({ others: [{ subject: other, erasedAt: T - 1 }] }, nothing)).toEqual(["joined", "counted"]);
  });

  it("suppresses the mailbox that an opt-out names", () => {
    const facts = factsOf(
      { event: event({ isUse: false, isOptOut: true }), mailbox: box, others: [] },
      nothing,
      policy,
    );
    expect(facts).toMatchObject([{ fact: "addressed", mailbox: box }, { fact: "opted_out", mailbox: box }]);
  });
});
