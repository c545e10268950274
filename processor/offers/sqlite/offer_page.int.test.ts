import fc from "fast-check";
import type { DatabaseSync } from "node:sqlite";
import { afterEach, describe, expect, it } from "vitest";
import {
  CLOSED_REASONS,
  FAILED_REASONS,
  OFFER_FILTERS,
  type OfferFilter,
} from "../../../contract/processor_api.ts";
import { encodeFact } from "../../facts/encode.ts";
import type { Fact } from "../../facts/facts.ts";
import type { Offer } from "../core/offer.ts";
import { hashes, START } from "../fixtures/run.ts";
import { openViewToWrite } from "./schema.ts";
import { createOfferStatusReader, type OfferStatusReader } from "./status_reader.ts";
import { createOfferStoreWriter } from "./writer.ts";

const THRESHOLD = 3;
const subjectOf = (person: number) => hashes.subject(`user-${person}`);
const mailboxOf = (person: number) => hashes.mailbox(`user-${person}@example.org`);
const BY = { dataDir: "0123456789abcdef", start: 1, claim: 1 };

const open: DatabaseSync[] = [];
afterEach(() => open.splice(0).forEach((db) => db.close()));

/** A view in memory, fed as many facts in one transaction as `batch` says. */
function view({ batch = 1 } = {}) {
  const db = openViewToWrite(":memory:");
  open.push(db);
  const writer = createOfferStoreWriter(db, { codeOf: ({ id }) => `CODE-${id}` });
  const offers: OfferStatusReader = createOfferStatusReader(db, { threshold: THRESHOLD, provenOnly: false });
  return {
    db,
    offers,
    apply(facts: readonly Fact[]) {
      for (let from = 0; from < facts.length; from += batch) {
        const some = facts.slice(from, from + batch).map((fact, i) => ({
          offset: from + i,
          fact,
          text: new TextDecoder().decode(encodeFact(fact).value),
        }));
        writer.apply(some, { nextFact: from + some.length, last: null });
      }
    },
  };
}

type Deed = { readonly who: number; readonly other: number; readonly does: typeof DEEDS[number] };
const DEEDS = [
  "use",
  "use",
  "use",
  "earn",
  "earn",
  "address",
  "join",
  "opt out",
  "accepted",
  "refused",
  "unknown",
  "deferred",
  "closed",
  "rewarded",
  "lost",
  "reopened",
  "erase",
] as const;

/** Facts of a random history, as deciding could have brought them, in any order: what makes no sense the fold passes over. */
function factsOf(deeds: readonly Deed[]): Fact[] {
  const facts: Fact[] = [];
  const earned = new Map<number, { offer: number; attempt: number }>();
  deeds.forEach(({ who, other, does }, n) => {
    const [subject, at] = [subjectOf(who), START + n * 1_000];
    const record = { subject, at, position: { partition: n % 2, offset: n } };
    const attempt = { subject, at, offer: 0, attempt: 1, ...earned.get(who) };
    const use = () =>
      facts.push({
        fact: "counted",
        ...record,
        uuid: `00000000-0000-4000-8000-${String(facts.length).padStart(12, "0")}`,
      });
    const claimed = () =>
      facts.push({
        fact: "claimed",
        ...attempt,
        by: BY,
        mailbox: mailboxOf(who),
        messageId: `<${n}@shop.example>`,
      });
    switch (does) {
      case "use":
        use();
        break;
      case "earn":
        for (let uses = 0; uses < THRESHOLD; uses++) use();
        earned.set(who, { offer: facts.length, attempt: 1 });
        facts.push({ fact: "earned", ...record, uses: THRESHOLD, dueAt: at + 120_000 });
        break;
      case "address":
        facts.push({ fact: "addressed", ...record, mailbox: mailboxOf(who) });
        break;
      case "join":
        if (who !== other) {
          facts.push({
            fact: "merge_asked",
            ...record,
            other: subjectOf(other),
            how: "dangerous",
            askedAt: at,
          });
        }
        break;
      case "opt out":
        facts.push({ fact: "opted_out", ...record, mailbox: null });
        break;
      case "accepted":
      case "refused":
      case "unknown":
        claimed();
        facts.push({ fact: does, ...attempt, by: BY, words: `550 ${does}` });
        break;
      case "deferred":
        facts.push({ fact: "deferred", ...attempt, by: null, words: "451 later", nextAttemptAt: null });
        break;
      case "closed":
      case "rewarded":
      case "lost": {
        const reason =
          ({ closed: "opted_out", rewarded: "mailbox_rewarded", lost: "state_lost" } as const)[does];
        facts.push({ fact: "closed", ...attempt, reason, mailbox: null });
        break;
      }
      case "reopened": {
        facts.push({
          fact: "reopened",
          subject,
          at,
          offer: attempt.offer,
          after: attempt.attempt,
          reason: "asked",
        });
        earned.set(who, { offer: attempt.offer, attempt: attempt.attempt + 1 });
        break;
      }
      case "erase":
        facts.push({ fact: "erased", at, position: { partition: n % 2, offset: n }, subjects: [subject] });
    }
  });
  return facts;
}

