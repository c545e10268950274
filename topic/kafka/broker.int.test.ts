import {
  AclOperationTypes,
  AclPermissionTypes,
  AclResourceTypes,
  Kafka,
  ResourcePatternTypes,
} from "kafkajs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EnvironmentReader } from "../../runtime/environment.ts";
import { type KafkaBroker, whyNoKafka } from "../../tests/support/kafka_broker.ts";
import {
  hasIpv6,
  PASSWORD,
  type SecuredBroker,
  startSecuredBroker,
  user,
} from "../../tests/support/kafka_security.ts";
import { until } from "../../tests/support/until.ts";
import { otherClient } from "./fixtures/other_client.ts";
import { readLogConfig } from "../log_config.ts";
import { openTopicLog } from "../open_topic.ts";
import { LogSetupError, type RecordToPublish, type TopicLog } from "../topic.ts";

/** What only a broker knows of: TLS, passwords, permissions, a topic's settings, and records that weigh little on the wire. */
const why = await whyNoKafka();

/** Users of whom each has all rights but one, with what they are told where they miss it. */
const LACKING: readonly { name: string; right: Right; told: RegExp }[] = [
  { name: "no-create", right: "CREATE", told: /Cannot make topic .*Grant this user Create on the topic/ },
  { name: "no-write", right: "WRITE", told: /Cannot publish to .*Grant this user Write on (the|a) topic/ },
  { name: "no-read", right: "READ", told: /Cannot read .*Grant this user Read on the (group|topic)/ },
  { name: "no-group", right: "GROUP", told: /Cannot read .*Grant this user (Read|Describe) on the group/ },
];
type Right = "CREATE" | "WRITE" | "READ" | "GROUP";

let secured: SecuredBroker;
let broker: KafkaBroker;
let dir: string;

beforeAll(async () => {
  if (why !== null) return;
  dir = await Deno.makeTempDir({ prefix: "kafka-clients-" });
  secured = await startSecuredBroker({ others: ["nobody", ...LACKING.map(({ name }) => name)] });
  broker = secured.broker;
});
afterAll(async () => {
  await secured?.stop();
  if (dir) await Deno.remove(dir, { recursive: true });
});

type Environment = Record<string, string>;

/** A log as a service opens it: by its environment. */
async function withLog<T>(environment: Environment, use: (log: TopicLog) => Promise<T>): Promise<T> {
  const env = new EnvironmentReader(environment);
  const config = readLogConfig(env, join(dir, "data"));
  env.finish();
  const log = await openTopicLog(config, "processor");
  try {
    return await use(log);
  } finally {
    await log.close();
  }
}

const topicSpec = (name: string) => ({
  name,
  partitions: 1,
  retentionMs: null,
  retentionBytes: null,
  recordBytesMax: 2 * 1024 * 1024,
});
const saying = (text: string): RecordToPublish => ({
  key: null,
  value: new TextEncoder().encode(text),
  headers: {},
  timestamp: 1,
});

const readsNothing = {
  assigned: () => Promise.resolve(null),
  handle: () => Promise.resolve("handled" as const),
  revoked: () => Promise.resolve(),
};

/** Everything that a service does with a log. */
async function journey(log: TopicLog): Promise<string[]> {
  const topic = `t-${crypto.randomUUID()}`;
  await log.ensureTopic(topicSpec(topic));
  await log.publish(topic, [saying("a"), saying("b")]);
  const handled: string[] = [];
  const consumption = log.consume({
    topic,
    group: `g-${topic}`,
    handler: {
      assigned: () => Promise.resolve(null),
      handle: ({ records }) => {
        handled.push(...records.map(({ value }) => new TextDecoder().decode(value)));
        return Promise.resolve("handled");
      },
      revoked: () => Promise.resolve(),
    },
  });
  await until("both are handled", () => handled.length >= 2);
  await consumption.stop();
  expect(await log.committed(topic, `g-${topic}`)).toEqual([2]);
  return handled;
}

