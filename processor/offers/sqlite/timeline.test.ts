import { afterEach, beforeEach, expect, test } from "vitest";
import type { DatabaseSync } from "node:sqlite";
import { encodeFact } from "../../facts/encode.ts";
import type { Fact } from "../../facts/facts.ts";
import type { OfferStoreWriter } from "../store.ts";
import { openViewToWrite } from "./schema.ts";
import { createOfferStoreWriter } from "./writer.ts";

let db: DatabaseSync;
let writer: OfferStoreWriter;
let next = 0;
beforeEach(() => {
  next = 0;
  db = openViewToWrite(":memory:");
  writer = createOfferStoreWriter(db, { codeOf: () => "CODE" });
});
afterEach(() => db.close());

const [ada, bob] = ["a".repeat(32), "b".repeat(32)];
const use = (subject: string, offset: number): Fact => ({
  fact: "counted",
  subject,
  at: 0,
  position: { partition: 0, offset },
  uuid: `use ${offset}`,
});

function apply(facts: readonly Fact[]) {
  const some = facts.map((fact, i) => (
    { offset: next + i, fact, text: new TextDecoder().decode(encodeFact(fact).value) }
  ));
  writer.apply(some, { nextFact: next + facts.length, last: null });
  next += facts.length;
}

const told = () =>
  db.prepare("select fact from timeline order by fact").all().map(({ fact }) => fact as number);

test("a timeline tells every fact of a transaction, however many there are", () => {
  for (const facts of [1, 31, 32, 33, 100]) {
    apply(Array.from({ length: facts }, (_, i) => use(i % 2 === 0 ? ada : bob, next + i)));
    expect(told()).toHaveLength(next);
  }
  expect(told()).toEqual(Array.from({ length: next }, (_, fact) => fact));
});

test("an erasure takes what the same transaction told just before it, and nobody else's", () => {
  apply([
    ...[0, 1, 2].map((offset) => use(ada, offset)),
    use(bob, 3),
    { fact: "erased", at: 0, position: { partition: 0, offset: 4 }, subjects: [ada] },
    use(ada, 5),
  ]);
  expect(told()).toEqual([3, 5]);
  expect(db.prepare("select count(*) as n from use").get()).toEqual({ n: 2 });
});

test("what a transaction told that was rolled back is told by the next one once", () => {
  const broken = { fact: "counted", subject: ada } as unknown as Fact;
  expect(() =>
    writer.apply([use(ada, 0), broken].map((fact, offset) => ({ offset, fact, text: "{}" })), {
      nextFact: 2,
      last: null,
    })
  )
    .toThrow();
  apply([use(ada, 0), use(bob, 1)]);
  expect(told()).toEqual([0, 1]);
  expect(db.prepare("select id, subject from subject order by id").all()).toEqual([
    { id: 1, subject: ada },
    { id: 2, subject: bob },
  ]);
});
