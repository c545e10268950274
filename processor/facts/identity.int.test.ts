import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createKeyedHashes } from "../../contract/keyed_hash.ts";
import { FACTS_TOPIC } from "../../contract/names.ts";
import { openTopicLog } from "../../topic/open_topic.ts";
import type { TopicLog } from "../../topic/topic.ts";
import { factsEnd, publishFacts } from "./topic.ts";
import { handClock, hashes, newPlace, type Place, START, uses } from "../offers/fixtures/run.ts";
import { committedBefore, confirmSecret } from "./identity.ts";

const clock = handClock();
const other = createKeyedHashes("another secret, also long enough");

let place: Place;
let log: TopicLog;
beforeEach(async () => {
  place = await newPlace();
  log = await openTopicLog(place.config.log, "processor");
});
afterEach(async () => {
  await log.close();
  await place.remove();
});

describe("confirmSecret()", () => {
  it("publishes the first fact once", async () => {
    expect((await confirmSecret(log, { ranBefore: null, hashes, clock })).is).toBe("made");
    expect((await confirmSecret(log, { ranBefore: null, hashes, clock })).is).toBe("confirmed");
    expect(await factsEnd(log)).toBe(1);
  });

  it("lets two processors start at once", async () => {
    const both = [1, 2].map(() => confirmSecret(log, { ranBefore: null, hashes, clock }));
    const facts = (await Promise.all(both)).map(({ fact }) => fact.fingerprint);
    expect(facts).toEqual([hashes.fingerprint, hashes.fingerprint]);
  });

  it("refuses one of two that start at once with different secrets", async () => {
    const both = [hashes, other].map((keys) => confirmSecret(log, { ranBefore: null, hashes: keys, clock }));
    const settled = await Promise.allSettled(both);
    expect(settled.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  });

  it("takes the raw topic's end for what may have been mailed, where facts are gone", async () => {
    await place.publish(uses(3, "ada"));
    const { is, fact } = await confirmSecret(log, { ranBefore: { 5: 1 }, hashes, clock });
    expect(is).toBe("lost");
    expect(Object.values(fact.lostBefore!).reduce((sum, offset) => sum + offset, 0)).toBe(3);
    expect((await confirmSecret(log, { ranBefore: { 5: 1 }, hashes, clock })).is).toBe("confirmed");
  });

  it("is no loss where nothing has run before", async () => {
    await place.publish(uses(3, "ada"));
    expect(await committedBefore(log)).toBeNull();
    expect((await confirmSecret(log, { ranBefore: { 0: 0, 1: 0 }, hashes, clock })).is).toBe("made");
  });

  it("refuses facts whose beginning is gone", async () => {
    await confirmSecret(log, { ranBefore: null, hashes, clock });
    const subject = hashes.subject("ada");
    await publishFacts(log, [{
      fact: "counted",
      subject,
      at: START,
      position: { partition: 0, offset: 0 },
      uuid: "u",
    }]);
    await log.close();
    const { DatabaseSync } = await import("node:sqlite");
    const db = new DatabaseSync(`${place.dataDir}/log/processor.db`);
    db.exec(`delete from record where id & ((1 << 40) - 1) = 0 and id / (1 << 40) in
      (select id from topic_partition where topic = '${FACTS_TOPIC}')`);
    db.close();
    log = await openTopicLog(place.config.log, "processor");
    await expect(confirmSecret(log, { ranBefore: null, hashes, clock })).rejects.toThrow(
      /its beginning is gone/,
    );
  });
});
