import { LogSetupError, LogUnavailableError, RecordRefusedError } from "../topic.ts";
import type { BrokerWords } from "./client_parts.ts";
import { type ErrorKind, kindOfName, nameOfNewerCode } from "./protocol_errors.ts";

/** What the client throws, as far as its kind can be told from outside. */
type ClientError = Error & BrokerWords & {
  type?: string;
  code?: number | string;
  originalError?: unknown;
  /** Of a call about several topics: one error each. */
  errors?: readonly unknown[];
};

type Words = {
  /** Who may mend it: `later` the same call may succeed, `operator` somebody has to act, else a record's refusal. */
  readonly is: "later" | "operator" | RecordRefusedError["code"];
  readonly state: string;
  readonly advice: string;
};

/** "Cannot <verb> <what>: <state> (<the broker's words>). <advice>"; docs/kafka.md has the same table for operators. */
export const WORDS: Readonly<Record<ErrorKind, Words>> = {
  connection: {
    is: "later",
    state: "no broker answers",
    advice: "Check KAFKA_BROKERS and that a broker is up.",
  },
  tls: {
    is: "operator",
    state: "TLS with the broker failed",
    advice:
      "KAFKA_SSL_CA must name the authority that signed the broker's certificate, which must name the host in " +
      "KAFKA_BROKERS; where the broker asks for one, KAFKA_SSL_CERT and KAFKA_SSL_KEY are this client's.",
  },
  authentication: {
    is: "operator",
    state: "the broker refused KAFKA_SASL_USERNAME and its password",
    advice: "Check both, and that the broker knows this user for KAFKA_SASL_MECHANISM.",
  },
  mechanism: {
    is: "operator",
    state: "the broker's listener does not offer KAFKA_SASL_MECHANISM",
    advice: "Set one of its sasl.enabled.mechanisms, or another port in KAFKA_BROKERS.",
  },
  authorisation: {
    is: "operator",
    state: "not authorised",
    advice: "Grant this user what is missing; docs/kafka.md has the commands.",
  },
  not_ready: {
    is: "later",
    state: "the broker is not ready for it now",
    advice: "Wait and try again; where it stays so, look at the cluster's controller and leaders.",
  },
  replicas: {
    is: "later",
    state: "fewer brokers are up than replicas are asked for",
    advice: "Start them, or lower KAFKA_REPLICATION or the topic's min.insync.replicas.",
  },
  missing_topic: {
    is: "operator",
    state: "the topic is missing, or this user may not describe it",
    advice: "Start a service that makes it, or make it with rpk or kafka-topics.",
  },
  topic_settings: {
    is: "operator",
    state: "the broker does not take the topic as it is asked for",
    advice: "Change what its words name, or make the topic by hand.",
  },
  policy: {
    is: "operator",
    state: "a policy of the broker forbids it",
    advice: "Follow its words, make the topic by hand, or have the policy changed.",
  },
  too_large: {
    is: "record_too_large",
    state: "the broker takes no record of this size",
    advice: "Raise max.message.bytes of the topic.",
  },
  timestamp: {
    is: "timestamp_refused",
    state: "the broker does not take the record's timestamp",
    advice: "Check this machine's clock and the topic's message.timestamp.before.max.ms and .after.max.ms.",
  },
  record: {
    is: "record_invalid",
    state: "the broker does not take the record",
    advice: "A compacted topic takes none without a key: its cleanup.policy must be delete.",
  },
  version: {
    is: "operator",
    state: "the broker's version does not know this request",
    advice: "Apache Kafka 2.1 or newer is needed, or Redpanda.",
  },
  quota: {
    is: "later",
    state: "a quota of the broker is used up",
    advice: "Wait, or raise it with kafka-configs --entity-type users.",
  },
  storage: {
    is: "later",
    state: "the broker cannot use its disk",
    advice: "Look at the broker's disk and log.",
  },
  corrupt: {
    is: "later",
    state: "records were damaged on their way or on the broker's disk",
    advice: "Wait and try again; where it stays so, look at the broker's disk and log.",
  },
  position: {
    is: "later",
    state: "the offset is not in the log",
    advice: "Retention may have taken it; compare with the topic's first and last offset.",
  },
  session: {
    is: "later",
    state: "the session with the group or the broker is over",
    advice: "A new one is begun; where it stays so, raise KAFKA_SESSION_TIMEOUT.",
  },
  session_timeout: {
    is: "operator",
    state: "the broker does not take KAFKA_SESSION_TIMEOUT",
    advice: "Set it within its group.min.session.timeout.ms and group.max.session.timeout.ms.",
  },
  group: {
    is: "operator",
    state: "the group does not take this member",
    advice:
      "Another program may use its name, or it is full: set KAFKA_TOPIC_PREFIX, or raise group.max.size.",
  },
  producer: {
    is: "later",
    state: "the producer's session with the broker is over",
    advice: "The next attempt begins a new one.",
  },
  request: {
    is: "later",
    state: "the broker does not take this request",
    advice: "Look at its log, and report this with the broker's version.",
  },
  server: { is: "later", state: "the broker failed", advice: "Look at its log." },
  unknown_code: {
    is: "later",
    state: "the broker answered with an error that this program does not know",
    advice: "Look at its log, and report this with the broker's version.",
  },
  client: {
    is: "later",
    state: "the Kafka client failed",
    advice: "Report this with the broker's version.",
  },
};

