import { describe, expect, it } from "vitest";
import { unsubscribeRecord } from "../../../contract/unsubscribe_token.ts";
import { readAddress } from "./mailbox.ts";
import { readOfferInput, type SourceRecord } from "./product_event.ts";

const RECEIVED = Date.UTC(2026, 0, 1, 12);
const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

function record(body: unknown, headers: Record<string, string> = {}): SourceRecord {
  return { partition: 3, offset: 42, timestamp: RECEIVED, value: encode(body), headers };
}

function eventOf(
  event: Record<string, unknown>,
  more: { person?: unknown; headers?: Record<string, string> } = {},
) {
  const body = {
    event: { event: "feature_used", distinct_id: "ada", ...event },
    person: more.person ?? null,
  };
  const input = readOfferInput(record(body, more.headers));
  if (input.is !== "event") throw new Error(`no event but ${input.is}`);
  return input.event;
}

describe("a webhook", () => {
  it("tells who used what and when", () => {
    const uuid = "0190A000-0000-7000-8000-000000000001";
    expect(eventOf({ uuid, timestamp: "2026-01-01T11:00:00Z" }, { person: { id: "person-1" } })).toEqual({
      id: uuid.toLowerCase(),
      distinctId: "ada",
      personId: "person-1",
      position: { partition: 3, offset: 42 },
      receivedAt: RECEIVED,
      eventAt: RECEIVED - 3_600_000,
      isUse: true,
      isOptOut: false,
      merge: null,
      said: [],
      isBackfill: false,
    });
  });

  it("without uuid has the id of its header, else of its bytes, so that a repeat is the same event", () => {
    expect(eventOf({}, { headers: { id: "from-header" } }).id).toBe("from-header");
    expect(eventOf({}).id).toBe(eventOf({}).id);
    expect(eventOf({}).id).not.toBe(eventOf({ properties: { n: 1 } }).id);
  });

  it("says what $set says of mail, then what the person's properties say", () => {
    const person = { properties: { email: "old@example.org", email_proof: "p" } };
    const old = { email: "old@example.org", optsOut: false, proof: "p" };
    const said = ($set: unknown) => eventOf({ properties: { $set } }, { person }).said;
    expect(said(undefined)).toEqual([old]);
    expect(said({ email: "new@example.org" })).toEqual([
      { email: "new@example.org", optsOut: false, proof: null },
      old,
    ]);
    for (const email of ["not an address", "a@localhost", 7, { $ne: 1 }]) {
      expect(said({ email })).toEqual([old]);
    }
    for (const name of ["email_opt_out", "unsubscribed"]) {
      expect(said({ [name]: true, email_proof: 7 })).toEqual([
        { email: null, optsOut: true, proof: null },
        old,
      ]);
    }
    expect(said([{ email: "new@example.org" }])).toEqual([old]);
  });

  /** A form, a spreadsheet or another program wrote it: such an opt-out was passed over, and the mail went. */
  it.each(["email_opt_out", "unsubscribed"])("opts out by %s = true however that is written", (name) => {
    const outs = (value: unknown) => {
      const bag = { [name]: value };
      return [
        eventOf({ event: "$pageview", properties: { $set: bag } }),
        eventOf({}, { person: { properties: bag } }),
        eventOf({ event: "$identify", properties: { $set_once: bag } }),
      ].map(({ said }) => said.some(({ optsOut }) => optsOut));
    };
    for (const yes of [true, 1, "true", "True", " TRUE\n", "1", "yes", "Y", "t", "on"]) {
      expect([yes, outs(yes)]).toEqual([yes, [true, true, true]]);
    }
    const no = [false, 0, null, undefined, "", "false", "no", "0", "off", "null", 2, -1, {}, [], [true]];
    for (const value of [...no, "maybe", `true${" ".repeat(1_000)}`]) {
      expect([value, outs(value)]).toEqual([value, [false, false, false]]);
    }
  });

  it("$set_once gives no address, and a proof in it proves nothing", () => {
    const $set_once = { email: "new@example.org", email_proof: "p", unsubscribed: true };
    expect(eventOf({ properties: { $set_once } }).said).toEqual([{
      email: null,
      optsOut: true,
      proof: null,
    }]);
    expect(eventOf({ properties: { $set_once: { email: "new@example.org" } } }).said).toEqual([]);
  });

  it("asks for a merge as $identify, $create_alias or $merge_dangerously, and as no other event", () => {
    const merge = (event: string, properties: Record<string, unknown>, distinct_id = "ada") =>
      eventOf({ event, properties, distinct_id }).merge;
    expect(merge("$identify", { $anon_distinct_id: "anon-1", alias: "x", email_proof: "p" })).toEqual({
      other: "anon-1",
      how: "identify",
      proof: "p",
    });
    for (const [event, how] of [["$create_alias", "alias"], ["$merge_dangerously", "dangerous"]] as const) {
      expect(merge(event, { alias: "old-id", email_proof: 7 })).toEqual({
        other: "old-id",
        how,
        proof: null,
      });
    }
    for (const event of ["$pageview", "toString", "__proto__"]) {
      expect(merge(event, { $anon_distinct_id: "anon-1", alias: "x" })).toBeNull();
    }
    for (const none of ["ada", 7, "Guest", undefined]) {
      expect(merge("$identify", { $anon_distinct_id: none })).toBeNull();
    }
    expect(merge("$identify", { $anon_distinct_id: "a" }, "undefined")).toBeNull();
  });

  it("happened when it was received, where its own time is missing, unreadable or more than a day ahead", () => {
    for (const timestamp of [undefined, "soon", "2026-01-03T12:00:00Z", "0000-01-01T00:00:00Z"]) {
      expect(eventOf({ timestamp }).eventAt).toBe(RECEIVED);
    }
  });

  it.each([1.764e18, 8.64e15, -1e17])("counts with a record time that no fact can tell: %d", (timestamp) => {
    const input = readOfferInput({ ...record({ event: "feature_used", distinct_id: "ada" }), timestamp });
    expect(input).toMatchObject({ is: "event", event: { receivedAt: 0, eventAt: 0 } });
    const hash = "a".repeat(32);
    const { value, headers } = unsubscribeRecord({ subject: hash, mailbox: hash }, RECEIVED);
    expect(readOfferInput({ partition: 3, offset: 42, timestamp, value, headers }))
      .toMatchObject({ is: "unsubscribe", receivedAt: 0 });
  });

  it("named $erase is an ordinary event", () => {
    expect(eventOf({ event: "$erase", properties: { subjects: ["a".repeat(32)] } })).toMatchObject({
      isUse: false,
    });
  });
});

