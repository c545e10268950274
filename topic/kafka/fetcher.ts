import { LogSetupError, LogUnavailableError, type PartitionBounds } from "../topic.ts";
import { typeOf } from "./errors.ts";
import { protocolError } from "./client_parts.ts";
import { fetchRequests } from "./kafkajs_repairs.ts";
import { FETCH_VERSIONS, type FetchAnswer, readFetchAnswer, recordSetOf } from "./records/fetch_answer.ts";
import type { RecordSet } from "./records/record_set.ts";

/** The parts of the client's own cluster that are needed to fetch by position; see docs/decisions/kafka-fetch.md. */
export type ClientCluster = {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  addTargetTopic(topic: string): Promise<void>;
  refreshMetadata(): Promise<void>;
  getNodeIds(): readonly string[];
  findTopicPartitionMetadata(topic: string): { partitionId: number; leader: number }[];
  findBroker(options: { nodeId: string | number }): Promise<ClientBroker>;
  findGroupCoordinator(options: { groupId: string }): Promise<ClientBroker>;
};
export type ClientBroker = {
  readonly versions: Readonly<Record<number, { minVersion: number; maxVersion: number }>>;
  readonly connectionPool: { send<T>(request: ClientRequest<T>): Promise<T> };
  listOffsets(options: {
    isolationLevel: number;
    topics: { topic: string; partitions: { partition: number; timestamp: number }[] }[];
  }): Promise<{ responses: { partitions: { partition: number; offset: string }[] }[] }>;
  disconnect(): Promise<void>;
  leaveGroup(options: { groupId: string; memberId: string }): Promise<unknown>;
};
type ClientRequest<T> = {
  readonly request: unknown;
  readonly response: { decode(bytes: Uint8Array): Promise<unknown>; parse(answer: unknown): Promise<T> };
  readonly requestTimeout: number;
};

/** A partition and the offset from which it is wanted. */
export type Wanted = { readonly partition: number; readonly from: number };
/** What came of one partition; the error of one is no other's. */
export type Fetched = { readonly partition: number } & ({ readonly error: Error } | FetchedRecords);
export type FetchedRecords = {
  readonly records: RecordSet;
  /** The high watermark. */
  readonly endOffset: number;
  /** Below the high watermark where a transaction is open: nothing from here on is given to anybody yet. */
  readonly stableOffset: number;
  readonly error?: undefined;
};

/** Bytes asked for per partition and in all; a single larger record still comes whole. */
const PARTITION_BYTES_MAX = 1024 * 1024;
const FETCH_BYTES_MAX = 8 * 1024 * 1024;
/** How long a broker may take beyond what it was asked to wait, in ms. */
const ANSWER_MS_MAX = 3_000;
const FETCH_API = 1;
const FETCH = "Fetch";
const READ_UNCOMMITTED = 0;
const READ_COMMITTED = 1;
/** ListOffsets' names of a partition's two ends. */
const [EARLIEST, LATEST] = [-2, -1];

/** Fetches partitions of one topic by position, from whichever broker leads each; one fetch at a time of each broker. */
export class KafkaFetcher {
  #connected = false;
  #closed = false;
  #recovering: Promise<void> | null = null;

  constructor(private readonly cluster: ClientCluster, private readonly topic: string) {}

  async connect(): Promise<void> {
    if (this.#connected) return;
    if (this.#closed) {
      throw new LogUnavailableError(`Cannot read "${this.topic}": this log has been closed.`);
    }
    await this.cluster.connect();
    await this.cluster.addTargetTopic(this.topic);
    this.#connected = true;
  }

  /** The number of the broker that leads it, as far as is known; null where none does. */
  leaderOf(partition: number): number | null {
    if (!this.#connected) return null;
    const known = this.cluster.findTopicPartitionMetadata(this.topic).find((one) =>
      one.partitionId === partition
    );
    return known && known.leader >= 0 ? known.leader : null;
  }

  /**
   * Waits at most `waitMs` for the first record. Rejects where the broker cannot be asked; an error of a partition is
   * in its answer. After either `recover` is due.
   */
  async fetch(
    leader: number,
    wanted: readonly Wanted[],
    { waitMs, uncommitted = false }: { readonly waitMs: number; readonly uncommitted?: boolean },
  ): Promise<Fetched[]> {
    const broker = await this.cluster.findBroker({ nodeId: leader });
    const answer = await this.#send(broker, {
      maxWaitTime: waitMs,
      minBytes: 1,
      maxBytes: FETCH_BYTES_MAX,
      isolationLevel: uncommitted ? READ_UNCOMMITTED : READ_COMMITTED,
      topics: [{
        topic: this.topic,
        partitions: wanted.map(({ partition, from }) => ({
          partition,
          fetchOffset: String(from),
          maxBytes: PARTITION_BYTES_MAX,
        })),
      }],
    });
    if (answer.errorCode !== 0) throw protocolError(answer.errorCode, { request: FETCH });
    const fromOf = new Map(wanted.map(({ partition, from }) => [partition, from]));
    return answer.partitions.map((one) => {
      const { partition, errorCode, endOffset, stableOffset } = one;
      if (errorCode !== 0) {
        const about = `partition ${partition}`;
        return { partition, error: protocolError(errorCode, { request: FETCH, about }) };
      }
      return { partition, records: recordSetOf(one, fromOf.get(partition)!), endOffset, stableOffset };
    });
  }

