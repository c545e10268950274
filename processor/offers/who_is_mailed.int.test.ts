import PostalMime from "postal-mime";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createEmailProofs } from "../../contract/email_proof.ts";
import { until } from "../../tests/support/until.ts";
import type { RecordToPublish } from "../../topic/topic.ts";
import {
  deleteView,
  type HandClock,
  handClock,
  hashes,
  look,
  mailsIn,
  newPlace,
  type Place,
  settled,
  START,
  uses,
  webhook,
  whileRunning,
} from "./fixtures/run.ts";

/**
 * PostHog's project key is public: anybody can send events. A stranger who saw that somebody earned an offer had it mailed
 * to themselves by one `$set` or one alias within the two minutes until it was due.
 */
const WAIT = 120_000;
const SECRET = "the application's server knows it";
const proofs = createEmailProofs(SECRET);

let place: Place;
let clock: HandClock;
beforeEach(() => void (clock = handClock()));
afterEach(() => place.remove());

const offerOf = (distinctId: string) => look(place, (offers) => offers.offerOf(distinctId, hashes));
const timelineOf = (distinctId: string) => offerOf(distinctId)!.timeline.map(({ what }) => what).join("\n");
const after = { receivedAt: START + 1_000 };

/** Where the mail of these records goes; null where none is sent by the time that all has settled. */
async function mailOf(
  records: readonly RecordToPublish[],
  secret: string | null = null,
): Promise<string | null> {
  place = await newPlace(secret === null ? {} : { IDENTITY_SECRET: secret });
  await place.publish(records);
  await whileRunning(place, { clock }, async (running) => {
    await settled(place, running);
    clock.move(WAIT + 60_000);
    const { state, addressKnown } = offerOf("ada")!;
    if (state === "waiting" && addressKnown) {
      // The sender may find that she has opted out.
      await until("it is decided", () => ["offered", "closed"].includes(offerOf("ada")!.state));
    }
  });
  const [mail] = mailsIn(place);
  return mail === undefined ? null : (await PostalMime.parse(mail)).to![0]!.address!;
}

describe("without IDENTITY_SECRET", () => {
  it("an address that first appears after the offer was earned does not get it", async () => {
    expect(
      await mailOf([
        ...uses(5, "ada", { email: "ada@example.org" }),
        webhook("$set", "ada", { set: "eve@example.org", ...after }),
      ]),
    ).toBe("ada@example.org");
  });

  it("nor does one that comes by a join after it was earned, though it was known before", async () => {
    expect(
      await mailOf([
        ...uses(1, "ada", { email: "ada@example.org" }),
        webhook("$set", "eve", { set: "eve@example.org", receivedAt: START + 1 }),
        ...uses(4, "ada", { receivedAt: START + 2 }),
        webhook("$create_alias", "ada", { properties: { alias: "eve" }, ...after }),
        webhook("$set", "eve", { set: "eve@example.org", receivedAt: START + 2_000 }),
      ]),
    ).toBe("ada@example.org");
  });

  it("an offer earned without an address waits, and says why", async () => {
    expect(await mailOf(uses(5, "ada"))).toBeNull();
    expect(offerOf("ada")).toMatchObject({ state: "waiting", reason: "no address known: waits for one" });
    await place.remove();
    expect(await mailOf([...uses(5, "ada"), webhook("$set", "ada", { set: "eve@example.org", ...after })]))
      .toBeNull();
    expect(offerOf("ada")).toMatchObject({
      state: "waiting",
      addressKnown: false,
      reason: "the address came unproven or after the offer was earned: waits for a proven one",
    });
  });

  it("an address of an id that was joined before gets it, also where that came late in the facts", async () => {
    // Received times decide: these two lie behind the uses in the topic, as after a partition that was read late.
    expect(
      await mailOf([
        ...uses(5, "ada", after),
        webhook("$identify", "her-id", {
          properties: { $anon_distinct_id: "ada" },
          email: "ada@example.org",
        }),
      ]),
    ).toBe("ada@example.org");
  });

  it.each(["email_opt_out", "unsubscribed"])("%s = true is an opt-out, told once", async (name) => {
    const said = { properties: { $set: { [name]: true } } };
    const records = [...uses(5, "ada", { email: "ada@example.org" }), webhook("$set", "ada", said)];
    expect(await mailOf([...records, webhook("$set", "ada", said), webhook("$pageview", "ada", said)]))
      .toBeNull();
    expect(offerOf("ada")).toMatchObject({ state: "closed", reason: "opted_out" });
    expect(timelineOf("ada").match(/opted out of mail/g)).toHaveLength(1);
  });

  it("what no public mail server takes is no address", async () => {
    const odd = ["a@localhost", "a@[1.2.3.4]", "a%b@example.org", "b!a@example.org", "=?x?q?a?=@example.org"];
    expect(
      await mailOf([...uses(5, "ada"), ...odd.map((set) => webhook("$set", "ada", { set }))]),
    ).toBeNull();
    expect(offerOf("ada")!.reason).toBe("no address known: waits for one");
  });
});

