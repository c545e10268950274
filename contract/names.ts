/** Names of topics and consumer groups, as CONTRACT has them; `KAFKA_TOPIC_PREFIX` goes before each of them in the adapter. */

/** One record = one webhook delivery: PostHog's request body as it came. */
export const WEBHOOKS_TOPIC = "posthog.webhooks";
/** Records set aside with reason, step, source position and original bytes. */
export const DEAD_LETTER_TOPIC = "posthog.webhooks.dead-letter";
/** The offers' memory: one partition, so that facts have one order for everybody. */
export const FACTS_TOPIC = "discount.facts";

/** Which service writes a topic; commands write beside it. */
export function writerOf(topic: string): TopicWriter {
  return topic === WEBHOOKS_TOPIC ? "ingest" : "processor";
}

export type TopicWriter = "ingest" | "processor";

/** Writes training data. */
export const DATASET_WRITER_GROUP = "dataset-writer";
/** Turns records into facts. */
export const DISCOUNT_OFFERS_GROUP = "discount-offers";

/** Partitions of {@link WEBHOOKS_TOPIC} where it is made new. */
export const WEBHOOKS_PARTITIONS = 6;
/** Largest record that either topic of webhooks takes, in bytes: a body of 1 MiB with key and headers fits with room. */
export const RECORD_BYTES_MAX = 2 * 1024 * 1024;
/** Largest webhook body that ingest takes, in bytes. */
export const BODY_BYTES_MAX = 1024 * 1024;
