import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createGlancer } from "./glance.ts";
import { type ProductEvent, readOfferInput } from "./product_event.ts";

const glanceAt = createGlancer();
const encoder = new TextEncoder();
const glance = (body: unknown) =>
  glanceAt(encoder.encode(typeof body === "string" ? body : JSON.stringify(body)));

/** Read whole, as a live webhook. */
function read(value: Uint8Array): ProductEvent | null {
  const input = readOfferInput({ partition: 0, offset: 0, timestamp: 0, value, headers: { id: "id" } });
  return input.is === "event" ? input.event : null;
}

/** All that a settled person is passed over by. */
function saidOf({ distinctId, personId, said, isUse }: ProductEvent) {
  return { distinctId, personId, said, isUse };
}

const UUID = "0190a000-0000-7000-8000-000000000001";
const usual = (
  event: Record<string, unknown> = {},
  person: unknown = { id: "p", properties: { email: "a@b.test" } },
) => ({
  event: { uuid: UUID, event: "feature_used", distinct_id: "ada", properties: {}, timestamp: "", ...event },
  person,
});

describe("a glance", () => {
  it("is the same for what says the same of its person, whatever else it says", () => {
    const first = glance(usual());
    expect(first).not.toBeNull();
    const properties = {
      $browser: "Chrome",
      n: [1.5e-3, -0, { $set: { email: "x@b.test" } }],
      text: '"}\\ \u{1f600}',
    };
    expect(glance(usual({ uuid: UUID.replace("1", "2"), properties, timestamp: "2026" }))).toBe(first);
    expect(glance(` ${JSON.stringify(usual(), null, 2)}\n`)).toBe(first);
  });

  it("is another one for another id, person, address, opt-out or proof, and for a use", () => {
    const others = [
      usual({ distinct_id: "bob" }),
      usual({ event: "$pageview" }),
      usual({}, { id: "q", properties: { email: "a@b.test" } }),
      usual({}, { id: "p", properties: { email: "c@b.test" } }),
      usual({}, { id: "p", properties: { email: "a@b.test", unsubscribed: true } }),
      usual({}, { id: "p", properties: { email: "a@b.test", email_opt_out: "yes" } }),
      usual({}, { id: "p", properties: { email: "a@b.test", email_proof: "x" } }),
      usual({}, null),
      usual({ properties: { $set: { email: "a@b.test" } } }),
      usual({ properties: { $set_once: { email_opt_out: true } } }),
    ];
    const glances = [usual(), ...others].map(glance);
    expect(glances).not.toContain(null);
    expect(new Set(glances).size).toBe(glances.length);
  });

  it("is none for whatever is unusual", () => {
    const { event, person } = usual();
    const unusual: unknown[] = [
      event,
      { ...usual(), hook: {} },
      { hook: { id: "h" }, data: { event: "feature_used" } },
      usual({ event: "$identify", properties: { $anon_distinct_id: "b" } }),
      usual({ event: "$create_alias" }),
      usual({ event: "$merge_dangerously" }),
      usual({ event: "email_unsubscribed" }),
      usual({ event: "" }),
      usual({ event: "x".repeat(1001) }),
      usual({ event: 'fea"ture' }),
      usual({ distinct_id: undefined }),
      usual({ uuid: "no uuid" }),
      { person },
      "",
      "[]",
      `{"event":${JSON.stringify(event)},"event":${JSON.stringify(event)}}`,
      `{"\\u0065vent":${JSON.stringify(event)}}`,
      `{"event":{"event":"a","distinct_id":"b","properties":{"$set":{"email":"a@b.test","email":"c@b.test"}}}}`,
      `{"event":{"event":"a","distinct_id":"b","properties":{"x":${"[".repeat(100)}${"]".repeat(100)}}}}`,
    ];
    for (const body of unusual) expect(glance(body), JSON.stringify(body)).toBeNull();
    expect(
      glanceAt(
        new Uint8Array([...encoder.encode('{"event":{"event":"a","distinct_id":"'), 0xff, 34, 125, 125]),
      ),
    ).toBeNull();
  });
});

/** Bodies that differ in little, so that equal glances and near misses come often. */
const few = (...texts: unknown[]) => fc.constantFrom(...texts);
const bag = fc.record({
  email: few("a@b.test", "A@b.test", "a@b", 7, null, { a: 1 }),
  email_opt_out: few(true, false, "yes", 1),
  unsubscribed: few(true, "no"),
  email_proof: few("p", 1),
  other: fc.jsonValue(),
}, { requiredKeys: [] });
const bodies = fc.record({
  event: fc.record({
    event: few("feature_used", "$pageview", "$identify", "email_unsubscribed", "", 7),
    distinct_id: few("ada", "b\u00f6b", 'b"b', "", null),
    uuid: few(UUID, UUID.toUpperCase(), "x", null, 7),
    timestamp: few("2026-01-01T00:00:00.000Z", 7),
    properties: fc.oneof(
      fc.record({
        $set: fc.oneof(bag, fc.jsonValue()),
        $set_once: bag,
        $anon_distinct_id: few("x"),
        more: fc.jsonValue(),
      }, {
        requiredKeys: [],
      }),
      fc.jsonValue(),
    ),
    more: fc.jsonValue(),
  }, { requiredKeys: [] }),
  person: fc.oneof(
    fc.record({ id: few("p", "q", "", 7), properties: fc.oneof(bag, fc.jsonValue()), name: fc.string() }, {
      requiredKeys: [],
    }),
    fc.jsonValue(),
  ),
  hook: few({}, 1),
  text: few("t"),
}, { requiredKeys: ["event"] });

describe("of any bodies", () => {
  it("equal glances say the same of the same person when they are read whole, and nothing more", () => {
    const seen = new Map<string, ReturnType<typeof saidOf>>();
    fc.assert(
      fc.property(bodies, few(undefined, 1), (body, space) => {
        const value = encoder.encode(JSON.stringify(body, null, space as number | undefined));
        const found = glanceAt(value);
        if (found === null) return;
        const event = read(value);
        // What is no event, such as one without a plain distinct_id, is never remembered.
        if (event === null) {
          expect(seen.has(found)).toBe(false);
          return;
        }
        expect(event.merge).toBeNull();
        expect(event.isOptOut).toBe(false);
        expect(saidOf(event)).toEqual(seen.get(found) ?? saidOf(event));
        seen.set(found, saidOf(event));
      }),
      { numRuns: 5_000 },
    );
    expect(seen.size).toBeGreaterThan(20);
  });

  it("there is none where JSON.parse finds none, whichever byte is another one", () => {
    const whole = encoder.encode(JSON.stringify(usual({
      properties: {
        n: [-0.5e+10, 0, true, false, null, "\u00e9\u2028\\u00e9"],
        $set: { email: "a@b.test" },
        empty: [{}, []],
      },
    })));
    const bytes = fc.oneof(fc.constantFrom(...encoder.encode('"\\{}[],:0123456789.eE+-tfn \n')), fc.nat(255));
    fc.assert(
      fc.property(fc.nat(whole.length - 1), bytes, fc.boolean(), (at, byte, cut) => {
        const value = cut ? whole.slice(0, at) : whole.slice();
        if (!cut) value[at] = byte;
        if (glanceAt(value) !== null) expect(read(value)).not.toBeNull();
      }),
      { numRuns: 20_000 },
    );
  });
});
