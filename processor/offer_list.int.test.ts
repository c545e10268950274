import { afterEach, beforeEach, expect, test } from "vitest";
import { until } from "../tests/support/until.ts";
import {
  deleteView,
  erasure,
  handClock,
  hashes,
  newPlace,
  type Place,
  settled,
  START,
  uses,
  webhook,
  whileRunning,
} from "./offers/fixtures/run.ts";
import { openOfferStatus } from "./offers/sqlite/open_status.ts";
import { createLineIds } from "./record/line_id.ts";
import { createOfferList } from "./status/offer_list.ts";

let place: Place;
beforeEach(async () => void (place = await newPlace()));
afterEach(() => place.remove());

const EVERYBODY = { state: null, search: null, before: null, limit: 50 };

test("the list names who used, earned and opted out, agrees with the status, and is made again with the view", async () => {
  const clock = handClock();
  await whileRunning(place, { clock }, async (running) => {
    const offers = openOfferStatus(place.config, { hashes });
    const lineId = createLineIds(hashes.subject);
    const { list } = createOfferList({ page: offers.page, log: running.log, hashes, lineId, clock });
    const shown = async () =>
      (await list(EVERYBODY))!.offers.map(({ distinctId, distinctIdWithheld, state, uses }) =>
        `${distinctId ?? distinctIdWithheld}: ${state}, ${uses}`
      ).sort();
    await place.publish([
      ...uses(5, "user-1", { email: "ada@example.org" }),
      ...uses(2, "carl@example.org"),
      ...uses(3, "user-3"),
      webhook("email_unsubscribed", "user-4", { email: "dora@example.org" }),
      webhook("generation_failed", "user-5", { email: "eve@example.org" }),
    ]);
    await settled(place, running);
    expect(await shown()).toEqual([
      "personal: counting, 2",
      "user-1: waiting, 5",
      "user-3: counting, 3",
      "user-4: closed, 0",
    ]);
    const listing = (await list(EVERYBODY))!;
    expect(listing.counts).toEqual(offers.status().offers);
    expect(listing.counting.map(({ people }) => people)).toEqual([0, 1, 1, 0, 0]);
    expect(listing.facts.applied).toBe(listing.facts.end);
    expect(JSON.stringify(listing)).not.toContain("@example.org");
    clock.move(180_000);
    await until("the mail's answer is applied", () => offers.status().mails.accepted === 1);
    await settled(place, running);
    expect(await shown()).toContain("user-1: offered, 5");
    await place.publish(erasure([hashes.subject("user-1")], START + 240_000));
    await settled(place, running);
    expect((await shown()).join()).not.toContain("user-1");
    offers.close();
  });

  deleteView(place);
  const before = openOfferStatus(place.config, { hashes });
  expect(before.page(EVERYBODY)).toBeNull();
  await whileRunning(place, { clock }, async (running) => {
    await settled(place, running);
    expect(before.page(EVERYBODY)!.counts).toEqual({
      ...before.status().offers,
      counting: 2,
      closed: 1,
      offered: 0,
    });
    before.close();
  });
});
