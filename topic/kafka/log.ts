import { CompressionCodecs, CompressionTypes, type Kafka, type Producer } from "kafkajs";
import { Buffer } from "node:buffer";
import { systemClock } from "../../runtime/clock.ts";
import { AdminConnection, type AskableCluster, knownEverywhere, membersOf } from "./admin.ts";
import { createClient, RETRY } from "./client.ts";
import { KafkaConsumption } from "./consumption.ts";
import { missingTopic, portError } from "./errors.ts";
import { type ClientCluster, KafkaFetcher, noLeader, type Wanted } from "./fetcher.ts";
import { type GroupClient, type GroupClientEvents, KafkaMembership } from "./membership.ts";
import { zstd } from "./kafkajs_repairs.ts";
import type { KafkaConfig, LogRole } from "../log_config.ts";
import { MicroBatcher, recordBytes } from "./micro_batcher.ts";
import { atTakenTimes, takenTimesBy, takenTimesIn } from "./own_time.ts";
import { behindIn, behindUnknown, secondsSince } from "../group_lag.ts";
import { topicIdOf } from "./own_requests.ts";
import { partitionFor } from "../partitioner.ts";
import { breachesOf, ensureKafkaTopic, publishingSettingsOf, type TopicsPorts } from "./topics.ts";
import { attempt, oldestOf, type OldestRecord, readPartition } from "./read.ts";
import {
  type ConsumeOptions,
  type Consumption,
  type GroupMember,
  LogSetupError,
  LogUnavailableError,
  NoLeaderError,
  type PartitionBounds,
  type PartitionLag,
  type ReadOptions,
  type RecordBatch,
  type RecordPosition,
  RecordRefusedError,
  type RecordToPublish,
  type SettingBreach,
  type TopicLog,
  type TopicSpec,
} from "../topic.ts";

/**
 * The log on Redpanda or Apache Kafka, by kafkajs (2.2.4).
 *
 * kafkajs keeps the connections, the producer, the group's membership and the admin calls. Records are fetched by
 * position through its own protocol layer, for groups and for readers alike: so no reader needs a group, and the offset
 * a handler starts from is ours alone. docs/decisions/kafka-fetch.md says why.
 */
export function openKafkaLog(config: KafkaConfig, role: LogRole): Promise<TopicLog> {
  CompressionCodecs[CompressionTypes.ZSTD] = () => zstd;
  return Promise.resolve(new KafkaLog(config, createClient(config, role)));
}

/** All records of one send for one partition are one record batch; brokers take 1 MiB of it by default. */
const SEND_BOUNDS = { recordsMax: 500, bytesMax: 800_000, waitingBytesMax: 64 * 1024 * 1024 };
/** A topic that the controller has made, this handle's or another one's, and that its broker does not know of yet. */
const MADE_JUST_NOW = "UNKNOWN_TOPIC_OR_PARTITION";
/** How soon a member learns that its topic has more partitions, in ms. */
const METADATA_AGE_MS_MAX = 5_000;

/** A topic as it was last looked up; `at` by the monotonic clock. */
type LookUp = { readonly known: Promise<KnownTopic>; readonly at: number };
type KnownTopic = {
  readonly partitions: number;
  /** Those that no broker leads. */
  readonly leaderless: ReadonlySet<number>;
  readonly recordBytesMax: number;
  readonly timeSettings: ReadonlyMap<string, string>;
};

class KafkaLog implements TopicLog {
  readonly kind = "kafka";
  readonly #batcher = new MicroBatcher((topic, records) => this.#send(topic, records), SEND_BOUNDS);
  readonly #admin;
  readonly #topics = new Map<string, LookUp>();
  /** Partitions of each topic at the last send. */
  readonly #sentTo = new Map<string, number>();
  /** Publishes whose topic is still being looked up, or whose records wait or are in flight. */
  readonly #publishing = new Set<Promise<unknown>>();
  /** Topics that were there when this log first asked. */
  readonly #seen = new Set<string>();
  readonly #consumptions = new Set<Consumption>();
  readonly #readers = new Set<KafkaFetcher>();
  /** What asks where partitions begin and end, by topic. */
  readonly #lookers = new Map<string, KafkaFetcher>();
  #producer: Promise<Producer> | null = null;
  #closed = false;

