import {
  DEAD_LETTER_TOPIC,
  RECORD_BYTES_MAX,
  WEBHOOKS_PARTITIONS,
  WEBHOOKS_TOPIC,
} from "../contract/names.ts";
import type { TopicSpec } from "./topic.ts";

/** The topics that hold webhooks as they came, as every service makes them at its start. */

/** Kept for ever, unless an operator sets a retention: then a dataset can be rebuilt only from what is left. */
export const WEBHOOKS_TOPIC_SPEC: TopicSpec = {
  name: WEBHOOKS_TOPIC,
  partitions: WEBHOOKS_PARTITIONS,
  retentionMs: null,
  retentionBytes: null,
  retentionMayBeSet: true,
  recordBytesMax: RECORD_BYTES_MAX,
};

/** Kept for ever. */
export const DEAD_LETTER_TOPIC_SPEC: TopicSpec = {
  name: DEAD_LETTER_TOPIC,
  partitions: 1,
  partitionsExact: true,
  retentionMs: null,
  retentionBytes: null,
  recordBytesMax: RECORD_BYTES_MAX,
};
