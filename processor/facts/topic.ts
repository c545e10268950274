import { hash } from "node:crypto";
import { FACTS_TOPIC, RECORD_BYTES_MAX } from "../../contract/names.ts";
import type { TopicLog, TopicSpec } from "../../topic/topic.ts";
import { encodeFact, type Fact } from "./facts.ts";
import type { ViewEnd } from "../offers/store.ts";

/** The offers' memory as a topic: one partition, kept for ever. */
export const FACTS_TOPIC_SPEC: TopicSpec = {
  name: FACTS_TOPIC,
  partitions: 1,
  retentionMs: null,
  retentionBytes: null,
  recordBytesMax: RECORD_BYTES_MAX,
};

/** The view on disk was made from other facts than those of the log; nobody may send by it. */
export class ViewMismatchError extends Error {
  override name = "ViewMismatchError";
  readonly code = "view_mismatch";
}

/** Publishes facts in their order and answers the offset after the last of them. A rejection may leave any part published. */
export async function publishFacts(log: TopicLog, facts: readonly Fact[]): Promise<number> {
  const positions = await log.publish(FACTS_TOPIC, facts.map(encodeFact));
  return positions.at(-1)!.offset + 1;
}

/** The offset after the last fact. */
export async function factsEnd(log: TopicLog): Promise<number> {
  const [bounds] = await log.bounds(FACTS_TOPIC);
  return bounds?.endOffset ?? 0;
}

/** What tells one fact's record from another's. */
export function factHash(value: Uint8Array): string {
  return hash("sha256", value, "buffer").toString("hex", 0, 16);
}

/**
 * Throws {@link ViewMismatchError} where the view lies ahead of the facts, or the last fact that it applied is another
 * one there: a log was deleted, replaced or put back from a backup.
 */
export async function checkView(log: TopicLog, { nextFact, last }: ViewEnd): Promise<void> {
  const [bounds] = await log.bounds(FACTS_TOPIC);
  const { startOffset, endOffset } = bounds ?? { startOffset: 0, endOffset: 0 };
  if (startOffset > 0 && nextFact < startOffset) {
    throw new ViewMismatchError(
      `Cannot build the offer view: ${FACTS_TOPIC} begins at offset ${startOffset}, what lay before is gone. ` +
        `It must be kept for ever (retention.ms=-1, retention.bytes=-1): put the topic back from a backup.`,
    );
  }
  if (last === null) return;
  if (nextFact <= endOffset && await hashAt(log, last.offset) === last.hash) return;
  throw new ViewMismatchError(
    `Cannot use the offer view: it was made from other facts (up to offset ${last.offset}) than ${FACTS_TOPIC} holds ` +
      `(up to ${
        endOffset - 1
      }). If the log was put back from a backup, mails sent since then are not in it: see ` +
      `docs/guarantees.md. Put the newer log back, or delete offers.db in DATA_DIR to go on from the log as it is.`,
  );
}

async function hashAt(log: TopicLog, offset: number): Promise<string | null> {
  for await (const batch of log.read(FACTS_TOPIC, { partition: 0, from: offset, until: offset + 1 })) {
    for (const record of batch.records) if (record.offset === offset) return factHash(record.value);
  }
  return null;
}
