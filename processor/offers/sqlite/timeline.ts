import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import type { Position } from "../../facts/facts.ts";
import { prepareWrite } from "./statements.ts";

/** A row: the fact, the subject's number, the offer, where the record lies, the fact as it was published. */
type Note = [
  fact: number,
  subject: number,
  offer: number | null,
  partition: number | null,
  offset: number | null,
  body: string,
];

const COLUMNS = 6;
/** Written by one statement, at a third of what a statement for each row costs. */
const ROWS_AT_ONCE = 32;

/** The table `timeline`, which gains a row by nearly every fact: they wait for each other within their transaction. */
export function createTimeline(db: DatabaseSync) {
  const [one, many] = [1, ROWS_AT_ONCE].map((rows) =>
    prepareWrite(db, `insert into timeline values ${Array(rows).fill("(?, ?, ?, ?, ?, ?)").join(", ")}`)
  ) as [ReturnType<typeof prepareWrite>, ReturnType<typeof prepareWrite>];
  const removeOffer = prepareWrite(db, "delete from timeline where offer = ?");
  const removeBelow = prepareWrite(
    db,
    "delete from timeline where subject = ? and partition = ? and offset < ?",
  );
  const waiting: SQLInputValue[] = [];

  const write = () => {
    for (let row = 0; row < waiting.length; row += COLUMNS) one.run(...waiting.slice(row, row + COLUMNS));
    waiting.length = 0;
  };

  return {
    note(...note: Note): void {
      waiting.push(...note);
      if (waiting.length < ROWS_AT_ONCE * COLUMNS) return;
      many.run(...waiting);
      waiting.length = 0;
    },
    /** Writes what waits: at the end of a transaction. */
    write,
    removeOffer(offer: number): void {
      write();
      removeOffer.run(offer);
    },
    /** Removes what records of this partition below this offset told of the subject. */
    removeBelow(subject: number, { partition, offset }: Position): void {
      write();
      removeBelow.run(subject, partition, offset);
    },
    /** After a transaction that was rolled back. */
    forget(): void {
      waiting.length = 0;
    },
  };
}
