import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import { expect, test } from "vitest";
import { encodeFact } from "../../facts/encode.ts";
import type { Fact } from "../../facts/facts.ts";
import { createOfferStoreReader } from "./reader.ts";
import { openViewToWrite } from "./schema.ts";
import { createOfferStoreWriter } from "./writer.ts";

/** A view in memory, and the statements that were run on it since they were last taken. */
function watchedView() {
  const db = openViewToWrite(":memory:");
  const ran: string[] = [];
  const watched = new Proxy(db, {
    get(target, name) {
      if (name !== "prepare") return Reflect.get(target, name).bind?.(target) ?? Reflect.get(target, name);
      return (sql: string) => {
        const statement = target.prepare(sql);
        return {
          get: (...values: SQLInputValue[]) => (ran.push(sql), statement.get(...values)),
          all: (...values: SQLInputValue[]) => (ran.push(sql), statement.all(...values)),
          run: (...values: SQLInputValue[]) => (ran.push(sql), statement.run(...values)),
        };
      };
    },
  }) as DatabaseSync;
  const writer = createOfferStoreWriter(watched, { codeOf: () => "CODE" });
  let next = 0;
  return {
    store: createOfferStoreReader(watched),
    takeRan: () => ran.splice(0),
    apply(facts: readonly Fact[]) {
      const some = facts.map((fact, i) => (
        { offset: next + i, fact, text: new TextDecoder().decode(encodeFact(fact).value) }
      ));
      writer.apply(some, { nextFact: next += facts.length, last: null });
    },
    close: () => db.close(),
  };
}

const subject = "a".repeat(32);
const from = (offset: number) => ({ subject, at: Date.UTC(2026, 0, 1), position: { partition: 0, offset } });
const uuid = (n: number) => `00000000-0000-4000-8000-00000000000${n}`;
const [older, newest] = ["1".repeat(32), "2".repeat(32)];
const uses = [1, 2, 3].map((n): Fact => ({ fact: "counted", ...from(n), uuid: uuid(n) }));

test("what is known of a subject is read in one statement, what lacks its proof in another only where there is some", () => {
  const { store, apply, takeRan, close } = watchedView();
  const known = () => {
    takeRan();
    const { uuids, address, personMailbox, suppressed, isOptedOut, unproven } = store.snapshot(() =>
      store.knownOf(subject)
    );
    const statements = takeRan().filter((sql) => !sql.includes("from erased")).length;
    return [
      ...[statements, uuids.size, address?.mailbox, personMailbox],
      ...[[...suppressed], isOptedOut, [...unproven]],
    ];
  };
  expect(known()).toEqual([1, 0, undefined, null, [], false, []]);
  apply([...uses, { fact: "addressed", ...from(4), mailbox: older }]);
  expect(known()).toEqual([1, 3, older, older, [], false, []]);
  apply([{ fact: "addressed", ...from(6), mailbox: newest }, { fact: "suppressed", at: 0, mailbox: older }]);
  expect(known()).toEqual([1, 3, newest, newest, [], false, []]);
  apply([
    { fact: "opted_out", ...from(7), mailbox: null },
    { fact: "unproven", ...from(8), what: "join" },
  ]);
  expect(known()).toEqual([2, 3, newest, newest, [newest], true, ["join"]]);
  close();
});

test("an offer that was earned looks once at whom each id of its party is joined to, and removes nothing", () => {
  const { apply, takeRan, close } = watchedView();
  const other = `p-${"b".repeat(32)}`;
  apply([{ fact: "joined", ...from(0), other }, ...uses, {
    fact: "addressed",
    ...from(4),
    mailbox: newest,
  }]);
  takeRan();
  apply([{ fact: "earned", ...from(5), uses: 3, dueAt: 0 }]);
  const ran = takeRan();
  expect(ran.filter((sql) => sql.includes("from joined"))).toHaveLength(2);
  expect(ran.filter((sql) => sql.startsWith("delete"))).toEqual([]);
  close();
});
