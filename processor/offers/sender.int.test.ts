import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FACTS_TOPIC } from "../../contract/names.ts";
import type { SettingBreach } from "../../topic/topic.ts";
import { until } from "../../tests/support/until.ts";
import type { OutgoingMail } from "./core/discount_email.ts";
import type { Mailer, SendOutcome } from "./mailer.ts";
import type { Fact } from "../facts/facts.ts";
import { publishFacts } from "../facts/topic.ts";
import {
  type HandClock,
  handClock,
  hashes,
  look,
  newPlace,
  type Place,
  type Running,
  settled,
  START,
  uses,
  whileRunning,
} from "./fixtures/run.ts";

const WAIT = 120_000;

let place: Place;
let clock: HandClock;
beforeEach(() => void (clock = handClock()));
afterEach(() => place.remove());

type Script = (n: number, claim: () => Promise<boolean>) => Promise<SendOutcome>;

/**
 * Answers as the test says, and keeps what it was given. It imitates neither a connection nor its time-outs: the real
 * mailers have tests of their own.
 */
function scripted(script: Script): Mailer & { readonly mails: OutgoingMail[] } {
  const mails: OutgoingMail[] = [];
  return {
    kind: "smtp",
    mails,
    send: (mail, claim) => script(mails.push(mail), claim),
    outcomeOf: () => Promise.resolve("unknown"),
    close: () => Promise.resolve(),
  };
}

const taken: Script = async (_, claim) =>
  await claim() ? { is: "accepted", serverAnswer: "250 queued" } : { is: "void" };

const offerOf = (distinctId: string) => look(place, (offers) => offers.offerOf(distinctId, hashes));
const isIn = (distinctId: string, state: string) => () => offerOf(distinctId)?.state === state;
const outcomes = () => look(place, (offers) => offers.mails());

async function withOneDue(
  mailer: Mailer,
  { environment = {}, work }: {
    environment?: Record<string, string>;
    work: (running: Running) => Promise<void>;
  },
): Promise<void> {
  place = await newPlace(environment);
  await place.publish(uses(5, "ada", { email: "ada@example.org" }));
  await whileRunning(place, { clock, mailer }, async (running) => {
    await until("the offer waits", isIn("ada", "waiting"));
    clock.move(WAIT);
    await work(running);
  });
}

async function factsIn({ log }: Running): Promise<string[]> {
  const found: string[] = [];
  const [bounds] = await log.bounds(FACTS_TOPIC);
  for await (
    const { records } of log.read(FACTS_TOPIC, { partition: 0, from: 0, until: bounds!.endOffset })
  ) {
    found.push(...records.map(({ value }) => new TextDecoder().decode(value)));
  }
  return found;
}

describe("a mail that the server does not take", () => {
  it("is tried again after each delay, under the same Message-ID, and fails when none is left", async () => {
    const mailer = scripted((n) =>
      Promise.resolve({ is: "deferred", serverAnswer: `450 no ${n}`, claimed: false })
    );
    await withOneDue(mailer, {
      environment: { MAIL_RETRY_DELAYS: "5s,30s" },
      async work() {
        for (const [n, delay] of [5_000, 30_000].entries()) {
          await until("it was deferred", () => outcomes().deferred === n + 1);
          expect(offerOf("ada")!.dueAt).toBe(new Date(clock.now() + delay).toISOString());
          expect(offerOf("ada")).toMatchObject({ failedTries: n + 1, lastWords: `450 no ${n + 1}` });
          expect(mailer.mails).toHaveLength(n + 1);
          clock.move(delay);
        }
        await until("it failed", isIn("ada", "failed"));
      },
    });
    expect(offerOf("ada")).toMatchObject({ reason: "450 no 3", code: null });
    expect(new Set(mailer.mails.map(({ messageId }) => messageId)).size).toBe(1);
    expect(mailer.mails).toHaveLength(3);
  });

  it("is refused for good with the server's words, and no address gets into the facts", async () => {
    const message = "550 <ada@example.org> unknown, ask postmaster@example.org";
    await withOneDue(
      scripted(() => Promise.resolve({ is: "refused", serverAnswer: message, claimed: false })),
      {
        async work(running) {
          await until("it failed", isIn("ada", "failed"));
          expect(offerOf("ada")!.reason).toBe("550 <<address>> unknown, ask <address>");
          expect((await factsIn(running)).join()).not.toMatch(/example\.org.*unknown/);
        },
      },
    );
  });

  it("after the dot, by a 4xx, is claimed and tried again", async () => {
    const mailer = scripted(async (n, claim) =>
      n > 1
        ? await taken(n, claim)
        : (await claim(), { is: "deferred", serverAnswer: "451 later", claimed: true })
    );
    await withOneDue(mailer, {
      async work() {
        await until("it was deferred", () => outcomes().deferred === 1);
        clock.move(5_000);
        await until("it is sent", isIn("ada", "offered"));
      },
    });
    expect(mailer.mails).toHaveLength(2);
  });
});

