import { LogSetupError, LogUnavailableError, RecordRefusedError } from "../topic.ts";

/** What the client throws, as far as its kind can be told from outside. */
type ClientError = Error & {
  type?: string;
  code?: number;
  originalError?: unknown;
  /** Of a call about several topics: one error each. */
  errors?: readonly unknown[];
};

const NOT_AUTHORISED = new Set([
  "TOPIC_AUTHORIZATION_FAILED",
  "GROUP_AUTHORIZATION_FAILED",
  "CLUSTER_AUTHORIZATION_FAILED",
]);
const TOO_LARGE = new Set(["MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"]);
const MISSING = new Set(["UNKNOWN_TOPIC_OR_PARTITION", "INVALID_TOPIC_EXCEPTION"]);

/** The port's error for one of the client's; `doing` is a phrase such as `publish to "t"`. */
export function portError(error: unknown, doing: string): Error {
  if (
    error instanceof LogUnavailableError || error instanceof LogSetupError ||
    error instanceof RecordRefusedError
  ) {
    return error;
  }
  const type = typeOf(error) ?? "";
  const reason = (error as Error).message;
  if (TOO_LARGE.has(type)) {
    const text =
      `Cannot ${doing}: the broker takes no record of this size. Raise max.message.bytes of the topic.`;
    return new RecordRefusedError("record_too_large", text, { cause: error });
  }
  if (type === "INVALID_TIMESTAMP") {
    const text =
      `Cannot ${doing}: the broker refuses a record's time (${reason}). Set the clock of this machine, ` +
      "or raise message.timestamp.before.max.ms and message.timestamp.after.max.ms of the topic.";
    return new RecordRefusedError("timestamp_refused", text, { cause: error });
  }
  if (type === "INVALID_RECORD") {
    const text =
      `Cannot ${doing}: the broker will not take a record (${reason}). Look at the topic's settings.`;
    return new RecordRefusedError("record_invalid", text, { cause: error });
  }
  if (NOT_AUTHORISED.has(type)) {
    const text =
      `Cannot ${doing}: not authorised (${type}). Grant this user Read, Write, Create, Describe, ` +
      "DescribeConfigs and AlterConfigs on the pipeline's topics and Read on its consumer groups.";
    return doing.startsWith("publish")
      ? new RecordRefusedError("not_authorised", text, { cause: error })
      : new LogSetupError(text, { cause: error });
  }
  if (MISSING.has(type)) return missingTopic(doing, error);
  const chain = chainOf(error);
  if (type === "SASL_AUTHENTICATION_FAILED" || chain.some(({ name }) => /SASL|authentication/i.test(name))) {
    const text = `Cannot ${doing}: the broker refused KAFKA_SASL_USERNAME and its password (${reason}).`;
    return new LogSetupError(text, { cause: error });
  }
  if (chain.some(({ message }) => /certificate|altnames/i.test(message))) {
    const text =
      `Cannot ${doing}: TLS with the broker failed (${reason}). KAFKA_SSL_CA must name the authority that ` +
      "signed the broker's certificate, which must name the host in KAFKA_BROKERS; where the broker asks for one, " +
      "KAFKA_SSL_CERT and KAFKA_SSL_KEY are this client's.";
    return new LogSetupError(text, { cause: error });
  }
  return new LogUnavailableError(`Cannot ${doing}: ${reason}. Check KAFKA_BROKERS and that a broker is up.`, {
    cause: error,
  });
}

/** The port's error for a topic that is not there. */
export function missingTopic(doing: string, cause?: unknown): LogSetupError {
  return new LogSetupError(
    `Cannot ${doing}: the topic is missing, or this user may not describe it. Start a service that makes it, or make it with rpk or kafka-topics.`,
    { cause },
  );
}

/** The protocol's name of an error, also where the client wrapped it. */
export function typeOf(error: unknown): string | null {
  return chainOf(error).find(({ type }) => typeof type === "string")?.type ?? null;
}

/** An error and those that it was made of. */
function chainOf(error: unknown): ClientError[] {
  const chain: ClientError[] = [];
  for (let at = error as ClientError | undefined; at && chain.length < 6;) {
    chain.push(at);
    at = (at.originalError ?? at.cause ?? at.errors?.[0]) as ClientError | undefined;
  }
  return chain;
}
