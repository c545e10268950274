import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type KafkaBroker, startKafkaBroker, whyNoKafka } from "../../tests/support/kafka_broker.ts";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { openTopicLog } from "../../topic/open_topic.ts";
import { WEBHOOKS_TOPIC_SPEC } from "../../topic/raw_topics.ts";
import { handClock, mailsIn, newPlace, type Place, runOffers, settled, uses } from "./fixtures/run.ts";
import { otherClient } from "../../topic/kafka/fixtures/other_client.ts";

/**
 * What only a broker does: an operator deletes the topic while the offers run, and somebody makes it again. They went on
 * at their old offset in the new one, and nobody noticed.
 */
const why = await whyNoKafka();

describe.skipIf(why !== null)(`a topic that is made again on Kafka${why === null ? "" : ` (${why})`}`, () => {
  let broker: KafkaBroker;
  let place: Place;
  const prefix = `t${crypto.randomUUID()}.`;
  beforeAll(async () => {
    broker = await startKafkaBroker();
    place = await newPlace({ KAFKA_BROKERS: broker.brokers, KAFKA_TOPIC_PREFIX: prefix });
  });
  afterAll(async () => {
    await place?.remove();
    await broker?.stop();
  });

  it("ends the offers that run, and those that start afterwards", async () => {
    const clock = handClock();
    await place.publish(uses(5, "ada", { email: "ada@example.org" }));
    const running = await runOffers(place, { clock });
    try {
      await settled(place, running);
      const other = otherClient([broker.brokers]);
      await other.deleteTopic(prefix + WEBHOOKS_TOPIC);
      await other.close();
      clock.move(10_000);
      const log = await openTopicLog(place.config.log, "command");
      await log.ensureTopic(WEBHOOKS_TOPIC_SPEC);
      await log.publish(WEBHOOKS_TOPIC, uses(20, "ada", { email: "ada@example.org" }));
      await log.close();
      // The first words where a fetch met the new topic while it was still shorter.
      await expect(running.ended).rejects.toThrow(/the log ends at \d|deleted and made again/);
    } finally {
      await running.stop();
    }
    const again = await runOffers(place, { clock });
    try {
      clock.move(place.config.discount.waitMs);
      await expect(again.ended).rejects.toThrow(/deleted and made again/);
    } finally {
      await again.stop();
    }
    expect(mailsIn(place)).toEqual([]);
  }, 60_000);
});
