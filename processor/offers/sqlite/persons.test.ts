import { expect, test } from "vitest";
import type { Fact } from "../../facts/facts.ts";
import { encodeFact } from "../../facts/encode.ts";
import { createOfferStoreReader } from "./reader.ts";
import { openViewToWrite } from "./schema.ts";
import { createOfferStoreWriter } from "./writer.ts";

/** Numbers of persons are given again, and one of the erased got the uses of who had been one person with them. */
test.each([["a", "b"], ["b", "a"]])(
  "whoever was one person with the erased keeps their uses, and gives them none: %s is erased",
  (erased, other) => {
    const subject = (letter: string) => letter.repeat(32);
    const db = openViewToWrite(":memory:");
    const writer = createOfferStoreWriter(db, { codeOf: () => "CODE" });
    const at = Date.UTC(2026, 0, 1);
    const position = (partition: number, offset: number) => ({ partition, offset });
    const uuid = (n: number) => `00000000-0000-4000-8000-00000000000${n}`;
    const facts: Fact[] = [
      { fact: "joined", at, position: position(0, 0), subject: subject(erased), other: subject(other) },
      ...[1, 2, 3].map((n): Fact => ({
        ...{ fact: "counted", at, position: position(1, n), subject: subject(other), uuid: uuid(n) },
      })),
      { fact: "erased", at, position: position(0, 1), subjects: [subject(erased)] },
    ];
    for (const [offset, fact] of facts.entries()) {
      const text = new TextDecoder().decode(encodeFact(fact).value);
      writer.apply([{ offset, fact, text }], { nextFact: offset + 1, last: null });
    }
    const store = createOfferStoreReader(db);
    expect([erased, other].map((who) => store.personOf(subject(who)).uses)).toEqual([0, 3]);
    db.close();
  },
);
