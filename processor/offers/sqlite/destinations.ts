import type { DatabaseSync } from "node:sqlite";
import { isNewer } from "../../facts/facts.ts";
import type { Offer } from "../core/offer.ts";
import { type AddressRow, type OfferRows, readAddressRow } from "./rows.ts";

/**
 * Where an offer's mail may go. Whoever learns of an offer that somebody earned must not be able to have it sent to
 * themselves: an address counts for it that was received no later than the record which earned it, or was proven, of an
 * id that was joined to the offer's by joins of which the same is true. Received times decide, not the order of facts:
 * what lay in the topic in time counts also where its partition was read late.
 *
 * `party` holds those ids of each offer, `destination` the newest address of them, and the newest proven one. Both only
 * grow, one look per row that comes, until an erasure has them made anew.
 */
export type Destinations = {
  /** An offer was earned, or an erasure took rows: from nothing. */
  derive(offer: Offer): void;
  /** A join landed in the table `joined`. */
  joined(
    join: { readonly a: string; readonly b: string; readonly at: number; readonly proven: boolean },
  ): void;
  /** An address landed in its table. */
  addressed(row: AddressRow): void;
  remove(offer: number): void;
};

/** Prepares its statements on the writer's connection. */
export function createDestinations(db: DatabaseSync, rows: OfferRows): Destinations {
  const sql = {
    offersOf: db.prepare(
      "select p.offer, o.earned_at as earnedAt from party p join offer o on o.id = p.offer where p.subject = ?",
    ),
    isParty: db.prepare("select 1 from party where offer = ? and subject = ?"),
    putParty: db.prepare("insert or ignore into party values (?, ?)"),
    removeParty: db.prepare("delete from party where offer = ?"),
    neighbours: db.prepare(
      `select b as subject from joined where a = ?1 and (at <= ?2 or proven = 1)
       union select a from joined where b = ?1 and (at <= ?2 or proven = 1)`,
    ),
    addresses: db.prepare("select * from address where subject = ? and (first_at <= ? or proven = 1)"),
    put: db.prepare("insert or replace into destination values (?, ?, ?, ?, ?, ?)"),
    remove: db.prepare("delete from destination where offer = ?"),
  };

  const offersOf = (subject: string) => sql.offersOf.all(subject) as { offer: number; earnedAt: number }[];

  const improve = (offer: number, row: AddressRow) => {
    for (const proven of row.proven ? [false, true] : [false]) {
      const known = rows.destinationOf(offer, { proven });
      if (known !== null && !isNewer(row, known)) continue;
      const { partition, offset } = row.position;
      sql.put.run(offer, proven ? 1 : 0, row.at, partition, offset, row.mailbox);
    }
  };

  const grow = (offer: number, { earnedAt, from }: { earnedAt: number; from: string }) => {
    const left = [from];
    for (let subject = left.pop(); subject !== undefined; subject = left.pop()) {
      if (sql.putParty.run(offer, subject).changes === 0) continue;
      for (const row of sql.addresses.all(subject, earnedAt)) improve(offer, readAddressRow(row));
      for (const row of sql.neighbours.all(subject, earnedAt)) {
        left.push((row as { subject: string }).subject);
      }
    }
  };

  const remove = (offer: number) => {
    sql.removeParty.run(offer);
    sql.remove.run(offer);
  };

  return {
    derive({ id, subject, earnedAt }) {
      remove(id);
      grow(id, { earnedAt, from: subject });
    },
    joined({ a, b, at, proven }) {
      for (const [known, other] of [[a, b], [b, a]] as const) {
        for (const { offer, earnedAt } of offersOf(known)) {
          if (!proven && at > earnedAt || sql.isParty.get(offer, other) !== undefined) continue;
          grow(offer, { earnedAt, from: other });
        }
      }
    },
    addressed(row) {
      for (const { offer, earnedAt } of offersOf(row.subject)) {
        if (row.proven || row.firstAt <= earnedAt) improve(offer, row);
      }
    },
    remove,
  };
}
