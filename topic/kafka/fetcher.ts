import type { RecordBatch, RecordHeaders, TopicRecord } from "../topic.ts";
import { typeOf } from "./errors.ts";
import { unpackingAtMost } from "./kafkajs_repairs.ts";
import { withOwnTime } from "./own_time.ts";

/** The parts of the client's own cluster that are needed to fetch by position; see docs/decisions/kafka-fetch.md. */
export type ClientCluster = {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  addTargetTopic(topic: string): Promise<void>;
  refreshMetadata(): Promise<void>;
  findTopicPartitionMetadata(topic: string): { partitionId: number; leader: number }[];
  findBroker(options: { nodeId: string | number }): Promise<ClientBroker>;
  findGroupCoordinator(options: { groupId: string }): Promise<ClientBroker>;
};
export type ClientBroker = {
  fetch(options: {
    maxWaitTime: number;
    minBytes: number;
    maxBytes: number;
    isolationLevel: number;
    topics: { topic: string; partitions: { partition: number; fetchOffset: string; maxBytes: number }[] }[];
  }): Promise<{ responses: { topicName: string; partitions: FetchedPartition[] }[] }>;
  leaveGroup(options: { groupId: string; memberId: string }): Promise<unknown>;
};
type FetchedPartition = { partition: number; highWatermark: string; messages: FetchedMessage[] };
type FetchedMessage = {
  offset: string;
  timestamp: string;
  key: Uint8Array | null;
  value: Uint8Array | null;
  headers: Record<string, Uint8Array | Uint8Array[] | undefined>;
  isControlRecord?: boolean;
};

/** Bytes asked for per partition and in all; a single larger record still comes whole. */
const PARTITION_BYTES_MAX = 2 * 1024 * 1024;
const FETCH_BYTES_MAX = 8 * 1024 * 1024;
/** Bytes to which the records of one answer may unpack. */
const UNPACKED_BYTES_MAX = 32 * 1024 * 1024;
const READ_COMMITTED = 1;

/** Fetches partitions of one topic by position, from whichever broker leads each. One fetch at a time. */
export class KafkaFetcher {
  #connected = false;

  constructor(private readonly cluster: ClientCluster, private readonly topic: string) {}

  async connect(): Promise<void> {
    if (this.#connected) return;
    await this.cluster.connect();
    await this.cluster.addTargetTopic(this.topic);
    this.#connected = true;
  }

  /** Waits at most `waitMs` for the first record; rejects with the client's error, after which `recover` is due. */
  async fetch(
    wanted: readonly { partition: number; from: number }[],
    waitMs: number,
  ): Promise<RecordBatch[]> {
    await this.connect();
    const byLeader = Map.groupBy(wanted, ({ partition }) => this.#leader(partition));
    const wait = byLeader.size > 1 ? Math.min(waitMs, 100) : waitMs;
    const answers = await Promise.all([...byLeader].map(async ([nodeId, parts]) => {
      const broker = await this.cluster.findBroker({ nodeId });
      const { responses } = await unpackingAtMost(UNPACKED_BYTES_MAX, () =>
        broker.fetch({
          maxWaitTime: wait,
          minBytes: 1,
          maxBytes: FETCH_BYTES_MAX,
          isolationLevel: READ_COMMITTED,
          topics: [{
            topic: this.topic,
            partitions: parts.map(({ partition, from }) => ({
              partition,
              fetchOffset: String(from),
              maxBytes: PARTITION_BYTES_MAX,
            })),
          }],
        }));
      return responses.flatMap(({ partitions }) => partitions);
    }));
    const fromOf = new Map(wanted.map(({ partition, from }) => [partition, from]));
    return answers.flat().map((answer) => fetched(answer, fromOf.get(answer.partition)!));
  }

  /** After a failed fetch: learns anew who leads what. Rejects while no broker answers. */
  async recover(error: unknown): Promise<void> {
    if (typeOf(error) === null) {
      await this.cluster.disconnect();
      this.#connected = false;
      await this.connect();
    } else await this.cluster.refreshMetadata();
  }

  async close(): Promise<void> {
    await this.cluster.disconnect();
  }

  #leader(partition: number): number {
    const known = this.cluster.findTopicPartitionMetadata(this.topic).find((one) =>
      one.partitionId === partition
    );
    if (!known || known.leader < 0) {
      throw Object.assign(new Error(`partition ${partition} of "${this.topic}" has no leader now`), {
        type: "LEADER_NOT_AVAILABLE",
      });
    }
    return known.leader;
  }
}

function fetched({ partition, highWatermark, messages }: FetchedPartition, from: number): RecordBatch {
  const records: TopicRecord[] = [];
  let nextOffset = from;
  for (const message of messages) {
    const offset = Number(message.offset);
    // A batch is served whole: it may begin below the wanted offset.
    if (offset < from) continue;
    nextOffset = offset + 1;
    if (!message.isControlRecord) records.push(toRecord(partition, message));
  }
  return { partition, records, nextOffset, endOffset: Number(highWatermark) };
}

const decoder = new TextDecoder();
const EMPTY = new Uint8Array(0);

function toRecord(partition: number, message: FetchedMessage): TopicRecord {
  const headers: Record<string, string> = {};
  for (const name in message.headers) {
    const value = message.headers[name];
    const one = Array.isArray(value) ? value.at(-1) : value;
    if (one !== undefined && one !== null) headers[name] = decoder.decode(one);
  }
  return withOwnTime({
    partition,
    offset: Number(message.offset),
    timestamp: Number(message.timestamp),
    key: message.key,
    value: message.value ?? EMPTY,
    headers: headers as RecordHeaders,
  });
}