  constructor(private readonly config: KafkaConfig, private readonly client: Kafka) {
    this.#admin = new AdminConnection(client);
  }

  // ---- topics

  async ensureTopic(spec: TopicSpec): Promise<void> {
    await this.#doing(`make topic "${spec.name}"`, async () => {
      const topic = this.#name(spec.name);
      await ensureKafkaTopic(await this.#topicsPorts(), { ...spec, name: topic });
      await knownEverywhere(createCluster(this.client) as ClientCluster & AskableCluster, topic);
    }, MADE_JUST_NOW);
    this.#topics.delete(spec.name);
  }

  async breaches(spec: TopicSpec): Promise<readonly SettingBreach[]> {
    return await this.#doing(`look up the settings of "${spec.name}"`, async () => {
      await this.#refuseMissing(spec.name);
      return await breachesOf(await this.#topicsPorts(), { ...spec, name: this.#name(spec.name) });
    });
  }

  async #topicsPorts(): Promise<TopicsPorts> {
    const { brokers, replication } = this.config;
    const cluster = () => createCluster(this.client);
    return { admin: await this.#connectedAdmin(), cluster, brokers: brokers.join(","), replication };
  }

  async topicId(topic: string): Promise<string | null> {
    return await this.#doing(`look up "${topic}"`, async () => {
      await this.#refuseMissing(topic);
      return await topicIdOf(createCluster(this.client), this.#name(topic));
    }, MADE_JUST_NOW);
  }

  // ---- publishing

  async publish(topic: string, records: readonly RecordToPublish[]): Promise<readonly RecordPosition[]> {
    if (this.#closed) {
      throw new LogUnavailableError(`Cannot publish to "${topic}": this log has been closed.`);
    }
    const publishing = this.#publishKnown(topic, records);
    this.#publishing.add(publishing);
    try {
      return await publishing;
    } finally {
      this.#publishing.delete(publishing);
    }
  }

  async #publishKnown(
    topic: string,
    records: readonly RecordToPublish[],
  ): Promise<readonly RecordPosition[]> {
    const known = await this.#topic(topic);
    const tooLarge = records.find((record) => recordBytes(record) > known.recordBytesMax);
    if (tooLarge) {
      throw new RecordRefusedError(
        "record_too_large",
        `Cannot publish to "${topic}": a record of ${
          recordBytes(tooLarge)
        } bytes is larger than the topic takes (${known.recordBytesMax}). Raise max.message.bytes of the topic.`,
      );
    }
    // Before it shares a send with others, which would fail with it.
    const away = known.leaderless.size === 0 ? undefined : records
      .map((record) => partitionFor(record, known.partitions))
      .find((partition) => known.leaderless.has(partition));
    if (away !== undefined) throw new NoLeaderError(away, `publish to "${topic}"`);
    return await this.#batcher.publish(topic, records);
  }

  async #send(topic: string, records: readonly RecordToPublish[]): Promise<readonly RecordPosition[]> {
    try {
      return await this.#sendOnce(topic, records);
    } catch (error) {
      if (!(error instanceof RecordRefusedError) || error.code !== "timestamp_refused") throw error;
      const { timeSettings } = await this.#topic(topic);
      const times = takenTimesIn(error.message) ?? takenTimesBy(timeSettings, systemClock.now());
      return await this.#sendOnce(topic, atTakenTimes(records, times));
    }
  }

  async #sendOnce(topic: string, records: readonly RecordToPublish[]): Promise<readonly RecordPosition[]> {
    try {
      const { partitions } = await this.#topic(topic);
      // What the producer's client has not heard of yet it would leave out, and say nothing.
      if (partitions > (this.#sentTo.get(topic) ?? partitions)) this.#dropProducer();
      this.#sentTo.set(topic, partitions);
      const producer = await this.#connectedProducer();
      const chosen = records.map((record) => partitionFor(record, partitions));
      const answers = await producer.send({
        topic: this.#name(topic),
        acks: -1,
        compression: CompressionTypes.ZSTD,
        messages: records.map((record, i) => ({
          partition: chosen[i]!,
          key: record.key === null ? null : asBuffer(record.key),
          value: asBuffer(record.value),
          headers: record.headers as Record<string, string>,
          timestamp: String(record.timestamp),
        })),
      });
      return positionsOf(chosen, answers);
    } catch (error) {
      // After a failed send an idempotent producer of this client may be out of step for ever: the next send has a new one.
      this.#dropProducer();
      this.#topics.delete(topic);
      throw portError(error, `publish to "${topic}"`);
    }
  }

  #dropProducer(): void {
    this.#producer?.then((producer) => producer.disconnect()).catch(() => {});
    this.#producer = null;
  }

  #connectedProducer(): Promise<Producer> {
    return this.#producer ??= (async () => {
      const producer = this.client.producer({
        idempotent: true,
        maxInFlightRequests: 1,
        allowAutoTopicCreation: false,
        retry: RETRY,
      });
      await producer.connect();
      return producer;
    })();
  }

  // ---- reading

  consume(options: ConsumeOptions): Consumption {
    const { topic, group } = options;
    const messageOf = (error: unknown) => portError(error, `read "${topic}" in group "${group}"`).message;
    const consumption = new KafkaConsumption({
      handler: options.handler,
      batchRecordsMax: options.batchRecordsMax ?? 500,
      batchBytesMax: options.batchBytesMax ?? 4 * 1024 * 1024,
      membership: this.#membership(options, messageOf),
      fetcher: this.#fetcher(topic),
      committed: () => this.committed(topic, group),
      messageOf,
    });
    this.#consumptions.add(consumption);
    return consumption;
  }

  #membership({ topic, group }: ConsumeOptions, messageOf: (error: unknown) => string): KafkaMembership {
    const { dataDir, sessionTimeoutMs } = this.config;
    const names = { topic: this.#name(topic), group: this.#name(group), sessionTimeoutMs };
    return new KafkaMembership({
      group: names.group,
      dataDir,
      sessionTimeoutMs,
      createClient: (events) => groupClient(this.client, { ...names, events }),
      leaveInNameOf: (memberId) => this.#leaveInNameOf(memberId, names.group),
      messageOf,
    });
  }

  async #leaveInNameOf(memberId: string, groupId: string): Promise<void> {
    const cluster = createCluster(this.client);
    try {
      await cluster.connect();
      await (await cluster.findGroupCoordinator({ groupId })).leaveGroup({ groupId, memberId });
    } finally {
      await cluster.disconnect().catch(() => {});
    }
  }

  async *read(topic: string, options: ReadOptions): AsyncGenerator<RecordBatch> {
    await this.#doing(`look up "${topic}"`, () => this.#refuseMissing(topic));
    const fetcher = this.#fetcher(topic);
    this.#readers.add(fetcher);
    try {
      yield* readPartition(fetcher, { ...options, topic });
    } finally {
      this.#readers.delete(fetcher);
      await fetcher.close().catch(() => {});
    }
  }

  #fetcher(topic: string): KafkaFetcher {
    return new KafkaFetcher(createCluster(this.client), this.#name(topic));
  }

  // ---- bounds and groups

  async partitions(topic: string): Promise<number> {
    return (await this.#lookUp(topic)).partitions;
  }

  async bounds(topic: string): Promise<readonly PartitionBounds[]> {
    const all = [...new Array(await this.partitions(topic)).keys()];
    return await this.#looking(
      topic,
      async (fetcher) =>
        (await fetcher.boundsOfAll(all)).map((bounds, partition) => {
          if (bounds === null) throw noLeader(partition);
          return bounds;
        }),
    );
  }

  async boundsOf(topic: string, partition: number): Promise<PartitionBounds> {
    await this.#doing(`look up "${topic}"`, () => this.#refuseMissing(topic));
    const [bounds] = await this.#looking(topic, (fetcher) => fetcher.boundsOfAll([partition]));
    if (!bounds) throw new NoLeaderError(partition, `read "${topic}"`);
    return bounds;
  }

  #looking<T>(topic: string, look: (fetcher: KafkaFetcher) => Promise<T>): Promise<T> {
    const fetcher = this.#lookers.get(topic) ?? this.#fetcher(topic);
    this.#lookers.set(topic, fetcher);
    return attempt(topic, fetcher, () => look(fetcher));
  }

  async committed(topic: string, group: string): Promise<readonly (number | null)[]> {
    return await this.#doing(`look up group "${group}"`, async () => {
      const admin = await this.#connectedAdmin();
      const { partitions } = await this.#topic(topic);
      const found = await admin.fetchOffsets({ groupId: this.#name(group), topics: [this.#name(topic)] });
      const offsets = new Array<number | null>(partitions).fill(null);
      for (const { partition, offset } of found[0]?.partitions ?? []) {
        if (Number(offset) >= 0) offsets[partition] = Number(offset);
      }
      return offsets;
    });
  }

  async members(topic: string, group: string): Promise<readonly GroupMember[]> {
    return await this.#doing(`look up group "${group}"`, async () => {
      const admin = await this.#connectedAdmin();
      return await membersOf(admin, { topic: this.#name(topic), group: this.#name(group) });
    });
  }

  async lag(topic: string, group: string, now: number): Promise<readonly PartitionLag[]> {
    const all = [...new Array((await this.#topic(topic)).partitions).keys()];
    const [bounds, committed] = await Promise.all([
      this.#looking(topic, (fetcher) => fetcher.boundsOfAll(all)),
      this.committed(topic, group),
    ]);
    const behind = bounds.map((one, partition) => {
      const nextOffset = committed[partition] ?? null;
      return one === null ? behindUnknown(partition, nextOffset) : behindIn(one, nextOffset);
    });
    const oldest = await this.#oldest(topic, behind.filter(({ lag }) => lag > 0));
    return behind.map(({ from: _, ...one }) => {
      const { timestamp, openTransactionAt } = oldest.get(one.partition) ?? {};
      const open = openTransactionAt === undefined ? {} : { openTransactionAt };
      return { ...one, lagSeconds: secondsSince(timestamp, now), ...open };
    });
  }

  async #oldest(topic: string, wanted: readonly Wanted[]): Promise<ReadonlyMap<number, OldestRecord>> {
    if (wanted.length === 0) return new Map();
    const fetcher = this.#fetcher(topic);
    try {
      return await oldestOf(fetcher, wanted);
    } catch (error) {
      throw portError(error, `read "${topic}"`);
    } finally {
      await fetcher.close().catch(() => {});
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#consumptions].map((consumption) => consumption.stop()));
    await Promise.allSettled(this.#publishing);
    await this.#batcher.drain();
    const fetchers = [...this.#readers, ...this.#lookers.values()];
    await Promise.allSettled(fetchers.map((fetcher) => fetcher.close()));
    await this.#producer?.then((producer) => producer.disconnect()).catch(() => {});
    await this.#admin.close();
  }

  // ---- what all of it needs

  #name(name: string): string {
    return this.config.prefix + name;
  }

  /**
   * Calls that come during a look-up share it, and go on in the order in which they came. Where partitions are added a key
   * goes elsewhere: everybody learns of it within the same time.
   */
  #topic(topic: string): Promise<KnownTopic> {
    const found = this.#topics.get(topic);
    if (found && performance.now() - found.at < METADATA_AGE_MS_MAX) return found.known;
    const lookUp = { known: this.#lookUp(topic), at: performance.now() };
    this.#topics.set(topic, lookUp);
    lookUp.known.catch(() => {
      if (this.#topics.get(topic) === lookUp) this.#topics.delete(topic);
    });
    return lookUp.known;
  }

  #lookUp(topic: string): Promise<KnownTopic> {
    return this.#doing(`look up "${topic}"`, async () => {
      const admin = await this.#connectedAdmin();
      await this.#refuseMissing(topic);
      const name = this.#name(topic);
      const [{ topics }, settings] = await Promise.all([
        admin.fetchTopicMetadata({ topics: [name] }),
        publishingSettingsOf(admin, name),
      ]);
      const { partitions } = topics[0]!;
      const leaderless = new Set(
        partitions.filter(({ leader }) => leader < 0).map(({ partitionId }) => partitionId),
      );
      return { partitions: partitions.length, leaderless, ...settings };
    }, MADE_JUST_NOW);
  }

  /**
   * A topic that is not there must not be named to the client: where the broker goes away while it is being looked up,
   * kafkajs asks for it with every later look-up of another topic, and all of them fail for ever.
   */
  async #refuseMissing(topic: string): Promise<void> {
    if (this.#seen.has(topic)) return;
    const admin = await this.#connectedAdmin();
    if (!(await admin.listTopics()).includes(this.#name(topic))) throw missingTopic(`look up "${topic}"`);
    this.#seen.add(topic);
  }

  #connectedAdmin() {
    return this.#admin.connected();
  }

  #doing<T>(what: string, run: () => Promise<T>, passing: string | null = null): Promise<T> {
    return this.#admin.doing(what, run, passing);
  }
}

/** The client's consumer as a member that reads nothing itself: all its partitions are paused, always. */
function groupClient(
  client: Kafka,
  { topic, group, sessionTimeoutMs, events }: {
    readonly topic: string;
    readonly group: string;
    readonly sessionTimeoutMs: number;
    readonly events: GroupClientEvents;
  },
): GroupClient {
  const consumer = client.consumer({
    groupId: group,
    sessionTimeout: sessionTimeoutMs,
    rebalanceTimeout: 60_000,
    heartbeatInterval: Math.max(200, Math.floor(sessionTimeoutMs / 5)),
    maxWaitTimeInMs: 200,
    metadataMaxAge: METADATA_AGE_MS_MAX,
    allowAutoTopicCreation: false,
    // It starts again by a new consumer: one that starts itself again cannot be stopped while it does.
    retry: { ...RETRY, retries: 5, restartOnFailure: () => Promise.resolve(false) },
  });
  consumer.on("consumer.group_join", ({ payload }) => {
    const partitions = payload.memberAssignment[topic] ?? [];
    if (partitions.length > 0) consumer.pause([{ topic, partitions }]);
    events.joined({ memberId: payload.memberId, partitions });
  });
  consumer.on("consumer.heartbeat", () => events.heartbeat());
  consumer.on("consumer.crash", ({ payload }) => events.crashed(payload.error));
  return {
    async connect() {
      await consumer.connect();
      await consumer.subscribe({ topics: [topic] });
    },
    run: () =>
      consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch: () => Promise.resolve() }),
    commit: (offsets) =>
      consumer.commitOffsets(
        [...offsets].map(([partition, nextOffset]) => ({ topic, partition, offset: String(nextOffset) })),
      ),
    disconnect: () => consumer.disconnect(),
  };
}

