import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import type { PartitionBounds, TopicLog } from "../../topic/topic.ts";
import { isMarked } from "./core/record_mark.ts";
import { DatasetStateError } from "./core/state_error.ts";
import type { RecordMark } from "./core/record_mark.ts";
import type { DatasetTree, PartitionManifest } from "./store.ts";

/** Is the topic still the one that this dataset was made from? Nothing is written before that is known. */

const WHAT_TO_DO =
  "Put the log back from a backup; or keep this dataset as it is and begin a new one: remove the link " +
  "DATASET_DIR, then `deno task replay --take-over`.";
/** Dead letters and facts name offsets: under the same names those of another log would hide this one's records. */
export const BEGIN_ANEW =
  "Put the log back from a backup; or begin anew beside it, with another DATA_DIR and on Kafka another " +
  "KAFKA_TOPIC_PREFIX too, since the dead letters and facts of before name offsets that are other records now.";

/** Stops where the log has lost what the dataset lacks, or ends before the dataset does. */
export function refuseOtherLog(
  { nextOffset }: PartitionManifest,
  { partition, startOffset, endOffset }: PartitionBounds,
): void {
  const message =
    `Cannot go on with partition ${partition}: the dataset's next offset is ${nextOffset} and the log`;
  if (startOffset > nextOffset) {
    const gone = startOffset - nextOffset;
    throw new DatasetStateError(
      "dataset_gap",
      `${message} begins at ${startOffset}, so that ${gone} offsets are gone unread. ${WHAT_TO_DO}`,
    );
  }
  if (endOffset < nextOffset) {
    throw new DatasetStateError(
      "dataset_gap",
      `${message} ends at ${endOffset}. It is not the log that this dataset was made from, or it has lost its end. ` +
        BEGIN_ANEW,
    );
  }
}

/** Stops where the log gives the topic another id than it had; answers it, null where the log tells none. */
export async function refuseOtherTopic(
  tree: Pick<DatasetTree, "topicId">,
  log: TopicLog,
): Promise<string | null> {
  const now = await log.topicId?.(WEBHOOKS_TOPIC) ?? null;
  const before = tree.topicId();
  if (now === null || before === null || now === before) return now;
  throw new DatasetStateError(
    "dataset_other_topic",
    `Cannot go on with topic "${WEBHOOKS_TOPIC}": its id is ${now}, and this dataset was made from the one with id ` +
      `${before}; it has been deleted and made again, so that its offsets speak of other records. ${BEGIN_ANEW} ` +
      `Where the same records were put back at the same offsets, remove _manifest/topic.json in it: then its last ` +
      `records are compared.`,
  );
}

/**
 * Stops where another record lies at the place of the last one of the dataset, as in a topic that was made again and has
 * grown past it. A mark that the log's retention has taken says nothing.
 */
export async function refuseOtherRecords(
  { last }: Pick<PartitionManifest, "last">,
  { log, bounds: { partition, startOffset } }: { readonly log: TopicLog; readonly bounds: PartitionBounds },
): Promise<void> {
  if (!last || last.offset < startOffset || await isThere(last, { log, partition })) return;
  throw new DatasetStateError(
    "dataset_other_topic",
    `Cannot go on with partition ${partition}: at offset ${last.offset} the log holds another record than the one that ` +
      `this dataset was made from; the topic has been deleted and made again, or its log is another one. ${BEGIN_ANEW}`,
  );
}

async function isThere(
  mark: RecordMark,
  { log, partition }: { readonly log: TopicLog; readonly partition: number },
): Promise<boolean> {
  const range = { partition, from: mark.offset, until: mark.offset + 1 };
  const unreadable = () => Promise.resolve("skip" as const);
  for await (const { records } of log.read(WEBHOOKS_TOPIC, { ...range, unreadable })) {
    if (records.some((record) => isMarked(mark, record))) return true;
  }
  return false;
}
