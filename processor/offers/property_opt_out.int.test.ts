import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { until } from "../../tests/support/until.ts";
import type { RecordToPublish } from "../../topic/topic.ts";
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
  settled,
  START,
  uses,
  webhook,
  whileRunning,
} from "./fixtures/run.ts";

/**
 * Applications keep "no more mail" as a property of a person. It was believed as `true` alone and in `$set` or the person's
 * properties alone; a form's "true" or a `$set_once` let the mail go.
 */
const WAIT = 120_000;
const EMAIL = "ada@example.org";
const earned = () => uses(5, "ada", { email: EMAIL });
const bags = (properties: Record<string, unknown>) => ({ properties, receivedAt: START + 1_000 });

let place: Place;
let clock: HandClock;
beforeEach(async () => {
  clock = handClock();
  place = await newPlace();
});
afterEach(() => place.remove());

const offerOf = (id: string) => look(place, (offers) => offers.offerOf(id, hashes));

/** What becomes of ada's offer when these records come while it waits; then her wait ends. */
async function outcome(during: readonly RecordToPublish[], before = earned()): Promise<string> {
  await place.publish(before);
  await whileRunning(place, { clock }, async (running) => {
    await settled(place, running);
    await place.publish(during);
    await settled(place, running);
    clock.move(WAIT + 60_000);
    await until("it is decided", () => ["offered", "closed"].includes(offerOf("ada")!.state));
  });
  return offerOf("ada")!.reason ?? "offered";
}

describe("during the wait", () => {
  it.each<[string, string, Record<string, unknown>]>([
    ["$set", "$set", { $set: { unsubscribed: "true" } }],
    ["$pageview", "$set", { $set: { email_opt_out: 1 } }],
    ["feature_used", "$set", { $set: { email_opt_out: "Yes" } }],
    ["$identify", "$set_once", { $set_once: { unsubscribed: true } }],
  ])("an event %s that says it in %s stops the mail", async (event, _, properties) => {
    expect(await outcome([webhook(event, "ada", bags(properties))])).toBe("opted_out");
    expect(mailsIn(place)).toHaveLength(0);
  });

  it("a no, or what nobody can read, stops nothing", async () => {
    const no = {
      $set: { unsubscribed: "false", email_opt_out: "sometimes" },
      $set_once: { unsubscribed: 0 },
    };
    expect(await outcome([webhook("$set", "ada", bags(no))])).toBe("offered");
  });

  it("what comes later takes nothing back: false, $unset, or a $set_once that says no", async () => {
    const back = [
      { $set: { unsubscribed: false, email_opt_out: false } },
      { $unset: ["unsubscribed", "email_opt_out"] },
      { $set_once: { unsubscribed: false } },
    ];
    const out = webhook("$set", "ada", bags({ $set: { unsubscribed: true } }));
    expect(await outcome([out, ...back.map((one) => webhook("$set", "ada", bags(one)))])).toBe("opted_out");
  });

  it("it counts for everybody with this mailbox, and whoever is joined later", async () => {
    const out = webhook("$pageview", "phone", {
      ...bags({ $set: { unsubscribed: "true" } }),
      email: "ADA@example.org",
    });
    expect(await outcome([out])).toBe("opted_out");
    await place.remove();
    place = await newPlace();
    clock = handClock();
    const nameless = webhook("$pageview", "phone", bags({ $set_once: { email_opt_out: "true" } }));
    const join = webhook("$identify", "ada", bags({ $anon_distinct_id: "phone" }));
    expect(await outcome([nameless, join])).toBe("opted_out");
  });
});

it("one that lay in the topic when the mail was due stops it, also where nobody has read it yet", async () => {
  await place.publish(earned());
  await whileRunning(place, { clock }, (running) => settled(place, running));
  // Behind 300 others, so that the sender is there first.
  const others = Array.from({ length: 300 }, () => webhook("$pageview", "ada", { receivedAt: START + 1 }));
  await place.publish([...others, webhook("$pageview", "ada", bags({ $set_once: { unsubscribed: "yes" } }))]);
  clock.move(WAIT + 60_000);
  await whileRunning(
    place,
    { clock },
    () => until("it is decided", () => offerOf("ada")!.state === "closed"),
  );
  expect([offerOf("ada")!.reason, mailsIn(place).length]).toEqual(["opted_out", 0]);
});

it("it outlives an erasure, and a view that is made again from the facts", async () => {
  const out = webhook("$set", "ada", { ...bags({ $set: { unsubscribed: "true" } }), email: EMAIL });
  expect(await outcome([out])).toBe("opted_out");
  await place.publish(erasure([hashes.subject("ada")], START + 200_000));
  await whileRunning(place, { clock }, (running) => settled(place, running));
  deleteView(place);
  const later = { email: EMAIL, receivedAt: START + 300_000 };
  await place.publish(uses(5, "ada", later));
  clock.move(400_000);
  await whileRunning(place, { clock }, async (running) => {
    await settled(place, running);
    await until("it is closed", () => offerOf("ada")?.state === "closed");
  });
  expect([offerOf("ada")!.reason, mailsIn(place).length]).toEqual(["opted_out", 0]);
});
