import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EnvironmentReader } from "../../runtime/environment.ts";
import {
  freePort,
  type KafkaBroker,
  startKafkaBroker,
  whyNoKafka,
} from "../../tests/support/kafka_broker.ts";
import { until } from "../../tests/support/until.ts";
import { otherClient } from "./fixtures/other_client.ts";
import { readLogConfig } from "../log_config.ts";
import { openTopicLog } from "../open_topic.ts";
import { LogSetupError, type RecordToPublish, type TopicLog } from "../topic.ts";

/** What only a broker knows of: TLS, passwords, permissions, a topic's settings, and records that weigh little on the wire. */
const why = await whyNoKafka();

const PASSWORD = "right-password";

let broker: KafkaBroker;
let dir: string;
let ports: Record<"tls" | "mutual" | "sasl" | "both", number>;

beforeAll(async () => {
  if (why !== null) return;
  dir = await Deno.makeTempDir({ prefix: "kafka-security-" });
  ports = { tls: freePort(), mutual: freePort(), sasl: freePort(), both: freePort() };
  await makeServerKey();
  await makeClientKey();
  broker = await startKafkaBroker({
    security: {
      listeners: [
        { name: "TLS", protocol: "SSL", port: ports.tls },
        { name: "MUTUAL", protocol: "SSL", port: ports.mutual },
        { name: "SASL", protocol: "SASL_PLAINTEXT", port: ports.sasl },
        { name: "BOTH", protocol: "SASL_SSL", port: ports.both },
      ],
      properties: securityProperties(),
      scramUsers: ["SCRAM-SHA-256", "SCRAM-SHA-512"].map((name) =>
        `${name}=[name=scram,password=${PASSWORD}]`
      ),
    },
  });
});
afterAll(async () => {
  await broker?.stop();
  if (dir) await Deno.remove(dir, { recursive: true });
});

async function run(program: string, args: readonly string[]): Promise<void> {
  const { code, stderr, stdout } = await new Deno.Command(program, { args: [...args], cwd: dir }).output();
  const said = new TextDecoder().decode(code === 0 ? undefined : stderr.length > 0 ? stderr : stdout);
  if (code !== 0) throw new Error(`${program} failed: ${said}`);
}

async function makeServerKey(): Promise<void> {
  const store = ["-keystore", "server.p12", "-storepass", "changeit", "-alias", "server"];
  const who = ["-dname", "CN=broker", "-ext", "san=ip:127.0.0.1", "-validity", "30"];
  await run("keytool", ["-genkeypair", "-keyalg", "RSA", "-storetype", "PKCS12", ...store, ...who]);
  await run("keytool", ["-exportcert", "-rfc", "-file", "ca.pem", ...store]);
}

async function makeClientKey(): Promise<void> {
  const files = ["-keyout", "client.key", "-out", "client.pem"];
  await run("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=client", ...files]);
}

function securityProperties(): string {
  const login = "org.apache.kafka.common.security";
  const users = ["plain", "nobody"].map((name) => `user_${name}="${PASSWORD}"`).join(" ");
  const tls = ["tls", "mutual", "both"].map((name) =>
    `listener.name.${name}.ssl.keystore.type=PKCS12
listener.name.${name}.ssl.keystore.location=${join(dir, "server.p12")}
listener.name.${name}.ssl.keystore.password=changeit
listener.name.${name}.ssl.key.password=changeit`
  );
  const sasl = ["sasl", "both"].map((name) =>
    `listener.name.${name}.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.${name}.plain.sasl.jaas.config=${login}.plain.PlainLoginModule required ${users};
listener.name.${name}.scram-sha-256.sasl.jaas.config=${login}.scram.ScramLoginModule required;
listener.name.${name}.scram-sha-512.sasl.jaas.config=${login}.scram.ScramLoginModule required;`
  );
  return [
    ...tls,
    ...sasl,
    "listener.name.mutual.ssl.client.auth=required",
    "listener.name.mutual.ssl.truststore.type=PEM",
    `listener.name.mutual.ssl.truststore.location=${join(dir, "client.pem")}`,
    "log.cleaner.backoff.ms=200",
    "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users=User:ANONYMOUS;User:plain;User:scram;User:CN=client",
  ].join("\n");
}

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

const tls = (): Environment => ({ KAFKA_SSL_CA: join(dir, "ca.pem") });
const user = (mechanism: string, username: string, password = PASSWORD): Environment => ({
  KAFKA_SASL_MECHANISM: mechanism,
  KAFKA_SASL_USERNAME: username,
  KAFKA_SASL_PASSWORD: password,
});
const at = (port: number): Environment => ({ KAFKA_BROKERS: `127.0.0.1:${port}` });

const ROUTES: Record<string, () => Environment> = {
  "TLS with an authority of one's own": () => ({ ...at(ports.tls), ...tls() }),
  "TLS with a client certificate": () => ({
    ...at(ports.mutual),
    ...tls(),
    KAFKA_SSL_CERT: join(dir, "client.pem"),
    KAFKA_SSL_KEY: join(dir, "client.key"),
  }),
  "PLAIN": () => ({ ...at(ports.sasl), ...user("PLAIN", "plain") }),
  "SCRAM-SHA-256": () => ({ ...at(ports.sasl), ...user("SCRAM-SHA-256", "scram") }),
  "SCRAM-SHA-512 over TLS": () => ({ ...at(ports.both), ...tls(), ...user("SCRAM-SHA-512", "scram") }),
};

const REFUSALS: Record<string, { environment: () => Environment; words: RegExp }> = {
  "a wrong password": {
    environment: () => ({ ...at(ports.sasl), ...user("PLAIN", "plain", "wrong") }),
    words: /refused KAFKA_SASL_USERNAME and its password/,
  },
  "a wrong SCRAM password": {
    environment: () => ({ ...at(ports.sasl), ...user("SCRAM-SHA-256", "scram", "wrong") }),
    words: /refused KAFKA_SASL_USERNAME and its password/,
  },
  "a certificate that nobody vouches for": {
    environment: () => ({ ...at(ports.tls), KAFKA_SSL: "1" }),
    words: /TLS with the broker failed.*KAFKA_SSL_CA/,
  },
  "a user without permissions": {
    environment: () => ({ ...at(ports.sasl), ...user("PLAIN", "nobody") }),
    words: /not authorised.*Grant this user/,
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

  test("a user who may not publish is told so by each record, and one who may not read by the membership", async () => {
    const topic = `t-${crypto.randomUUID()}`;
    await withLog(at(Number(broker.brokers.split(":")[1])), (log) => log.ensureTopic(topicSpec(topic)));
    await withLog({ ...at(ports.sasl), ...user("PLAIN", "nobody") }, async (log) => {
      await expect(log.publish(topic, [saying("a")])).rejects.toThrow(/may not describe it/);
      const handler = {
        assigned: () => Promise.resolve(null),
        handle: () => Promise.resolve("handled" as const),
        revoked: () => Promise.resolve(),
      };
      const consumption = log.consume({ topic, group: "denied", handler });
      const words = await until("it says why it cannot join", () => consumption.state().reason);
      expect(words).toMatch(/not authorised/);
    });
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
        "segment.bytes": "2000000",
      });
      await log.ensureTopic({ ...topicSpec(topic), retentionMayBeSet });
    });
    expect(await broker.topicSettings(topic)).toMatchObject({
      ...expected,
      "max.message.bytes": "2097152",
      "segment.bytes": "2000000",
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
