import { AsyncLocalStorage } from "node:async_hooks";
import { createRequire } from "node:module";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { answerInWords } from "./broker_words.ts";

/** What kafkajs 2.2.4 gets wrong and cannot be told from outside: repaired in its own objects, once per process. */
export function repairClient(): void {
  if (isRepaired) return;
  isRepaired = true;
  silenceIdleTimers();
  commitOnlyWhatIsAssigned();
  answerInWords();
}

let isRepaired = false;

/**
 * kafkajs 2.2.4 sets a timer of minus fifty years whenever nothing is pending, which fires at once and sets itself
 * again: 5 % of a processor per connection that does nothing (tulios/kafkajs 1751). Nothing pending needs no timer.
 */
function silenceIdleTimers(): void {
  const RequestQueue = inside("network/requestQueue") as {
    prototype: { scheduleCheckPendingRequests(this: { pending: unknown[]; throttledUntil: number }): void };
  };
  const original = RequestQueue.prototype.scheduleCheckPendingRequests;
  RequestQueue.prototype.scheduleCheckPendingRequests = function () {
    if (this.pending.length === 0 && this.throttledUntil <= Date.now()) return;
    original.call(this);
  };
}

type PartitionOffset = { readonly partition: number; readonly offset: unknown };
type TopicOffsets = { readonly topic: string; readonly partitions: readonly PartitionOffset[] };
type ClientGroup = {
  offsetManager: {
    readonly memberAssignment: Readonly<Record<string, readonly number[]>>;
    commitOffsets(offsets: { topics: readonly TopicOffsets[] }): Promise<void>;
  };
};

/**
 * A commit that failed is tried again by the client, after a rebalance under its new membership, for which the broker
 * takes any partition (tulios/kafkajs 1046): it would take the offset of a partition's new owner back. So what is
 * committed is looked at again in the moment in which the membership is chosen.
 */
function commitOnlyWhatIsAssigned(): void {
  const ConsumerGroup = inside("consumer/consumerGroup") as {
    prototype: {
      commitOffsets(this: ClientGroup, offsets: { topics: readonly TopicOffsets[] }): Promise<void>;
    };
  };
  ConsumerGroup.prototype.commitOffsets = async function ({ topics }) {
    const { offsetManager } = this;
    const ours = topics.map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.filter(({ partition }) =>
        offsetManager.memberAssignment[topic]?.includes(partition)
      ),
    })).filter(({ partitions }) => partitions.length > 0);
    if (ours.length > 0) await offsetManager.commitOffsets({ topics: ours });
  };
}

function inside(path: string): unknown {
  return createRequire(import.meta.url)(`kafkajs/src/${path}`);
}

type Budget = { bytesLeft: number };
const budgets = new AsyncLocalStorage<Budget>();

/**
 * Runs a fetch that ends, per partition, with the batch by which its records have unpacked to `bytes` in all: the broker
 * bounds an answer by what it weighs packed, and a megabyte of one letter packs into a hundred bytes. What is left out
 * comes with a later fetch, as does a batch whose end was cut off.
 */
export function unpackingAtMost<T>(bytes: number, run: () => Promise<T>): Promise<T> {
  return budgets.run({ bytesLeft: bytes }, run);
}

/** The client has no zstd of its own. */
export const zstd = {
  compress: (encoder: { buffer: Uint8Array }) => Promise.resolve(zstdCompressSync(encoder.buffer)),
  decompress: (packed: Uint8Array) => new Promise<Uint8Array>((resolve) => resolve(unpack(packed))),
};

function unpack(packed: Uint8Array): Uint8Array {
  const budget = budgets.getStore();
  // By this name the client knows a batch that is not wholly there; it keeps those before it.
  if (budget && budget.bytesLeft <= 0) {
    throw Object.assign(new Error("the rest comes with a later fetch"), {
      name: "KafkaJSPartialMessageError",
    });
  }
  const bytes = zstdDecompressSync(packed);
  if (budget) budget.bytesLeft -= bytes.length;
  return bytes;
}
