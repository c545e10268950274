import { type Admin, ConfigSource } from "kafkajs";
import { log } from "../../runtime/log.ts";
import { LogSetupError, type SettingBreach, type TopicSpec } from "../topic.ts";
import { typeOf } from "./errors.ts";
import type { ClientCluster } from "./fetcher.ts";
import { TIME_SETTINGS } from "./own_time.ts";
import { setTopicSettings } from "./own_requests.ts";
import { type Finding, findingsOf, findingWords, type TopicNow } from "./topic_settings.ts";

/** What making and checking topics needs of the log. */
export type TopicsPorts = {
  readonly admin: Admin;
  /** A connection of its own; closed by whoever takes it. */
  readonly cluster: () => ClientCluster;
  /** As `KAFKA_BROKERS` names them, for the words of an error. */
  readonly brokers: string;
  /** null leaves it to the broker. */
  readonly replication: number | null;
};

const TOPIC_RESOURCE = 2;
const HIDDEN = new Set(["TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED"]);

/**
 * Makes a topic, under its name on the broker, where it is missing. On one that is there it puts right what may be put
 * right, and rejects with {@link LogSetupError} where a promise would be broken; else with the client's errors.
 */
export async function ensureKafkaTopic(ports: TopicsPorts, spec: TopicSpec): Promise<void> {
  const isThere = (await ports.admin.listTopics()).includes(spec.name);
  if (!isThere) await createTopic(ports, spec);
  const topic = await topicNow(ports.admin, spec.name);
  if (topic.partitions < spec.partitions) {
    await ports.admin.createPartitions({
      topicPartitions: [{ topic: spec.name, count: spec.partitions }],
    });
  }
  const findings = findingsOf(spec, topic);
  refuse(findings.filter(({ may }) => may === "refuse"), { ports, topic: spec.name });
  await putRight(findings, { ports, topic: spec.name, says: isThere });
}

/** What of the topic breaks a promise now; changes nothing. */
export async function breachesOf(ports: TopicsPorts, spec: TopicSpec): Promise<SettingBreach[]> {
  return findingsOf(spec, await topicNow(ports.admin, spec.name)).map((finding) => ({
    topic: spec.name,
    setting: finding.setting,
    loses: finding.loses,
    words: findingWords(finding, { topic: spec.name, brokers: ports.brokers }),
  }));
}

async function createTopic({ admin, replication }: TopicsPorts, spec: TopicSpec): Promise<void> {
  const create = (configEntries: { name: string; value: string }[]) =>
    admin.createTopics({
      waitForLeaders: true,
      topics: [{
        topic: spec.name,
        numPartitions: spec.partitions,
        ...(replication === null ? {} : { replicationFactor: replication }),
        configEntries,
      }],
    });
  const entries = [
    { name: "cleanup.policy", value: "delete" },
    { name: "retention.ms", value: String(spec.retentionMs ?? -1) },
    { name: "retention.bytes", value: String(spec.retentionBytes ?? -1) },
    { name: "max.message.bytes", value: String(spec.recordBytesMax) },
  ];
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

async function topicNow(admin: Admin, name: string): Promise<TopicNow> {
  const { topics } = await admin.fetchTopicMetadata({ topics: [name] });
  const { partitions } = topics[0]!;
  const replication = Math.max(...partitions.map(({ replicas }) => replicas.length));
  return { partitions: partitions.length, replication, settings: await settingsOf(admin, name) };
}

/** A topic's settings, also those that it has from the broker; null where this user may not see them. */
async function settingsOf(admin: Admin, name: string): Promise<TopicNow["settings"]> {
  try {
    const resources = [{ type: TOPIC_RESOURCE, name }];
    const { resources: [described] } = await admin.describeConfigs({ resources, includeSynonyms: false });
    return new Map(
      described!.configEntries.filter(({ configValue }) => configValue !== null)
        .map(({ configName, configValue, configSource }) => [
          configName,
          { value: configValue, own: configSource === ConfigSource.TOPIC_CONFIG },
        ]),
    );
  } catch (error) {
    if (HIDDEN.has(typeOf(error) ?? "")) return null;
    throw error;
  }
}

/**
 * What decides whether a record is taken: its bytes (no bound where this user may not see it: the broker has it), and
 * the settings that bound its time.
 */
export async function publishingSettingsOf(
  admin: Admin,
  name: string,
): Promise<{ recordBytesMax: number; timeSettings: ReadonlyMap<string, string> }> {
  const settings = await settingsOf(admin, name);
  if (settings === null) return { recordBytesMax: Infinity, timeSettings: new Map() };
  const bytes = Number(settings.get("max.message.bytes")?.value ?? NaN);
  const times = TIME_SETTINGS.flatMap((setting) => {
    const found = settings.get(setting);
    return found === undefined ? [] : [[setting, found.value] as const];
  });
  // The bound is the broker's for a whole batch, whose header takes some of it.
  return { recordBytesMax: (bytes > 0 ? bytes : 1_048_588) - 128, timeSettings: new Map(times) };
}

/** Sets what is ours to set; rejects with all that could not be set and must be. */
async function putRight(
  findings: readonly Finding[],
  { ports, topic, says }: { readonly ports: TopicsPorts; readonly topic: string; readonly says: boolean },
): Promise<void> {
  const failed: Finding[] = [];
  let cause: Error | undefined;
  for (const finding of findings) {
    const { setting, value, wanted, may, why } = finding;
    if ((may !== "put" && may !== "put_if_possible") || wanted === null) continue;
    try {
      await setTopicSettings(ports.cluster(), topic, { [setting]: wanted });
      if (says) {
        log("info", `topic "${topic}" had ${setting}=${value}, and has ${wanted} now: ${why}`, { topic });
      }
    } catch (error) {
      // What has no name in the protocol is trouble on the way to the broker.
      if (typeOf(error) === null) throw error;
      if (may === "put") failed.push(finding);
      cause = error as Error;
    }
  }
  refuse(failed, { ports, topic, cause });
}

function refuse(
  findings: readonly Finding[],
  { ports: { brokers }, topic, cause }: {
    readonly ports: TopicsPorts;
    readonly topic: string;
    readonly cause?: Error | undefined;
  },
): void {
  if (findings.length === 0) return;
  const words = findings.map((finding) => findingWords(finding, { topic, brokers })).join(". ");
  const tried = cause === undefined ? "" : ` This program could not set it itself: ${cause.message}`;
  throw new LogSetupError(`Cannot use a topic as it is: ${words}.${tried}`, { cause });
}
