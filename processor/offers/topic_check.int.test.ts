import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { until } from "../../tests/support/until.ts";
import { openTopicLog } from "../../topic/open_topic.ts";
import { decodeFact } from "../facts/facts.ts";
import {
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

/**
 * A raw topic that was deleted and made again grew past the offsets of the facts, and nobody noticed: discount-offers
 * went on at the committed offset, and an erasure's position took what others' records had brought.
 */
let place: Place;
let clock: HandClock;
beforeEach(async () => {
  clock = handClock();
  place = await newPlace();
});
afterEach(() => place.remove());

const settle = () => whileRunning(place, { clock }, (running) => settled(place, running));
const offerOf = (distinctId: string) => look(place, (offers) => offers.offerOf(distinctId, hashes));

function inFile(sql: string): void {
  const db = new DatabaseSync(`${place.dataDir}/log/ingest.db`);
  db.exec(sql);
  db.close();
}

const ANOTHER_ID = "update topic_id set id = lower(hex(randomblob(16)))";
const WITHOUT_IDS = "drop table topic_id";
const MADE_AGAIN = `delete from record; ${ANOTHER_ID}`;

/** The topics that facts name, in their order. */
async function topicIdsInFacts(): Promise<string[]> {
  const log = await openTopicLog(place.config.log, "command");
  try {
    const [bounds] = await log.bounds("discount.facts");
    const found: string[] = [];
    const range = { partition: 0, from: 0, until: bounds!.endOffset };
    for await (const { records } of log.read("discount.facts", range)) {
      for (const { value } of records) {
        const outcome = decodeFact(new TextDecoder().decode(value));
        const fact = outcome.ok ? outcome.fact : null;
        if (fact?.fact === "secret" && fact.topicId !== undefined) found.push(fact.topicId);
      }
    }
    return found;
  } finally {
    await log.close();
  }
}

async function topicId(): Promise<string> {
  const log = await openTopicLog(place.config.log, "command");
  try {
    return (await log.topicId!(WEBHOOKS_TOPIC))!;
  } finally {
    await log.close();
  }
}

async function stops(): Promise<void> {
  const running = await runOffers(place, { clock });
  try {
    await expect(running.ended).rejects.toThrow(
      /its id is \w{32}, and discount\.facts was made from .*PROCESSOR_GROUPS/,
    );
  } finally {
    await running.stop();
  }
}

describe("a raw topic that was deleted and made again", () => {
  beforeEach(async () => {
    await place.publish([
      ...uses(5, "ada", { email: "ada@example.org" }),
      ...erasure([hashes.subject("bob")], START),
    ]);
    await settle();
    inFile(MADE_AGAIN);
  });

  it("stops the offers where it has grown past the old offsets, and nobody is mailed", async () => {
    await place.publish([...uses(20, "ada", { email: "ada@example.org" }), ...uses(20, "bob")]);
    clock.move(place.config.discount.waitMs);
    await stops();
    expect(mailsIn(place)).toEqual([]);
    expect(offerOf("bob")).toBeNull();
  });

  it("stops them where it is shorter, and with a view that is built anew", async () => {
    await stops();
    Deno.removeSync(`${place.dataDir}/offers.db`);
    await place.publish(uses(20, "ada"));
    await stops();
  });
});

describe("a raw topic that is made again while the offers run", () => {
  it("ends them before a mail is sent by it", async () => {
    await place.publish([...uses(5, "ada", { email: "ada@example.org" })]);
    const running = await runOffers(place, { clock });
    try {
      await settled(place, running);
      inFile(MADE_AGAIN);
      clock.move(place.config.discount.waitMs);
      await expect(running.ended).rejects.toThrow(/deleted and made again/);
    } finally {
      await running.stop();
    }
    expect(mailsIn(place)).toEqual([]);
  });
});

describe("the raw topic's id", () => {
  it("is said by one fact, however often the processor starts", async () => {
    await settle();
    await place.publish(uses(1, "ada"));
    await settle();
    expect(await topicIdsInFacts()).toEqual([await topicId()]);
  });

  it("is remembered as soon as the log gives one; before that the offers go on without", async () => {
    inFile(WITHOUT_IDS);
    await place.publish(uses(1, "ada"));
    await settle();
    expect(await topicIdsInFacts()).toEqual([]);
    inFile(
      `create table topic_id (topic text primary key, id text not null) strict;
       insert into topic_id values ('${WEBHOOKS_TOPIC}', '${"a".repeat(32)}')`,
    );
    await place.publish(uses(1, "ada"));
    await settle();
    expect(await topicIdsInFacts()).toEqual(["a".repeat(32)]);
    expect(offerOf("ada")).toMatchObject({ uses: 2 });
  });

  it("may be another one where the same records lie at the same offsets, as after a move to another broker", async () => {
    await place.publish(uses(3, "ada"));
    await settle();
    const before = await topicId();
    inFile(ANOTHER_ID);
    await place.publish([...uses(2, "ada", { email: "ada@example.org" }), webhook("seen", "bob")]);
    await settle();
    expect(await topicIdsInFacts()).toEqual([before, await topicId()]);
    await whileRunning(place, { clock }, async () => {
      clock.move(place.config.discount.waitMs);
      await until("the mail is sent", () => offerOf("ada")?.state === "offered");
    });
    expect(mailsIn(place)).toHaveLength(1);
  });
});