describe("other records", () => {
  const subject = "a".repeat(32);
  const source = (source: string, event: string) => ({ id: "x", event, source });

  it("an erasure names subjects and its time", () => {
    const body = { event: "$erase", at: "2026-01-01T10:00:00Z", subjects: [subject, `p-${subject}`] };
    expect(readOfferInput(record(body, source("erase", "$erase")))).toEqual({
      is: "erasure",
      subjects: body.subjects,
      at: RECEIVED - 7_200_000,
      position: { partition: 3, offset: 42 },
    });
  });

  it("an unsubscription carries hashes", () => {
    const { value, headers } = unsubscribeRecord({ subject, mailbox: subject }, RECEIVED);
    const input = readOfferInput({ partition: 3, offset: 42, timestamp: RECEIVED, value, headers });
    expect(input).toMatchObject({ is: "unsubscribe", claims: { subject, mailbox: subject } });
  });

  it.each([
    ["no JSON", { ...record(0), value: new TextEncoder().encode("{") }],
    ["no UTF-8", { ...record(0), value: new Uint8Array([0xff]) }],
    ["no event", record({ hello: 1 })],
    [
      "an unsubscription without claims",
      record({ subject: "x" }, source("unsubscribe", "email_unsubscribed")),
    ],
    ["an unsubscription that is no JSON", {
      ...record(0, source("unsubscribe", "x")),
      value: new Uint8Array([1]),
    }],
    ["an erasure of nobody", record({ subjects: [] }, source("erase", "$erase"))],
    ["scrubbed", { ...record(0), value: new Uint8Array(), headers: { event: "$scrubbed" } }],
  ])("is passed over: %s", (_, odd) => {
    expect(readOfferInput(odd).is).toBe("ignored");
  });
});

describe("a record that gave an address", () => {
  it("holds it in plain, until an erasure empties the record", () => {
    const { said } = eventOf({ event: "x" }, { person: { properties: { email: " Ada@Example.org " } } });
    expect(readAddress(said[0]!.email)!.deliverable).toBe("Ada@example.org");
    expect(readOfferInput({ ...record(0), value: new Uint8Array(), headers: { event: "$scrubbed" } }).is)
      .toBe("ignored");
  });
});
