import type { TopicSpec } from "../topic.ts";

/**
 * What a topic's settings must be for the promises to hold; docs/decisions/kafka-settings.md says why each is as it is.
 * No I/O: `topics.ts` asks the broker and acts.
 */

/** A topic as the broker has it; `settings` null where this user may not see them. */
export type TopicNow = {
  readonly partitions: number;
  /** Copies of each partition. */
  readonly replication: number;
  readonly settings: ReadonlyMap<string, TopicSetting> | null;
};
/** `own`: set on the topic itself; else it comes from the broker. */
export type TopicSetting = { readonly value: string; readonly own: boolean };

/** A setting that is not as it must be. */
export type Finding = {
  readonly setting: string;
  readonly value: string;
  /** What it must be; null where no setting mends it. */
  readonly wanted: string | null;
  /** `put`: by us, else refused. `put_if_possible`: by us, else warned of. */
  readonly may: "put" | "put_if_possible" | "refuse" | "warn";
  /** Records that were acknowledged may get lost, or be read in another order. */
  readonly loses: boolean;
  readonly why: string;
};

const LONG_MAX = "9223372036854775807";
/** How far a record's time may lie ahead of the broker's clock, in ms: Kafka 4's own default. */
const AHEAD_MS_MIN = 3_600_000;

type Rule = Pick<Finding, "setting" | "why"> & {
  readonly wanted: (now: string, about: { spec: TopicSpec; topic: TopicNow; own: boolean }) => string | null;
  readonly may: Finding["may"] | ((now: string, own: boolean) => Finding["may"]);
  readonly loses?: true;
};

const atLeast = (least: string) => (now: string) => size(now) < size(least) ? least : null;
const size = (text: string) => text === "-1" || text === "" ? Infinity : Number(text);
/** Copies that must have a record before it is acknowledged. */
const copiesOf = ({ replication }: TopicNow) => replication >= 3 ? 2 : 1;
const kept = (bound: (spec: TopicSpec) => number | null): Rule["wanted"] => (now, { spec, own }) =>
  spec.retentionMayBeSet === true && own ? null : atLeast(String(bound(spec) ?? -1))(now);
const notTrue = (now: string) => now === "true" ? "false" : null;

const RULES: readonly Rule[] = [
  {
    setting: "cleanup.policy",
    wanted: (now) => now.includes("compact") ? "delete" : null,
    may: "refuse",
    loses: true,
    why:
      "compaction deletes all but the newest record of a key, and each is needed; what it has deleted already stays " +
      "lost (docs/kafka.md, Topic settings)",
  },
  {
    setting: "retention.ms",
    wanted: kept((spec) => spec.retentionMs),
    may: "put",
    loses: true,
    why: "its records must stay",
  },
  {
    setting: "retention.bytes",
    wanted: kept((spec) => spec.retentionBytes),
    may: "put",
    loses: true,
    why: "its records must stay",
  },
  {
    setting: "max.message.bytes",
    wanted: (now, { spec }) => atLeast(String(spec.recordBytesMax))(now),
    may: "put",
    why: "records that ingest may accept must fit",
  },
  {
    setting: "segment.bytes",
    wanted: (now, { spec }) => atLeast(String(spec.recordBytesMax))(now),
    may: "put_if_possible",
    why: "the broker takes no record that is larger than a segment, whatever max.message.bytes says",
  },
  {
    setting: "message.timestamp.type",
    wanted: (now) => now === "CreateTime" ? null : "CreateTime",
    may: "put",
    why:
      "a record's time is when ingest received it, also where it waited in the spool; records that are there keep the " +
      "time at which they were appended",
  },
  ...["message.timestamp.before.max.ms", "message.timestamp.difference.max.ms"].map((setting): Rule => ({
    setting,
    wanted: atLeast(LONG_MAX),
    // Where it cannot be, ingest finds the nearest time that is taken.
    may: "put_if_possible",
    why:
      "records from the spool and redriven ones carry the time at which they were received, however long ago",
  })),
  {
    setting: "message.timestamp.after.max.ms",
    wanted: atLeast(String(AHEAD_MS_MIN)),
    may: "put_if_possible",
    why: "clocks differ a little",
  },
  {
    setting: "unclean.leader.election.enable",
    wanted: (now, { topic }) => topic.replication > 1 ? notTrue(now) : null,
    may: "put",
    loses: true,
    why: "a leader that lags behind would take acknowledged records away",
  },
  {
    setting: "write.caching",
    wanted: notTrue,
    may: "put",
    loses: true,
    why: "Redpanda would acknowledge records before they are on a disk",
  },
  {
    setting: "min.insync.replicas",
    wanted: (now, { topic }) => Number(now) > topic.replication ? String(copiesOf(topic)) : null,
    may: (_, own) => own ? "refuse" : "put",
    why: "the topic has fewer copies, so that it never takes a record",
  },
  {
    setting: "min.insync.replicas",
    wanted: (now, { topic }) => Number(now) < copiesOf(topic) ? String(copiesOf(topic)) : null,
    may: (_, own) => own ? "warn" : "put_if_possible",
    why: "an acknowledged record may lie on one broker alone, and is lost with it",
  },
  ...["confluent.key.schema.validation", "confluent.value.schema.validation"]
    .concat("redpanda.key.schema.id.validation", "redpanda.value.schema.id.validation")
    .map((setting): Rule => ({
      setting,
      wanted: notTrue,
      may: "refuse",
      why: "the broker would take only records of a registered schema, and these are bodies as they came",
    })),
];

