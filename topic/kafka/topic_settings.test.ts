import { describe, expect, test } from "vitest";
import { FACTS_TOPIC_SPEC } from "../../processor/facts/topic.ts";
import { WEBHOOKS_TOPIC_SPEC } from "../raw_topics.ts";
import type { TopicSpec } from "../topic.ts";
import { findingsOf, findingWords, type TopicNow } from "./topic_settings.ts";

type Settings = Readonly<Record<string, string>>;

/** A topic as Kafka 4 describes one of ours, with three copies. */
const GOOD: Settings = {
  "cleanup.policy": "delete",
  "compression.type": "producer",
  "max.message.bytes": "2097152",
  "message.timestamp.after.max.ms": "3600000",
  "message.timestamp.before.max.ms": "9223372036854775807",
  "message.timestamp.type": "CreateTime",
  "min.insync.replicas": "2",
  "retention.bytes": "-1",
  "retention.ms": "-1",
  "unclean.leader.election.enable": "false",
};

function topic(
  { own = {}, fromBroker = {}, ...now }: Partial<TopicNow> & { own?: Settings; fromBroker?: Settings },
): TopicNow {
  const entries = (settings: Settings, isOwn: boolean) =>
    Object.entries(settings).map(([name, value]) => [name, { value, own: isOwn }] as const);
  const settings = new Map([...entries({ ...GOOD, ...fromBroker }, false), ...entries(own, true)]);
  return { partitions: 1, replication: 3, settings, ...now };
}

const found = (now: TopicNow, spec: TopicSpec = FACTS_TOPIC_SPEC) =>
  findingsOf(spec, now).map(({ setting, value, wanted, may }) => `${may} ${setting}: ${value} → ${wanted}`);

describe("the settings of a topic", () => {
  test("are in order as we make it, and whatever else it has", () => {
    expect(found(topic({}))).toEqual([]);
    const own = {
      "compression.type": "lz4",
      "segment.bytes": "2097152",
      "delete.retention.ms": "1",
      "min.insync.replicas": "3",
      "message.timestamp.after.max.ms": "9223372036854775807",
      "max.message.bytes": "10000000",
      "redpanda.remote.delete": "true",
    };
    expect(found(topic({ own }))).toEqual([]);
    expect(found(topic({ replication: 1, fromBroker: { "min.insync.replicas": "1" } }))).toEqual([]);
    expect(found(topic({ replication: 2, fromBroker: { "min.insync.replicas": "1" } }))).toEqual([]);
    expect(
      found(
        topic({
          replication: 1,
          own: { "unclean.leader.election.enable": "true", "min.insync.replicas": "1" },
        }),
      ),
    )
      .toEqual([]);
  });

  test.each<[Settings, string]>([
    [{ "cleanup.policy": "compact" }, "refuse cleanup.policy: compact → delete"],
    [{ "cleanup.policy": "compact,delete" }, "refuse cleanup.policy: compact,delete → delete"],
    [{ "retention.ms": "604800000" }, "put retention.ms: 604800000 → -1"],
    [{ "retention.bytes": "1000" }, "put retention.bytes: 1000 → -1"],
    [{ "max.message.bytes": "1048588" }, "put max.message.bytes: 1048588 → 2097152"],
    [{ "segment.bytes": "1000000" }, "put_if_possible segment.bytes: 1000000 → 2097152"],
    [{ "message.timestamp.type": "LogAppendTime" }, "put message.timestamp.type: LogAppendTime → CreateTime"],
    [
      { "message.timestamp.before.max.ms": "86400000" },
      "put_if_possible message.timestamp.before.max.ms: 86400000 → 9223372036854775807",
    ],
    [
      { "message.timestamp.difference.max.ms": "86400000" },
      "put_if_possible message.timestamp.difference.max.ms: 86400000 → 9223372036854775807",
    ],
    [
      { "message.timestamp.after.max.ms": "1000" },
      "put_if_possible message.timestamp.after.max.ms: 1000 → 3600000",
    ],
    [{ "unclean.leader.election.enable": "true" }, "put unclean.leader.election.enable: true → false"],
    [{ "write.caching": "true" }, "put write.caching: true → false"],
    [{ "min.insync.replicas": "4" }, "refuse min.insync.replicas: 4 → 2"],
    [{ "min.insync.replicas": "1" }, "warn min.insync.replicas: 1 → 2"],
    [
      { "confluent.value.schema.validation": "true" },
      "refuse confluent.value.schema.validation: true → false",
    ],
    [
      { "redpanda.key.schema.id.validation": "true" },
      "refuse redpanda.key.schema.id.validation: true → false",
    ],
  ])("%o is found: %s", (own, expected) => {
    expect(found(topic({ own }))).toEqual([expected]);
  });

  test("that come from the broker and that nobody chose for this topic are put right where its own are not", () => {
    expect(found(topic({ fromBroker: { "min.insync.replicas": "1" } })))
      .toEqual(["put_if_possible min.insync.replicas: 1 → 2"]);
    expect(found(topic({ replication: 1 }))).toEqual(["put min.insync.replicas: 2 → 1"]);
    const short = { "retention.ms": "604800000" };
    expect(found(topic({ fromBroker: short }), WEBHOOKS_TOPIC_SPEC)).toEqual([
      "put retention.ms: 604800000 → -1",
    ]);
    expect(found(topic({ own: short }), WEBHOOKS_TOPIC_SPEC)).toEqual([]);
  });

  test("need one partition where records need one order, and more are welcome elsewhere", () => {
    expect(found(topic({ partitions: 3 }))).toEqual(["refuse partitions: 3 → null"]);
    expect(found(topic({ partitions: 12 }), WEBHOOKS_TOPIC_SPEC)).toEqual([]);
  });

  test("that this user may not see are warned of, and partitions are counted all the same", () => {
    expect(found(topic({ partitions: 3, settings: null })))
      .toEqual(["refuse partitions: 3 → null", "warn settings: hidden → null"]);
  });
});

test("the words name the setting, its value, why it matters, and the commands of both tools", () => {
  const [finding] = findingsOf(FACTS_TOPIC_SPEC, topic({ own: { "cleanup.policy": "compact" } }));
  const words = findingWords(finding!, { topic: "acme.discount.facts", brokers: "k1:9092,k2:9092" });
  expect(words).toContain('topic "acme.discount.facts" has cleanup.policy=compact, but compaction deletes');
  expect(words).toContain("rpk topic alter-config acme.discount.facts --set cleanup.policy=delete");
  expect(words).toContain(
    "kafka-configs.sh --bootstrap-server k1:9092,k2:9092 --alter --entity-type topics " +
      "--entity-name acme.discount.facts --add-config cleanup.policy=delete",
  );
});
