import PostalMime from "postal-mime";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createKeyedHashes } from "../../contract/keyed_hash.ts";
import { checkUnsubscribeToken, unsubscribeRecord } from "../../contract/unsubscribe_token.ts";
import { until } from "../../tests/support/until.ts";
import {
  deleteView,
  erasure,
  type HandClock,
  handClock,
  hashes,
  look,
  mailsIn,
  newPlace,
  type Place,
  runOffers,
  settled,
  START,
  uses,
  webhook,
  whileRunning,
} from "./fixtures/run.ts";

const WAIT = 120_000;
const HOUR = 3_600_000;

let place: Place;
let clock: HandClock;
beforeEach(async () => {
  place = await newPlace();
  clock = handClock();
});
afterEach(() => place.remove());

const offerOf = (distinctId: string) => look(place, (offers) => offers.offerOf(distinctId, hashes));
const stateOf = (distinctId: string) => offerOf(distinctId)?.state;
const isIn = (distinctId: string, state: string) => () => stateOf(distinctId) === state;

describe("a person with an address", () => {
  it("gets one mail two minutes after the fifth use, and none before", async () => {
    await place.publish(uses(4, "ada", { email: "Ada@Example.org" }));
    await whileRunning(place, { clock }, async (running) => {
      await settled(place, running);
      expect(offerOf("ada")).toMatchObject({ state: "counting", uses: 4, addressKnown: true, code: null });

      await place.publish(uses(1, "ada"));
      await until("the offer waits", isIn("ada", "waiting"));
      expect(offerOf("ada")).toMatchObject({
        uses: 5,
        dueAt: new Date(START + WAIT).toISOString(),
        code: null,
      });
      clock.move(WAIT - 1);
      await settled(place, running);
      expect(mailsIn(place)).toEqual([]);

      clock.move(1);
      await until("the mail is sent", isIn("ada", "offered"));
      await until("it is told", () => running.steps.some(({ step }) => step === "mail"));
      const steps = running.steps.map((step) =>
        step.step === "mail" ? `${step.step} ${step.outcome}` : step.step
      );
      expect(steps.sort()).toEqual([
        "counted",
        "counted",
        "counted",
        "counted",
        "counted",
        "earned",
        "mail accepted",
        "noted",
      ]);
      expect(running.steps.find(({ step }) => step === "mail")).toMatchObject({ distinctId: "ada" });
    });
    const [mail, ...others] = mailsIn(place);
    expect(others).toEqual([]);
    const parsed = await PostalMime.parse(mail!);
    const offer = offerOf("ada")!;
    expect(parsed.to![0]!.address).toBe("Ada@example.org");
    expect(parsed.messageId).toBe(offer.messageId);
    expect(parsed.text).toContain(offer.code);
    expect(look(place, (offers) => [offers.codeIsValid(offer.code!), offers.codeIsValid("0000-0000-0000")]))
      .toEqual([
        true,
        false,
      ]);
    const token = /token=([^>\s]+)>/.exec(
      parsed.headers.find(({ key }) => key === "list-unsubscribe")!.value,
    )![1]!;
    expect(checkUnsubscribeToken(hashes, decodeURIComponent(token))).toEqual({
      subject: hashes.subject("ada"),
      mailbox: hashes.mailbox("ada@example.org"),
    });
  });

  it("gets no second mail: not for more uses, not for a redelivery, not for a restart", async () => {
    const five = uses(5, "ada", { email: "ada@example.org" });
    await place.publish(five);
    await whileRunning(place, { clock }, async () => {
      await until("the offer waits", isIn("ada", "waiting"));
      clock.move(WAIT);
      await until("the mail is sent", isIn("ada", "offered"));
    });
    await place.publish([...five, ...uses(6, "ada", { email: "ada@example.org" })]);
    await whileRunning(place, { clock }, async (running) => {
      await settled(place, running);
      clock.move(HOUR);
      // Another person's mail shows that the sender has looked.
      await place.publish(uses(5, "bob", { email: "bob@example.org", receivedAt: clock.now() - WAIT }));
      await until("the other's mail is sent", isIn("bob", "offered"));
    });
    expect(mailsIn(place)).toHaveLength(2);
  });

  it("has the same offer, and gets no second mail, when the view is deleted", async () => {
    await place.publish([
      ...uses(5, "ada", { email: "ada@example.org" }),
      ...uses(3, "bob", { email: "bob@example.org" }),
      ...uses(5, "eve"),
    ]);
    await whileRunning(place, { clock }, async (running) => {
      await until("the offer waits", isIn("ada", "waiting"));
      clock.move(WAIT);
      await until("the mail is sent", isIn("ada", "offered"));
      await settled(place, running);
    });
    const before = look(place, (offers) => [offers.list(hashes), offers.counts(), offers.mails()]);
    const people = ["ada", "bob", "eve"].map(offerOf);
    deleteView(place);
    await whileRunning(place, { clock }, async (running) => {
      await until("the view is there again", () => look(place, (offers) => offers.nextFact() > 0));
      await settled(place, running);
      clock.move(HOUR);
    });
    expect(look(place, (offers) => [offers.list(hashes), offers.counts(), offers.mails()])).toEqual(before);
    expect(["ada", "bob", "eve"].map(offerOf)).toEqual(people);
    expect(people[2]).toMatchObject({ state: "waiting", reason: "no address known: waits for one" });
    expect(mailsIn(place)).toHaveLength(1);
  });

  it("gets no mail after unsubscribing while the processor was down", async () => {
    await place.publish(uses(5, "ada", { email: "ada@example.org" }));
    await whileRunning(place, { clock }, () => until("the offer waits", isIn("ada", "waiting")));
    clock.move(WAIT);
    const claims = { subject: hashes.subject("ada"), mailbox: hashes.mailbox("ada@example.org") };
    await place.publish([unsubscribeRecord(claims, clock.now() - 1)]);
    await whileRunning(place, { clock }, () => until("the offer is closed", isIn("ada", "closed")));
    expect(offerOf("ada")).toMatchObject({ reason: "opted_out", code: null });
    expect(mailsIn(place)).toEqual([]);
  });

  it("is known by the newest address, and mailed there", async () => {
    await place.publish([
      ...uses(4, "ada", { email: "old@example.org" }),
      webhook("$set", "ada", { set: "new@example.org", receivedAt: START + 1, email: "old@example.org" }),
      webhook("$set", "ada", { email: "history@example.org", receivedAt: START + 2, source: "backfill" }),
      ...uses(1, "ada", { receivedAt: START + 3 }),
    ]);
    await whileRunning(place, { clock }, async () => {
      await until("the offer waits", isIn("ada", "waiting"));
      clock.move(WAIT + 3);
      await until("the mail is sent", isIn("ada", "offered"));
    });
    expect((await PostalMime.parse(mailsIn(place)[0]!)).to![0]!.address).toBe("new@example.org");
  });
});

