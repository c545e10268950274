import {
  CompressionCodecs,
  CompressionTypes,
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
import { type ClientCluster, KafkaFetcher } from "./fetcher.ts";
import { type GroupClient, type GroupClientEvents, KafkaMembership } from "./membership.ts";
import { repairClient, zstd } from "./kafkajs_repairs.ts";
import type { KafkaConfig, LogRole } from "../log_config.ts";
import { MicroBatcher, recordBytes } from "./micro_batcher.ts";
import { behindIn, secondsSince } from "../group_lag.ts";
import { topicIdOf } from "./own_requests.ts";
import { partitionFor } from "../partitioner.ts";
import { batchBytesMaxIn, breachesOf, ensureKafkaTopic, settingsOf, type TopicsPorts } from "./topics.ts";
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
  type SettingBreach,
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
const READ_BACK_OFF = { msFirst: 100, msMax: 1_000 };
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
/** Longest wait for the first record when a reader follows a partition, in ms. */
const READ_WAIT_MS = 250;

/** A topic as it was last looked up; `at` by the monotonic clock. */
type LookUp = { readonly known: Promise<KnownTopic>; readonly at: number };
type KnownTopic = { readonly partitions: number; readonly recordBytesMax: number };

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
  #producer: Promise<Producer> | null = null;
  #adminConnected: Promise<void> | null = null;
  #closed = false;

  constructor(private readonly config: KafkaConfig, private readonly client: Kafka) {
    this.#admin = client.admin({ retry: RETRY });
  }

  // ---- topics

  async ensureTopic(spec: TopicSpec): Promise<void> {
    await this.#doing(`make topic "${spec.name}"`, async () => {
      await ensureKafkaTopic(await this.#topicsPorts(), { ...spec, name: this.#name(spec.name) });
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
    return await this.#batcher.publish(topic, records);
  }

  async #send(topic: string, records: readonly RecordToPublish[]): Promise<readonly RecordPosition[]> {
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
      bounds: () => this.bounds(topic),
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
    const { partition, until, signal, batchRecordsMax = 500 } = options;
    const { startOffset } = await this.#boundsOf(topic, partition);
    let from = Math.max(options.from, startOffset);
    if (until !== undefined && from >= until) return;
    const fetcher = this.#fetcher(topic);
    this.#readers.add(fetcher);
    try {
      while (!signal?.aborted && (until === undefined || from < until)) {
        const answer = await this.#fetchOnce(fetcher, { topic, partition, from });
        if (answer === null) {
          from = Math.max(from, (await this.#boundsOf(topic, partition)).startOffset);
          continue;
        }
        const inRange = answer.records.filter((record) => until === undefined || record.offset < until);
        for (let at = 0; at < inRange.length; at += batchRecordsMax) {
          const records = inRange.slice(at, at + batchRecordsMax);
          const isLast = at + batchRecordsMax >= inRange.length;
          const nextOffset = isLast
            ? Math.min(answer.nextOffset, until ?? Infinity)
            : records.at(-1)!.offset + 1;
          yield { partition, records, nextOffset, endOffset: answer.endOffset };
          if (signal?.aborted) return;
        }
        from = answer.nextOffset;
      }
    } finally {
      this.#readers.delete(fetcher);
      await fetcher.close().catch(() => {});
    }
  }

  /** One fetch; null where the offset is no longer (or not yet) there, and after trouble that may pass. */
  async #fetchOnce(
    fetcher: KafkaFetcher,
    { topic, partition, from }: { topic: string; partition: number; from: number },
  ) {
    for (let attempt = 0;; attempt++) {
      try {
        return (await fetcher.fetch([{ partition, from }], READ_WAIT_MS))[0]!;
      } catch (error) {
        if (typeOf(error) === "OFFSET_OUT_OF_RANGE") return null;
        if (attempt >= SEND_RETRIES) throw portError(error, `read "${topic}"`);
        await systemClock.wait(backOffMs(attempt + 1, READ_BACK_OFF));
        await fetcher.recover(error).catch(() => {});
      }
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

  async #boundsOf(topic: string, partition: number): Promise<PartitionBounds> {
    const found = (await this.bounds(topic))[partition];
    if (!found) throw new LogSetupError(`Cannot read partition ${partition} of "${topic}": there is none.`);
    return found;
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
    const oldest = await this.#timestamps(topic, behind.filter(({ lag }) => lag > 0));
    return behind.map(({ from: _, ...one }) => ({
      ...one,
      lagSeconds: secondsSince(oldest.get(one.partition), now),
    }));
  }

  /** Timestamps of single records, fetched together. */
  async #timestamps(
    topic: string,
    wanted: readonly { partition: number; from: number }[],
  ): Promise<Map<number, number>> {
    const found = new Map<number, number>();
    if (wanted.length === 0) return found;
    const fetcher = this.#fetcher(topic);
    try {
      for (const { partition, records } of await fetcher.fetch(wanted, READ_WAIT_MS)) {
        if (records[0]) found.set(partition, records[0].timestamp);
      }
      return found;
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
        settingsOf(admin, name),
      ]);
      // The bound is the broker's for a whole batch, whose header takes some of it.
      return { partitions: topics[0]!.partitions.length, recordBytesMax: batchBytesMaxIn(settings) - 128 };
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