/** The broker answers one base offset per partition; records of a partition lie behind it in the order they were sent. */
function positionsOf(
  chosen: readonly number[],
  answers: readonly { partition: number; baseOffset?: string }[],
): RecordPosition[] {
  const next = new Map(answers.map(({ partition, baseOffset }) => [partition, Number(baseOffset)]));
  return chosen.map((partition) => {
    const offset = next.get(partition);
    if (offset === undefined || Number.isNaN(offset)) {
      throw new LogUnavailableError(
        `Cannot publish to partition ${partition}: the client has not heard of it yet, and will at the next attempt.`,
      );
    }
    next.set(partition, offset + 1);
    return { partition, offset };
  });
}

/** The client takes bytes only as a Buffer: any other array it would write down as text. The bytes are not copied. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The client's own cluster object, which its public face hides; the symbol's name is that of kafkajs 2.2.4. */
function createCluster(client: Kafka): ClientCluster {
  const symbol = Object.getOwnPropertySymbols(client).find((one) =>
    one.description === "private:Kafka:createCluster"
  );
  if (!symbol) throw new LogSetupError("Cannot read from Kafka: this version of kafkajs is not 2.2.4.");
  const create = (client as unknown as Record<symbol, (options: object) => ClientCluster>)[symbol]!;
  return create({ allowAutoTopicCreation: false, metadataMaxAge: 300_000 });
}
