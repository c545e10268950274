import { hash } from "node:crypto";
import { FACTS_TOPIC, RECORD_BYTES_MAX } from "../../contract/names.ts";
import type { TopicLog, TopicSpec } from "../../topic/topic.ts";
import { encodeFact } from "./encode.ts";
import type { Fact } from "./facts.ts";

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
export async function publishFacts(log: Pick<TopicLog, "publish">, facts: readonly Fact[]): Promise<number> {
  const positions = await log.publish(FACTS_TOPIC, facts.map(encodeFact));
  return positions.at(-1)!.offset + 1;
}

/** Half of what the embedded log lets wait for its commit before it turns a publish away. */
const FACTS_ON_THEIR_WAY_MAX = 10_000;

/**
 * {@link publishFacts} for chunks of several partitions at once: where all of them together would be more than
 * `factsMax` facts (default 10,000) the later ones wait, so that the log turns none of them away.
 */
export function createFactPublisher(
  log: Pick<TopicLog, "publish">,
  factsMax = FACTS_ON_THEIR_WAY_MAX,
): (facts: readonly Fact[]) => Promise<number> {
  let onTheirWay = 0;
  let last: Promise<unknown> = Promise.resolve();
  return async (facts) => {
    while (onTheirWay > 0 && onTheirWay + facts.length > factsMax) await last.catch(() => {});
    onTheirWay += facts.length;
    const published = publishFacts(log, facts).finally(() => onTheirWay -= facts.length);
    last = published;
    return await published;
  };
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
