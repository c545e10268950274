import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { DatabaseSync } from "node:sqlite";
import { createGlancer } from "./core/glance.ts";
import { readOfferInput } from "./core/product_event.ts";
import { openViewToWrite } from "./sqlite/schema.ts";
import { createOfferStoreReader } from "./sqlite/reader.ts";
import { createOfferStoreWriter } from "./sqlite/writer.ts";
import { decideChunk, decideEarned, type DecidePorts } from "./chunk_facts.ts";
import { encodeFact } from "../facts/encode.ts";
import type { Fact } from "../facts/facts.ts";
import { hashes, START, uses, webhook } from "./fixtures/run.ts";
import type { OfferStoreWriter } from "./store.ts";
import { createPersonHashes } from "./person_hashes.ts";
import { createSettledPeople } from "./settled_people.ts";
import type { RecordToPublish } from "../../topic/topic.ts";

/** Chunks decided against a real view, which applies what they brought when the test says so. */
const POLICY = { threshold: 5, waitMs: 120_000, eventAgeMsMax: 7 * 86_400_000, provenOnly: false };

let db: DatabaseSync;
let writer: OfferStoreWriter;
let ports: DecidePorts;
let facts = 0;
let offset = 0;
beforeEach(() => {
  db = openViewToWrite(":memory:");
  writer = createOfferStoreWriter(db, { codeOf: () => "CODE" });
  [facts, offset] = [0, 0];
  ports = {
    store: createOfferStoreReader(db),
    settled: createSettledPeople(),
    hashes: createPersonHashes(hashes),
    policy: POLICY,
    proofs: null,
  };
});
afterEach(() => db.close());

const inputs = (records: readonly RecordToPublish[]) =>
  records.map((record) => readOfferInput({ ...record, partition: 0, offset: offset++ }));

function apply(brought: readonly Fact[]): void {
  for (const fact of brought) {
    const text = new TextDecoder().decode(encodeFact(fact).value);
    writer.apply([{ offset: facts, fact, text }], { nextFact: ++facts, last: null });
  }
}

/** Decides, applies, and decides what was earned. */
function pass(records: readonly RecordToPublish[]): readonly Fact[] {
  const chunk = decideChunk(inputs(records), ports);
  apply(chunk.facts);
  const earned = decideEarned(chunk.arming, ports);
  apply(earned);
  return [...chunk.facts, ...earned];
}

describe("a chunk", () => {
  it("is earned by the record that completed the uses, not by one before or behind it", () => {
    const brought = pass([...uses(7, "ada", { email: "ada@example.org" }), webhook("$pageview", "ada")]);
    expect(brought.filter(({ fact }) => fact === "counted")).toHaveLength(5);
    expect(brought.at(-1)).toMatchObject({ fact: "earned", position: { partition: 0, offset: 4 } });
  });

  it("is earned once, also where the counts were there already", () => {
    const records = uses(5, "ada");
    const { facts: counted } = decideChunk(inputs(records), ports);
    apply(counted);
    offset = 0;
    // A crash came between counts and offer: the same records again.
    expect(pass(records).map(({ fact }) => fact)).toEqual(["earned"]);
    offset = 0;
    expect(pass(records)).toEqual([]);
  });

  it("is not earned by old or backfilled events", () => {
    const old = { eventAt: START - POLICY.eventAgeMsMax - 1 };
    expect(pass(uses(5, "ada", old)).map(({ fact }) => fact)).not.toContain("earned");
    expect(pass(uses(1, "ada", { source: "backfill" }))).toEqual([]);
    expect(pass([webhook("$pageview", "ada", old)])).toEqual([]);
    expect(pass([webhook("$pageview", "ada")]).map(({ fact }) => fact)).toEqual(["earned"]);
  });
});

