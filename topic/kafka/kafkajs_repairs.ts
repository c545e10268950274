import { zstdCompressSync } from "node:zlib";
import { giveBack } from "../../runtime/give_back.ts";
import { inside } from "./client_parts.ts";
import { answerInWords } from "./produce_answer.ts";

/** What kafkajs 2.2.4 gets wrong and cannot be told from outside: repaired in its own objects, once per process. */
export function repairClient(): void {
  if (isRepaired) return;
  isRepaired = true;
  silenceIdleTimers();
  commitOnlyWhatIsAssigned();
  keepWhoHasALeader();
  answerInWords();
  giveChunksBack();
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

type TopicMetadata = {
  readonly topicErrorCode: number;
  readonly partitionMetadata: readonly PartitionMetadata[];
};
type PartitionMetadata = { readonly partitionErrorCode: number; readonly leader: number };
type Metadata = { readonly topicMetadata: readonly TopicMetadata[] };

/**
 * kafkajs throws a whole answer about topics away where one partition of one of them has no leader, and every partition
 * stands with it. Where others have one, of whichever topic, the answer is taken: a leader of −1 says which has none. An
 * answer without any leader is about a topic that was made just now, and is asked for again as before.
 */
function keepWhoHasALeader(): void {
  const response = inside("protocol/requests/metadata/v0/response") as {
    parse(metadata: Metadata): Promise<Metadata>;
  };
  const original = response.parse;
  response.parse = async (metadata) => {
    const withLeaders = metadata.topicMetadata.map((topic) => ({
      ...topic,
      partitionMetadata: topic.partitionMetadata.filter(({ partitionErrorCode }) => partitionErrorCode === 0),
    }));
    const hasAny = withLeaders.some(({ partitionMetadata }) => partitionMetadata.length > 0);
    await original(hasAny ? { ...metadata, topicMetadata: withLeaders } : metadata);
    return metadata;
  };
}

/**
 * An answer of a megabyte comes in chunks of 64 KiB, which the client joins: each byte that is read would lie twice in memory
 * until the garbage collector looks, which it does after 64 MB of them.
 */
function giveChunksBack(): void {
  const Connection = inside("network/connection") as {
    prototype: { processData(this: { readonly chunks: readonly Uint8Array[] }, data: Uint8Array): unknown };
  };
  const original = Connection.prototype.processData;
  Connection.prototype.processData = function (data) {
    const { chunks } = this;
    const answered = original.call(this, data);
    // Of a single one the answer is a part.
    if (chunks !== this.chunks && chunks.length > 1) chunks.forEach(giveBack);
    return answered;
  };
}

/** The client's encoder of Fetch requests; its decoder of the answers is not used. */
export function fetchRequests(
  version: number,
): (options: object) => { readonly request: unknown; readonly requestTimeout: number } {
  const { protocol } = inside("protocol/requests/fetch") as {
    protocol(options: { version: number }): (options: object) => { request: unknown; requestTimeout: number };
  };
  return protocol({ version });
}

/** The client has no zstd of its own. It is only asked to pack: records are unpacked by `records/codecs.ts`. */
export const zstd = {
  compress: (encoder: { buffer: Uint8Array }) => Promise.resolve(zstdCompressSync(encoder.buffer)),
  decompress: () => Promise.reject(new Error("records are not read by the client")),
};
