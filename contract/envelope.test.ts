import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decodeJson,
  type EnvelopeOutcome,
  idFromBody,
  isErasure,
  parseEnvelope,
  type PosthogEnvelope,
  readEnvelope,
  readLabel,
  recordId,
  toRecord,
} from "./envelope.ts";

const UUID = "0190a000-0000-7000-8000-000000000001";
const PERSON = "0190a000-0000-7000-8000-0000000000aa";
const event = {
  uuid: UUID,
  event: "feature_used",
  distinct_id: "user-1",
  properties: { feature: "summarise" },
};

describe("parseEnvelope()", () => {
  test("reads PostHog's default body", () => {
    const body = {
      event: { ...event, elements_chain: "", timestamp: "2026-01-01T00:00:00.000Z", url: "https://x" },
      person: { id: PERSON, properties: { email: "a@example.test" }, name: "a@example.test" },
    };
    expect(envelopeOf(body)).toEqual({
      event: "feature_used",
      distinctId: "user-1",
      uuid: UUID,
      timestamp: "2026-01-01T00:00:00.000Z",
      properties: { feature: "summarise" },
      person: { id: PERSON, properties: { email: "a@example.test" } },
    });
  });

  test("reads a bare event, with and without a person beside it", () => {
    expect(envelopeOf(event)).toMatchObject({
      event: "feature_used",
      uuid: UUID,
      person: { id: null, properties: {} },
    });
    expect(envelopeOf({ ...event, person: { id: PERSON } }).person.id).toBe(PERSON);
  });

  test("reads the legacy REST hook", () => {
    const body = {
      hook: { id: "01h-abc", event: "action_performed", target: "https://example.test/hook" },
      data: {
        eventUuid: UUID,
        event: "feature_used",
        teamId: 1,
        distinctId: "user-1",
        properties: { feature: "summarise" },
        timestamp: "2026-01-01T00:00:00.000Z",
        person: { uuid: PERSON, properties: { email: "a@example.test" } },
      },
    };
    expect(envelopeOf(body)).toMatchObject({
      event: "feature_used",
      distinctId: "user-1",
      uuid: UUID,
      person: { id: PERSON },
    });
  });

  test("reads the Zapier template, whose event name stands in the hook", () => {
    const body = {
      hook: {
        id: "https://x",
        event: { ...event, timestamp: "2026-01-01T00:00:00.000Z" },
        target: "https://y",
      },
      data: { eventUuid: UUID, event: null, distinctId: "user-1", properties: {}, elementsChain: null },
    };
    expect(envelopeOf(body)).toMatchObject({
      event: "feature_used",
      uuid: UUID,
      timestamp: "2026-01-01T00:00:00.000Z",
    });
  });

  test("takes a null person, a missing uuid and properties of another kind", () => {
    const { uuid: _, ...withoutUuid } = event;
    expect(envelopeOf({ event: { ...withoutUuid, properties: "none" }, person: null })).toMatchObject({
      uuid: null,
      properties: {},
      person: { id: null },
    });
    expect(envelopeOf({ ...event, uuid: null }).uuid).toBeNull();
  });

  test("writes a uuid in lower case and replaces lone surrogates in names", () => {
    const envelope = envelopeOf({
      ...event,
      uuid: UUID.toUpperCase(),
      event: "a\ud800",
      distinct_id: "\udc00b",
    });
    expect(envelope).toMatchObject({ uuid: UUID, event: "a\ufffd", distinctId: "\ufffdb" });
  });

  test.each([
    ["null", null],
    ["an array", [event]],
    ["a text", "event"],
    ["a number", 1],
    ["an empty object", {}],
    ["an event without a name", { ...event, event: "" }],
    ["a name of another kind", { ...event, event: 7 }],
    ["no distinct_id", { ...event, distinct_id: undefined }],
    ["an empty distinct_id", { ...event, distinct_id: "" }],
    ["a name of 1,001 bytes", { ...event, event: "x".repeat(1001) }],
    ["a name of 1,002 bytes in 334 characters", { ...event, event: "€".repeat(334) }],
    ["a uuid that is none", { ...event, uuid: "not-a-uuid" }],
    ["a uuid of another kind", { ...event, uuid: 7 }],
    ["a text-only action webhook", { text: "[Feature used] was triggered by x" }],
  ])("says why %s is no event", (_, body) => {
    const outcome = parseEnvelope(body);
    expect(outcome.ok).toBe(false);
    expect(outcome.ok ? "" : outcome.reason).not.toBe("");
  });

  test("takes names of exactly 1,000 bytes", () => {
    expect(envelopeOf({ ...event, event: "x".repeat(1000) }).event).toHaveLength(1000);
    expect(envelopeOf({ ...event, event: "€".repeat(333) }).event).toHaveLength(333);
  });

  test("is not misled by __proto__ and leaves Object.prototype alone", () => {
    const body = JSON.parse(
      `{"__proto__":{"event":"feature_used","distinct_id":"u","polluted":1},"properties":{}}`,
    );
    expect(parseEnvelope(body).ok).toBe(false);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  test("answers for any JSON value, and an accepted one has its names", () => {
    const anything = fc.oneof(
      fc.jsonValue(),
      fc.record({
        event: fc.jsonValue(),
        distinct_id: fc.jsonValue(),
        uuid: fc.jsonValue(),
        person: fc.jsonValue(),
      }, {
        requiredKeys: [],
      }),
      fc.record({ hook: fc.jsonValue(), data: fc.jsonValue() }),
      fc.record({
        event: fc.record({ event: fc.string(), distinct_id: fc.string() }),
        person: fc.jsonValue(),
      }),
    );
    fc.assert(fc.property(anything, (body) => {
      const outcome = parseEnvelope(body);
      if (!outcome.ok) return outcome.reason !== "";
      return outcome.envelope.event !== "" && outcome.envelope.distinctId !== "";
    }));
  });
});

describe("decodeJson()", () => {
  test("lets the last of duplicate keys win", () => {
    expect(decodeJson(bytes(`{"a":1,"a":2}`))).toEqual({ a: 2 });
  });
  test("takes a replacement character that was sent as one, and a byte order mark", () => {
    expect(decodeJson(bytes(`"a\ufffdb"`))).toBe("a\ufffdb");
    expect(decodeJson(new Uint8Array([0xef, 0xbb, 0xbf, ...bytes("1")]))).toBe(1);
  });
  test("throws TypeError for what is no UTF-8 and SyntaxError for what is no JSON", () => {
    expect(() => decodeJson(new Uint8Array([0x22, 0xff, 0x22]))).toThrow(TypeError);
    expect(() => decodeJson(new Uint8Array([...bytes(`"\ufffd`), 0xe2, 0x82, 0x22]))).toThrow(TypeError);
    expect(() => decodeJson(bytes("{"))).toThrow(SyntaxError);
    expect(() => decodeJson(bytes(""))).toThrow(SyntaxError);
  });
  test("reads what is nested 10,000 deep", () => {
    expect(decodeJson(bytes("[".repeat(10_000) + "]".repeat(10_000)))).toBeInstanceOf(Array);
  });
});

describe("toRecord()", () => {
  test("keeps the body byte for byte, keys by distinct_id and names id, event and webhook-id", () => {
    const body = bytes(` ${JSON.stringify(event)}\n`);
    const record = toRecord(body, readEnvelope(body), { receivedAt: 7, webhookId: "msg_1" });
    expect(record.value).toBe(body);
    expect(new TextDecoder().decode(record.key)).toBe("user-1");
    expect(record).toMatchObject({
      id: UUID,
      timestamp: 7,
      headers: { id: UUID, event: "feature_used", "webhook-id": "msg_1" },
    });
  });

  test("derives the id of an event without uuid from its bytes, the same for the same bytes", () => {
    const body = bytes(`{"event":"x","distinct_id":"u"}`);
    const { id } = toRecord(body, readEnvelope(body), { receivedAt: 0 });
    expect(id).toBe(toRecord(body.slice(), readEnvelope(body), { receivedAt: 9 }).id);
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(id).not.toBe(idFromBody(bytes(`{"event":"x","distinct_id":"v"}`)));
  });

  test("gives what is no event an id of its bytes, as its key too, even where it holds a uuid", () => {
    const body = bytes(JSON.stringify({ uuid: UUID, event: "" }));
    const record = toRecord(body, readEnvelope(body), { receivedAt: 0 });
    expect(record.id).toBe(idFromBody(body));
    expect(new TextDecoder().decode(record.key)).toBe(record.id);
    expect(record.headers).toEqual({ id: record.id });
  });
});

describe("reading a record", () => {
  test("a record without headers is read all the same", () => {
    const body = bytes(JSON.stringify(event));
    expect(readLabel({})).toEqual({ id: undefined, event: undefined, redrives: 0, source: undefined });
    expect(recordId(readLabel({}), body)).toBe(UUID);
    expect(recordId(readLabel({}), bytes("no json"))).toBe(idFromBody(bytes("no json")));
    expect(recordId(readLabel({ id: "known" }), body)).toBe("known");
  });

  test("redrives are a number, whatever the header holds", () => {
    expect(readLabel({ redrives: "2" }).redrives).toBe(2);
    expect(readLabel({ redrives: "-1" }).redrives).toBe(0);
    expect(readLabel({ redrives: "lots" }).redrives).toBe(0);
  });

  test("only the erase command's header makes an erasure of an $erase event", () => {
    expect(isErasure(readLabel({ event: "$erase", source: "erase" }))).toBe(true);
    expect(isErasure(readLabel({ event: "$erase" }))).toBe(false);
    expect(isErasure(readLabel({ event: "other", source: "erase" }))).toBe(false);
  });

  test("bytes that are no UTF-8 or no JSON have a reason", () => {
    expect(readEnvelope(new Uint8Array([0xff]))).toEqual({ ok: false, reason: "body is no UTF-8" });
    expect(readEnvelope(bytes("{"))).toEqual({ ok: false, reason: "body is no JSON" });
  });
});

function envelopeOf(body: unknown): PosthogEnvelope {
  const outcome: EnvelopeOutcome = parseEnvelope(body);
  if (!outcome.ok) throw new Error(`refused: ${outcome.reason}`);
  return outcome.envelope;
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
