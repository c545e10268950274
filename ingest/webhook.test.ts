import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkContent, readWebhook } from "./webhook.ts";

const limits = { bodyBytesMax: 1024 };

describe("checkContent()", () => {
  test.each([
    "application/json",
    "Application/JSON",
    "application/json; charset=utf-8",
    `application/json;charset="UTF-8"`,
    "application/json;",
    "application/cloudevents+json",
    "application/vnd.posthog.v1+json; charset=utf8",
  ])("takes Content-Type %s", (type) => {
    expect(checkContent(new Headers({ "content-type": type }), limits)).toBeNull();
  });

  test.each([
    null,
    "",
    "text/plain",
    "text/json",
    "application/jsonp",
    "application/x-www-form-urlencoded",
    "application/json; charset=latin1",
    "application/json; charset=utf-8; boundary=x",
    "application/json, application/json",
    `application/json${" ".repeat(100_000)}x`,
  ])("refuses Content-Type %s with 415", (type) => {
    const headers = new Headers(type === null ? {} : { "content-type": type });
    expect(checkContent(headers, limits)).toMatchObject({ status: 415, code: "content_type" });
  });

  test.each(["gzip", "br", "identity, gzip"])("refuses Content-Encoding %s with 415", (encoding) => {
    const headers = new Headers({ "content-type": "application/json", "content-encoding": encoding });
    expect(checkContent(headers, limits)).toMatchObject({ status: 415, code: "content_encoding" });
  });

  test("takes Content-Encoding identity", () => {
    const headers = new Headers({ "content-type": "application/json", "content-encoding": "Identity" });
    expect(checkContent(headers, limits)).toBeNull();
  });

  test.each([["1024", null], ["1025", 413], ["99999999999999999999", 413]])(
    "declared length %s answers %s",
    (length, status) => {
      const headers = new Headers({ "content-type": "application/json", "content-length": length });
      expect(checkContent(headers, limits)?.status ?? null).toBe(status);
    },
  );
});

describe("readWebhook()", () => {
  test("makes an event a record and keeps the webhook-id", () => {
    const outcome = read(`{"event":"x","distinct_id":"u"}`, { "webhook-id": "msg_1" });
    expect(outcome).toMatchObject({
      is: "event",
      record: { headers: { event: "x", "webhook-id": "msg_1" }, timestamp: 5 },
    });
  });

  test("does not keep a webhook-id that is longer than any real one", () => {
    const outcome = read(`{"event":"x","distinct_id":"u"}`, { "webhook-id": "m".repeat(257) });
    expect(outcome.is === "event" && outcome.record.headers).not.toHaveProperty("webhook-id");
  });

  test("makes JSON that is no event a dead letter with its reason", () => {
    expect(read("[]")).toMatchObject({ is: "dead_letter", reason: "body is no JSON object" });
  });

  test("refuses what is no JSON and what is no UTF-8", () => {
    expect(read("{")).toMatchObject({ is: "refused", refusal: { status: 400, code: "not_json" } });
    const outcome = readWebhook(new Headers(), new Uint8Array([0x22, 0xed, 0xa0, 0x80, 0x22]), {
      receivedAt: 0,
    });
    expect(outcome).toMatchObject({ is: "refused", refusal: { status: 400, code: "not_utf8" } });
  });

  test("answers for any bytes, and only JSON becomes a record", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.uint8Array(), fc.json().map(encode), fc.string({ unit: "binary" }).map(encode)),
        (body) => {
          const outcome = readWebhook(new Headers(), body, { receivedAt: 0 });
          expect(outcome.is === "refused").toBe(!isJson(body));
          if (outcome.is !== "refused") expect(outcome.record.value).toBe(body);
        },
      ),
    );
  });
});

function read(text: string, headers: Record<string, string> = {}) {
  return readWebhook(new Headers(headers), encode(text), { receivedAt: 5 });
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function isJson(body: Uint8Array): boolean {
  try {
    JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
    return true;
  } catch {
    return false;
  }
}
