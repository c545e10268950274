import { describe, expect, it } from "vitest";
import type { Claimer, FactOf, OfferFact } from "../../facts/facts.ts";
import {
  begin,
  CLAIM_SILENCE_MS,
  currentOf,
  fold,
  isGone,
  nextStep,
  type Offer,
  type OfferNow,
  type OfferState,
  type PersonThen,
} from "./offer.ts";

const SUBJECT = "a".repeat(32);
const MAILBOX = "b".repeat(32);
const by: Claimer = { dataDir: "disk", start: 1, claim: 1 };
const another: Claimer = { dataDir: "disk", start: 1, claim: 2 };
const position = { partition: 0, offset: 7 };
const about = { subject: SUBJECT, at: 1_000, offer: 10, attempt: 1 };

const anybody: PersonThen = { uses: 5, optedOut: false, current: 10, mailboxStateOf: () => "free" };
const optedOut: PersonThen = { ...anybody, optedOut: true };

function offer(state: OfferState, more: Partial<Offer> = {}): Offer {
  return {
    id: 10,
    subject: SUBJECT,
    position,
    uses: 5,
    earnedAt: 0,
    attempt: 1,
    tries: 1,
    edition: 0,
    claims: [],
    messageId: null,
    pastMessageIds: [],
    unknowns: 0,
    state,
    ...more,
  };
}

const waiting = offer({ is: "waiting", dueAt: 500 });
const sending = offer({ is: "sending", by }, { claims: [by], messageId: "<1@x>" });
const offered = offer({ is: "offered", sentAt: 900 }, { claims: [by], messageId: "<1@x>" });
const refused = offer({ is: "failed", reason: "refused", words: "550" });
const unknown = offer({ is: "failed", reason: "delivery_unknown", words: "?" }, {
  claims: [by],
  messageId: "<1@x>",
  unknowns: 1,
});
const closed = offer({ is: "closed", reason: "mailbox_rewarded" });

const claimed: FactOf<"claimed"> = { fact: "claimed", ...about, by, mailbox: MAILBOX, messageId: "<1@x>" };
const accepted: FactOf<"accepted"> = { fact: "accepted", ...about, by, words: "250" };
const deferred: FactOf<"deferred"> = {
  fact: "deferred",
  ...about,
  by: null,
  words: "450",
  nextAttemptAt: 2_000,
};
const refusal: FactOf<"refused"> = { fact: "refused", ...about, by: null, words: "550" };
const silence: FactOf<"unknown"> = { fact: "unknown", ...about, by, words: "?" };
const closing: FactOf<"closed"> = { fact: "closed", ...about, reason: "mailbox_rewarded", mailbox: null };
const reopened: FactOf<"reopened"> = {
  fact: "reopened",
  subject: SUBJECT,
  at: 3_000,
  offer: 10,
  after: 1,
  reason: "asked for",
};

