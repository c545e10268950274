import { describe, expect, test } from "vitest";
import { FACTS_TOPIC, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import type { OfferQuery } from "../../contract/processor_api.ts";
import { createKeyedHashes } from "../../contract/keyed_hash.ts";
import { manualClock } from "../../tests/support/manual_clock.ts";
import { MemoryLog } from "../../tests/support/memory_log.ts";
import { FACTS_TOPIC_SPEC } from "../facts/topic.ts";
import { createLineIds } from "../record/line_id.ts";
import { WEBHOOKS_TOPIC_SPEC } from "../../topic/raw_topics.ts";
import { until } from "../../tests/support/until.ts";
import { createOfferList, type ViewPage } from "./offer_list.ts";

const hashes = createKeyedHashes("a secret for tests, long enough");
const EVERYBODY: OfferQuery = { state: null, search: null, before: null, limit: 50 };
const bytes = (text: string) => new TextEncoder().encode(text);

type Found = NonNullable<ReturnType<ViewPage>>;

/** What a view says of people whose records lie at these offsets of partition 0. */
function pageOf(
  people: readonly (readonly [distinctId: string, offset: number | null])[],
  nextFact = 0,
): Found {
  return {
    counts: { counting: people.length, waiting: 0, sending: 0, offered: 0, failed: 0, closed: 0 },
    counting: [],
    closed: { opted_out: 0, mailbox_rewarded: 0, state_lost: 0 },
    failed: { refused: 0, attempts_exhausted: 0, delivery_unknown: 0 },
    threshold: 5,
    total: people.length,
    offers: people.map(([distinctId, offset]) => ({
      person: `person-${hashes.subject(distinctId)}`,
      subject: hashes.subject(distinctId),
      distinctId: null,
      position: offset === null ? null : { partition: 0, offset },
      state: "counting",
      reason: null,
      uses: 1,
      threshold: 5,
      addressKnown: false,
      earnedAt: null,
      dueAt: null,
      sentAt: null,
      code: null,
      messageId: null,
      changedAt: null,
    })),
    older: null,
    nextFact,
  };
}

async function started(page: ViewPage, keys: readonly string[] = []) {
  const log = new MemoryLog();
  for (const spec of [WEBHOOKS_TOPIC_SPEC, FACTS_TOPIC_SPEC]) await log.ensureTopic(spec);
  await log.publish(
    WEBHOOKS_TOPIC,
    keys.map((key) => ({ key: bytes(key), value: bytes("{}"), headers: {}, timestamp: 0, partition: 0 })),
  );
  const clock = manualClock();
  const offers = createOfferList({ page, log, hashes, lineId: createLineIds(hashes.subject), clock });
  const ids = async () =>
    (await offers.list(EVERYBODY))!.offers.map(({ distinctId, distinctIdWithheld }) =>
      distinctId ?? distinctIdWithheld
    );
  return { log, clock, offers, ids };
}

describe("the list of offers", () => {
  test("names people by their records, as the dataset does, and says why it does not", async () => {
    const people = [["ada", 0], ["carl@example.org", 1], ["mia", 0], ["gone", null]] as const;
    const { ids, offers } = await started(
      () => pageOf(people),
      ["ada", "carl@example.org"],
    );
    expect(await ids()).toEqual(["ada", "personal", "record_gone", "record_gone"]);
    const listing = await offers.list(EVERYBODY);
    expect(JSON.stringify(listing)).not.toContain("carl@example.org");
    for (const one of listing!.offers) {
      expect(one).not.toHaveProperty("subject");
      expect(one).not.toHaveProperty("position");
    }
  });

  test("says that a record is gone which the topic keeps no more", async () => {
    const { log, ids } = await started(() => pageOf([["ada", 0], ["mia", 1]]), ["ada", "mia"]);
    log.trim(WEBHOOKS_TOPIC, { partition: 0, startOffset: 1 });
    expect(await ids()).toEqual(["record_gone", "mia"]);
  });

  test("reads a record once, and again after somebody was erased", async () => {
    const { log, ids, offers } = await started(() => pageOf([["ada", 0]]), ["ada"]);
    let reads = 0;
    const read = log.read.bind(log);
    log.read = (...args) => (reads++, read(...args));
    for (let i = 0; i < 3; i++) expect(await ids()).toEqual(["ada"]);
    expect(reads).toBe(1);
    offers.forget();
    expect(await ids()).toEqual(["ada"]);
    expect(reads).toBe(2);
  });

  test("hides ids, and no offers, while the log is away, and has them again when it is back", async () => {
    const { log, offers, ids } = await started(() => pageOf([["ada", 0]], 7), ["ada"]);
    const { bounds } = log;
    log.bounds = () => Promise.reject(new Error("away"));
    const listing = await offers.list(EVERYBODY);
    expect(listing).toMatchObject({
      total: 1,
      offers: [{ distinctId: null, distinctIdWithheld: "log_away" }],
    });
    expect(listing!.facts).toEqual({ applied: 7, end: null });
    log.bounds = bounds;
    expect(await ids()).toEqual(["ada"]);
  });

  test("waits a second for a log that says nothing, and reads nothing from it", async () => {
    const { log, clock, offers } = await started(() => pageOf([["ada", 0]], 7), ["ada"]);
    log.bounds = () => new Promise(() => {});
    const listing = offers.list(EVERYBODY);
    await clock.advance(1_000);
    expect(await listing).toMatchObject({
      offers: [{ distinctIdWithheld: "log_away" }],
      facts: { end: null },
    });
  });

  test("gives up a record that does not come, and names the others", async () => {
    const { log, clock, offers } = await started(() => pageOf([["ada", 0], ["mia", 1]]), ["ada", "mia"]);
    const read = log.read.bind(log);
    let isRead = false;
    log.read = async function* (topic, options) {
      if (options.from === 0) await new Promise(() => {});
      // Whoever has found the record asks for no more.
      for await (const batch of read(topic, options)) {
        isRead = true;
        yield batch;
      }
    };
    const listing = offers.list(EVERYBODY);
    await until("the other is read", () => isRead);
    await clock.advance(1_000);
    expect((await listing)!.offers).toMatchObject([{ distinctIdWithheld: "log_away" }, {
      distinctId: "mia",
    }]);
  });

  test("says how far the view is behind the facts, and that there is none yet", async () => {
    let page: ReturnType<ViewPage> = null;
    const { log, offers } = await started(() => page);
    expect(await offers.list(EVERYBODY)).toBeNull();
    const fact = { key: bytes("k"), value: bytes("{}"), headers: {}, timestamp: 0, partition: 0 };
    await log.publish(FACTS_TOPIC, [fact, fact, fact]);
    page = pageOf([], 1);
    expect((await offers.list(EVERYBODY))!.facts).toEqual({ applied: 1, end: 3 });
    page = pageOf([], 4);
    expect((await offers.list(EVERYBODY))!.facts).toEqual({ applied: 4, end: 4 });
  });
});