describe("facts that may get lost", () => {
  it("stop the mails, as a claim that gets lost is a second mail, and they go on once the topic is mended", async () => {
    const mailer = scripted(taken);
    let breaches: SettingBreach[] = [];
    const looks: number[] = [];
    const soon = {
      ...clock,
      wait: (ms: number, signal?: AbortSignal) => clock.wait(Math.min(ms, 20), signal),
    };
    place = await newPlace();
    await place.publish(uses(5, "ada", { email: "ada@example.org" }));
    const options = { clock: soon, mailer, breaches: () => (looks.push(1), breaches) };
    await whileRunning(place, options, async ({ health }) => {
      await until("the offer waits", isIn("ada", "waiting"));
      const words = `topic "${FACTS_TOPIC}" has cleanup.policy=compact`;
      breaches = [{ topic: FACTS_TOPIC, setting: "cleanup.policy", loses: true, words }];
      await until("it says so", () => health.get("sender")?.message === `no mail is sent: ${words}`);
      expect(health.get("sender")!.is).toBe("waiting");
      clock.move(WAIT);
      const seen = looks.length;
      await until("it has looked again and again", () => looks.length > seen + 10);
      expect([mailer.mails.length, offerOf("ada")!.state]).toEqual([0, "waiting"]);
      breaches = [{ ...breaches[0]!, setting: "max.message.bytes", loses: false }];
      await until("it is sent", isIn("ada", "offered"));
    });
    expect(mailer.mails).toHaveLength(1);
  });
});

describe("a relay in trouble", () => {
  it("uses no attempt, pauses sending with back-off, shows, and goes on when it is back", async () => {
    let isBack = false;
    const mailer = scripted(async (n, claim) =>
      isBack ? await taken(n, claim) : { is: "relay", serverAnswer: "ECONNREFUSED" }
    );
    await withOneDue(mailer, {
      environment: { MAIL_RETRY_DELAYS: "5s" },
      async work({ health, logged }) {
        for (let n = 1; n <= 3; n++) {
          await until("it was tried", () => mailer.mails.length === n);
          await until("it shows", () => health.get("sender")?.message?.includes("mail relay: ECONNREFUSED"));
          expect(health.get("sender")!.is).toBe("waiting");
          isBack = n === 3;
          clock.move(2 ** n * 1_000);
        }
        await until("it is sent", isIn("ada", "offered"));
        await until("it is ready again", () => health.get("sender")?.is === "ready");
        expect(logged.filter((text) => text.includes("mail relay"))).toEqual([
          "warn: mail relay: ECONNREFUSED; mails wait until it takes them again",
          "info: mail relay: takes mails again",
        ]);
      },
    });
    expect(outcomes()).toEqual({ accepted: 1, deferred: 0, refused: 0, unknown: 0 });
  });
});

