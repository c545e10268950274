import {
  CompressionCodecs,
  CompressionTypes,
  ConfigSource,
  Kafka,
  type KafkaConfig as ClientConfig,
  logLevel,
  type Producer,
  type SASLOptions,
} from "kafkajs";
import { Buffer } from "node:buffer";
import { systemClock } from "../../runtime/clock.ts";
import { backOffMs } from "../../runtime/retry.ts";
import { KafkaConsumption } from "./consumption.ts";
import { missingTopic, portError, typeOf } from "./errors.ts";
import { type ClientCluster, KafkaFetcher, type Wanted } from "./fetcher.ts";
import { type GroupClient, type GroupClientEvents, KafkaMembership } from "./membership.ts";
import { repairClient, zstd } from "./kafkajs_repairs.ts";
import type { KafkaConfig, LogRole } from "../log_config.ts";
import { MicroBatcher, recordBytes } from "./micro_batcher.ts";
import { behindIn, secondsSince } from "../group_lag.ts";
import { partitionFor } from "../partitioner.ts";
import { oldestOf, type OldestRecord, readPartition } from "./read.ts";
import {
  type ConsumeOptions,
  type Consumption,
  LogSetupError,
  LogUnavailableError,
  type PartitionBounds,
  type PartitionLag,
  type ReadOptions,
  type RecordBatch,
  type RecordPosition,
  RecordRefusedError,
  type RecordToPublish,
  type TopicLog,
  type TopicSpec,
} from "../topic.ts";

/**
 * The log on Redpanda or Apache Kafka: the only file that imports kafkajs (2.2.4).
 *
 * kafkajs keeps the connections, the producer, the group's membership and the admin calls. Records are fetched by
 * position through its own protocol layer, for groups and for readers alike: so no reader needs a group, and the offset
 * a handler starts from is ours alone. docs/decisions/kafka-fetch.md says why.
 */
export async function openKafkaLog(config: KafkaConfig, role: LogRole): Promise<TopicLog> {
  repairClient();
  CompressionCodecs[CompressionTypes.ZSTD] = () => zstd;
  return new KafkaLog(config, new Kafka(await clientConfig(config, role)));
}

const CONNECTION_TIMEOUT_MS = 1_000;
const REQUEST_TIMEOUT_MS = 3_000;
/** How often a send is tried again before it is given back: about 5 s in all. The spool or the caller goes on from there. */
const SEND_RETRIES = 6;
const RETRY = { initialRetryTime: 100, maxRetryTime: 1_000, retries: SEND_RETRIES };
/** All records of one send for one partition are one record batch; brokers take 1 MiB of it by default. */
const SEND_BOUNDS = { recordsMax: 500, bytesMax: 800_000, waitingBytesMax: 64 * 1024 * 1024 };
const ADMIN_RETRIES = 6;
const ADMIN_BACK_OFF = { msFirst: 100, msMax: 3_200 };
/** Who leads what has changed: the client has to forget what it knew. */
const STALE = new Set(["NOT_LEADER_FOR_PARTITION", "LEADER_NOT_AVAILABLE"]);
/** The broker is not ready for groups yet, as in its first seconds. */
const COORDINATOR = new Set([
  "GROUP_LOAD_IN_PROGRESS",
  "GROUP_COORDINATOR_NOT_AVAILABLE",
  "NOT_COORDINATOR_FOR_GROUP",
]);
/** A topic that the controller has made, this handle's or another one's, and that its broker does not know of yet. */
const MADE_JUST_NOW = "UNKNOWN_TOPIC_OR_PARTITION";
/** How soon a member learns that its topic has more partitions, in ms. */
const METADATA_AGE_MS_MAX = 5_000;

type KnownTopic = { readonly partitions: number; readonly recordBytesMax: number };

class KafkaLog implements TopicLog {
  readonly kind = "kafka";
  readonly #batcher = new MicroBatcher((topic, records) => this.#send(topic, records), SEND_BOUNDS);
  readonly #admin;
  readonly #topics = new Map<string, Promise<KnownTopic>>();
  /** Publishes whose topic is still being looked up, or whose records wait or are in flight. */
  readonly #publishing = new Set<Promise<unknown>>();
  /** Topics that were there when this log first asked. */
  readonly #seen = new Set<string>();
  readonly #consumptions = new Set<Consumption>();
  readonly #readers = new Set<KafkaFetcher>();
  #producer: Promise<Producer> | null = null;
  #adminConnected: Promise<void> | null = null;
  #closed = false;