describe("people whose events come from several ids", () => {
  const identify = webhook("$identify", "ada", {
    properties: { $anon_distinct_id: "anon-7" },
    email: "ada@example.org",
    personId: "person-1",
  });
  const orders = [
    [identify, ...uses(2, "anon-7"), ...uses(3, "ada")],
    [...uses(2, "anon-7"), identify, ...uses(3, "ada")],
    [...uses(3, "ada"), ...uses(2, "anon-7"), identify],
  ];
  it.each(orders.map((records, n) => [n + 1, records] as const))(
    "earn one offer together, order %i",
    async (_, records) => {
      for (const record of records) await place.publish([record]);
      await whileRunning(place, { clock }, async () => {
        await until("the offer waits", isIn("ada", "waiting"));
        clock.move(WAIT);
        await until("the mail is sent", isIn("ada", "offered"));
      });
      expect(offerOf("anon-7")).toMatchObject({ state: "offered", uses: 5 });
      expect(mailsIn(place)).toHaveLength(1);
    },
  );

  it("are one person by the same person.id, and by $create_alias", async () => {
    await place.publish([
      ...uses(2, "phone", { personId: "person-1" }),
      ...uses(2, "laptop", { personId: "person-1", email: "ada@example.org" }),
      webhook("$create_alias", "laptop", { properties: { alias: "kiosk" } }),
      ...uses(1, "kiosk"),
    ]);
    await whileRunning(place, { clock }, () => until("the offer waits", isIn("phone", "waiting")));
    expect(offerOf("kiosk")).toMatchObject({ uses: 5 });
  });

  it("are not joined by ids that stand for nobody", async () => {
    const nobody = (id: string) => webhook("$identify", "ada", { properties: { $anon_distinct_id: id } });
    await place.publish([
      ...uses(3, "anonymous", { personId: "person-1" }),
      ...["Anonymous", '"anonymous"', "undefined", "[object Object]", "null", "0"].map(nobody),
      ...uses(3, "ada", { email: "ada@example.org", personId: "person-1" }),
    ]);
    await whileRunning(place, { clock }, (running) => settled(place, running));
    expect(offerOf("ada")).toMatchObject({ state: "counting", uses: 3 });
    expect(offerOf("anonymous")).toMatchObject({ uses: 3, addressKnown: false });
  });

  it("share one mail where their addresses are one mailbox", async () => {
    await place.publish([
      ...uses(5, "ada", { email: "Ada.L@gmail.com" }),
      ...uses(5, "eve", { email: "adal+shop@googlemail.com" }),
    ]);
    await whileRunning(place, { clock }, async () => {
      await until("both wait", () => stateOf("ada") === "waiting" && stateOf("eve") === "waiting");
      clock.move(WAIT);
      await until(
        "one is sent and one closed",
        () => [stateOf("ada"), stateOf("eve")].sort().join() === "closed,offered",
      );
    });
    expect([offerOf("ada"), offerOf("eve")].map((offer) => offer!.reason)).toContain("mailbox_rewarded");
    expect(mailsIn(place)).toHaveLength(1);
  });
});

