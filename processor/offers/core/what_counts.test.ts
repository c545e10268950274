import { describe, expect, it } from "vitest";
import { createEmailProofs } from "../../../contract/email_proof.ts";
import type { ProductEvent } from "./product_event.ts";
import { type Counting, whatCounts } from "./what_counts.ts";

const proofs = createEmailProofs("an identity secret for tests");
const strangers = createEmailProofs("what a stranger makes up");
const ADDRESS = "Ada@Example.org";

const base: ProductEvent = {
  id: "u1",
  distinctId: "ada",
  personId: "person-1",
  position: { partition: 0, offset: 5 },
  receivedAt: 1,
  eventAt: 1,
  isUse: true,
  isOptOut: false,
  merge: null,
  said: [],
  isBackfill: false,
};
const says = (proof: string | null, more = {}) => ({ email: ADDRESS, optsOut: false, proof, ...more });
const right = proofs.make("ada", ADDRESS);

function counting(more: Partial<ProductEvent>, by: typeof proofs | null = proofs): Counting {
  return whatCounts({ ...base, ...more }, by);
}

describe("without IDENTITY_SECRET", () => {
  it("everything counts, and nothing is proven", () => {
    const merge = { other: "anon", how: "identify", proof: null } as const;
    const event = { merge, said: [says("whatever", { optsOut: true })] };
    expect(counting(event, null)).toEqual({
      email: ADDRESS,
      isProven: false,
      merge,
      personId: "person-1",
      optOut: ADDRESS,
      unproven: [],
    });
  });

  it("an id that names nobody joins nobody by its person", () => {
    expect(counting({ distinctId: "anonymous" }, null).personId).toBeNull();
    expect(counting({ personId: "null" }, null).personId).toBeNull();
  });

  it("a backfilled event gives no address, and its opt-out counts", () => {
    const said = [says(null, { optsOut: true })];
    expect(counting({ isBackfill: true, said }, null)).toMatchObject({ email: null, optOut: null });
  });
});

describe("with IDENTITY_SECRET", () => {
  it("an address counts with its proof", () => {
    expect(counting({ said: [says(right)] })).toMatchObject({ email: ADDRESS, isProven: true, unproven: [] });
  });

  it.each([
    ["no proof", says(null)],
    ["a stranger's proof", says(strangers.make("ada", ADDRESS))],
    ["somebody else's proof", says(proofs.make("eve", ADDRESS))],
    ["another address's proof", says(proofs.make("ada", "eve@example.org"))],
    ["the same address spelled otherwise", says(right, { email: "ada@example.org" })],
    ["the proof in upper case", says(right.toUpperCase())],
  ])("an address with %s counts for nothing", (_, said) => {
    expect(counting({ said: [said] })).toMatchObject({ email: null, unproven: ["address"] });
  });

  it("a proven address of the person counts beside an unproven one in $set", () => {
    const said = [says(null, { email: "eve@example.org" }), says(right)];
    expect(counting({ said })).toMatchObject({ email: ADDRESS, unproven: [] });
  });

  it("a join counts with the proof of its two ids, the event's own first", () => {
    const join = (proof: string | null) => counting({ merge: { other: "anon", how: "alias", proof } });
    expect(join(proofs.make("ada", "anon"))).toMatchObject({ merge: { other: "anon" }, unproven: [] });
    for (const no of [null, proofs.make("anon", "ada"), strangers.make("ada", "anon"), right]) {
      expect(join(no)).toMatchObject({ merge: null, unproven: ["join"] });
    }
  });

  it("the same person.id joins nobody, and is nothing to be shown", () => {
    expect(counting({})).toMatchObject({ personId: null, unproven: [] });
  });

  it("an opt-out by property counts with the proof beside it", () => {
    expect(counting({ said: [says(right, { optsOut: true })] })).toMatchObject({
      optOut: ADDRESS,
      unproven: [],
    });
    for (const said of [says(null, { optsOut: true }), says(right, { email: null, optsOut: true })]) {
      const { optOut, unproven } = counting({ said: [said] });
      expect([optOut, unproven.includes("opt_out")]).toEqual([undefined, true]);
    }
  });

  it("an event email_unsubscribed needs no proof, but the address that it names does", () => {
    expect(counting({ isOptOut: true, said: [says(right)] }).optOut).toBe(ADDRESS);
    expect(counting({ isOptOut: true, said: [says(null)] })).toMatchObject({
      optOut: null,
      unproven: ["address"],
    });
  });
});