  constructor(private readonly config: KafkaConfig, private readonly client: Kafka) {
    this.#admin = client.admin({ retry: RETRY });
  }

  // ---- topics

  async ensureTopic(spec: TopicSpec): Promise<void> {
    await this.#doing(`make topic "${spec.name}"`, async () => {
      const admin = await this.#connectedAdmin();
      const topic = this.#name(spec.name);
      if (!(await admin.listTopics()).includes(topic)) await this.#createTopic(topic, spec);
      await this.#raise(topic, spec);
    }, MADE_JUST_NOW);
    this.#topics.delete(spec.name);
  }

  async #createTopic(topic: string, spec: TopicSpec): Promise<void> {
    const admin = await this.#connectedAdmin();
    const create = (configEntries: { name: string; value: string }[]) =>
      admin.createTopics({
        waitForLeaders: true,
        topics: [{
          topic,
          numPartitions: spec.partitions,
          ...(this.config.replication === null ? {} : { replicationFactor: this.config.replication }),
          configEntries,
        }],
      });
    const entries = Object.entries(wantedSettings(spec)).map(([name, value]) => ({ name, value }));
    try {
      // Redpanda may answer before its fsync unless this is said; Apache Kafka does not know the setting.
      await create([...entries, { name: "write.caching", value: "false" }]);
    } catch (error) {
      if (this.#alreadyThere(error)) return;
      await create(entries).catch((error) => {
        if (!this.#alreadyThere(error)) throw error;
      });
    }
  }

  #alreadyThere(error: unknown): boolean {
    const errors = (error as { errors?: unknown[] }).errors ?? [error];
    return errors.every((one) => typeOf(one) === "TOPIC_ALREADY_EXISTS");
  }

  /** Raises what is too low on a topic that was there before; what is higher or longer stays. */
  async #raise(topic: string, spec: TopicSpec): Promise<void> {
    const admin = await this.#connectedAdmin();
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    if (topics[0]!.partitions.length < spec.partitions) {
      await admin.createPartitions({ topicPartitions: [{ topic, count: spec.partitions }] });
    }
    const resources = [{ type: 2, name: topic }];
    const { resources: [described] } = await admin.describeConfigs({ resources, includeSynonyms: false });
    const entries = described!.configEntries;
    const now = (name: string) => entries.find((entry) => entry.configName === name)?.configValue;
    const stays = (name: string) =>
      spec.retentionMayBeSet === true && name.startsWith("retention.") &&
      entries.find((entry) => entry.configName === name)?.configSource === ConfigSource.TOPIC_CONFIG;
    const raised = Object.entries(wantedSettings(spec)).filter(([name, wanted]) =>
      !stays(name) && isLower(name, { now: now(name), wanted })
    );
    if (now("write.caching") === "true") raised.push(["write.caching", "false"]);
    if (raised.length === 0) return;
    // This call replaces all of a topic's own settings, so those that stay are said again.
    const kept = entries.filter((entry) => !entry.isDefault && !entry.readOnly && !entry.isSensitive)
      .map((entry) => [entry.configName, entry.configValue] as [string, string]);
    const configEntries = [...new Map([...kept, ...raised])].map(([name, value]) => ({ name, value }));
    await admin.alterConfigs({ validateOnly: false, resources: [{ type: 2, name: topic, configEntries }] });
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
    return await this.#batcher.publish(topic, records);
  }

  async #send(topic: string, records: readonly RecordToPublish[]): Promise<readonly RecordPosition[]> {
    try {
      const { partitions } = await this.#topic(topic);
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
      this.#producer?.then((producer) => producer.disconnect()).catch(() => {});
      this.#producer = null;
      this.#topics.delete(topic);
      throw portError(error, `publish to "${topic}"`);
    }
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

  async bounds(topic: string): Promise<readonly PartitionBounds[]> {
    return await this.#doing(`look up "${topic}"`, async () => {
      const admin = await this.#connectedAdmin();
      await this.#refuseMissing(topic);
      const offsets = await admin.fetchTopicOffsets(this.#name(topic));
      return offsets.map(({ partition, low, high }) => ({
        partition,
        startOffset: Number(low),
        endOffset: Number(high),
      })).sort((a, b) => a.partition - b.partition);
    });
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

  async lag(topic: string, group: string, now: number): Promise<readonly PartitionLag[]> {
    const [bounds, committed] = await Promise.all([this.bounds(topic), this.committed(topic, group)]);
    const behind = bounds.map((one) => behindIn(one, committed[one.partition] ?? null));
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
    await Promise.allSettled([...this.#readers].map((reader) => reader.close()));
    await this.#producer?.then((producer) => producer.disconnect()).catch(() => {});
    await this.#admin.disconnect().catch(() => {});
  }

  // ---- what all of it needs

  #name(name: string): string {
    return this.config.prefix + name;
  }

  /** Calls that come during a look-up share it, and go on in the order in which they came. */
  #topic(topic: string): Promise<KnownTopic> {
    let known = this.#topics.get(topic);
    if (!known) {
      this.#topics.set(topic, known = this.#lookUp(topic));
      known.catch(() => this.#topics.delete(topic));
    }
    return known;
  }

  #lookUp(topic: string): Promise<KnownTopic> {
    return this.#doing(`look up "${topic}"`, async () => {
      const admin = await this.#connectedAdmin();
      await this.#refuseMissing(topic);
      const name = this.#name(topic);
      const [{ topics }, { resources }] = await Promise.all([
        admin.fetchTopicMetadata({ topics: [name] }),
        admin.describeConfigs({
          resources: [{ type: 2, name, configNames: ["max.message.bytes"] }],
          includeSynonyms: false,
        }),
      ]);
      const bytes = Number(resources[0]?.configEntries[0]?.configValue ?? NaN);
      // The bound is the broker's for a whole batch, whose header takes some of it.
      return {
        partitions: topics[0]!.partitions.length,
        recordBytesMax: (bytes > 0 ? bytes : 1_048_588) - 128,
      };
    });
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

  async #connectedAdmin() {
    this.#adminConnected ??= this.#admin.connect();
    try {
      await this.#adminConnected;
    } catch (error) {
      this.#adminConnected = null;
      throw error;
    }
    return this.#admin;
  }

  /** Runs an admin call; trouble about who leads what passes, once the client has asked anew. */
  async #doing<T>(what: string, run: () => Promise<T>, passing: string | null = null): Promise<T> {
    for (let attempt = 0;; attempt++) {
      try {
        return await run();
      } catch (error) {
        const type = typeOf(error) ?? "";
        // What another call's new connection does to one under way: the client reads a property of nothing.
        const disturbed = error instanceof TypeError;
        const passes = disturbed || STALE.has(type) || COORDINATOR.has(type) || type === passing;
        if (attempt >= ADMIN_RETRIES || !passes) throw portError(error, what);
        await systemClock.wait(backOffMs(attempt + 1, ADMIN_BACK_OFF));
        if (!STALE.has(type)) continue;
        // Only a new connection makes this client forget who led a partition that has moved or is new.
        await this.#admin.disconnect().catch(() => {});
        this.#adminConnected = null;
      }
    }
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