const histories = fc.array(
  fc.record({ who: fc.nat(7), other: fc.nat(7), does: fc.constantFrom(...DEEDS) }),
  { minLength: 1, maxLength: 60 },
);

const ALL: readonly (OfferFilter | null)[] = [null, ...OFFER_FILTERS];

function walk(offers: OfferStatusReader, state: OfferFilter | null, limit: number) {
  const pages = [];
  for (let before: string | null = null, first = true; first || before !== null; first = false) {
    const page = offers.page({ state, search: null, before, limit }, hashes);
    pages.push(page);
    before = page.older;
  }
  return pages;
}

/** Everybody by the tables themselves, without the columns that the list is read by. */
function everybody(db: DatabaseSync) {
  return db.prepare(
    `select p.uses, p.opted_out as out, (select json_group_array(json(body)) from offer o where o.person = p.id) as bodies,
     (select body from offer o where o.id = p.offer) as body from person p`,
  ).all().map((row) => {
    const { uses, out, body } = row as { uses: number; out: number; body: string | null };
    const offer = body === null ? null : JSON.parse(body) as Offer;
    if (offer !== null) {
      return { state: offer.state.is, reason: "reason" in offer.state ? offer.state.reason : null, uses };
    }
    return out === 1
      ? { state: "closed", reason: "opted_out", uses }
      : { state: uses > 0 ? "counting" : null, reason: null, uses };
  }).filter(({ state }) => state !== null);
}

