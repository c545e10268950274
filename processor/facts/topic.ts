import { hash } from "node:crypto";
import { FACTS_TOPIC, RECORD_BYTES_MAX } from "../../contract/names.ts";
import type { TopicLog, TopicSpec } from "../../topic/topic.ts";
import { encodeFact, type Fact } from "./facts.ts";

/** The offers' memory as a topic: one partition, kept for ever. */
export const FACTS_TOPIC_SPEC: TopicSpec = {
  name: FACTS_TOPIC,
  partitions: 1,
  partitionsExact: true,
  retentionMs: null,
  retentionBytes: null,
  recordBytesMax: RECORD_BYTES_MAX,
};

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
