import { DISCOUNT_OFFERS_GROUP, FACTS_TOPIC, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import type { PartitionBounds, TopicLog } from "../../topic/topic.ts";
import { factsEnd } from "../facts/topic.ts";
import type { OfferStoreReader } from "./store.ts";

/**
 * What must have become facts that this process's view knows before a mail may go: everything that lay in the raw topic
 * when it was due. So an opt-out, an erasure or a newer address of that time is never overlooked.
 */
export type Barrier = {
  /** Offers due by then may go once it is passed. */
  readonly asOf: number;
  /** Null once passed, else what it waits for. */
  check(): Promise<string | null>;
};

/**
 * Notes where the raw topic ends now; the barrier is passed once discount-offers has committed up to there and the
 * view has applied all facts of that time. Once passed it stays so. Rejects while the log cannot be read.
 */
export async function raiseBarrier(
  log: TopicLog,
  { store, asOf }: { readonly store: Pick<OfferStoreReader, "end" | "notCaughtUp">; readonly asOf: number },
): Promise<Barrier> {
  const ends = await log.bounds(WEBHOOKS_TOPIC);
  let facts: number | null = null;
  return {
    asOf,
    async check() {
      if (facts === null) {
        // After a loss of the facts the committed offsets are older than what must be read again.
        const [again] = store.notCaughtUp();
        if (again) return `partition ${again[0]} of ${WEBHOOKS_TOPIC} is read again up to offset ${again[1]}`;
        const committed = await log.committed(WEBHOOKS_TOPIC, DISCOUNT_OFFERS_GROUP);
        const behind = ends.find((bounds) => isBehind(bounds, committed[bounds.partition] ?? null));
        if (behind) {
          return `${DISCOUNT_OFFERS_GROUP} has not handled partition ${behind.partition} of ${WEBHOOKS_TOPIC} up to ` +
            `offset ${behind.endOffset}`;
        }
        facts = await factsEnd(log);
      }
      return store.end().nextFact >= facts
        ? null
        : `the offer view has not applied ${FACTS_TOPIC} up to ${facts}`;
    },
  };
}

function isBehind({ startOffset, endOffset }: PartitionBounds, committed: number | null): boolean {
  return startOffset < endOffset && (committed ?? 0) < endOffset;
}