const ROUTES: Record<string, () => Environment> = {
  "TLS with an authority of one's own": () => secured.routes.tls,
  "TLS with a client certificate": () => secured.routes.mutual,
  "PLAIN": () => ({ ...secured.routes.sasl, ...user("PLAIN", "plain") }),
  "SCRAM-SHA-256": () => ({ ...secured.routes.sasl, ...user("SCRAM-SHA-256", "scram") }),
  "SCRAM-SHA-512 over TLS": () => ({ ...secured.routes.both, ...user("SCRAM-SHA-512", "scram") }),
  ...(hasIpv6() ? { "an IPv6 address": () => secured.routes.six } : {}),
};

const REFUSALS: Record<string, { environment: () => Environment; words: RegExp }> = {
  "a wrong password": {
    environment: () => ({ ...secured.routes.sasl, ...user("PLAIN", "plain", "wrong") }),
    words: /refused KAFKA_SASL_USERNAME and its password/,
  },
  "a wrong SCRAM password": {
    environment: () => ({ ...secured.routes.sasl, ...user("SCRAM-SHA-256", "scram", "wrong") }),
    words: /refused KAFKA_SASL_USERNAME and its password/,
  },
  "a certificate that nobody vouches for": {
    environment: () => ({ KAFKA_BROKERS: secured.routes.tls.KAFKA_BROKERS!, KAFKA_SSL: "1" }),
    words: /TLS with the broker failed.*KAFKA_SSL_CA/,
  },
  "a user without permissions": {
    environment: () => ({ ...secured.routes.sasl, ...user("PLAIN", "nobody") }),
    words: /not authorised.*Grant this user Create on the topic or the cluster/,
  },
};

describe("The log on a Kafka protocol broker that asks who one is", () => {
  if (why !== null) {
    test("works by TLS, PLAIN and SCRAM", (running) => running.skip(why));
    return;
  }

  test.each(Object.entries(ROUTES))(
    "works by %s, configured by the environment alone",
    async (_, environment) => {
      expect(await withLog(environment(), journey)).toEqual(["a", "b"]);
    },
  );

  test.each(Object.entries(REFUSALS))("says what to do about %s", async (_, { environment, words }) => {
    const error = await withLog(
      environment(),
      (log) => log.ensureTopic(topicSpec("refused")).then(() => null, (e) => e),
    );
    expect(error).toBeInstanceOf(LogSetupError);
    expect(error.message).toMatch(words);
    expect(error.message).not.toContain(PASSWORD);
    expect(error.message).not.toContain("wrong");
  });

  test("what the broker says of a topic that cannot be made is passed on", async () => {
    await withLog({ KAFKA_BROKERS: broker.brokers }, async (log) => {
      await expect(log.ensureTopic(topicSpec("not a name"))).rejects.toThrow(
        /^Cannot make topic "not a name": .* \(INVALID_TOPIC_EXCEPTION: Topic name is invalid: .*\)\. /,
      );
    });
  });

  test("a user who may not publish is told so by each record, and one who may not read by the membership", async () => {
    const topic = `t-${crypto.randomUUID()}`;
    await withLog({ KAFKA_BROKERS: broker.brokers }, (log) => log.ensureTopic(topicSpec(topic)));
    await withLog({ ...secured.routes.sasl, ...user("PLAIN", "nobody") }, async (log) => {
      await expect(log.publish(topic, [saying("a")])).rejects.toThrow(/may not describe it/);
      const consumption = log.consume({ topic, group: "denied", handler: readsNothing });
      const words = await until("it says why it cannot join", () => consumption.state().reason);
      expect(words).toMatch(/not authorised/);
    });
  });
});

