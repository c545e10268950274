import { FACTS_TOPIC, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { LogSetupError, type TopicLog } from "../../topic/topic.ts";
import { publishFacts } from "../facts/topic.ts";
import type { LoopDependencies } from "../loop/loop.ts";
import { eventAt } from "./send_attempt.ts";
import type { OfferStoreReader } from "./store.ts";

/**
 * Is the raw topic still the one that the facts speak of? Their positions mean other records in a topic that was deleted
 * and made again: an erasure would take what is new, and a committed offset would pass over it.
 */
export type TopicCheckPorts = Pick<LoopDependencies, "log" | "clock" | "hashes"> & {
  readonly store: Pick<OfferStoreReader, "topicId" | "furthestUses">;
};

/**
 * Rejects with {@link LogSetupError} where the topic has another id than the facts say, unless the uses that were counted
 * lie where they lay. `topicId` asks for it. Answers it, null where the log gives none: such a log cannot be told from another.
 */
export async function refuseOtherTopic(
  { log, store }: Pick<TopicCheckPorts, "log" | "store">,
  topicId = async () => await log.topicId?.(WEBHOOKS_TOPIC) ?? null,
): Promise<string | null> {
  const now = await topicId();
  const before = store.topicId();
  if (now === null || before === null || now === before || await holdsTheUses(log, store)) return now;
  throw new LogSetupError(
    `Cannot go on with topic "${WEBHOOKS_TOPIC}": its id is ${now}, and ${FACTS_TOPIC} was made from the one with id ` +
      `${before}; it has been deleted and made again, so that its offsets speak of other records. Put the log back ` +
      `from a backup, or run without offers (PROCESSOR_GROUPS=dataset-writer). An empty DATA_DIR (but for ` +
      `pipeline.secret) and, on Kafka, another KAFKA_TOPIC_PREFIX begin anew and forget who was mailed and who opted ` +
      `out: give their addresses, as far as you have them, to "deno task suppress" first.`,
  );
}

/** Says in a fact which topic they are made from, where none says so yet or the same records have got another id. */
export async function rememberTopic({ log, store, clock, hashes }: TopicCheckPorts): Promise<void> {
  const topicId = await refuseOtherTopic({ log, store });
  if (topicId === null || topicId === store.topicId()) return;
  const { fingerprint } = hashes;
  await publishFacts(log, [{ fact: "secret", at: clock.now(), fingerprint, topicId }]);
}

/** True where the newest use of each partition that the log still reaches lies there, and one does: they were put back. */
async function holdsTheUses(log: TopicLog, store: Pick<OfferStoreReader, "furthestUses">): Promise<boolean> {
  const bounds = await log.bounds(WEBHOOKS_TOPIC);
  let found = false;
  for (const { uuid, ...position } of store.furthestUses()) {
    const { startOffset = 0, endOffset = 0 } = bounds[position.partition] ?? {};
    if (position.offset < startOffset) continue;
    if (position.offset >= endOffset || (await eventAt(position, { log }))?.id !== uuid) return false;
    found = true;
  }
  return found;
}