describe("a page of offers", () => {
  it("agrees with the status, and its pages hold everybody once, after any history", () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(histories, fc.integer({ min: 1, max: 5 }), (deeds, limit) => {
        const { db, offers, apply } = view();
        apply(factsOf(deeds));
        const people = everybody(db);
        const sizeOf = (state: string, reason?: string) =>
          people.filter((one) => one.state === state && (reason === undefined || one.reason === reason))
            .length;
        const rows = new Map<OfferFilter | null, string[]>();
        for (const state of ALL) {
          const pages = walk(offers, state, limit);
          const listed = pages.flatMap(({ offers }) => offers);
          rows.set(state, listed.map(({ person }) => person));
          for (const page of pages) {
            expect(page.counts).toEqual(offers.counts());
            expect(page.total).toBe(listed.length);
            for (const [name, people] of Object.entries(page.counts)) expect(people).toBe(sizeOf(name));
            for (const reason of FAILED_REASONS) expect(page.failed[reason]).toBe(sizeOf("failed", reason));
            for (const reason of CLOSED_REASONS) expect(page.closed[reason]).toBe(sizeOf("closed", reason));
            expect(page.counting.map(({ uses }) => uses)).toEqual([1, 2, 3]);
            expect(page.counting.map(({ people }) => people)).toEqual(
              [1, 2, 3].map((uses) =>
                people.filter((one) =>
                  one.state === "counting" && (uses === THRESHOLD ? one.uses >= uses : one.uses === uses)
                ).length
              ),
            );
          }
          expect(pages.slice(0, -1).every((page) => page.offers.length === limit)).toBe(true);
          for (const { subject, position: _, changedAt: __, person, ...shown } of listed) {
            expect(person).toBe(`person-${subject}`);
            expect(offers.offerOf(person, hashes)).toMatchObject(shown);
            const found = offers.page({ state, search: person, before: null, limit }, hashes);
            expect(found.offers.map((one) => one.person)).toEqual([person]);
            seen.add(`${shown.state} ${state}`);
          }
        }
        expect(rows.get(null)!.length).toBe(people.length);
        expect(new Set(rows.get(null)).size).toBe(people.length);
        const byState = OFFER_FILTERS.filter((state) => state !== "opted_out").flatMap((state) =>
          rows.get(state)!
        );
        expect(byState.sort()).toEqual([...rows.get(null)!].sort());
        expect(rows.get("closed")).toEqual(expect.arrayContaining(rows.get("opted_out")!));
      }),
      { numRuns: 100, seed: 20 },
    );
    // Histories in which nothing happens would agree, too.
    for (const state of OFFER_FILTERS) {
      if (state !== "opted_out" && state !== "sending") expect([...seen]).toContain(`${state} null`);
    }
    expect([...seen]).toContain("closed opted_out");
  });

  it("goes on in another processor's view, however that one gathered the facts", () => {
    fc.assert(
      fc.property(histories, fc.integer({ min: 2, max: 40 }), (deeds, batch) => {
        const [one, other] = [view(), view({ batch })];
        for (const { apply } of [one, other]) apply(factsOf(deeds));
        expect(walk(one.offers, null, 2)).toEqual(walk(other.offers, null, 2));
      }),
      { numRuns: 40, seed: 21 },
    );
  });

  it("has whose changed last first, and their distinct_id or hash finds one alone", () => {
    const { offers, apply } = view();
    apply(factsOf([0, 1, 2, 0].map((who) => ({ who, other: 0, does: "use" }))));
    const page = (search: string | null) =>
      offers.page({ state: null, search, before: null, limit: 50 }, hashes).offers.map(({ subject, uses }) =>
        [0, 1, 2].map(subjectOf).indexOf(subject) + `: ${uses}`
      );
    expect(page(null)).toEqual(["0: 2", "2: 1", "1: 1"]);
    expect(page("user-2")).toEqual(["2: 1"]);
    expect(page(`person-${subjectOf(1)}`)).toEqual(["1: 1"]);
    expect(page("user-9")).toEqual([]);
    expect(page("user-2 ")).toEqual([]);
    expect(offers.page({ state: "failed", search: "user-2", before: null, limit: 50 }, hashes).offers)
      .toEqual([]);
  });

  it("is read off indexes, sorting and scanning nobody", () => {
    const { db, offers } = view();
    const asked: string[] = [];
    const prepare = db.prepare.bind(db);
    db.prepare = (sql) => (asked.push(sql), prepare(sql));
    createOfferStatusReader(db, { threshold: THRESHOLD, provenOnly: false });
    db.prepare = prepare;
    const plans = asked.filter((sql) =>
      / person( indexed by \S+)? where| use where| timeline where/.test(sql)
    ).flatMap((
      sql,
    ) =>
      prepare(`explain query plan ${sql}`).all(...Array(sql.split("?").length - 1).fill(0)).map((row) =>
        (row as { detail: string }).detail
      )
    );
    expect(plans.length).toBeGreaterThan(6);
    expect(plans.filter((plan) => /TEMP B-TREE|^SCAN \w+$/.test(plan))).toEqual([]);
    expect(plans.filter((plan) => plan.includes("person_counting"))).toHaveLength(1);
    expect(offers.page({ state: null, search: null, before: null, limit: 50 }, hashes).offers).toEqual([]);
  });
});