/** The table of ARCHITECTURE's fold: state, fact, next state; null where nothing changes. */
const TABLE: readonly (readonly [string, Offer, OfferFact, PersonThen, OfferState | null])[] = [
  ["a claim holds", waiting, claimed, anybody, { is: "sending", by }],
  ["a claim of another attempt is void", waiting, { ...claimed, attempt: 2 }, anybody, null],
  ["a claim of somebody opted out is void", waiting, claimed, optedOut, null],
  [
    "a claim on a rewarded mailbox is void",
    waiting,
    claimed,
    { ...anybody, mailboxStateOf: () => "rewarded" },
    null,
  ],
  ["a claim on a suppressed mailbox is void", waiting, claimed, {
    ...anybody,
    mailboxStateOf: () => "suppressed",
  }, null],
  [
    "a claim of an offer that another one overtook is void",
    waiting,
    claimed,
    { ...anybody, current: 9 },
    null,
  ],
  ["a second claim is void", sending, { ...claimed, by: another }, anybody, null],
  ["deferred before a claim", waiting, deferred, anybody, { is: "waiting", dueAt: 2_000 }],
  ["deferred in another's name while waiting", waiting, { ...deferred, by }, anybody, null],
  ["refused before a claim", waiting, refusal, anybody, { is: "failed", reason: "refused", words: "550" }],
  ["no attempt left", waiting, { ...deferred, nextAttemptAt: null }, anybody, {
    is: "failed",
    reason: "attempts_exhausted",
    words: "450",
  }],
  ["refused after the claim", sending, { ...refusal, by }, anybody, {
    is: "failed",
    reason: "refused",
    words: "550",
  }],
  ["accepted", sending, accepted, anybody, { is: "offered", sentAt: 1_000 }],
  ["accepted in the name of a claim that never held", sending, { ...accepted, by: another }, anybody, null],
  ["4xx after the dot", sending, { ...deferred, by }, anybody, { is: "waiting", dueAt: 2_000 }],
  ["4xx after the dot, opted out meanwhile", sending, { ...deferred, by }, optedOut, {
    is: "closed",
    reason: "opted_out",
  }],
  ["4xx in another's name", sending, { ...deferred, by: another }, anybody, null],
  ["deferred without a claim while sending", sending, deferred, anybody, null],
  ["unknown", sending, silence, anybody, { is: "failed", reason: "delivery_unknown", words: "?" }],
  ["unknown in another's name", sending, { ...silence, by: another }, anybody, null],
  ["late news that nothing was sent", unknown, { ...deferred, by }, anybody, { is: "waiting", dueAt: 2_000 }],
  ["late news in another's name", unknown, { ...deferred, by: another }, anybody, null],
  ["late news after a refusal", refused, { ...deferred, by }, anybody, null],
  ["accepted late", unknown, accepted, anybody, { is: "offered", sentAt: 1_000 }],
  ["accepted twice", offered, accepted, anybody, null],
  ["closed", waiting, closing, anybody, { is: "closed", reason: "mailbox_rewarded" }],
  [
    "closed for an earlier attempt",
    offer({ is: "waiting", dueAt: 1 }, { attempt: 2 }),
    closing,
    anybody,
    null,
  ],
  ["closed while sending", sending, closing, anybody, null],
  ["reopened after it was sent", offered, reopened, anybody, { is: "waiting", dueAt: 3_000 }],
  ["reopened after a failure", refused, reopened, anybody, { is: "waiting", dueAt: 3_000 }],
  ["reopened after it was closed", closed, reopened, anybody, { is: "waiting", dueAt: 3_000 }],
  ["reopened after unknown", unknown, reopened, anybody, { is: "waiting", dueAt: 3_000 }],
  ["reopened for an earlier attempt", unknown, { ...reopened, after: 0 }, anybody, null],
  ["reopened while waiting", waiting, reopened, anybody, null],
  ["reopened for somebody opted out", unknown, reopened, optedOut, { is: "closed", reason: "opted_out" }],
];

describe("fold()", () => {
  it.each(TABLE)("%s", (_, before, fact, person, state) => {
    const after = fold(before, fact, person);
    if (state === null) expect(after).toBe(before);
    else expect(after.state).toEqual(state);
  });

  it("counts attempts on when it goes back to waiting, and tries anew when it is reopened", () => {
    const second = fold(sending, { ...deferred, by }, anybody);
    expect(second).toMatchObject({ attempt: 2, tries: 2 });
    const failed = fold(second, { ...refusal, attempt: 2 }, anybody);
    expect(fold(failed, { ...reopened, after: 2 }, anybody)).toMatchObject({ attempt: 3, tries: 1 });
  });

  it("gives a reopened offer a Message-ID of its own, but not after unknown", () => {
    expect(fold(offered, reopened, anybody)).toMatchObject({
      edition: 1,
      messageId: null,
      pastMessageIds: ["<1@x>"],
    });
    expect(fold(unknown, reopened, anybody)).toMatchObject({
      edition: 0,
      messageId: "<1@x>",
      pastMessageIds: [],
    });
  });

  it("leaves every other pair of state and fact unchanged", () => {
    const states = { waiting, sending, offered, refused, unknown, closed };
    const facts = { claimed, accepted, deferred, refusal, silence, closing, reopened };
    const changes = Object.entries(states).flatMap(([state, before]) =>
      Object.entries(facts).filter(([, fact]) => fold(before, fact, anybody) !== before).map(([fact]) =>
        `${state} ${fact}`
      )
    );
    expect(changes).toEqual([
      "waiting claimed",
      "waiting deferred",
      "waiting refusal",
      "waiting closing",
      "sending accepted",
      "sending silence",
      "offered reopened",
      "refused reopened",
      "unknown accepted",
      "unknown reopened",
      "closed reopened",
    ]);
  });
});

describe("begin()", () => {
  const earned = { fact: "earned", subject: SUBJECT, at: 100, position, uses: 5, dueAt: 500 } as const;
  const nobody = { ...anybody, current: null };

  it("makes a waiting offer, named by the place of its fact", () => {
    expect(begin({ offset: 10, fact: earned }, nobody)).toEqual({ ...waiting, earnedAt: 100 });
  });

  it("makes none for a person who has one, or lacks the uses", () => {
    expect(begin({ offset: 10, fact: earned }, anybody)).toBeNull();
    expect(begin({ offset: 10, fact: earned }, { ...nobody, uses: 4 })).toBeNull();
  });
});