describe("A user who lacks one right", () => {
  if (why !== null) {
    test("is told which", (running) => running.skip(why));
    return;
  }
  const prefix = `acl-${crypto.randomUUID()}.`;
  beforeAll(async () => {
    const acl = (name: string, resourceType: number, operation: number) => ({
      resourceType,
      resourceName: prefix,
      resourcePatternType: ResourcePatternTypes.PREFIXED,
      principal: `User:${name}`,
      host: "*",
      operation,
      permissionType: AclPermissionTypes.ALLOW,
    });
    const { TOPIC, GROUP } = AclResourceTypes;
    const rights = ["CREATE", "DESCRIBE_CONFIGS", "WRITE", "READ"] as const;
    const admin = new Kafka({ brokers: [broker.brokers] }).admin();
    await admin.connect();
    await admin.createAcls({
      acl: LACKING.flatMap(({ name, right }) => [
        ...rights.filter((one) => one !== right).map((one) => acl(name, TOPIC, AclOperationTypes[one])),
        ...(right === "GROUP" ? [] : [acl(name, GROUP, AclOperationTypes.READ)]),
      ]),
    });
    await admin.disconnect();
    // Until the broker itself knows of it.
    await withLog(
      { ...secured.routes.sasl, ...user("PLAIN", "no-group"), KAFKA_TOPIC_PREFIX: prefix },
      async (log) => {
        await until(
          "the rights hold",
          () => log.ensureTopic(topicSpec("made")).then(() => true, () => false),
        );
      },
    );
  });

  test.each(LACKING)("$right: it is named", async ({ name, told }) => {
    const environment = { ...secured.routes.sasl, ...user("PLAIN", name), KAFKA_TOPIC_PREFIX: prefix };
    const topic = name === "no-create" ? "new" : "made";
    const words = await withLog(environment, async (log) => {
      try {
        await log.ensureTopic(topicSpec(topic));
        await log.publish(topic, [saying("a")]);
      } catch (error) {
        return (error as Error).message;
      }
      const consumption = log.consume({ topic, group: "g", handler: readsNothing });
      return await until("it says why it cannot read", () => consumption.state().reason);
    });
    expect(words).toMatch(told);
  });
});

describe("A topic that is there at the start of a service", () => {
  if (why !== null) {
    test("keeps or raises its retention", (running) => running.skip(why));
    return;
  }
  const OPERATORS = { "retention.ms": "86400000", "retention.bytes": "1000000" };

  test.each([
    ["keeps the retention that an operator has set, where it may be set", true, OPERATORS],
    ["is kept for ever where it must be", false, { "retention.ms": "-1", "retention.bytes": "-1" }],
  ])("%s; what else is too small is raised, the rest stays", async (_, retentionMayBeSet, expected) => {
    const topic = `t-${crypto.randomUUID()}`;
    await withLog({ KAFKA_BROKERS: broker.brokers }, async (log) => {
      await log.ensureTopic({ ...topicSpec(topic), retentionMayBeSet });
      await broker.alterTopic(topic, {
        ...OPERATORS,
        "max.message.bytes": "20000",
        "segment.bytes": "4000000",
      });
      await log.ensureTopic({ ...topicSpec(topic), retentionMayBeSet });
    });
    expect(await broker.topicSettings(topic)).toMatchObject({
      ...expected,
      "max.message.bytes": "2097152",
      "segment.bytes": "4000000",
    });
  }, 60_000);

  test("is kept for ever where only the broker's default is shorter", async () => {
    const topic = `t-${crypto.randomUUID()}`;
    await broker.alterDefaults({ "log.retention.ms": "86400000" });
    await withLog({ KAFKA_BROKERS: broker.brokers }, async (log) => {
      await log.ensureTopic(topicSpec(topic));
      await broker.alterTopic(topic, { "retention.ms": null });
      await log.ensureTopic({ ...topicSpec(topic), retentionMayBeSet: true });
    });
    expect(await broker.topicSettings(topic)).toMatchObject({ "retention.ms": "-1" });
    await broker.alterDefaults({ "log.retention.ms": null });
  }, 60_000);
});

