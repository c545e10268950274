import { FACTS_TOPIC } from "../../contract/names.ts";
import type { TopicLog } from "../../topic/topic.ts";
import { factHash } from "../facts/topic.ts";
import type { ViewEnd } from "./store.ts";

/** The view on disk was made from other facts than those of the log; nobody may send by it. */
export class ViewMismatchError extends Error {
  override name = "ViewMismatchError";
  readonly code = "view_mismatch";
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
