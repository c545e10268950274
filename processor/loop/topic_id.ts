import type { Clock } from "../../runtime/clock.ts";
import type { TopicLog } from "../../topic/topic.ts";

/** Between two questions: on Kafka each is a connection of its own. */
const ASKED_MS = 5_000;

/**
 * Answers what asks for a topic's id, null where the log gives none; what it answers is up to 5 s old. Nobody else tells
 * a consumer that goes on at its offset that the topic has been deleted and made again.
 */
export function createTopicIdLook(
  log: Pick<TopicLog, "topicId">,
  { topic, clock }: { readonly topic: string; readonly clock: Clock },
): () => Promise<string | null> {
  let last: { readonly at: number; readonly id: Promise<string | null> } | null = null;
  return async () => {
    if (log.topicId === undefined) return null;
    const at = clock.monotonic();
    if (last === null || at - last.at >= ASKED_MS) last = { at, id: log.topicId(topic) };
    const asked = last;
    try {
      return await asked.id;
    } catch (error) {
      if (last === asked) last = null;
      throw error;
    }
  };
}
