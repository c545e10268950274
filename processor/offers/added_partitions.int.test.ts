import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openTopicLog } from "../../topic/open_topic.ts";
import { partitionOf } from "../../topic/partitioner.ts";
import { WEBHOOKS_TOPIC_SPEC } from "../../topic/raw_topics.ts";
import {
  deleteView,
  erasure,
  type HandClock,
  handClock,
  hashes,
  look,
  newPlace,
  type Place,
  settled,
  START,
  uses,
  webhook,
  whileRunning,
} from "./fixtures/run.ts";

/** Erasures have a record in every partition of their time; what was added later must know of them too. */
const AT = START + 60_000;

let place: Place;
let clock: HandClock;
beforeEach(async () => {
  clock = handClock();
  place = await newPlace();
});
afterEach(() => place.remove());

/** A distinct_id that goes to the first partition of six and to the seventh of eight. */
function mover(): string {
  for (let n = 0;; n++) {
    const key = new TextEncoder().encode(`mover-${n}`);
    if (partitionOf(key, 6) === 0 && partitionOf(key, 8) === 6) return `mover-${n}`;
  }
}

async function addPartitions(): Promise<void> {
  const log = await openTopicLog(place.config.log, "command");
  await log.ensureTopic({ ...WEBHOOKS_TOPIC_SPEC, partitions: 8 });
  await log.close();
}

const settle = () => whileRunning(place, { clock }, (running) => settled(place, running));
const offerOf = (distinctId: string) => look(place, (offers) => offers.offerOf(distinctId, hashes));

describe("late events of an erased person in a partition that was added afterwards", () => {
  it.each([["with the view that was there", false], ["with a view that is built anew", true]])(
    "bring no use, no address and no offer, %s",
    async (_, anew) => {
      const jane = mover();
      await place.publish([
        ...uses(4, jane, { email: "jane@example.test" }),
        ...erasure([hashes.subject(jane)], AT),
      ]);
      await settle();
      await addPartitions();
      if (anew) await deleteView(place);
      const late = { eventAt: START + 1_000, receivedAt: AT + 60_000 };
      await place.publish([...uses(6, jane, { ...late, email: "jane@example.test" })]);
      await settle();
      expect(offerOf(jane)).toBeNull();
      await place.publish(uses(1, jane, { receivedAt: AT + 120_000 }));
      await settle();
      expect(offerOf(jane)).toMatchObject({ state: "counting", uses: 1, addressKnown: false });
    },
  );

  it("a use that was counted in its old partition is not counted again in its new one", async () => {
    const ada = mover();
    const use = webhook("feature_used", ada);
    await place.publish([use]);
    await settle();
    await addPartitions();
    await place.publish([use, webhook("feature_used", ada)]);
    await settle();
    expect(offerOf(ada)).toMatchObject({ uses: 2 });
  });
});
