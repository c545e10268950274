import { hash } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";

/**
 * Webhook deliveries that PostHog owes, on disk until one has succeeded or failed for good: stopping the stand-in, or
 * the whole demo, between a click and its webhook loses nothing. A row that was sent right before a crash is sent again.
 */

/** One webhook to send: an event and what its body will be. */
export type Invocation = {
  readonly uuid: string;
  readonly event: string;
  readonly body: Uint8Array;
};

/** A stored one. `webhookId` is the same for all attempts of this delivery, and another for a repeat of the event. */
export type OwedDelivery = {
  readonly id: number;
  readonly webhookId: string;
  readonly uuid: string;
  readonly event: string;
  /** Size of its body. */
  readonly bytes: number;
};

/** Taken by the receiver, failed for good, or dropped on purpose. */
export type DeliveryEnd = "delivered" | "failed" | "dropped";

/** Deliveries that ended, ever. `repeated` are delivered ones whose event had been delivered before. */
export type DeliveryTotals = Readonly<Record<DeliveryEnd | "repeated", number>>;

/** Events whose delivery is remembered, the newest, so that a repeat is known as one: as many as the pipeline looks back. */
const DELIVERED_KEPT = 100_000;

export type DeliveryQueue = {
  add(invocation: Invocation, webhookId: string): OwedDelivery;
  body(id: number): Uint8Array;
  /** Ends a delivery and counts how; both are on disk together. */
  end(id: number, as: DeliveryEnd): void;
  ended(): DeliveryTotals;
  /** Everything owed, oldest first. */
  owed(): OwedDelivery[];
};

/** Opens the queue in `db`; adding takes part in a transaction that the caller has begun. */
export function openDeliveryQueue(db: DatabaseSync): DeliveryQueue {
  db.exec(`
    CREATE TABLE IF NOT EXISTS delivery (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      webhook_id TEXT NOT NULL,
      uuid TEXT NOT NULL,
      event TEXT NOT NULL,
      body BLOB NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS ended (how TEXT PRIMARY KEY, deliveries INTEGER NOT NULL) STRICT;
    INSERT OR IGNORE INTO ended VALUES ('delivered', 0), ('failed', 0), ('dropped', 0), ('repeated', 0);
    CREATE TABLE IF NOT EXISTS event (number INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB UNIQUE NOT NULL) STRICT;
  `);
  const insert = db.prepare("INSERT INTO delivery (webhook_id, uuid, event, body) VALUES (?, ?, ?, ?)");
  const body = db.prepare("SELECT body FROM delivery WHERE id = ?");
  const remove = db.prepare("DELETE FROM delivery WHERE id = ?");
  const addOne = db.prepare("UPDATE ended SET deliveries = deliveries + 1 WHERE how = ?");
  const isNew = db.prepare("INSERT OR IGNORE INTO event (id) VALUES (?)");
  const forget = db.prepare("DELETE FROM event WHERE number <= (SELECT max(number) FROM event) - ?");
  const uuidOf = db.prepare("SELECT uuid FROM delivery WHERE id = ?");
  const ended = db.prepare("SELECT how, deliveries FROM ended");
  const owed = db.prepare(
    "SELECT id, webhook_id AS webhookId, uuid, event, length(body) AS bytes FROM delivery ORDER BY id",
  );
  return {
    add(invocation, webhookId) {
      const { uuid, event } = invocation;
      const { lastInsertRowid } = insert.run(webhookId, uuid, event, invocation.body);
      return { id: Number(lastInsertRowid), webhookId, uuid, event, bytes: invocation.body.length };
    },
    body: (id) => (body.get(id) as { body: Uint8Array }).body,
    end(id, as) {
      db.exec("BEGIN IMMEDIATE");
      const { uuid } = uuidOf.get(id) as { uuid: string } | undefined ?? {};
      // A hash is enough to know an event again, and says nothing of it.
      if (as === "delivered" && uuid !== undefined) {
        const { changes } = isNew.run(hash("sha256", uuid, "buffer").subarray(0, 16));
        if (changes === 0) addOne.run("repeated");
        else forget.run(DELIVERED_KEPT);
      }
      remove.run(id);
      addOne.run(as);
      db.exec("COMMIT");
    },
    ended() {
      const rows = ended.all() as { how: string; deliveries: number }[];
      return Object.fromEntries(rows.map((row) => [row.how, row.deliveries])) as DeliveryTotals;
    },
    owed: () => owed.all() as OwedDelivery[],
  };
}
