import type { DatabaseSync } from "node:sqlite";
import { isNewer } from "../../facts/encode.ts";
import type { Offer } from "../core/offer.ts";
import { type AddressRow, type OfferRows, readAddressRow } from "./rows.ts";
import { prepareWrite } from "./statements.ts";

/**
 * Where an offer's mail may go. Whoever learns of an offer that somebody earned must not be able to have it sent to
 * themselves: an address counts for it that was received no later than the record which earned it, or was proven, of an
 * id that was joined to those whose uses earned it by joins of which the same is true. Received times decide, not the
 * order of facts: what lay in the topic in time counts also where its partition was read late.
 *
 * `earning` holds for each offer where these ids begin and until when things came in time, `party` the ids, and
 * `destination` the newest address of them, and the newest proven one. The last two only grow, one look per row that
 * comes, until an erasure has them made anew.
 */
export type Destinations = {
  /** An offer was earned, of which no row speaks yet. */
  earned(offer: Offer, person: number): void;
  /** An erasure took rows, or a join holds no more: from nothing. */
  deriveAgain(offer: Offer, person: number): void;
  /** A join landed in the table `joined`. */
  joined(
    join: { readonly a: string; readonly b: string; readonly at: number; readonly proven: boolean },
  ): void;
  /** An address landed in its table. */
  addressed(row: AddressRow): void;
  /** True where both are among the ids whose addresses count for it. */
  hasBoth(offer: number, subjects: { readonly a: string; readonly b: string }): boolean;
  remove(offer: number): void;
};

/** Prepares its statements on the writer's connection. */
export function createDestinations(
  db: DatabaseSync,
  { rows, idOf }: { readonly rows: OfferRows; readonly idOf: (subject: string) => number },
): Destinations {
  const sql = {
    offersOf: db.prepare(
      "select p.offer, e.until from party p join earning e on e.offer = p.offer where p.subject = ?",
    ),
    putEarning: prepareWrite(db, "insert or replace into earning values (?, ?, ?)"),
    removeEarning: prepareWrite(db, "delete from earning where offer = ?"),
    users: db.prepare(
      `select s.subject from use u join subject s on s.id = u.subject where u.person = ?
       order by u.partition, u.offset`,
    ),
    uuids: db.prepare("select uuid from use where subject = ?"),
    lastJoined: db.prepare(
      "select max(at) as at from subject s join joined j on j.a = s.subject where s.person = ? and j.holds = 1",
    ),
    isParty: db.prepare("select 1 from party where offer = ? and subject = ?"),
    putParty: db.prepare("insert or ignore into party values (?, ?)"),
    removeParty: prepareWrite(db, "delete from party where offer = ?"),
    neighbours: db.prepare(
      `select b as subject from joined where a = ?1 and holds = 1 and (at <= ?2 or proven = 1)
       union all select a from joined where b = ?1 and holds = 1 and (at <= ?2 or proven = 1)`,
    ),
    addresses: db.prepare("select * from address where subject = ? and (first_at <= ? or proven = 1)"),
    put: prepareWrite(db, "insert or replace into destination values (?, ?, ?, ?, ?, ?)"),
    remove: prepareWrite(db, "delete from destination where offer = ?"),
  };

  const offersOf = (subject: number) => sql.offersOf.all(subject) as { offer: number; until: number }[];

  const improve = (offer: number, row: AddressRow) => {
    for (const proven of row.proven ? [false, true] : [false]) {
      const known = rows.destinationOf(offer, { proven });
      if (known !== null && !isNewer(row, known)) continue;
      const { partition, offset } = row.position;
      sql.put.run(offer, proven ? 1 : 0, row.at, partition, offset, row.mailbox);
    }
  };

  /** Tells each id that is joined to this one in time, itself first and none twice, until it is told no. */
  const walk = (from: string, until: number, each: (subject: string) => boolean) => {
    const found = new Set([from]);
    for (const subject of found) {
      if (!each(subject)) continue;
      for (const row of sql.neighbours.all(subject, until)) found.add((row as { subject: string }).subject);
    }
  };

  /** False where it was one already. */
  const putParty = (offer: number, until: number, subject: string): boolean => {
    const id = idOf(subject);
    if (sql.putParty.run(offer, id).changes === 0) return false;
    for (const row of sql.addresses.all(id, until)) improve(offer, readAddressRow(row));
    return true;
  };

  const grow = (offer: number, { until, from }: { until: number; from: string }) =>
    walk(from, until, (subject) => putParty(offer, until, subject));

  /**
   * Whose uses earned it. That need not be who sent the record: of two ids that one join, received later, makes one
   * person, the record of either may be the one behind which all of this was seen. `party`: who was found on the way, where
   * these are all.
   */
  const earningOf = ({ subject, earnedAt, uses }: Offer, person: number) => {
    const seen = new Set<string>();
    function* roots() {
      yield subject;
      for (const row of sql.users.all(person)) yield (row as { subject: string }).subject;
    }
    for (const root of roots()) {
      const uuids = new Set<string>();
      const party: string[] = [];
      walk(root, earnedAt, (one) => {
        if (seen.has(one)) return false;
        seen.add(one);
        party.push(one);
        for (const row of sql.uuids.all(idOf(one))) uuids.add((row as { uuid: string }).uuid);
        return true;
      });
      if (uuids.size >= uses) return { root, until: earnedAt, party };
    }
    // The join that completed the uses came later than the record behind which it was seen.
    const { at } = sql.lastJoined.get(person) as { at: number | null };
    return { root: subject, until: Math.max(earnedAt, at ?? earnedAt), party: null };
  };

  const remove = (offer: number) => {
    sql.removeEarning.run(offer);
    sql.removeParty.run(offer);
    sql.remove.run(offer);
  };

  const earned = (offer: Offer, person: number) => {
    const { root, until, party } = earningOf(offer, person);
    sql.putEarning.run(offer.id, root, until);
    if (party === null) grow(offer.id, { until, from: root });
    else for (const subject of party) putParty(offer.id, until, subject);
  };

  return {
    earned,
    deriveAgain(offer, person) {
      remove(offer.id);
      earned(offer, person);
    },
    joined({ a, b, at, proven }) {
      for (const [known, other] of [[a, b], [b, a]] as const) {
        for (const { offer, until } of offersOf(idOf(known))) {
          if (!proven && at > until || sql.isParty.get(offer, idOf(other)) !== undefined) continue;
          grow(offer, { until, from: other });
        }
      }
    },
    addressed(row) {
      for (const { offer, until } of offersOf(row.subject)) {
        if (row.proven || row.firstAt <= until) improve(offer, row);
      }
    },
    hasBoth: (offer, { a, b }) => [a, b].every((one) => sql.isParty.get(offer, idOf(one)) !== undefined),
    remove,
  };
}
