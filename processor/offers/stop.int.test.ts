import { afterEach, beforeEach, expect, it } from "vitest";
import { until } from "../../tests/support/until.ts";
import {
  handClock,
  hashes,
  look,
  newPlace,
  type Place,
  type Running,
  settled,
  uses,
  whileRunning,
} from "./fixtures/run.ts";

let place: Place;
beforeEach(async () => void (place = await newPlace()));
afterEach(() => place.remove());

const factsIn = async ({ log }: Running) => (await log.bounds("discount.facts"))[0]!.endOffset;
const ada = () => look(place, (offers) => offers.offerOf("ada", hashes));

it("a stop waits for no view that has stopped already, and the next start counts what was in hand once", async () => {
  const clock = handClock();
  await whileRunning(place, { clock }, async (running) => {
    const { health } = running;
    await until(
      "all are ready",
      () => health.size === 3 && health.values().every(({ is }) => is === "ready"),
    );
    await running.stopView();
    const before = await factsIn(running);
    await place.publish(uses(4, "ada"));
    await until("the facts are published", async () => await factsIn(running) > before);
  });
  await whileRunning(place, { clock }, async (running) => {
    await settled(place, running);
    expect(ada()).toMatchObject({ state: "counting", uses: 4 });
    const facts = await factsIn(running);
    await place.publish(uses(1, "ada"));
    await settled(place, running);
    expect(ada()).toMatchObject({ state: "waiting", uses: 5 });
    // The use, and that an offer was earned: nothing of before came a second time.
    expect(await factsIn(running)).toBe(facts + 2);
  });
});
