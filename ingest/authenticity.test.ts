import { Buffer } from "node:buffer";
import { createHmac } from "node:crypto";
import { describe, expect, test } from "vitest";
import { createAuthenticity } from "./authenticity.ts";

// The vector was measured against PostHog's own signing code.
const KEY = Buffer.from("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "base64");
const OTHER_KEY = Buffer.from("another key of more than 24 bytes");
const ID = "0190a000-0000-7000-8000-000000000001";
const TIMESTAMP = "1767225600";
const BODY = new TextEncoder().encode(`{"event":{"event":"feature_used"}}`);
const SIGNATURE = "v1,YgLg5gOD70X4wZSuaueliF+HyMvfiqMbbXXtUDN2AbM=";
const signed = { "webhook-id": ID, "webhook-timestamp": TIMESTAMP, "webhook-signature": SIGNATURE };

describe("with a static secret", () => {
  test.each([
    ["Authorization: Bearer", { authorization: "Bearer s3cret" }],
    ["a bearer in small letters", { authorization: "bearer s3cret" }],
    ["X-Webhook-Secret", { "x-webhook-secret": "s3cret" }],
    ["either of the two", { authorization: "Bearer other", "x-webhook-secret": "s3cret" }],
  ])("takes %s", (_, headers: Record<string, string>) => {
    expect(check(headers, { secret: "s3cret" })).toBeNull();
  });

  test.each([
    ["none", {}, "secret_missing"],
    ["a wrong one", { authorization: "Bearer s3cre" }, "secret_wrong"],
    ["a longer one", { "x-webhook-secret": "s3cret2" }, "secret_wrong"],
    ["another scheme", { authorization: "Basic s3cret" }, "secret_missing"],
    ["the bare word", { authorization: "s3cret" }, "secret_missing"],
    ["an empty header", { "x-webhook-secret": "" }, "secret_wrong"],
  ])("refuses %s", (_, headers: Record<string, string>, code) => {
    expect(check(headers, { secret: "s3cret" })).toBe(code);
  });
});

describe("with a signing secret", () => {
  test("takes PostHog's signature of the vector", () => {
    expect(check(signed, { keys: [KEY] })).toBeNull();
  });

  test("takes it under any of several secrets", () => {
    expect(check(signed, { keys: [OTHER_KEY, KEY] })).toBeNull();
  });

  test("takes it among several signatures, wherever it stands", () => {
    const wrong = `v1,${Buffer.alloc(32).toString("base64")}`;
    for (const value of [`${wrong} ${SIGNATURE}`, `${SIGNATURE} ${wrong}`, `v1a,xx v2,yy ${SIGNATURE}`]) {
      expect(check({ ...signed, "webhook-signature": value }, { keys: [KEY] }), value).toBeNull();
    }
  });

  test("takes two headers of that name", () => {
    const headers = new Headers(signed);
    headers.set("webhook-signature", "v1,AAAA");
    headers.append("webhook-signature", SIGNATURE);
    expect(check(headers, { keys: [KEY] })).toBeNull();
  });

  test("stands over the bytes as they came", () => {
    expect(
      check(signed, { keys: [KEY], body: new TextEncoder().encode(`{"event": {"event":"feature_used"}}`) }),
    )
      .toBe("signature_wrong");
    const bytes = new Uint8Array([0xff, 0x00, 0xfe]);
    const own = createHmac("sha256", KEY).update(`${ID}.${TIMESTAMP}.`).update(bytes).digest("base64");
    expect(check({ ...signed, "webhook-signature": `v1,${own}` }, { keys: [KEY], body: bytes })).toBeNull();
  });

  test.each([
    ["no headers", {}, "signature_missing"],
    ["no id", { "webhook-id": "" }, "signature_missing"],
    ["no signature", { "webhook-signature": "" }, "signature_missing"],
    ["another id", { "webhook-id": `${ID}x` }, "signature_wrong"],
    ["another timestamp", { "webhook-timestamp": "1767225601" }, "signature_wrong"],
    ["a timestamp that is no number", { "webhook-timestamp": "2026-01-01" }, "timestamp_unreadable"],
    ["a timestamp with a fraction", { "webhook-timestamp": "1767225600.0" }, "timestamp_unreadable"],
    ["a signature cut short", { "webhook-signature": SIGNATURE.slice(0, -5) }, "signature_wrong"],
    [
      "a signature of another version",
      { "webhook-signature": SIGNATURE.replace("v1", "v2") },
      "signature_wrong",
    ],
    ["a signature without a version", { "webhook-signature": SIGNATURE.slice(3) }, "signature_wrong"],
    ["nothing but a version", { "webhook-signature": "v1," }, "signature_wrong"],
  ])("refuses %s", (_, change: Record<string, string>, code) => {
    const headers = Object.keys(change).length === 0 ? {} : { ...signed, ...change };
    expect(check(headers, { keys: [KEY] })).toBe(code);
  });

  test("refuses a signature under another secret", () => {
    expect(check(signed, { keys: [OTHER_KEY] })).toBe("signature_wrong");
  });

  test.each([[300, null], [301, "timestamp_stale"], [-300, null], [-301, "timestamp_stale"]])(
    "at %i s from its timestamp it answers %s",
    (seconds, code) => {
      expect(check(signed, { keys: [KEY], now: (Number(TIMESTAMP) + seconds) * 1000 })).toBe(code);
    },
  );
});

test("with both, each of them is needed", () => {
  const both = { secret: "s3cret", keys: [KEY] };
  expect(check({ ...signed, authorization: "Bearer s3cret" }, both)).toBeNull();
  expect(check(signed, both)).toBe("secret_missing");
  expect(check({ authorization: "Bearer s3cret" }, both)).toBe("signature_missing");
});

test("with neither, everything is taken", () => {
  expect(check({}, {})).toBeNull();
});

type Given = {
  readonly secret?: string;
  readonly keys?: readonly Uint8Array[];
  readonly body?: Uint8Array;
  readonly now?: number;
};

function check(init: Record<string, string> | Headers, given: Given): string | null {
  const { secret = null, keys = [], body = BODY, now = Number(TIMESTAMP) * 1000 } = given;
  const authenticity = createAuthenticity({ secret, signingKeys: keys, clock: { now: () => now } });
  const headers = new Headers(init);
  const refusal = authenticity.checkHeaders(headers) ?? authenticity.checkBody(headers, body);
  if (refusal) expect(refusal.status).toBe(401);
  return refusal?.code ?? null;
}