/** What a user needs for each request, as `kafka-acls` names it; {@link portError} says what is missing by it. */
export const RIGHTS: Readonly<Record<string, string>> = {
  Metadata: "Describe on the topic",
  ListOffsets: "Describe on the topic",
  DescribeConfigs: "DescribeConfigs on the topic",
  CreateTopics: "Create on the topic or the cluster",
  CreatePartitions: "Alter on the topic",
  AlterConfigs: "AlterConfigs on the topic",
  IncrementalAlterConfigs: "AlterConfigs on the topic",
  Produce: "Write on the topic",
  InitProducerId: "Write on a topic (before Kafka 2.8: IdempotentWrite on the cluster)",
  Fetch: "Read on the topic",
  OffsetForLeaderEpoch: "Describe on the topic",
  GroupCoordinator: "Describe on the group",
  OffsetFetch: "Describe on the group and the topic",
  OffsetCommit: "Read on the group and the topic",
  JoinGroup: "Read on the group",
  SyncGroup: "Read on the group",
  Heartbeat: "Read on the group",
  LeaveGroup: "Read on the group",
};

/** The port's error for one of the client's; `doing` is a phrase such as `publish to "t"`. */
export function portError(error: unknown, doing: string): Error {
  if (
    error instanceof LogUnavailableError || error instanceof LogSetupError ||
    error instanceof RecordRefusedError
  ) {
    return error;
  }
  const kind = kindOf(error);
  const { is, state, advice } = WORDS[kind];
  const text = `Cannot ${doing}: ${state}${detailOf(error, kind)}. ${rightMissing(error, kind) ?? advice}`;
  const because = { cause: error };
  if (kind === "authorisation" && doing.startsWith("publish")) {
    return new RecordRefusedError("not_authorised", text, because);
  }
  if (is === "later") return new LogUnavailableError(text, because);
  return is === "operator" ? new LogSetupError(text, because) : new RecordRefusedError(is, text, because);
}

/** The port's error for a topic that is not there. */
export function missingTopic(doing: string): LogSetupError {
  const { state, advice } = WORDS.missing_topic;
  return new LogSetupError(`Cannot ${doing}: ${state}. ${advice}`);
}

/** The protocol's name of an error, also where the client wrapped it. */
export function typeOf(error: unknown): string | null {
  return chainOf(error).find(({ type }) => typeof type === "string")?.type ?? null;
}

/** What kind of trouble it is. */
export function kindOf(error: unknown): ErrorKind {
  const name = nameOf(error);
  const chain = chainOf(error);
  const has = (pattern: RegExp) => chain.some(({ name, message }) => pattern.test(`${name}: ${message}`));
  if (has(/^KafkaJSSASLAuthenticationError.*not supported/)) return "mechanism";
  if (name !== null) return kindOfName(name);
  if (has(/^KafkaJSServerDoesNotSupportApiKey|^[^:]*: API Versions not supported/)) return "version";
  if (has(/^KafkaJSSASLAuthentication/)) return "authentication";
  if (has(/certificate|altnames|InvalidContentType/i)) return "tls";
  if (has(/^KafkaJS(GroupCoordinatorNotFound|\w*MetadataNotLoaded|StaleTopicMetadataAssignment)/)) {
    return "not_ready";
  }
  const isConnection =
    /^KafkaJS(Connection|RequestTimeout|Timeout|LockTimeout|BrokerNotFound|NoBroker)|: Connection |\bE[A-Z]{4,}\b|timed? ?out/;
  return has(isConnection) ? "connection" : "client";
}

/** The name, also of a code that the client does not know; null where the broker has not answered with an error. */
function nameOf(error: unknown): string | null {
  const type = typeOf(error);
  return type === UNKNOWN_TO_CLIENT ? nameOfNewerCode(unknownCode(error)) ?? type : type;
}

const UNKNOWN_TO_CLIENT = "KAFKAJS_UNKNOWN_ERROR_CODE";

function unknownCode(error: unknown): number {
  const said = chainOf(error).find(({ type }) => type === UNKNOWN_TO_CLIENT)?.message ?? "";
  return Number(/-?\d+/.exec(said)?.[0] ?? NaN);
}

/** The name and the broker's own sentence, or what the client says, in brackets. */
function detailOf(error: unknown, kind: ErrorKind): string {
  if (kind === "missing_topic") return "";
  const chain = chainOf(error);
  const sentence = (chain.find(({ brokerSays }) => brokerSays)?.brokerSays ?? "").replace(/\.$/, "");
  const name = nameOf(error);
  if (kind === "unknown_code") {
    return ` (${name === UNKNOWN_TO_CLIENT ? `code ${unknownCode(error)}` : name})`;
  }
  const client = chain.find(({ type }) => type !== undefined) ?? chain[0];
  const said = sentence || (client?.message ?? String(error)).replace(/\.$/, "");
  return name === null ? ` (${said})` : ` (${name}: ${said})`;
}

function rightMissing(error: unknown, kind: ErrorKind): string | null {
  if (kind !== "authorisation") return null;
  const request = chainOf(error).find(({ request }) => request !== undefined)?.request ?? "";
  const right = RIGHTS[request];
  return right === undefined ? null : `Grant this user ${right}: docs/kafka.md has the commands.`;
}

/** An error and those that it was made of. */
function chainOf(error: unknown): ClientError[] {
  const chain: ClientError[] = [];
  for (let at = error as ClientError | undefined; at && chain.length < 6;) {
    chain.push(at);
    at = (at.originalError ?? at.errors?.[0] ?? at.cause) as ClientError | undefined;
  }
  return chain;
}
