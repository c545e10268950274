import { afterEach, beforeEach, expect, it } from "vitest";
import {
  type HandClock,
  handClock,
  hashes,
  look,
  newPlace,
  type Place,
  settled,
  uses,
  whileRunning,
} from "./fixtures/run.ts";
import { TRACE_RECORDS_BEHIND_MAX, TRACE_STEPS_PER_CHUNK_MAX } from "../loop/loop.ts";

let place: Place;
let clock: HandClock;
beforeEach(async () => {
  place = await newPlace();
  clock = handClock();
});
afterEach(() => place.remove());

it("whoever is far behind decides everything, and makes no steps but of what lies near the end", async () => {
  const behind = uses(2_000, "ada", { email: "ada@example.org" });
  const near = uses(TRACE_RECORDS_BEHIND_MAX + 1, "ada", { email: "ada@example.org" });
  await place.publish([...behind, ...near]);
  await whileRunning(place, { clock }, async (running) => {
    await settled(place, running);
    const told = (step: string) => running.steps.filter((one) => one.step === step);
    expect(look(place, (offers) => offers.offerOf("ada", hashes))).toMatchObject({
      state: "waiting",
      uses: 5,
    });
    // An offer is told whenever it is earned: mails speak of it later.
    expect(told("earned")).toHaveLength(1);
    expect(told("counted")).toEqual([]);
    const late = near.slice(-TRACE_STEPS_PER_CHUNK_MAX).map(({ headers }) => headers.id);
    const ids = told("noted").map((step) => "id" in step ? step.id : null);
    expect(ids.slice(-TRACE_STEPS_PER_CHUNK_MAX)).toEqual(late);
    const far = new Set(behind.map(({ headers }) => headers.id));
    expect(ids.filter((id) => id !== null && far.has(id))).toEqual([]);
  });
});