describe("Records that weigh little on the wire and much in memory", () => {
  test("come in answers of bounded size, and all of them come", async (running) => {
    if (why !== null) return running.skip(why);
    const topic = `t-${crypto.randomUUID()}`;
    const [count, bytes] = [80, 1_000_000];
    await withLog({ KAFKA_BROKERS: broker.brokers }, async (log) => {
      await log.ensureTopic(topicSpec(topic));
      for (let n = 0; n < count; n++) await log.publish(topic, [saying("a".repeat(bytes))]);
      const sizes: number[] = [];
      let records = 0;
      const options = { partition: 0, from: 0, until: count, batchRecordsMax: 1_000 };
      for await (const batch of log.read(topic, options)) {
        records += batch.records.length;
        sizes.push(batch.records.length * bytes);
      }
      expect(records).toBe(count);
      expect(Math.max(...sizes)).toBeLessThan(40_000_000);
    });
  });
});

describe("Records of other programs", () => {
  test("that compaction has taken are a gap that the position moves over", async (running) => {
    if (why !== null) return running.skip(why);
    const topic = `t-${crypto.randomUUID()}`;
    const other = otherClient(broker.brokers.split(","));
    await other.topic(topic, {
      "cleanup.policy": "compact",
      // A segment ends by the time of its records, and only one that has ended is compacted.
      "message.timestamp.type": "LogAppendTime",
      "segment.ms": "1",
      "min.cleanable.dirty.ratio": "0",
      "delete.retention.ms": "0",
    });
    for (let n = 0; n < 6; n++) {
      await other.publish(topic, [{ key: "a", value: `a${n}` }, { key: "b", value: `b${n}` }]);
    }
    await withLog({ KAFKA_BROKERS: broker.brokers }, async (log) => {
      const { endOffset } = (await log.bounds(topic))[0]!;
      const read = async () => {
        const [seen, ends] = [[] as string[], [0]];
        for await (const batch of log.read(topic, { partition: 0, from: 0, until: endOffset })) {
          for (const { offset, value } of batch.records) {
            seen.push(`${offset} ${new TextDecoder().decode(value)}`);
          }
          ends.push(batch.nextOffset);
        }
        return { seen, end: ends.at(-1) };
      };
      const { seen, end } = await until("compaction has come by", async () => {
        const now = await read();
        return now.seen.length <= 4 ? now : null;
      });
      expect(seen.slice(-2)).toEqual(["10 a5", "11 b5"]);
      expect(end).toBe(endOffset);
    });
    await other.close();
  }, 60_000);

  test(
    "give the lag that Kafka's own tool gives, while a transaction is open and after it was taken back",
    async (running) => {
      if (why !== null) return running.skip(why);
      const [topic, group] = [`t-${crypto.randomUUID()}`, `g-${crypto.randomUUID()}`];
      const other = otherClient(broker.brokers.split(","));
      await withLog({ KAFKA_BROKERS: broker.brokers }, async (log) => {
        await other.topic(topic);
        await other.publish(topic, [{ value: "a" }, { value: "b" }]);
        const transaction = await other.transaction(topic, [{ value: "c" }]);
        const handler = {
          assigned: () => Promise.resolve(null),
          handle: () => Promise.resolve("handled" as const),
          revoked: () => Promise.resolve(),
        };
        const consumption = log.consume({ topic, group, handler });
        const committed = (offset: number) => async () => (await log.committed(topic, group))[0] === offset;
        const same = async () => {
          const [ours] = await log.lag(topic, group, Date.now());
          const { nextOffset, endOffset, lag } = ours!;
          expect(await broker.describeGroup(group)).toEqual([{
            topic,
            partition: 0,
            nextOffset,
            endOffset,
            lag,
          }]);
          return lag;
        };
        await until("what may be read is committed", committed(2));
        expect(await same()).toBe(1);
        await transaction.abort();
        await until("the log's end is committed", committed(4));
        expect(await same()).toBe(0);
        await consumption.stop();
      });
      await other.close();
    },
    60_000,
  );
});
