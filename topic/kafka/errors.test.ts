import { describe, expect, test } from "vitest";
import { createRequire } from "node:module";
import type { BrokerWords } from "./client_parts.ts";
import { kindOf, missingTopic, portError, RIGHTS, typeOf, WORDS } from "./errors.ts";
import type { ErrorKind } from "./protocol_errors.ts";
import { LogSetupError, LogUnavailableError, RecordRefusedError } from "../topic.ts";

/** An error as the client throws it: protocol errors have a type, and retries wrap them. */
function client(
  message: string,
  { name = "KafkaJSError", ...rest }: {
    name?: string;
    type?: string;
    cause?: unknown;
    originalError?: unknown;
  } & BrokerWords = {},
): Error {
  return Object.assign(new Error(message), { name, ...rest });
}

const denied = (type: string) => client("not authorized", { name: "KafkaJSProtocolError", type });

describe("portError() says what an operator can do", () => {
  test("where no broker answers: the log is unavailable, look at KAFKA_BROKERS", () => {
    const error = portError(client("Connection error: connect ECONNREFUSED"), `publish to "t"`);
    expect(error).toBeInstanceOf(LogUnavailableError);
    expect(error.message).toMatch(/^Cannot publish to "t": .*ECONNREFUSED.*KAFKA_BROKERS/);
  });

  test("where a record is too large: it is refused, raise max.message.bytes", () => {
    const error = portError(client("too large", { type: "MESSAGE_TOO_LARGE" }), `publish to "t"`);
    expect(error).toBeInstanceOf(RecordRefusedError);
    expect([(error as RecordRefusedError).code, error.message]).toEqual([
      "record_too_large",
      expect.stringMatching(/max\.message\.bytes/),
    ]);
  });

  test.each(["TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED"])(
    "where publishing is not permitted (%s): the record is refused, and where the commands are",
    (type) => {
      const error = portError(denied(type), `publish to "t"`);
      expect(error).toBeInstanceOf(RecordRefusedError);
      expect([(error as RecordRefusedError).code, error.message]).toEqual([
        "not_authorised",
        expect.stringMatching(/not authorised.*docs\/kafka\.md/),
      ]);
    },
  );

  test.each(Object.entries(RIGHTS))("where a right for %s is missing it is named: %s", (request, right) => {
    const refused = client("no", { type: "GROUP_AUTHORIZATION_FAILED", request });
    const error = portError(client("retries exceeded", { cause: refused }), `read "t" in group "g"`);
    expect(error).toBeInstanceOf(LogSetupError);
    expect(error.message).toContain(
      `not authorised (GROUP_AUTHORIZATION_FAILED: no). Grant this user ${right}:`,
    );
  });

  test.each(
    [
      ["INVALID_TIMESTAMP", "timestamp_refused"],
      ["INVALID_RECORD", "record_invalid"],
      ["RECORD_LIST_TOO_LARGE", "record_too_large"],
    ] as const,
  )("where a record is refused for %s its code is %s", (type, code) => {
    expect(portError(client("?", { type }), `publish to "t"`)).toMatchObject({ code });
  });

  test("where a topic cannot be made: what the broker says of it, and not that there were creation errors", () => {
    const one = client("Request parameters do not satisfy the configured policy", {
      type: "POLICY_VIOLATION",
    });
    const error = portError(
      Object.assign(client("Topic creation errors"), { errors: [one], brokerSays: "Two replicas at least." }),
      `make topic "t"`,
    );
    expect(error.message).toMatch(
      /^Cannot make topic "t": a policy of the broker forbids it \(POLICY_VIOLATION: Two replicas at least\)\. /,
    );
    const without = portError(Object.assign(client("Topic creation errors"), { errors: [one] }), "make");
    expect(without.message).toContain("POLICY_VIOLATION: Request parameters do not satisfy");
  });

  test("where the broker is too old: which version is needed", () => {
    for (
      const error of [
        client("The version of API is not supported", { type: "UNSUPPORTED_VERSION" }),
        client("The Kafka server does not support the requested API version", {
          name: "KafkaJSServerDoesNotSupportApiKey",
        }),
      ]
    ) {
      expect(portError(error, "look up").message).toMatch(/version does not know.*Kafka 2\.1 or newer/);
    }
  });

  test("where nobody knows the code: its number", () => {
    const error = portError(client("Unknown error code 999", { type: "KAFKAJS_UNKNOWN_ERROR_CODE" }), "read");
    expect(error).toBeInstanceOf(LogUnavailableError);
    expect(error.message).toMatch(/does not know \(code 999\)/);
  });

  test("where only the client does not know the code: Kafka's name for it", () => {
    const error = portError(client("Unknown error code 89", { type: "KAFKAJS_UNKNOWN_ERROR_CODE" }), "read");
    expect(error.message).toMatch(/a quota of the broker is used up \(THROTTLING_QUOTA_EXCEEDED/);
  });

  test("KAFKA_BROKERS is pointed to for connections alone", () => {
    const pointing = Object.entries(WORDS).filter(([, { advice }]) => /^Check KAFKA_BROKERS/.test(advice));
    expect(pointing.map(([kind]) => kind)).toEqual(["connection"]);
    const codec = portError(
      client("Snappy compression not implemented", { name: "KafkaJSNotImplemented" }),
      "read",
    );
    expect(codec.message).toBe(
      "Cannot read: the Kafka client failed (Snappy compression not implemented). Report this with the broker's version.",
    );
  });

  test("where the topic is missing: the set-up is wrong, and how to make it", () => {
    const error = portError(client("?", { type: "UNKNOWN_TOPIC_OR_PARTITION" }), `read "t"`);
    expect(error).toBeInstanceOf(LogSetupError);
    expect(error.message).toBe(missingTopic(`read "t"`).message);
  });

  test("where the password is wrong: the set-up is wrong, and the password is not repeated", () => {
    const error = portError(
      client("SASL PLAIN authentication failed", { name: "KafkaJSSASLAuthenticationError" }),
      `look up "t"`,
    );
    expect(error).toBeInstanceOf(LogSetupError);
    expect(error.message).toMatch(/KAFKA_SASL_USERNAME/);
  });

  test("also where retries have wrapped what was said", () => {
    const inner = client("SASL SCRAM SHA256 authentication failed", {
      name: "KafkaJSSASLAuthenticationError",
    });
    const wrapped = client("retries exceeded", { name: "KafkaJSNonRetriableError", cause: inner });
    expect(portError(wrapped, "look up")).toBeInstanceOf(LogSetupError);
    const typed = client("retries exceeded", { originalError: denied("TOPIC_AUTHORIZATION_FAILED") });
    expect(portError(typed, "look up")).toBeInstanceOf(LogSetupError);
    const several = Object.assign(client("topic creation errors"), {
      errors: [denied("TOPIC_AUTHORIZATION_FAILED")],
    });
    expect(portError(several, "make topic")).toBeInstanceOf(LogSetupError);
  });

  test.each([
    ["KafkaJSConnectionClosedError", "Closed connection"],
    ["KafkaJSRequestTimeoutError", "Request Produce(key: 0, version: 7) timed out"],
    ["KafkaJSError", "getaddrinfo ENOTFOUND kafka-1"],
    [
      "KafkaJSError",
      "Connection error: Client network socket disconnected before secure TLS connection was established",
    ],
  ])("a connection that fails with %s (%s) is tried again", (name, message) => {
    const error = portError(client(message, { name }), "read");
    expect(error).toBeInstanceOf(LogUnavailableError);
    expect(error.message).toContain("Check KAFKA_BROKERS");
  });

  test("a login that the listener does not offer is not taken for a wrong password", () => {
    const error = portError(
      client("SASL PLAIN mechanism is not supported by the server", {
        name: "KafkaJSSASLAuthenticationError",
      }),
      "look up",
    );
    expect(error.message).toMatch(/does not offer KAFKA_SASL_MECHANISM/);
  });

  test.each([
    ["self-signed certificate", "KAFKA_SSL_CA"],
    ["unable to verify the first certificate", "KAFKA_SSL_CA"],
    ["Hostname/IP does not match certificate's altnames", "KAFKA_SSL_CA"],
  ])("where TLS fails with %s: the set-up is wrong, look at %s", (reason, setting) => {
    const error = portError(client(`Connection error: ${reason}`), "look up");
    expect(error).toBeInstanceOf(LogSetupError);
    expect(error.message).toContain(setting);
  });

  test("the port's own errors stay as they are, and the client's is kept as the cause", () => {
    const own = new LogUnavailableError("closed");
    expect(portError(own, "publish")).toBe(own);
    const theirs = client("ECONNRESET");
    expect(portError(theirs, "publish").cause).toBe(theirs);
  });
});

test("typeOf() finds the protocol's name through wrappers, and is null for what is no protocol error", () => {
  expect(typeOf(denied("X"))).toBe("X");
  expect(typeOf(client("?", { cause: client("?", { originalError: denied("X") }) }))).toBe("X");
  expect(typeOf(client("ECONNREFUSED"))).toBe(null);
  expect(typeOf(undefined)).toBe(null);
});

/** Kafka's own table, org.apache.kafka.common.protocol.Errors of 4.1.1, ends here. */
const LAST_CODE = 133;

test("every code of Kafka's protocol has a kind, and none that is retriable asks an operator to act", () => {
  const { errorCodes } = createRequire(import.meta.url)("kafkajs/src/protocol/error") as {
    errorCodes: readonly { type: string; code: number; retriable: boolean }[];
  };
  const known = new Map(errorCodes.map((one) => [one.code, one]));
  const kinds = new Map<number, ErrorKind>();
  for (let code = -1; code <= LAST_CODE; code++) {
    if (code === 0) continue;
    const { type = "KAFKAJS_UNKNOWN_ERROR_CODE" } = known.get(code) ?? {};
    kinds.set(code, kindOf(client(`Unknown error code ${code}`, { type })));
  }
  expect([...kinds].filter(([, kind]) => kind === "unknown_code")).toEqual([]);
  const lasting = [...kinds].filter(([code, kind]) =>
    known.get(code)?.retriable && WORDS[kind].is === "operator"
  );
  // The client asks again for a topic that it was told to be missing; who asks here has looked before.
  expect(lasting).toEqual([[3, "missing_topic"]]);
});