/** Everything about the topic that breaks a promise; empty where nothing does. */
export function findingsOf(spec: TopicSpec, topic: TopicNow): Finding[] {
  return [...partitionFindings(spec, topic), ...settingFindings(spec, topic)];
}

function partitionFindings(spec: TopicSpec, { partitions }: TopicNow): Finding[] {
  if (spec.partitionsExact !== true || partitions <= spec.partitions) return [];
  return [{
    setting: "partitions",
    value: String(partitions),
    wanted: null,
    may: "refuse",
    loses: true,
    why: "its records need one order",
  }];
}

function settingFindings(spec: TopicSpec, topic: TopicNow): Finding[] {
  if (topic.settings === null) {
    const why = "this user may not see them: grant it DescribeConfigs on the topic";
    return [{ setting: "settings", value: "hidden", wanted: null, may: "warn", loses: false, why }];
  }
  return RULES.flatMap(({ setting, wanted, may, loses, why }) => {
    const now = topic.settings!.get(setting);
    if (now === undefined) return [];
    const { value, own } = now;
    const needed = wanted(value, { spec, topic, own });
    if (needed === null) return [];
    return [{
      setting,
      value,
      wanted: needed,
      may: typeof may === "string" ? may : may(value, own),
      loses: loses === true,
      why,
    }];
  });
}

/** A finding as an operator reads of it: what is, why it matters, and the commands that mend it. */
export function findingWords(
  { setting, value, wanted, why }: Finding,
  { topic, brokers }: { readonly topic: string; readonly brokers: string },
): string {
  if (setting === "settings") return `the settings of topic "${topic}" cannot be checked, as ${why}`;
  if (wanted === null) {
    return `topic "${topic}" has ${value} partitions, but ${why}. Where it is empty delete it, and a service makes it ` +
      `as it must be: rpk topic delete ${topic}, or kafka-topics.sh --bootstrap-server ${brokers} --delete --topic ` +
      `${topic}; else set another KAFKA_TOPIC_PREFIX`;
  }
  return `topic "${topic}" has ${setting}=${value}, but ${why}. Set it: rpk topic alter-config ${topic} --set ` +
    `${setting}=${wanted}, or kafka-configs.sh --bootstrap-server ${brokers} --alter --entity-type topics ` +
    `--entity-name ${topic} --add-config ${setting}=${wanted}`;
}