describe("isGone()", () => {
  it("takes a waiting offer with its uses, and no other", () => {
    expect([waiting, sending, offered, unknown].map((one) => isGone(one, { uses: 4 }))).toEqual([
      true,
      false,
      false,
      false,
    ]);
    expect(isGone(waiting, { uses: 5 })).toBe(false);
  });
});

describe("currentOf()", () => {
  it("is the offer that came furthest", () => {
    const again = offer({ is: "waiting", dueAt: 1 }, { unknowns: 1 });
    const order = [offered, unknown, sending, again, waiting, refused, closed].map((one, n) => ({
      ...one,
      id: n,
    }));
    for (let n = 0; n < order.length; n++) expect(currentOf(order.slice(n).reverse())).toBe(order[n]);
    expect(currentOf([])).toBeNull();
  });

  it("is of two equal ones the one that earned first", () => {
    expect(currentOf([{ ...waiting, id: 12 }, { ...waiting, id: 11 }])!.id).toBe(11);
  });
});

describe("nextStep()", () => {
  const hold = { policy: { onUnknown: "hold", provenOnly: false }, claim: null } as const;
  const resend = { policy: { onUnknown: "resend-once", provenOnly: false }, claim: null } as const;
  const now = (one: Offer, more: Partial<OfferNow> = {}): OfferNow => ({
    offer: one,
    isCurrent: true,
    optedOut: false,
    isLost: false,
    address: { mailbox: MAILBOX, position, mailboxState: "free" },
    provenAddress: null,
    ...more,
  });
  const mailboxState = (mailboxState: "rewarded" | "suppressed") => ({
    address: { mailbox: MAILBOX, position, mailboxState },
  });

  it("sends the current offer when it is due and an address is known", () => {
    expect(nextStep(now(waiting), 499, hold)).toEqual({ is: "wait" });
    expect(nextStep(now(waiting), 500, hold)).toEqual({ is: "send", mailbox: MAILBOX, position });
    expect(nextStep(now(waiting, { isCurrent: false }), 500, hold)).toEqual({ is: "wait" });
    expect(nextStep(now(waiting, { address: null }), 500, hold)).toEqual({ is: "wait" });
  });

  it("sends to a proven address only, where proofs are asked for", () => {
    const proven = { ...hold, policy: { ...hold.policy, provenOnly: true } };
    const provenAddress = { mailbox: "e".repeat(32), position, mailboxState: "free" } as const;
    expect(nextStep(now(waiting), 500, proven)).toEqual({ is: "wait" });
    expect(nextStep(now(waiting, { provenAddress }), 500, proven)).toMatchObject({
      is: "send",
      mailbox: provenAddress.mailbox,
    });
  });

  it("closes what may never be sent", () => {
    const closes = (reason: string, mailbox: string | null = null) => ({ is: "close", reason, mailbox });
    expect(nextStep(now(waiting, { optedOut: true }), 0, hold)).toEqual(closes("opted_out"));
    expect(nextStep(now(waiting, mailboxState("suppressed")), 500, hold)).toEqual(closes("opted_out"));
    expect(nextStep(now(waiting, mailboxState("rewarded")), 500, hold)).toEqual(closes("mailbox_rewarded"));
    expect(nextStep(now(waiting, { isLost: true }), 500, hold)).toEqual(closes("state_lost", MAILBOX));
    expect(nextStep(now(waiting, { isLost: true, address: null }), 500, hold)).toEqual(closes("state_lost"));
  });

  it("settles an earlier run's claim at once, and another's after a minute's silence", () => {
    const seen = (of: "this_run" | "earlier_run" | "another", forMs: number) =>
      nextStep(now(sending), 9_999, { ...hold, claim: { of, forMs } }).is;
    expect(seen("earlier_run", 0)).toBe("settle");
    expect(seen("another", CLAIM_SILENCE_MS)).toBe("wait");
    expect(seen("another", CLAIM_SILENCE_MS + 1)).toBe("unknown");
    expect(seen("this_run", 1e9)).toBe("wait");
  });

  it("reopens an unknown one once, by resend-once only", () => {
    expect(nextStep(now(unknown), 0, hold)).toEqual({ is: "wait" });
    expect(nextStep(now(unknown), 0, resend)).toEqual({ is: "reopen" });
    expect(nextStep(now({ ...unknown, unknowns: 2 }), 0, resend)).toEqual({ is: "wait" });
    expect(nextStep(now(unknown, { optedOut: true }), 0, resend)).toEqual({ is: "wait" });
    expect(nextStep(now(unknown, { isCurrent: false }), 0, resend)).toEqual({ is: "wait" });
    expect(nextStep(now(refused), 0, resend)).toEqual({ is: "wait" });
  });
});
