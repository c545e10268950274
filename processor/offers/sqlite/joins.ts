import type { DatabaseSync } from "node:sqlite";
import type { FactOf, Position } from "../../facts/facts.ts";
import { type JoinRow, judge, type OtherId, rowOf, update, type Verdict } from "../core/merge.ts";
import { prepareWrite } from "./statements.ts";

/** Two subjects of a row. */
type Ends = { readonly a: string; readonly b: string };

/** What a fact has done to the joins: its own row as it is now, and rows that held before and do not any more. */
export type PutJoin = {
  readonly row: JoinRow;
  readonly holds: boolean;
  /** Its timeline gains by it. */
  readonly isToTell: boolean;
  readonly refused: readonly Ends[];
};

/** The table `joined`: what was said of two subjects, and which of it holds. What of persons follows is the caller's. */
export function createJoins(db: DatabaseSync) {
  const isBefore = "(time, at, partition, offset) < (?4, ?5, ?6, ?7)";
  const sql = {
    row: db.prepare("select * from joined where a = ? and b = ?"),
    put: prepareWrite(db, "insert or replace into joined values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
    setVerdict: prepareWrite(db, "update joined set holds = ?, open = ? where a = ? and b = ?"),
    open: db.prepare("select * from joined where b = ? and open = 1"),
    asked: db.prepare("select * from joined where b = ? and how <> 'person'"),
    isNamedBefore: db.prepare(
      `select 1 where
       exists (select 1 from joined where a = ?2 and how <> 'person' and time <= ?4 and ${isBefore}
         and not (a = ?1 and b = ?3)) or
       exists (select 1 from joined where b = ?2 and how <> 'person' and time <= ?4 and ${isBefore}
         and not (a = ?1 and b = ?3))`,
    ),
    personsSince: db.prepare(
      "select b from joined where a = ? and b >= 'p-' and b < 'p.' and how = 'person' and time > ?",
    ),
    below: db.prepare(
      `select a, b from joined where a = ?1 and partition = ?2 and offset < ?3
       union select a, b from joined where b = ?1 and partition = ?2 and offset < ?3`,
    ),
    remove: prepareWrite(db, "delete from joined where a = ? and b = ?"),
  };

  const otherOf = ({ a, b, time, at, position, arrived }: JoinRow): OtherId => ({
    isNamedBefore:
      sql.isNamedBefore.get(a, b, b, time, at, position.partition, position.offset) !== undefined,
    personsSince: sql.personsSince.all(b, arrived).map((row) => (row as { b: string }).b),
  });

  const verdictOf = (row: JoinRow): Verdict => judge(row, () => otherOf(row));

  const save = (row: JoinRow, verdict: Verdict) => {
    const { a, b, how, time, at, position: { partition, offset }, arrived, person, isProven } = row;
    const [holds, open] = columnsOf(verdict);
    sql.put.run(a, b, how, time, at, partition, offset, arrived, person, isProven ? 1 : 0, holds, open);
  };

  /** Of the joins whose other id this is: those that were open and do not hold any more. */
  const refusedOf = (b: string, besides: Ends): Ends[] => {
    const refused: Ends[] = [];
    for (const row of sql.open.all(b).map(readRow)) {
      if (row.a === besides.a && row.b === besides.b) continue;
      const verdict = verdictOf(row);
      if (verdict !== "open") sql.setVerdict.run(...columnsOf(verdict), row.a, row.b);
      if (verdict === "refused") refused.push(row);
    }
    return refused;
  };

  return {
    /** Null where the fact changes nothing. */
    put(fact: FactOf<"joined" | "merge_asked">): PutJoin | null {
      const brought = rowOf(fact);
      const known = sql.row.get(brought.a, brought.b);
      const held = known === undefined ? null : readRow(known);
      const isHolding = known !== undefined && (known as { holds: number }).holds === 1;
      const row = held === null ? brought : update(held, { row: brought, isHolding });
      if (row === held) return null;
      const verdict = verdictOf(row);
      save(row, verdict);
      const holds = verdict !== "refused";
      const refused: Ends[] = isHolding && !holds ? [row] : [];
      const isToTell = held === null || row.how !== "person";
      // A person.id decides what its subject was named in; a request names two ids.
      for (const end of row.how === "person" ? [row.a] : [row.a, row.b]) refused.push(...refusedOf(end, row));
      return { row, holds, isToTell, refused };
    },
    /** Removes what records of this partition below this offset said of the subject; answers the ends of it all. */
    removeBelow(subject: string, { partition, offset }: Position): readonly string[] {
      const rows = sql.below.all(subject, partition, offset) as Ends[];
      for (const { a, b } of rows) sql.remove.run(a, b);
      return rows.flatMap(({ a, b }) => [a, b]);
    },
    /** After rows were removed: the joins with this other id that hold now and did not, or the other way round. */
    judgeAgain(b: string): readonly Ends[] {
      const changed: Ends[] = [];
      for (const found of sql.asked.all(b)) {
        const row = readRow(found);
        const verdict = verdictOf(row);
        const [holds] = columnsOf(verdict);
        sql.setVerdict.run(...columnsOf(verdict), row.a, row.b);
        if (holds !== (found as { holds: number }).holds) changed.push(row);
      }
      return changed;
    },
  };
}

/** `holds` and `open`. */
function columnsOf(verdict: Verdict): [number, number] {
  return [verdict === "refused" ? 0 : 1, verdict === "open" ? 1 : 0];
}

function readRow(row: unknown): JoinRow {
  const { a, b, how, time, at, partition, offset, arrived, person, proven } = row as
    & Pick<JoinRow, "a" | "b" | "how" | "person">
    & Record<"time" | "at" | "partition" | "offset" | "arrived" | "proven", number>;
  const position = { partition, offset };
  return { a, b, how, time, at, position, arrived, person, isProven: proven === 1 };
}