  /** Asks every leader at once; what cannot be asked has its error. */
  async fetchAll(
    wanted: readonly Wanted[],
    options: { readonly waitMs: number; readonly uncommitted?: boolean },
  ): Promise<Fetched[]> {
    await this.connect();
    const byLeader = [...Map.groupBy(wanted, ({ partition }) => this.leaderOf(partition))];
    const answers = await Promise.all(byLeader.map(async ([leader, some]) => {
      const failed = (errorOf: (partition: number) => Error): Fetched[] =>
        some.map(({ partition }) => ({ partition, error: errorOf(partition) }));
      if (leader === null) return failed(noLeader);
      return await this.fetch(leader, some, options).catch((error) => failed(() => error));
    }));
    return answers.flat();
  }

  /** Where the partition begins and ends now, asked of its leader alone. After a rejection nothing else is due. */
  async boundsOf(partition: number): Promise<PartitionBounds> {
    const [bounds] = await this.boundsOfAll([partition]);
    if (!bounds) throw noLeader(partition);
    return bounds;
  }

  /** The same of several, in their order; null where nobody leads one. */
  async boundsOfAll(partitions: readonly number[]): Promise<(PartitionBounds | null)[]> {
    await this.connect();
    // One that was added or has moved is known only after the client has asked anew.
    if (partitions.some((partition) => this.leaderOf(partition) === null)) await this.#refresh();
    const unknown = partitions.find((partition) => !this.#isKnown(partition));
    if (unknown !== undefined) throw this.#noPartition(unknown);
    const found = new Map<number, PartitionBounds>();
    const byLeader = [...Map.groupBy(partitions, (partition) => this.leaderOf(partition))];
    try {
      await Promise.all(byLeader.map(async ([leader, some]) => {
        if (leader === null) return;
        const broker = await this.cluster.findBroker({ nodeId: leader });
        const starts = await this.#offsetsAt(broker, some, EARLIEST);
        const ends = await this.#offsetsAt(broker, some, LATEST);
        for (const partition of some) {
          found.set(partition, {
            partition,
            startOffset: starts.get(partition)!,
            endOffset: ends.get(partition)!,
          });
        }
      }));
    } catch (error) {
      await this.recover(error).catch(() => {});
      throw error;
    }
    return partitions.map((partition) => found.get(partition) ?? null);
  }

  /** The latest is the high watermark, also where a transaction is open. */
  async #offsetsAt(
    broker: ClientBroker,
    partitions: readonly number[],
    timestamp: number,
  ): Promise<ReadonlyMap<number, number>> {
    const { responses } = await broker.listOffsets({
      isolationLevel: READ_UNCOMMITTED,
      topics: [{ topic: this.topic, partitions: partitions.map((partition) => ({ partition, timestamp })) }],
    });
    return new Map(responses[0]!.partitions.map(({ partition, offset }) => [partition, Number(offset)]));
  }

  /** After a failed fetch: learns anew who leads what. Rejects while no broker answers. */
  recover(error: unknown): Promise<void> {
    return this.#recovering ??= this.#recover(error).finally(() => this.#recovering = null);
  }

  async #recover(error: unknown): Promise<void> {
    if (typeOf(error) !== null) return await this.#refresh();
    // While other brokers answer, what is asked of them goes on.
    if (this.#connected && this.cluster.getNodeIds().length > 1) {
      try {
        return await this.#refresh();
      } catch {
        // None of those that are known answers: from the first addresses on.
      }
    }
    await this.cluster.disconnect();
    this.#connected = false;
    await this.connect();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.cluster.disconnect();
  }

  async #refresh(): Promise<void> {
    await this.connect();
    await this.cluster.refreshMetadata();
  }

  /** The client's own request, whose answer is kept as it came. */
  async #send(broker: ClientBroker, options: object): Promise<FetchAnswer> {
    const { minVersion, maxVersion } = broker.versions[FETCH_API] ?? { minVersion: -1, maxVersion: -1 };
    const version = Math.min(maxVersion, FETCH_VERSIONS.max);
    if (version < Math.max(minVersion, FETCH_VERSIONS.min)) {
      throw new LogSetupError(
        `Cannot read "${this.topic}": the broker speaks versions ${minVersion} to ${maxVersion} of Fetch, and ` +
          `${FETCH_VERSIONS.min} to ${FETCH_VERSIONS.max} are known here. Apache Kafka 0.11 or newer, or Redpanda, is needed.`,
      );
    }
    const { request, requestTimeout } = fetchRequests(version)(options);
    try {
      return await broker.connectionPool.send({
        request,
        requestTimeout: requestTimeout + ANSWER_MS_MAX,
        response: {
          decode: (bytes) => {
            const answer = readFetchAnswer(bytes, version);
            // By this name the client knows how long it is to wait; before version 8 the broker itself has waited.
            return Promise.resolve({ answer, clientSideThrottleTime: version >= 8 ? answer.throttleMs : 0 });
          },
          parse: (decoded) => Promise.resolve((decoded as { answer: FetchAnswer }).answer),
        },
      });
    } catch (error) {
      // What comes late on this connection would be taken for the answer to something else.
      if (typeOf(error) === null) await broker.disconnect().catch(() => {});
      throw error;
    }
  }

  #isKnown(partition: number): boolean {
    return this.cluster.findTopicPartitionMetadata(this.topic).some((one) => one.partitionId === partition);
  }

  #noPartition(partition: number): LogSetupError {
    return new LogSetupError(`Cannot read partition ${partition} of "${this.topic}": there is none.`);
  }
}

/** The error of a partition that nobody leads. */
export function noLeader(partition: number): Error {
  return Object.assign(new Error(`partition ${partition} has no leader now`), {
    type: "LEADER_NOT_AVAILABLE",
  });
}