describe("a mail of which nobody knows", () => {
  const cut: Script = async (_, claim) => {
    await claim();
    return { is: "unknown", serverAnswer: "connection lost after the dot" };
  };

  it("is held: it fails, its code is good, and it is never sent again", async () => {
    const mailer = scripted(cut);
    await withOneDue(mailer, {
      async work(running) {
        await until("it failed", isIn("ada", "failed"));
        clock.move(86_400_000);
        await place.publish(uses(3, "ada", { email: "ada@example.org", receivedAt: clock.now() }));
        await settled(place, running);
      },
    });
    const offer = offerOf("ada")!;
    expect(offer.reason).toBe("delivery_unknown");
    expect(look(place, (offers) => offers.codeIsValid(offer.code!.toLowerCase().replaceAll("-", " ")))).toBe(
      true,
    );
    expect(mailer.mails).toHaveLength(1);
  });

  it("is sent once more under the same Message-ID with resend-once, and then no more", async () => {
    const mailer = scripted(cut);
    await withOneDue(mailer, {
      environment: { MAIL_ON_UNKNOWN: "resend-once" },
      async work() {
        await until("it was unknown twice", () => outcomes().unknown === 2);
        clock.move(86_400_000);
        await until("it failed", isIn("ada", "failed"));
      },
    });
    expect(mailer.mails).toHaveLength(2);
    expect(mailer.mails[0]!.messageId).toBe(mailer.mails[1]!.messageId);
  });

  it("is called unknown for another processor that has been silent for a minute, and not before", async () => {
    const mailer = scripted(() => Promise.resolve({ is: "relay", serverAnswer: "away" }));
    await withOneDue(mailer, {
      async work({ log, health }) {
        await until(
          "the sender is busy with its relay",
          () => health.get("sender")?.message?.includes("relay"),
        );
        const [offer] = look(place, (offers) => offers.list(hashes));
        const claimed: Fact = {
          fact: "claimed",
          subject: offer!.subject,
          at: clock.now(),
          offer: Number(offer!.offer),
          attempt: 1,
          by: { dataDir: "elsewhere", start: 1, claim: 1 },
          mailbox: hashes.mailbox("ada@example.org"),
          messageId: "<theirs@example.org>",
        };
        const end = await publishFacts(log, [claimed]);
        await until("the claim is applied", () => look(place, (offers) => offers.nextFact()) >= end);
        expect(offerOf("ada")!.state).toBe("sending");
        // The sender has looked at it by the time that it answers for somebody else.
        await place.publish(uses(5, "eve", { receivedAt: START }));
        await until("another's offer waits", isIn("eve", "waiting"));
        clock.move(61_000);
        await until("it failed", isIn("ada", "failed"));
      },
    });
    expect(offerOf("ada")).toMatchObject({ reason: "delivery_unknown", messageId: "<theirs@example.org>" });
  });
});

describe("MAIL_MAX_PER_MINUTE", () => {
  it("counts claims that held: the rest goes a minute later", async () => {
    const mailer = scripted(taken);
    place = await newPlace({ MAIL_MAX_PER_MINUTE: "2" });
    const people = ["a", "b", "c"];
    await place.publish(people.flatMap((who) => uses(5, who, { email: `${who}@example.org` })));
    await whileRunning(place, { clock, mailer }, async ({ health }) => {
      await until("all wait", () => people.every((who) => offerOf(who)?.state === "waiting"));
      clock.move(WAIT);
      await until("the limit shows", () => health.get("sender")?.message?.includes("MAIL_MAX_PER_MINUTE"));
      expect(mailer.mails).toHaveLength(2);
      clock.move(60_001);
      await until("all are sent", () => people.every((who) => offerOf(who)?.state === "offered"));
    });
    expect(mailer.mails).toHaveLength(3);
  });
});

describe("a mailer that breaks", () => {
  it("before the claim sends nothing and is tried again; after it nobody knows", async () => {
    const mailer = scripted(async (n, claim) => {
      if (n > 1) await claim();
      throw new Error("bug");
    });
    await withOneDue(mailer, {
      async work({ health }) {
        await until("it shows", () => health.get("sender")?.message?.includes("the mailer broke: bug"));
        clock.move(2_000);
        await until("it failed", isIn("ada", "failed"));
      },
    });
    expect(offerOf("ada")!.reason).toBe("delivery_unknown");
  });
});
