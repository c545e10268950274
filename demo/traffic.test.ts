import { createEmailProofs } from "../contract/email_proof.ts";
import { describe, expect, it } from "vitest";
import { sampleEvents, trafficEvent } from "./traffic.ts";

const NOW = Date.parse("2026-01-01T12:00:00.000Z");
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

describe("the sample with proofs", () => {
  it("proves its addresses and joins as an application's server does", () => {
    const proofs = createEmailProofs("a secret of the demo");
    const identified = sampleEvents({ now: 1_000_000_000, key: "phc_demo", proofs })
      .filter(({ event }) => event === "$identify");
    expect(identified).toHaveLength(4);
    for (const { properties } of identified) {
      const { distinct_id, $anon_distinct_id, email_proof, $set } = properties as Record<string, string> & {
        $set: { email: string; email_proof: string };
      };
      const holds = (said: string, proof: unknown) => proofs.holds({ distinctId: distinct_id!, said, proof });
      expect(holds($anon_distinct_id!, email_proof)).toBe(true);
      expect(holds($set.email, $set.email_proof)).toBe(true);
    }
  });
});

describe("the sample", () => {
  const events = sampleEvents({ now: NOW, key: "phc_demo" });
  const ofUser = new Map<unknown, typeof events>();
  for (const event of events) {
    const id = event.properties.distinct_id;
    ofUser.set(id, [...ofUser.get(id) ?? [], event]);
  }

  it("has ids of its own that another start repeats, and lies in the last minutes in order", () => {
    expect(new Set(events.map(({ uuid }) => uuid)).size).toBe(events.length);
    for (const { uuid } of events) expect(uuid).toMatch(UUID);
    const again = sampleEvents({ now: NOW + 1e9, key: "phc_demo" });
    expect(again.map(({ uuid }) => uuid)).toEqual(events.map(({ uuid }) => uuid));
    const times = events.map(({ timestamp }) => Date.parse(timestamp));
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(Math.max(...times)).toBeLessThan(NOW);
    expect(Math.min(...times)).toBeGreaterThan(NOW - 5 * 60_000);
  });

  it("has exactly one user with five uses, who is identified with an address before them", () => {
    const fiveUses = [...ofUser.values()].filter((did) =>
      did.filter(({ event }) => event === "feature_used").length === 5
    );
    expect(fiveUses).toHaveLength(1);
    expect(fiveUses[0]![0]).toMatchObject({
      event: "$identify",
      properties: { $set: { email: expect.any(String) } },
    });
    for (const did of ofUser.values()) {
      expect(did.filter(({ event }) => event === "feature_used").length).toBeLessThanOrEqual(5);
    }
  });

  it("has failures whose prompts hold personal data of several kinds, all of it fictional", () => {
    const prompts = events.map(({ properties }) => properties.input_prompt).filter((text) =>
      text !== undefined
    );
    const kinds = {
      email: /\S+@example\.(?:org|com|net)/,
      phone: /\+44 7700 900\d{3}|\(\d{3}\) 555-01\d{2}/,
      card: /4111 1111 1111 1111/,
      iban: /DE89 3704 0044 0532 0130 00/,
      credentials: /https:\/\/\w+:\w+@/,
    };
    for (const [kind, pattern] of Object.entries(kinds)) {
      expect([kind, prompts.some((text) => pattern.test(String(text)))]).toEqual([kind, true]);
    }
    const addresses = JSON.stringify(events).match(/[\w.]+@[\w.]+/g)!;
    for (const address of addresses) expect(address).toMatch(/@(ci\.)?example\.(org|com|net)$/);
  });
});

describe("traffic", () => {
  const options = { run: "a", users: 5, now: NOW, key: "phc_demo" };
  const events = Array.from({ length: 300 }, (_, i) => trafficEvent(i, options));

  it("repeats itself for the same run only, and never within a run", () => {
    expect(Array.from({ length: 300 }, (_, i) => trafficEvent(i, options))).toEqual(events);
    expect(trafficEvent(7, { ...options, run: "b" }).uuid).not.toBe(events[7]!.uuid);
    expect(new Set(events.map(({ uuid }) => uuid)).size).toBe(300);
  });

  it("comes from as many people as asked, who identify, use and fail", () => {
    expect(new Set(events.map(({ properties }) => properties.distinct_id)).size).toBe(5);
    expect(new Set(events.map(({ event }) => event))).toEqual(
      new Set(["$identify", "feature_used", "generation_failed"]),
    );
  });
});
