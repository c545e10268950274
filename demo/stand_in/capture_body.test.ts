import { Buffer } from "node:buffer";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { type CapturedEvent, readCapture } from "./capture_body.ts";

const RECEIVED_AT = Date.parse("2026-01-01T12:00:00.000Z");
const UUID = "0190a000-0000-7000-8000-000000000001";
const NEW_UUID = "0190a000-0000-7000-8000-00000000ffff";

/** What posthog-js 1.449.2 sends, alone and batched alike. */
const ENVELOPE = {
  api_key: "phc_demo",
  batch: [{
    uuid: UUID,
    event: "feature_used",
    properties: { feature: "summarise", distinct_id: "user-1", token: "phc_demo" },
    timestamp: "2026-01-01T12:00:00.000Z",
  }],
  sent_at: "2026-01-01T12:00:00.000Z",
};

function read(body: unknown, { path = "/e/", query = "" }: { path?: string; query?: string } = {}) {
  const bytes = body instanceof Uint8Array
    ? body
    : Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
  return readCapture(bytes, {
    path,
    query: new URLSearchParams(query),
    receivedAt: RECEIVED_AT,
    newUuid: () => NEW_UUID,
    decodedBytesMax: 100_000,
  });
}

function eventsOf(body: unknown, at?: { path?: string; query?: string }): readonly CapturedEvent[] {
  const outcome = read(body, at);
  if (!outcome.ok) throw new Error(`${outcome.status} ${outcome.message}`);
  return outcome.events;
}

function base64(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64");
}

describe("the encodings of one envelope", () => {
  const expected = [{
    uuid: UUID,
    event: "feature_used",
    distinctId: "user-1",
    timestamp: "2026-01-01T12:00:00.000Z",
    properties: { feature: "summarise", distinct_id: "user-1", token: "phc_demo" },
  }];

  it.each([
    ["plain JSON", JSON.stringify(ENVELOPE), ""],
    ["JSON behind white space", `\n ${JSON.stringify(ENVELOPE)}`, ""],
    ["gzip without any header or parameter", gzipSync(JSON.stringify(ENVELOPE)), ""],
    ["base64 in a form", `data=${encodeURIComponent(base64(ENVELOPE))}`, "compression=base64"],
    ["a form with other fields first", `ver=1.2&data=${encodeURIComponent(base64(ENVELOPE))}`, ""],
    ["a form whose pluses became spaces", `data=${base64(ENVELOPE).replaceAll("+", " ")}`, ""],
    ["JSON in a form", `data=${encodeURIComponent(JSON.stringify(ENVELOPE))}`, ""],
    ["bare base64", base64(ENVELOPE), ""],
    ["gzip in base64", gzipSync(JSON.stringify(ENVELOPE)).toString("base64"), ""],
    ["?data= of a GET", "", `data=${encodeURIComponent(base64(ENVELOPE))}`],
    ["a compression parameter that lies", JSON.stringify(ENVELOPE), "compression=gzip-js"],
  ])("%s gives the same events", (_name, body, query) => {
    expect(eventsOf(body, { query })).toEqual(expected);
  });
});

describe("the shapes", () => {
  it("a bare event of old posthog-js, gzip, with its token inside the properties", () => {
    const bare = { ...ENVELOPE.batch[0]!, $set: { email: "a@example.org" } };
    const [event] = eventsOf(gzipSync(JSON.stringify(bare)), { query: "compression=gzip-js&beacon=1" });
    expect(event).toMatchObject({
      uuid: UUID,
      distinctId: "user-1",
      properties: { $set: { email: "a@example.org" } },
    });
  });

  it("a bare array of old posthog-js: the offset is counted back from the received time", () => {
    const { timestamp: _, ...rest } = ENVELOPE.batch[0]!;
    const events = eventsOf([{ ...rest, offset: 2500 }, { ...rest, offset: 0 }]);
    expect(events.map((event) => event.timestamp)).toEqual([
      "2026-01-01T11:59:57.500Z",
      "2026-01-01T12:00:00.000Z",
    ]);
  });

  it("posthog-node's batch has the distinct_id at the top", () => {
    const batch = [{ event: "feature_used", distinct_id: "user-2", properties: {}, uuid: UUID }];
    expect(eventsOf({ api_key: "phc_demo", batch }, { path: "/batch/" })[0]).toMatchObject({
      distinctId: "user-2",
    });
  });

  it("an event without uuid gets a new one; an upper-case one is lowered", () => {
    const event = { event: "x", distinct_id: "u", api_key: "phc_demo" };
    expect(eventsOf(event)[0]!.uuid).toBe(NEW_UUID);
    expect(eventsOf({ ...event, uuid: UUID.toUpperCase() })[0]!.uuid).toBe(UUID);
  });

  it("a person update without a name is an identification at /engage, and refused elsewhere", () => {
    const update = { api_key: "phc_demo", distinct_id: "user-1", $set: { email: "a@example.org" } };
    expect(eventsOf(update, { path: "/engage/" })[0]).toMatchObject({
      event: "$identify",
      properties: { $set: { email: "a@example.org" } },
    });
    expect(read(update, { path: "/e/" })).toMatchObject({ ok: false, status: 400 });
  });

  it("$set at the top and inside the properties become one", () => {
    const event = {
      event: "$set",
      distinct_id: "u",
      api_key: "phc_demo",
      $set: { a: 1 },
      properties: { $set: { a: 0, b: 2 } },
    };
    expect(eventsOf(event)[0]!.properties).toEqual({ $set: { a: 1, b: 2 } });
  });

  it("a distinct_id that is a number or an object is taken as its JSON, a long one cut at 200", () => {
    const id = (distinct_id: unknown) =>
      eventsOf({ event: "x", api_key: "phc_demo", distinct_id })[0]!.distinctId;
    expect(id(23)).toBe("23");
    expect(id(["a", 1])).toBe('["a",1]');
    expect(id("x".repeat(222))).toBe("x".repeat(200));
  });

  it("keys named __proto__ stay data", () => {
    const text =
      `{"event":"x","api_key":"phc_demo","distinct_id":"u","properties":{"__proto__":{"admin":true}}}`;
    const { properties } = eventsOf(text)[0]!;
    expect(Object.keys(properties)).toEqual(["__proto__"]);
    expect(Object.getPrototypeOf(properties)).toBe(Object.prototype);
  });
});

