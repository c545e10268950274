import { describe, expect, test } from "vitest";
import type { OfferView } from "../../contract/processor_api.ts";
import type { TraceStep } from "../../contract/trace_step.ts";
import { addressText, offerRowText, offerText } from "../../web/components/offer_text.ts";
import { splitAtTimes, timeInWords } from "../../web/core/format.ts";
import { follow, type OfferRow } from "../../web/core/trace.ts";

const NOW = Date.UTC(2026, 0, 1, 12);
const iso = (ms: number) => new Date(NOW + ms).toISOString();
type Outcome = Extract<TraceStep, { step: "mail" }>["outcome"];

const EARNED: TraceStep = {
  step: "earned",
  id: "e1",
  offer: "7",
  distinctId: "u1",
  dueAt: iso(120_000),
  addressKnown: false,
  at: iso(-5_000),
};
const mail = (outcome: Outcome, words: string): TraceStep => ({
  step: "mail",
  offer: "7",
  distinctId: "u1",
  outcome,
  words,
  messageId: "m1",
  nextAttemptAt: null,
  at: iso(-1_000),
});
const DEFERRED = mail("deferred", "451 later");
const REFUSED = mail("refused", "550 no");
const LATE = "the address came unproven or after the offer was earned: waits for a proven one";

const offer = (part: Partial<OfferView>): OfferView => ({
  distinctId: "u1",
  offer: "7",
  state: "waiting",
  reason: null,
  uses: 5,
  threshold: 5,
  addressKnown: true,
  earnedAt: iso(-5_000),
  dueAt: null,
  sentAt: null,
  code: null,
  messageId: null,
  timeline: [],
  ...part,
});

/** Steps that the row was told, how the processor has the offer now, and what is to be read of it. */
const STATES: [string, TraceStep[], Partial<OfferView>, RegExp][] = [
  ["no address", [EARNED], { addressKnown: false, dueAt: iso(9) }, /^No address known: waits for one$/],
  [
    "an address that came late",
    [EARNED],
    { addressKnown: false, reason: LATE, dueAt: iso(9) },
    /^The address/,
  ],
  ["a proven address that came late", [EARNED], { dueAt: iso(60_000) }, /^Offer earned, mail due in$/],
  ["due", [EARNED], { dueAt: iso(-1) }, /^The mail is due$/],
  ["sending", [EARNED], { state: "sending" }, /^The mail is being sent$/],
  [
    "deferred",
    [EARNED, DEFERRED],
    { dueAt: iso(9), failedTries: 1, lastWords: "451 later" },
    /tried again in$/,
  ],
  ["deferred, and due again", [EARNED, DEFERRED], { dueAt: iso(-1), failedTries: 1 }, /^The mail is due$/],
  [
    "deferred for the last time",
    [EARNED, DEFERRED],
    { state: "failed", reason: "451 later" },
    /not sent$/,
  ],
  [
    "deferred, then sent",
    [EARNED, DEFERRED, mail("accepted", "250 ok")],
    { state: "offered", sentAt: iso(-1_000) },
    /^The mail was sent$/,
  ],
  ["deferred, then opted out", [EARNED, DEFERRED], { state: "closed", reason: "opted_out" }, /is closed$/],
  [
    "closed by an opt-out",
    [EARNED, mail("closed", "opted_out")],
    { state: "closed", reason: "opted_out" },
    /is closed$/,
  ],
  [
    "closed, as the mailbox has had its offer",
    [EARNED, mail("closed", "mailbox_rewarded")],
    { state: "closed", reason: "mailbox_rewarded" },
    /is closed$/,
  ],
  [
    "refused",
    [EARNED, REFUSED],
    { state: "failed", reason: "550 no" },
    /not sent$/,
  ],
  [
    "unknown",
    [EARNED, mail("unknown", "cut")],
    { state: "failed", reason: "delivery_unknown" },
    /^Nobody can know whether the mail was sent$/,
  ],
  ["refused, and reopened by an operator", [EARNED, REFUSED], { dueAt: iso(1_000) }, /mail due in$/],
];

const rowOf = (steps: TraceStep[]) => follow(new Map(), steps).get("offer 7") as OfferRow;

describe("row and panel", () => {
  test.each(STATES)("say the same: %s", (_, steps, part, state) => {
    const view = offer(part);
    expect(offerRowText(rowOf(steps), view, NOW)).toEqual(offerText(view, NOW));
    expect(offerText(view, NOW).state).toMatch(state);
  });

  test.each(STATES)("without the processor's word the row says only what has happened: %s", (_, steps) => {
    const { state, until } = offerRowText(rowOf(steps), null, NOW);
    expect(until).toBeUndefined();
    expect(state).toMatch(
      /^(Earned|A mail was sent|An attempt .* failed|The mail was refused|It could|Closed)/,
    );
  });

  test("of two ids that turn out to be one person one offer counts, and the other's row says so", () => {
    const view = offer({ offer: "9", state: "offered" });
    expect(offerRowText(rowOf([EARNED]), view, NOW).state).toBe("Another offer of this person counts");
  });

  test("a look from before the offer was earned takes nothing from its row", () => {
    const before = offer({ offer: null, state: "counting", uses: 4 });
    expect(offerRowText(rowOf([EARNED]), before, NOW).state).toBe("Earned");
  });
});

test("an offer counts down only to what will happen then", () => {
  const until = (part: Partial<OfferView>) => offerText(offer(part), NOW).until;
  expect(until({ dueAt: iso(9_000) })).toBe(iso(9_000));
  expect(until({ dueAt: iso(9_000), addressKnown: false })).toBeUndefined();
  expect(until({ dueAt: iso(-1) })).toBeUndefined();
});

test("whether an address is known is said as the state says it", () => {
  expect(addressText(offer({}))).toBe("known");
  expect(addressText(offer({ addressKnown: false }))).toBe("not known");
  expect(addressText(offer({ addressKnown: false, reason: LATE }))).toBe("known, but not for this offer");
});

test("the mail server's words stay as they are", () => {
  const { next } = offerText(offer({ state: "failed", reason: "550 no_such_user" }), NOW);
  expect(next).toMatch(/^550 no_such_user\. It is not tried again/);
});

test("a time inside a sentence is said in words", () => {
  const parts = splitAtTimes("earned the offer, due at 2026-01-01T12:01:43.000Z (record 3:41)");
  expect(parts).toEqual(["earned the offer, due at ", "2026-01-01T12:01:43.000Z", " (record 3:41)"]);
  const words = (ms: number) => timeInWords(iso(ms), { now: NOW, zone: "Europe/Berlin" });
  expect([words(103_000), words(-3_000)]).toEqual(["13:01:43", "3 s ago"]);
});
