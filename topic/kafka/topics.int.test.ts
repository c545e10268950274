import {
  AclOperationTypes,
  AclPermissionTypes,
  AclResourceTypes,
  type Admin,
  ConfigResourceTypes,
  ConfigSource,
  Kafka,
  logLevel,
  ResourcePatternTypes,
} from "kafkajs";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import {
  freePort,
  type KafkaBroker,
  startKafkaBroker,
  whyNoKafka,
} from "../../tests/support/kafka_broker.ts";
import type { KafkaConfig } from "../log_config.ts";
import { LogSetupError, type TopicLog, type TopicSpec } from "../topic.ts";
import { makeTopic } from "./fixtures/other_client.ts";
import { openKafkaLog } from "./log.ts";

/** Topics as operators make them: before a service starts, beside a running one, or anew. */
const why = await whyNoKafka();
const PREFIX = "acme.";
const PASSWORD = "right-password";

let broker: KafkaBroker;
let saslPort: number;
let dataDir: string;
let admin: Admin;
let log: TopicLog;

beforeAll(async () => {
  if (why !== null) return;
  dataDir = await Deno.makeTempDir({ prefix: "kafka-topics-" });
  saslPort = freePort();
  const login = "org.apache.kafka.common.security.plain.PlainLoginModule required";
  const users = ["blind", "looker"].map((name) => `user_${name}="${PASSWORD}"`).join(" ");
  broker = await startKafkaBroker({
    security: {
      listeners: [{ name: "SASL", protocol: "SASL_PLAINTEXT", port: saslPort }],
      properties: `listener.name.sasl.sasl.enabled.mechanisms=PLAIN
listener.name.sasl.plain.sasl.jaas.config=${login} ${users};
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS`,
      scramUsers: [],
    },
  });
  admin = new Kafka({ brokers: broker.brokers.split(","), logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  log = await openKafkaLog(config({}), "processor");
}, 60_000);
afterAll(async () => {
  await log?.close();
  await admin?.disconnect();
  await broker?.stop();
  if (dataDir) await Deno.remove(dataDir, { recursive: true });
});

function config(changes: Partial<KafkaConfig>): KafkaConfig {
  return {
    brokers: broker.brokers.split(","),
    prefix: PREFIX,
    replication: null,
    ssl: null,
    sasl: null,
    sessionTimeoutMs: 6_000,
    dataDir,
    ...changes,
  };
}

function spec(changes: Partial<TopicSpec> = {}): TopicSpec {
  const name = `t-${crypto.randomUUID()}`;
  const kept = { retentionMs: null, retentionBytes: null, recordBytesMax: 2_097_152 };
  return { name, partitions: 1, partitionsExact: true, ...kept, ...changes };
}

type Settings = Readonly<Record<string, string>>;

/** A topic that was there before any service. */
async function madeByAnOperator(
  settings: Settings,
  { partitions = 1 }: { readonly partitions?: number } = {},
): Promise<TopicSpec> {
  const wanted = spec();
  const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
  await makeTopic(admin, { topic: PREFIX + wanted.name, numPartitions: partitions, configEntries });
  return wanted;
}

async function entriesOf({ name }: TopicSpec) {
  const resources = [{ type: ConfigResourceTypes.TOPIC, name: PREFIX + name }];
  const { resources: [described] } = await admin.describeConfigs({ resources, includeSynonyms: false });
  return described!.configEntries;
}

async function settingsOf(topic: TopicSpec): Promise<Settings> {
  return Object.fromEntries((await entriesOf(topic)).map((entry) => [entry.configName, entry.configValue]));
}

/** The settings that a topic has of its own. */
async function ownSettingsOf(topic: TopicSpec): Promise<Settings> {
  const own = (await entriesOf(topic)).filter(({ configSource }) =>
    configSource === ConfigSource.TOPIC_CONFIG
  );
  return Object.fromEntries(own.map((entry) => [entry.configName, entry.configValue]));
}

/** Replaces the settings that a topic has of its own. */
async function setAll({ name }: TopicSpec, settings: Settings): Promise<void> {
  const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
  const resource = { type: ConfigResourceTypes.TOPIC, name: PREFIX + name, configEntries };
  await admin.alterConfigs({ validateOnly: false, resources: [resource] });
}

const refusalOf = (wanted: TopicSpec, by = log) =>
  by.ensureTopic(wanted).then(() => null, (error: Error) => error);

/** A log of a user who may do just these on the topic. */
async function logOf(username: string, { name }: TopicSpec, may: readonly AclOperationTypes[]) {
  await admin.createAcls({
    acl: may.map((operation) => ({
      resourceType: AclResourceTypes.TOPIC,
      resourceName: PREFIX + name,
      resourcePatternType: ResourcePatternTypes.LITERAL,
      principal: `User:${username}`,
      host: "*",
      operation,
      permissionType: AclPermissionTypes.ALLOW,
    })),
  });
  const sasl = { mechanism: "plain", username, password: PASSWORD } as const;
  const theirs = await openKafkaLog(config({ brokers: [`127.0.0.1:${saslPort}`], sasl }), "processor");
  onTestFinished(() => theirs.close());
  return theirs;
}

const { READ, WRITE, DESCRIBE, DESCRIBE_CONFIGS } = AclOperationTypes;

describe.skipIf(why !== null)("a topic that was there before", () => {
  test.each<[string, Settings]>([
    ["cleanup.policy=compact", { "cleanup.policy": "compact" }],
    ["cleanup.policy=compact,delete", { "cleanup.policy": "compact,delete" }],
    ["min.insync.replicas=2", { "min.insync.replicas": "2" }],
  ])("is refused with %s, by words that name the commands, and is left as it is", async (words, settings) => {
    const wanted = await madeByAnOperator({ ...settings, "retention.ms": "1000000" });
    const error = await refusalOf(wanted);
    expect(error).toBeInstanceOf(LogSetupError);
    expect(error!.message).toContain(`topic "${PREFIX}${wanted.name}" has ${words}, but `);
    const [name] = words.split("=");
    const mended = name === "cleanup.policy" ? `${name}=delete` : `${name}=1`;
    expect(error!.message).toContain(`rpk topic alter-config ${PREFIX}${wanted.name} --set ${mended}`);
    expect(error!.message).toContain(
      `kafka-configs.sh --bootstrap-server ${broker.brokers} --alter --entity-type topics ` +
        `--entity-name ${PREFIX}${wanted.name} --add-config ${mended}`,
    );
    expect(await settingsOf(wanted)).toMatchObject({ ...settings, "retention.ms": "1000000" });
  });

  test("is usable once the command of the refusal has run", async () => {
    const wanted = await madeByAnOperator({ "cleanup.policy": "compact" });
    await broker.alterTopic(PREFIX + wanted.name, { "cleanup.policy": "delete" });
    expect(await refusalOf(wanted)).toBeNull();
  });

  test("is refused with more partitions where its records need one order, and used as it is elsewhere", async () => {
    const wanted = await madeByAnOperator({}, { partitions: 3 });
    const error = await refusalOf(wanted);
    expect(error).toBeInstanceOf(LogSetupError);
    expect(error!.message).toContain(`topic "${PREFIX}${wanted.name}" has 3 partitions`);
    expect(error!.message).toContain(`rpk topic delete ${PREFIX}${wanted.name}`);
    expect(await refusalOf({ ...wanted, partitionsExact: false })).toBeNull();
    expect(await log.bounds(wanted.name)).toHaveLength(3);
  });

  test("has its times and bounds put right, and its other settings stay", async () => {
    const bad = {
      "message.timestamp.type": "LogAppendTime",
      "message.timestamp.before.max.ms": "1000",
      "message.timestamp.after.max.ms": "1000",
      "max.message.bytes": "20000",
      "retention.ms": "86400000",
      "retention.bytes": "1000000",
    };
    const others = { "segment.bytes": "4000000", "compression.type": "lz4" };
    const wanted = await madeByAnOperator({ ...bad, ...others });
    await log.ensureTopic(wanted);
    expect(await settingsOf(wanted)).toMatchObject({
      "message.timestamp.type": "CreateTime",
      "message.timestamp.before.max.ms": "9223372036854775807",
      "message.timestamp.after.max.ms": "3600000",
      "max.message.bytes": "2097152",
      "retention.ms": "-1",
      "retention.bytes": "-1",
      ...others,
    });
  });

  test("takes a record that no segment of it could hold", async () => {
    const wanted = await madeByAnOperator({ "segment.bytes": "1048576" });
    await log.ensureTopic(wanted);
    const value = new Uint8Array(1_500_000);
    // What packs would fit.
    for (let at = 0; at < value.length; at += 60_000) crypto.getRandomValues(value.subarray(at, at + 60_000));
    const record = { key: null, value, headers: {}, timestamp: Date.now() };
    expect(await log.publish(wanted.name, [record])).toEqual([{ partition: 0, offset: 0 }]);
  });

  test("takes records of long ago and of a clock that is ahead, with the times that they carry", async () => {
    const wanted = await madeByAnOperator({
      "message.timestamp.type": "LogAppendTime",
      "message.timestamp.before.max.ms": "1000",
      "message.timestamp.after.max.ms": "1000",
    });
    await log.ensureTopic(wanted);
    const times = [Date.UTC(2020, 0, 1), Date.now() + 600_000];
    const record = { key: null, value: new Uint8Array([1]), headers: {} };
    await log.publish(wanted.name, times.map((timestamp) => ({ ...record, timestamp })));
    const read: number[] = [];
    for await (const { records } of log.read(wanted.name, { partition: 0, from: 0, until: times.length })) {
      read.push(...records.map(({ timestamp }) => timestamp));
    }
    expect(read).toEqual(times);
  });

  test(
    "keeps a setting that comes from the broker as one of the broker's, where another one is put right",
    async () => {
      const wanted = await madeByAnOperator({ "retention.ms": "1000000" });
      await log.ensureTopic(wanted);
      expect(await ownSettingsOf(wanted)).toEqual({
        "retention.ms": "-1",
        "max.message.bytes": "2097152",
      });
    },
  );
});

describe.skipIf(why !== null)("a user who may not change a topic's settings", () => {
  test("is told what to have changed, with the command", async () => {
    const wanted = await madeByAnOperator({ "message.timestamp.type": "LogAppendTime" });
    const theirs = await logOf("looker", wanted, [DESCRIBE, DESCRIBE_CONFIGS, READ, WRITE]);
    const error = await refusalOf(wanted, theirs);
    expect(error).toBeInstanceOf(LogSetupError);
    expect(error!.message).toContain(`${PREFIX}${wanted.name} --set message.timestamp.type=CreateTime`);
    expect(error!.message).toContain("could not set it itself: Topic authorization failed");
  });

  test("needs no such right where all is as it must be", async () => {
    const wanted = spec();
    await log.ensureTopic(wanted);
    const theirs = await logOf("looker", wanted, [DESCRIBE, DESCRIBE_CONFIGS, READ, WRITE]);
    expect(await refusalOf(wanted, theirs)).toBeNull();
  });

  test("nor see them, goes on, publishes, and the settings count as unchecked", async () => {
    const wanted = spec();
    await log.ensureTopic(wanted);
    const theirs = await logOf("blind", wanted, [DESCRIBE, READ, WRITE]);
    expect(await refusalOf(wanted, theirs)).toBeNull();
    const value = new Uint8Array(1_500_000);
    await theirs.publish(wanted.name, [{ key: null, value, headers: {}, timestamp: 1 }]);
    const [breach, ...others] = await theirs.breaches!(wanted);
    expect(others).toEqual([]);
    expect(breach).toMatchObject({ topic: PREFIX + wanted.name, setting: "settings", loses: false });
    expect(breach!.words).toContain("grant it DescribeConfigs");
  });
});

describe.skipIf(why !== null)("a topic beside a running service", () => {
  test(
    "has no breach as it was made, and those that somebody brings about, until they are mended",
    async () => {
      const wanted = spec();
      await log.ensureTopic(wanted);
      expect(await log.breaches!(wanted)).toEqual([]);
      const made = await ownSettingsOf(wanted);
      await setAll(wanted, { ...made, "cleanup.policy": "compact", "max.message.bytes": "1000" });
      const seen = await log.breaches!(wanted);
      expect(seen.map(({ setting, loses }) => [setting, loses])).toEqual([
        ["cleanup.policy", true],
        ["max.message.bytes", false],
      ]);
      await setAll(wanted, made);
      expect(await log.breaches!(wanted)).toEqual([]);
    },
  );

  test("that is deleted and made again has another id", async () => {
    const wanted = spec();
    await log.ensureTopic(wanted);
    const id = await log.topicId!(wanted.name);
    await admin.deleteTopics({ topics: [PREFIX + wanted.name] });
    await log.ensureTopic(wanted);
    const again = await log.topicId!(wanted.name);
    expect(again).toMatch(/^[0-9a-f]{32}$/);
    expect(again).not.toBe(id);
  });
});