function wantedSettings(spec: TopicSpec): Record<string, string> {
  return {
    "cleanup.policy": "delete",
    "retention.ms": String(spec.retentionMs ?? -1),
    "retention.bytes": String(spec.retentionBytes ?? -1),
    "max.message.bytes": String(spec.recordBytesMax),
  };
}

/** True where a topic keeps less, or takes less, than is wanted; −1 means without end. */
function isLower(name: string, { now, wanted }: { now: string | undefined; wanted: string }): boolean {
  if (now === undefined || now === wanted || name === "cleanup.policy") return false;
  const size = (text: string) => text === "-1" ? Infinity : Number(text);
  return size(now) < size(wanted);
}

/** The broker answers one base offset per partition; records of a partition lie behind it in the order they were sent. */
function positionsOf(
  chosen: readonly number[],
  answers: readonly { partition: number; baseOffset?: string }[],
): RecordPosition[] {
  const next = new Map(answers.map(({ partition, baseOffset }) => [partition, Number(baseOffset)]));
  return chosen.map((partition) => {
    const offset = next.get(partition)!;
    next.set(partition, offset + 1);
    return { partition, offset };
  });
}

/** The client takes bytes only as a Buffer: any other array it would write down as text. The bytes are not copied. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

async function clientConfig(config: KafkaConfig, role: LogRole): Promise<ClientConfig> {
  const read = async (path: string | null) => path === null ? undefined : await Deno.readTextFile(path);
  return {
    clientId: `pipeline-${role}`,
    brokers: [...config.brokers],
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    retry: RETRY,
    logLevel: logLevel.NOTHING,
    ...(config.ssl === null ? {} : {
      ssl: {
        ca: await read(config.ssl.ca),
        cert: await read(config.ssl.cert),
        key: await read(config.ssl.key),
      },
    }),
    ...(config.sasl === null ? {} : { sasl: config.sasl as SASLOptions }),
  };
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
