import { describe, expect, test } from "vitest";
import fc from "fast-check";
import type { OfferListing } from "../../contract/processor_api.ts";
import {
  behindText,
  funnel,
  offerPageQuery,
  offerQuestion,
  offerSearch,
} from "../../web/core/offer_funnel.ts";

function listing(counting: readonly number[], more: Partial<OfferListing> = {}): OfferListing {
  return {
    counts: {
      counting: counting.reduce((sum, people) => sum + people, 0),
      waiting: 7,
      sending: 1,
      offered: 1_500,
      failed: 6,
      closed: 5,
    },
    counting: counting.map((people, i) => ({ uses: i + 1, people })),
    closed: { opted_out: 2, mailbox_rewarded: 2, state_lost: 1 },
    failed: { refused: 1, attempts_exhausted: 2, delivery_unknown: 3 },
    threshold: counting.length,
    total: 0,
    offers: [],
    older: null,
    facts: { applied: 1, end: 1 },
    ...more,
  };
}

describe("the funnel", () => {
  test("has everybody once, in the order of the way, and then where it ended without a mail", () => {
    const { labels, series, note } = funnel(listing([4, 3, 2, 1, 0]));
    expect(labels.map((label, i) => `${label} = ${series[0]!.values[i]}`)).toEqual([
      "counting: 1 use = 4",
      "counting: 2 uses = 3",
      "counting: 3 uses = 2",
      "counting: 4 uses = 1",
      "counting: 5 uses or more = 0",
      "waiting = 7",
      "being sent = 1",
      "mailed = 1500",
      "opted out = 2",
      "failed: refused = 1",
      "failed: no attempt left = 2",
      "failed: nobody knows = 3",
      "closed: mailbox had one = 2",
      "closed: memory lost = 1",
    ]);
    expect(note).toBe("1,529 people, each counted once");
  });

  test("adds up to everybody whatever the threshold, and has few bars", () => {
    fc.assert(fc.property(fc.array(fc.nat(9), { minLength: 1, maxLength: 300 }), (counting) => {
      const one = listing(counting);
      const { labels, series } = funnel(one);
      const people = Object.values(one.counts).reduce((sum, here) => sum + here, 0);
      expect(series[0]!.values.reduce<number>((sum, here) => sum + here!, 0)).toBe(people);
      expect(series[0]!.values).toHaveLength(labels.length);
      expect(new Set(labels).size).toBe(labels.length);
      expect(labels.length).toBeLessThanOrEqual(19);
    }));
    expect(funnel(listing(Array(25).fill(1))).labels.slice(0, 9)).toEqual([
      "counting: 1–3 uses",
      "counting: 4–6 uses",
      "counting: 7–9 uses",
      "counting: 10–12 uses",
      "counting: 13–15 uses",
      "counting: 16–18 uses",
      "counting: 19–21 uses",
      "counting: 22–24 uses",
      "counting: 25 uses or more",
    ]);
    expect(funnel(listing([3])).labels[0]).toBe("counting: 1 use or more");
  });

  test("is empty, and says so, where nobody has used anything", () => {
    const counts = { counting: 0, waiting: 0, sending: 0, offered: 0, failed: 0, closed: 0 };
    expect(funnel(listing([0, 0], { counts }))).toMatchObject({
      labels: [],
      note: "0 people, each counted once",
      empty: "Nobody has used anything yet.",
    });
  });
});

describe("a page of offers", () => {
  test.each([
    ["", ""],
    ["state=failed", "?state=failed"],
    ["state=mailed", ""],
    ["before=12-3&state=opted_out", "?state=opted_out&before=12-3"],
    ["before=12", ""],
    ["search=+ada%40example.org+", "?search=ada%40example.org"],
    ["a=b", ""],
  ])("is what an address asks for, and nothing else of it: %j", (asked, query) => {
    expect(offerSearch(offerPageQuery(new URLSearchParams(asked)))).toBe(query);
  });

  test("is asked for 50 at a time", () => {
    expect(offerQuestion({ state: null, search: "", before: null })).toBe("/api/offers?limit=50");
    expect(offerQuestion({ state: "failed", search: "", before: "12-3" })).toBe(
      "/api/offers?state=failed&before=12-3&limit=50",
    );
  });

  test("says how far its view is behind, where it is or where nobody can tell", () => {
    expect(behindText({ applied: 7, end: 7 })).toBeNull();
    expect(behindText({ applied: 1203, end: 5000 })).toContain("1,203 of 5,000");
    expect(behindText({ applied: 1203, end: null })).toMatch(/^As of fact 1,203/);
  });
});