describe("settled people", () => {
  const isSettled = (record: RecordToPublish) => {
    const input = inputs([record])[0]!;
    return input.is === "event" && ports.settled.has(input.event);
  };
  const ada = { email: "ada@example.org", personId: "person-1" };
  const settle = () => {
    pass(uses(5, "ada", ada));
    pass(uses(1, "ada", ada));
  };

  it("are passed over with all that they are known for", () => {
    settle();
    expect(isSettled(uses(1, "ada", ada)[0]!)).toBe(true);
    expect(isSettled(webhook("$pageview", "ada"))).toBe(true);
  });

  it("are looked at where an event could bring something", () => {
    settle();
    expect(isSettled(webhook("$set", "ada", { email: "new@example.org" }))).toBe(false);
    expect(isSettled(webhook("$set", "ada", { personId: "person-2" }))).toBe(false);
    expect(isSettled(webhook("$identify", "ada", { properties: { $anon_distinct_id: "anon" } }))).toBe(false);
    expect(isSettled(webhook("email_unsubscribed", "ada"))).toBe(false);
    expect(isSettled(uses(1, "bob")[0]!)).toBe(false);
  });

  it("are none before the view holds what their events brought", () => {
    const five = uses(5, "ada", ada);
    decideChunk(inputs([...five, ...five]), ports);
    expect(isSettled(five[0]!)).toBe(false);
  });

  it("are told by the view when a fact touches one of their ids", () => {
    settle();
    const before = ports.store.end().nextFact;
    pass([webhook("$set", "phone", { personId: "person-1" })]);
    expect(ports.store.touchedSince(before).persons).toEqual([
      ports.store.personOf(hashes.subject("ada")).id,
    ]);
    ports.settled.drop(ports.store.touchedSince(before));
    expect(isSettled(webhook("$pageview", "ada"))).toBe(false);
  });

  it("are passed over unread once an event that said the same was looked at, until a fact touches them", () => {
    const glanceAt = createGlancer();
    const passes = (record: RecordToPublish) => ports.settled.passes(glanceAt(record.value));
    const readWith = (records: readonly RecordToPublish[]) =>
      inputs(records).map((input, i) => ({ ...input, glance: glanceAt(records[i]!.value) }));
    settle();
    expect(passes(uses(1, "ada", ada)[0]!)).toBe(false);
    const { facts } = decideChunk(readWith([...uses(1, "ada", ada), webhook("$pageview", "ada")]), ports);
    expect(facts).toEqual([]);
    expect([...uses(1, "ada", ada), webhook("$pageview", "ada")].map(passes)).toEqual([true, true]);
    const news = [
      webhook("feature_used", "ada", { ...ada, email: "new@example.org" }),
      webhook("feature_used", "ada", { ...ada, set: "new@example.org" }),
      webhook("feature_used", "ada", { ...ada, personId: "person-2" }),
      webhook("feature_used", "ada", { ...ada, properties: { $set: { unsubscribed: true } } }),
      webhook("email_unsubscribed", "ada", ada),
      ...uses(1, "bob", ada),
    ];
    expect(news.map(passes)).toEqual(news.map(() => false));
    ports.settled.drop({ persons: [], subjects: [hashes.subject("ada")] });
    expect(passes(uses(1, "ada", ada)[0]!)).toBe(false);
  });

  it("without an offer still count their uses", () => {
    pass(uses(2, "ada", ada));
    pass([webhook("$pageview", "ada", ada)]);
    expect(isSettled(webhook("$pageview", "ada", ada))).toBe(true);
    expect(isSettled(uses(1, "ada", ada)[0]!)).toBe(false);
  });

  it("are forgotten when there are too many, the oldest first", () => {
    const few = createSettledPeople(2);
    const events = inputs(["a", "b", "c"].map((who) => webhook("$pageview", who))).flatMap((input) =>
      input.is === "event" ? [input.event] : []
    );
    for (const event of events) few.add(event, { subject: event.distinctId, person: 1, passesUses: true });
    expect(events.map((event) => few.has(event))).toEqual([false, true, true]);
  });
});