describe("old events", () => {
  it("count but arm no mail; the person's next young event does", async () => {
    const eventAt = START - 8 * 86_400_000;
    await place.publish([
      ...uses(4, "ada", { eventAt, email: "ada@example.org" }),
      ...uses(2, "ada", { eventAt: START, source: "backfill" }),
    ]);
    await whileRunning(place, { clock }, async (running) => {
      await settled(place, running);
      expect(offerOf("ada")).toMatchObject({ state: "counting", uses: 5 });
      await place.publish([webhook("$pageview", "ada", { receivedAt: START + 7 })]);
      await until("the offer waits", isIn("ada", "waiting"));
    });
    expect(offerOf("ada")).toMatchObject({ dueAt: new Date(START + 7 + WAIT).toISOString() });
  });
});

describe("an erasure", () => {
  const erased = () => look(place, (offers) => offers.subjectsToErase(hashes.subject("ada")));

  it("takes a waiting offer, and lets what comes later count anew", async () => {
    await place.publish(uses(5, "ada", { email: "ada@example.org", personId: "person-1" }));
    await whileRunning(place, { clock }, async (running) => {
      await until("the offer waits", isIn("ada", "waiting"));
      expect(erased()).toEqual([hashes.subject("ada"), hashes.personSubject("person-1")].sort());
      await place.publish(erasure(erased(), START + 1));
      await until("nothing is known", () => offerOf("ada") === null);
      await place.publish([
        ...uses(1, "ada", { receivedAt: START + 3, eventAt: START }),
        ...uses(2, "ada", { receivedAt: START + 4, personId: "person-1" }),
      ]);
      await until("the new uses count", () => offerOf("ada")?.uses === 2);
      clock.move(HOUR);
      await settled(place, running);
    });
    expect(offerOf("ada")).toMatchObject({ state: "counting", uses: 2, addressKnown: false });
    expect(mailsIn(place)).toEqual([]);
  });

  it("keeps a mailbox that has had its mail from getting another", async () => {
    await place.publish(uses(5, "ada", { email: "ada@example.org" }));
    await whileRunning(place, { clock }, async () => {
      await until("the offer waits", isIn("ada", "waiting"));
      clock.move(WAIT);
      await until("the mail is sent", isIn("ada", "offered"));
      await place.publish(erasure(erased(), clock.now()));
      await until("nothing is known", () => offerOf("ada") === null);
      await place.publish(uses(5, "ada", { email: "ADA@example.org", receivedAt: clock.now() + 1 }));
      await until("the new offer waits", isIn("ada", "waiting"));
      clock.move(HOUR);
      await until("it is closed", isIn("ada", "closed"));
    });
    expect(offerOf("ada")).toMatchObject({ reason: "mailbox_rewarded" });
    // The file went with the erasure; that one mail was sent, and no second, is still known.
    expect(look(place, (offers) => offers.mails())).toEqual({
      accepted: 1,
      deferred: 0,
      refused: 0,
      unknown: 0,
    });
  });

  it("leaves no uuid and no subject's rows in the view's files", async () => {
    const records = uses(5, "ada", { email: "ada@example.org" });
    await place.publish(records);
    const uuid = records[0]!.headers.id!;
    const inFiles = () =>
      [...Deno.readDirSync(place.dataDir)].filter(({ name }) => name.startsWith("offers.db"))
        .some(({ name }) =>
          new TextDecoder("latin1").decode(Deno.readFileSync(`${place.dataDir}/${name}`)).includes(uuid)
        );
    await whileRunning(place, { clock }, async (running) => {
      await until("the offer waits", isIn("ada", "waiting"));
      expect(inFiles()).toBe(true);
      await place.publish(erasure(erased(), START + 1));
      await until("nothing is known", () => offerOf("ada") === null);
      await settled(place, running);
      await until("the files are free of it", () => !inFiles());
    });
  });
});

