import type { RecordToPublish } from "./topic.ts";

/**
 * Which partition a key goes to, as Kafka's default partitioner has it, so that both logs and every client agree.
 *
 * Source: `org.apache.kafka.common.utils.Utils.murmur2` and `BuiltInPartitioner.partitionForKey`; the vectors in the
 * test are those of Kafka's `UtilsTest`.
 */
export function partitionOf(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions;
}

/**
 * The partition of one record: the one it names, else its key's, else 0.
 *
 * Kafka's own producer spreads records without a key by chance. Ours all lie in partition 0: the same on every log and
 * in every run, and they keep their order.
 */
export function partitionFor(record: RecordToPublish, partitions: number): number {
  return record.partition ?? (record.key === null ? 0 : partitionOf(record.key, partitions));
}

/** 32-bit MurmurHash2 with Kafka's seed, as the signed integer that Java has. */
export function murmur2(bytes: Uint8Array): number {
  const length = bytes.length;
  const whole = length & ~3;
  let h = SEED ^ length;
  for (let i = 0; i < whole; i += 4) {
    const word = bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    const k = Math.imul(word, M);
    h = Math.imul(h, M) ^ Math.imul(k ^ (k >>> 24), M);
  }
  if (length > whole) {
    for (let i = length - 1; i >= whole; i--) h ^= bytes[i]! << (8 * (i - whole));
    h = Math.imul(h, M);
  }
  h = Math.imul(h ^ (h >>> 13), M);
  return h ^ (h >>> 15);
}

const SEED = 0x9747b28c;
const M = 0x5bd1e995;