describe("the time of an event", () => {
  const at = (event: Record<string, unknown>, envelope: Record<string, unknown> = {}, query = "") =>
    eventsOf({
      api_key: "phc_demo",
      batch: [{ event: "x", distinct_id: "u", ...event }],
      ...envelope,
    }, { query })[0]!.timestamp;

  it("is corrected by how far the client's clock is off", () => {
    const event = { timestamp: "2026-01-01T13:59:58.000Z" };
    expect(at(event, { sent_at: "2026-01-01T14:00:00.000Z" })).toBe("2026-01-01T11:59:58.000Z");
  });

  it("stays as it is where the client did not say when it sent, or asks for that", () => {
    const timestamp = "2026-01-01T10:00:00+01:00";
    expect(at({ timestamp })).toBe("2026-01-01T09:00:00.000Z");
    const event = { timestamp, properties: { $ignore_sent_at: true } };
    expect(at(event, { sent_at: "2026-01-01T12:30:00.000Z" })).toBe("2026-01-01T09:00:00.000Z");
  });

  it("is corrected by the _ parameter of old clients, in milliseconds only", () => {
    const event = { timestamp: "2026-01-01T11:00:00.000Z" };
    const sent = Date.parse("2026-01-01T11:00:05.000Z");
    expect(at(event, {}, `_=${sent}`)).toBe("2026-01-01T11:59:55.000Z");
    expect(at(event, {}, `_=${Math.floor(sent / 1000)}`)).toBe("2026-01-01T11:00:00.000Z");
  });

  it.each([
    ["missing", {}],
    ["unreadable", { timestamp: "yesterday" }],
    ["more than 23 h ahead", { timestamp: "2026-01-02T12:00:00.000Z" }],
    ["of the year 20000", { timestamp: "+020000-01-01T00:00:00.000Z" }],
    ["before the year 1", { timestamp: "-000001-01-01T00:00:00.000Z" }],
  ])("is the received time where it is %s", (_name, event) => {
    expect(at(event)).toBe("2026-01-01T12:00:00.000Z");
  });
});

describe("refusals", () => {
  const event = { event: "x", distinct_id: "u" };
  it.each([
    ["no key at all", event, 401],
    ["an empty key", { api_key: "", batch: [event] }, 401],
    ["a personal key", { ...event, api_key: "phx_personal" }, 401],
    ["a key that is no text", { ...event, api_key: 7 }, 401],
    ["two keys in one array", [{ ...event, token: "phc_a" }, { ...event, token: "phc_b" }], 401],
    ["no body", "", 400],
    ["no JSON", "{", 400],
    ["text that is nothing known", "hello, world", 400],
    ["bytes that are no UTF-8", Uint8Array.of(0xff, 0xfe, 0x00), 400],
    ["broken gzip", Uint8Array.of(0x1f, 0x8b, 8, 0, 1, 2, 3), 400],
    ["an empty batch", { api_key: "phc_demo", batch: [] }, 400],
    ["an empty array", [], 400],
    ["a list of numbers", [1, 2], 400],
    ["no event name", { api_key: "phc_demo", batch: [{ distinct_id: "u" }] }, 400],
    ["an empty event name", { api_key: "phc_demo", batch: [{ event: "", distinct_id: "u" }] }, 400],
    ["no distinct_id", { api_key: "phc_demo", batch: [{ event: "x" }] }, 400],
    ["an empty distinct_id", { api_key: "phc_demo", batch: [{ event: "x", distinct_id: "" }] }, 400],
    ["a uuid that is none", { ...event, api_key: "phc_demo", uuid: "1" }, 400],
    ["base64 in base64 without end", layers(8), 400],
    ["a gzip bomb", gzipSync(Buffer.alloc(1_000_000, " ")), 413],
  ])("%s", (_name, body, status) => {
    const outcome = read(body);
    expect(outcome).toMatchObject({ ok: false, status });
  });

  function layers(count: number): string {
    let text = JSON.stringify({ ...event, api_key: "phc_demo" });
    for (let i = 0; i < count; i++) text = Buffer.from(text).toString("base64");
    return text;
  }
});
