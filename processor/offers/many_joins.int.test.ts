import { afterEach, expect, it } from "vitest";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { encodeFact } from "../facts/encode.ts";
import type { Fact } from "../facts/facts.ts";
import type { RecordToPublish } from "../../topic/topic.ts";
import { decideChunk, decideEarned, type DecidePorts } from "./chunk_facts.ts";
import { readOfferInput } from "./core/product_event.ts";
import { hashes, START, uses, webhook } from "./fixtures/run.ts";
import { createPersonHashes } from "./person_hashes.ts";
import { createSettledPeople } from "./settled_people.ts";
import { createOfferStoreReader } from "./sqlite/reader.ts";
import { openViewToWrite } from "./sqlite/schema.ts";
import { createOfferStoreWriter } from "./sqlite/writer.ts";

/**
 * Anybody can join ids to a person: PostHog's project key is public. Once every join looked at all ids of its person, so
 * that 2,000 more of them took 7 s, and the next 2,000 took 34 s. Counted here, since a time depends on the machine: the
 * statements that deciding and applying run, the rows they answer and the rows they change.
 */
const JOINS = 600;

const open: DatabaseSync[] = [];
afterEach(() => open.splice(0).forEach((db) => db.close()));

/** The offers over a view in memory, one record after the other, and how much work they were so far. */
function counted() {
  const db = openViewToWrite(":memory:");
  open.push(db);
  let work = 0;
  const watched = new Proxy(db, {
    get(target, name) {
      if (name !== "prepare") {
        const value = Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      }
      return (sql: string) => {
        const statement = target.prepare(sql);
        return {
          get: (...values: SQLInputValue[]) => (work++, statement.get(...values)),
          all(...values: SQLInputValue[]) {
            const rows = statement.all(...values);
            work += 1 + rows.length;
            return rows;
          },
          run(...values: SQLInputValue[]) {
            const result = statement.run(...values);
            work += 1 + Number(result.changes);
            return result;
          },
        };
      };
    },
  });
  const writer = createOfferStoreWriter(watched, { codeOf: () => "CODE" });
  const policy = { threshold: 5, waitMs: 120_000, eventAgeMsMax: 7 * 86_400_000, provenOnly: false };
  const ports: DecidePorts = {
    store: createOfferStoreReader(watched),
    settled: createSettledPeople(),
    hashes: createPersonHashes(hashes),
    proofs: null,
    policy,
  };
  let [facts, offset] = [0, 0];
  const apply = (brought: readonly Fact[]) => {
    const before = facts;
    for (const fact of brought) {
      const text = new TextDecoder().decode(encodeFact(fact).value);
      writer.apply([{ offset: facts, fact, text }], { nextFact: ++facts, last: null });
    }
    ports.settled.drop(ports.store.touchedSince(before));
  };
  return {
    store: ports.store,
    workOf(records: readonly RecordToPublish[]): number {
      const before = work;
      for (const record of records) {
        const chunk = decideChunk([readOfferInput({ ...record, partition: 0, offset: offset++ })], ports);
        apply(chunk.facts);
        apply(decideEarned(chunk.arming, ports));
      }
      return work - before;
    },
  };
}

const numbers = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);
const email = "ada@example.org";

const KINDS: Record<string, (number: number) => RecordToPublish> = {
  "by $create_alias": (n) => webhook("$create_alias", "ada", { properties: { alias: `alias-${n}` } }),
  "by $identify of other ids": (n) =>
    webhook("$identify", `id-${n}`, { email, properties: { $anon_distinct_id: "ada" } }),
  "by the same person.id, with a use each": (n) =>
    webhook("feature_used", `id-${n}`, { email, personId: "person-1" }),
  "by the same person.id, with an opt-out each": (n) =>
    webhook("email_unsubscribed", `id-${n}`, { email, personId: "person-1" }),
};

it.each(Object.entries(KINDS))("a join costs the same however many came before it: %s", (_, join) => {
  const { workOf, store } = counted();
  workOf(uses(5, "ada", { email, personId: "person-1" }));
  workOf(numbers(0, 50).map(join));
  const first = workOf(numbers(50, JOINS).map(join));
  const later = workOf(numbers(50 + JOINS, JOINS).map(join));
  expect(later).toBeLessThan(first * 1.05);
  expect(store.personOf(hashes.subject("ada")).hasOffer).toBe(true);
});

/** What is joined first and turns out to be refused: the other id was identified before, told late, or shows another person.id. */
const REFUSALS: Record<string, (number: number) => RecordToPublish[]> = {
  "by an earlier request that comes late": (n) => [
    webhook("$create_alias", "ada", { properties: { alias: `id-${n}` }, receivedAt: START + 2_000 }),
    webhook("$identify", `id-${n}`, {
      properties: { $anon_distinct_id: `anon-${n}` },
      receivedAt: START + 1_000,
    }),
  ],
  "by the person.id that it shows later": (n) => [
    webhook("$create_alias", "ada", {
      properties: { alias: `id-${n}` },
      personId: "person-1",
      receivedAt: START + 2_000,
    }),
    webhook("$set", `id-${n}`, {
      email: `${n}@example.org`,
      personId: `person-of-${n}`,
      receivedAt: START + 3_000,
    }),
  ],
};

it.each(Object.entries(REFUSALS))(
  "a refused join costs the same however many ids its person has: %s",
  (_, refusal) => {
    const { workOf, store } = counted();
    workOf(uses(5, "ada", { email, personId: "person-1" }));
    const more = (n: number) => webhook("$set", `more-${n}`, { personId: "person-1" });
    workOf(numbers(0, 50).map(more));
    workOf(numbers(0, 50).flatMap(refusal));
    const first = workOf(numbers(50, 100).flatMap(refusal));
    workOf(numbers(50, JOINS).map(more));
    const later = workOf(numbers(150, 100).flatMap(refusal));
    expect(later).toBeLessThan(first * 1.05);
    const persons = ["ada", "id-0", "id-200", "more-7"].map((id) => store.personOf(hashes.subject(id)).id);
    expect(new Set(persons).size).toBe(3);
    expect(persons[0]).toBe(persons[3]);
  },
);

it("joining persons of many ids to each other costs no more than the logarithm of their ids", () => {
  const { workOf, store } = counted();
  const ids = 512;
  // Each level of joins comes later than the offers that the one below has earned.
  const pairs = (step: number) =>
    numbers(0, ids / step / 2).map((n) => n * step * 2).map((n) =>
      webhook("$merge_dangerously", `id-${n}`, {
        properties: { alias: `id-${n + step}` },
        receivedAt: START + step,
      })
    );
  let work = workOf(numbers(0, ids).flatMap((n) => uses(1, `id-${n}`)));
  for (let step = 1; step < ids; step *= 2) work += workOf(pairs(step));
  expect(store.personOf(hashes.subject("id-0")).uses).toBe(ids);
  expect(work).toBeLessThan(ids * 60 + ids * Math.log2(ids) * 6);
});
