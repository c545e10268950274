import { describe, expect, test } from "vitest";
import { missingTopic, portError, typeOf } from "./errors.ts";
import { LogSetupError, LogUnavailableError, RecordRefusedError } from "../topic.ts";

/** An error as the client throws it: protocol errors have a type, and retries wrap them. */
function client(
  message: string,
  { name = "KafkaJSError", ...rest }: {
    name?: string;
    type?: string;
    cause?: unknown;
    originalError?: unknown;
  } = {},
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
    "where publishing is not permitted (%s): the record is refused, and the permissions are named",
    (type) => {
      const error = portError(denied(type), `publish to "t"`);
      expect(error).toBeInstanceOf(RecordRefusedError);
      expect([(error as RecordRefusedError).code, error.message]).toEqual([
        "not_authorised",
        expect.stringMatching(/not authorised.*Grant this user Read, Write/),
      ]);
    },
  );

  test("where a group is not permitted: the set-up is wrong, and the permissions are named", () => {
    const error = portError(denied("GROUP_AUTHORIZATION_FAILED"), `read "t" in group "g"`);
    expect(error).toBeInstanceOf(LogSetupError);
    expect(error.message).toMatch(/not authorised \(GROUP_AUTHORIZATION_FAILED\).*consumer groups/);
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
