import { type Admin, ConfigSource } from "kafkajs";
import type { TopicSpec } from "../topic.ts";
import { typeOf } from "./errors.ts";

/** A topic under its name on the broker; `replication` null leaves it to the broker. */
export type KafkaTopicSpec = TopicSpec & { readonly replication: number | null };

/** Makes a topic where it is missing; raises what is too low on one that is there. Rejects with the client's errors. */
export async function ensureKafkaTopic(admin: Admin, spec: KafkaTopicSpec): Promise<void> {
  if (!(await admin.listTopics()).includes(spec.name)) await createTopic(admin, spec);
  await raise(admin, spec);
}

async function createTopic(admin: Admin, spec: KafkaTopicSpec): Promise<void> {
  const create = (configEntries: { name: string; value: string }[]) =>
    admin.createTopics({
      waitForLeaders: true,
      topics: [{
        topic: spec.name,
        numPartitions: spec.partitions,
        ...(spec.replication === null ? {} : { replicationFactor: spec.replication }),
        configEntries,
      }],
    });
  const entries = Object.entries(wantedSettings(spec)).map(([name, value]) => ({ name, value }));
  try {
    // Redpanda may answer before its fsync unless this is said; Apache Kafka does not know the setting.
    await create([...entries, { name: "write.caching", value: "false" }]);
  } catch (error) {
    if (alreadyThere(error)) return;
    await create(entries).catch((error) => {
      if (!alreadyThere(error)) throw error;
    });
  }
}

function alreadyThere(error: unknown): boolean {
  const errors = (error as { errors?: unknown[] }).errors ?? [error];
  return errors.every((one) => typeOf(one) === "TOPIC_ALREADY_EXISTS");
}

/** Raises what is too low on a topic that was there before; what is higher or longer stays. */
async function raise(admin: Admin, spec: KafkaTopicSpec): Promise<void> {
  const topic = spec.name;
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