describe("the pipeline's secret", () => {
  it("is confirmed by the first fact, and another one is refused with what to do", async () => {
    await whileRunning(place, { clock }, (running) => {
      expect(running.identity.is).toBe("made");
      return Promise.resolve();
    });
    const other = createKeyedHashes("another secret, also long enough");
    await expect(runOffers(place, { clock, hashes: other })).rejects.toThrow(/PIPELINE_SECRET .*another one/);
    await whileRunning(place, { clock }, (running) => {
      expect(running.identity.is).toBe("confirmed");
      return Promise.resolve();
    });
  });

  it("begins anew where the facts are lost, and nobody is mailed a second time for it", async () => {
    await place.publish([
      ...uses(5, "ada", { email: "first@example.org" }),
      webhook("$set", "ada", { email: "second@example.org", receivedAt: START + 1 }),
      ...uses(3, "bob", { email: "bob@example.org" }),
    ]);
    await whileRunning(place, { clock }, async (running) => {
      await settled(place, running);
      clock.move(WAIT);
      await until("the mail is sent", isIn("ada", "offered"));
    });
    await loseFacts();
    await whileRunning(place, { clock }, async (running) => {
      expect(running.identity.is).toBe("lost");
      await until("the lost offer is closed", isIn("ada", "closed"));
      const receivedAt = clock.now();
      // The mailbox that was mailed, one that may have been, and one that cannot have been.
      await place.publish([
        ...uses(5, "eve", { email: "second@example.org", receivedAt }),
        ...uses(5, "kim", { email: "first@example.org", receivedAt }),
        ...uses(2, "bob", { receivedAt }),
      ]);
      await until("the new offers wait", isIn("bob", "waiting"));
      clock.move(WAIT);
      await until("the new one is mailed", isIn("bob", "offered"));
      await until("the others are closed", () => stateOf("eve") === "closed" && stateOf("kim") === "closed");
    });
    expect(offerOf("ada")).toMatchObject({ reason: "state_lost" });
    expect(mailsIn(place)).toHaveLength(2);
  });

  it("stops loudly where the view was made from other facts", async () => {
    await place.publish(uses(5, "ada", { email: "ada@example.org" }));
    await whileRunning(place, { clock }, (running) => settled(place, running));
    await loseFacts({ keepsView: true });
    const running = await runOffers(place, { clock });
    await expect(running.ended).rejects.toThrow(/offer view: it was made from other facts/);
    await running.stop();
    expect(mailsIn(place)).toEqual([]);
  });

  /** The topic of facts is empty again while committed offsets still stand. */
  async function loseFacts({ keepsView = false } = {}): Promise<void> {
    const { DatabaseSync } = await import("node:sqlite");
    const db = new DatabaseSync(`${place.dataDir}/log/processor.db`);
    db.exec(LOSE_FACTS);
    db.close();
    if (!keepsView) deleteView(place);
  }
});

const LOSE_FACTS =
  "delete from record where id / (1 << 40) in (select id from topic_partition where topic = 'discount.facts')";

describe("the timeline of a person", () => {
  it("shows the last 500 facts: a stranger may bring any number of addresses", async () => {
    await place.publish(uses(2, "ada"));
    await whileRunning(place, { clock }, async (running) => {
      const addresses = Array.from(
        { length: 600 },
        (_, n) => webhook("seen", "ada", { email: `a${n}@example.org`, receivedAt: START + n }),
      );
      await place.publish(addresses);
      await place.publish(uses(1, "ada"));
      await settled(place, running);
      const { timeline, uses: counted } = offerOf("ada")!;
      expect([timeline.length, counted]).toEqual([500, 3]);
      expect(timeline.filter(({ what }) => what.startsWith("use")).map(({ what }) => what.slice(0, 13)))
        .toEqual(["use 3 counted"]);
    });
  });
});