describe("with IDENTITY_SECRET", () => {
  const proven = (distinctId: string, email: string, more = {}) =>
    webhook("$set", distinctId, {
      ...more,
      properties: { $set: { email, email_proof: proofs.make(distinctId, email) } },
    });

  it("a proven address gets the offer, also one that comes after it was earned", async () => {
    expect(await mailOf([...uses(5, "ada"), proven("ada", "Ada@Example.org", after)], SECRET)).toBe(
      "Ada@example.org",
    );
    expect(timelineOf("ada")).toMatch(/address known, proven/);
  });

  it("what is unproven counts for nothing, and shows once per kind on the offer", async () => {
    const strangers = [
      webhook("$set", "ada", { set: "eve@example.org" }),
      webhook("$set", "ada", { email: "eve2@example.org" }),
      webhook("$create_alias", "ada", { properties: { alias: "eve" } }),
      webhook("$create_alias", "ada", { properties: { alias: "eve2", email_proof: "0".repeat(64) } }),
      webhook("$set", "ada", { properties: { $set: { unsubscribed: true } } }),
      webhook("$set", "ada", { properties: { $set: { email_opt_out: true } } }),
    ];
    const records = [...strangers, ...uses(5, "ada", { personId: "person-1" }), ...strangers];
    expect(await mailOf([...records, ...uses(1, "eve", { personId: "person-1" })], SECRET)).toBeNull();
    expect(offerOf("ada")).toMatchObject({ state: "waiting", uses: 5, addressKnown: false });
    expect(offerOf("eve")).toMatchObject({ state: "counting", uses: 1 });
    const timeline = timelineOf("ada").split("\n").filter((what) => what.includes("counts for nothing"));
    expect(timeline.map((what) => what.replace(/ came.*/, ""))).toEqual([
      "an address",
      "a join with another id",
      "an opt-out",
    ]);
  });

  it("a proven join brings uses and addresses together, and a proven opt-out counts", async () => {
    const identify = webhook("$identify", "her-id", {
      ...after,
      properties: {
        $anon_distinct_id: "ada",
        email_proof: proofs.make("her-id", "ada"),
        $set: { email: "ada@example.org", email_proof: proofs.make("her-id", "ada@example.org") },
      },
    });
    expect(await mailOf([...uses(5, "ada"), identify], SECRET)).toBe("ada@example.org");
    await place.remove();
    const optOut = webhook("$set", "her-id", {
      ...after,
      properties: {
        $set: {
          email: "ada@example.org",
          unsubscribed: true,
          email_proof: proofs.make("her-id", "ada@example.org"),
        },
      },
    });
    clock = handClock();
    expect(await mailOf([...uses(5, "ada"), identify, optOut], SECRET)).toBeNull();
    expect(offerOf("her-id")).toMatchObject({ state: "closed", reason: "opted_out" });
  });

  it("an address from before the secret was set is not mailed until it is proven, then it is", async () => {
    place = await newPlace();
    await place.publish(uses(5, "ada", { email: "ada@example.org" }));
    await whileRunning(place, { clock }, (running) => settled(place, running));
    const secured: Place = {
      ...place,
      config: {
        ...place.config,
        identitySecret: SECRET,
        discount: { ...place.config.discount, provenOnly: true },
      },
    };
    clock.move(WAIT + 60_000);
    // The view is made from the same facts, whatever the secret.
    deleteView(place);
    await whileRunning(secured, { clock }, async (running) => {
      await settled(secured, running);
      const shown = () => look(secured, (offers) => offers.offerOf("ada", hashes))!;
      expect(shown()).toMatchObject({ state: "waiting", addressKnown: false });
      await place.publish([proven("ada", "ada@example.org", after)]);
      await until("the mail is sent", () => shown().state === "offered");
    });
    expect(mailsIn(place)).toHaveLength(1);
  });
});
