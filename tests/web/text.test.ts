import { describe, expect, test } from "vitest";
import type { OfferView } from "../../contract/processor_api.ts";
import { offerText } from "../../web/components/offer_text.ts";
import {
  ago,
  bytes,
  clockTime,
  count,
  countdown,
  duration,
  exactTime,
  fileStem,
  shortId,
  utcOffset,
  withExactTimes,
} from "../../web/core/format.ts";
import { heldUp } from "../../web/core/held_up.ts";
import { type Services, staleWords, stations } from "../../web/core/stations.ts";

const NOW = Date.UTC(2026, 0, 1, 12);
const iso = (ms: number) => new Date(NOW + ms).toISOString();

test("an exact time is written in the zone of whoever reads it, which it names", () => {
  expect(exactTime(iso(250), "UTC")).toBe("2026-01-01 12:00:00.250 UTC");
  expect(exactTime(iso(250), "Europe/Berlin")).toBe("2026-01-01 13:00:00.250 UTC+1");
  expect(exactTime("2026-07-01T22:30:00.007Z", "Asia/Kolkata")).toBe("2026-07-02 04:00:00.007 UTC+5:30");
  expect(exactTime("2026-01-01T00:00:00Z", "UTC")).toBe("2026-01-01 00:00:00.000 UTC");
  expect([clockTime(iso(250), "UTC"), utcOffset(iso(0), "America/St_Johns")]).toEqual(
    ["12:00:00.250", "UTC-3:30"],
  );
  expect([utcOffset(iso(0), "Etc/UTC"), utcOffset(iso(0), "Europe/London")]).toEqual(["UTC", "UTC"]);
  expect([exactTime("never", "UTC"), clockTime("never", "UTC")]).toEqual(["never", "never"]);
  expect(withExactTimes(`polled ${iso(250)}, twice`, "UTC")).toBe(
    "polled 2026-01-01 12:00:00.250 UTC, twice",
  );
});

test("numbers, sizes, times and ids are written in one way", () => {
  expect([count(1024), count(0)]).toEqual(["1,024", "0"]);
  expect([0, 999, 1000, 3_400, 99_960, 999_600, 1_500_000].map(bytes)).toEqual(
    ["0 B", "999 B", "1.0 kB", "3.4 kB", "100 kB", "1.0 MB", "1.5 MB"],
  );
  expect([-5, 0.4, 9, 999.6, 1_200, 180_000].map(duration)).toEqual(
    ["clocks differ", "<1 ms", "9 ms", "1.0 s", "1.2 s", "3 min"],
  );
  expect([200, -2_000, -119_000, -7_200_000, -200_000_000].map((ms) => ago(iso(ms), NOW))).toEqual(
    ["just now", "2 s ago", "1 min ago", "2 h ago", "2 d ago"],
  );
  expect([120_000, 103_000, 999, -5_000, 7_380_000].map((ms) => countdown(iso(ms), NOW))).toEqual(
    ["2:00", "1:43", "0:01", "0:00", "2:03:00"],
  );
  expect(shortId("019ad56c-5168-7457-bac6-82981da45fb3")).toBe("019ad56c…5fb3");
  expect(shortId("user-1")).toBe("user-1");
  expect(fileStem("event=generation_failed/date=2026-01-01/p00003-0000.jsonl")).toBe("p00003-0000");
});

describe("stations()", () => {
  const group = {
    topic: "posthog.webhooks",
    partitions: [{ partition: 0, nextOffset: 90, endOffset: 100, lag: 10, lagSeconds: 8 }],
  };
  const services: Services = {
    posthog: { name: "PostHog stand-in", state: "ready", port: "8010", delivered: 1_234 },
    ingest: { state: "ready", port: "3000", spooled: 0, topic: null },
    processor: { state: "ready", port: "3001", says: null },
    status: {
      log: "embedded",
      groups: [
        { group: "dataset-writer", lag: 10, lagSeconds: 8, ...group },
        { group: "discount-offers", lag: 0, lagSeconds: 0, ...group },
      ],
      dataset: { records: 0, bytes: 0, files: 0 },
      offers: { counting: 0, waiting: 0, sending: 0, offered: 0, failed: 0, closed: 0 },
      deadLetters: { total: 0, byReason: {} },
      mails: { accepted: 0, deferred: 0, refused: 0, unknown: 0 },
    },
    seen: { posthog: iso(-13_000), ingest: iso(-1_000), processor: null },
  };
  const browser = { sent: 3, connection: "live", now: NOW } as const;
  const words = (list: ReturnType<typeof stations>) =>
    list.map(({ name, tone, word, number }) => [name, tone, word, number]);

  test("names each station's state and its one number", () => {
    expect(words(stations(services, browser))).toEqual([
      ["Browser", "ok", "live", "3 captured"],
      ["PostHog stand-in", "ok", "ready", "1,234 delivered"],
      ["Ingest", "ok", "ready", "0 spooled"],
      ["Topic", "ok", "ready", "100 records"],
      ["Processor", "warn", "behind", "lag 10 · 8 s"],
    ]);
  });

  test("says in words what is wrong", () => {
    const broken: Services = {
      posthog: { ...services.posthog, state: "away", delivered: null },
      ingest: { ...services.ingest, state: "spooling", spooled: 12 },
      processor: { ...services.processor, state: "away" },
      status: null,
      seen: services.seen,
    };
    expect(words(stations(broken, { sent: 0, connection: "away", now: NOW }))).toEqual([
      ["Browser", "warn", "waiting", "0 captured"],
      ["PostHog stand-in", "quiet", "away", "last seen 13 s ago"],
      ["Ingest", "warn", "spooling", "12 spooled"],
      ["Topic", "quiet", "unknown", null],
      ["Processor", "quiet", "away", "not seen yet"],
    ]);
  });

  test("ingest tells of the topic without the processor, and what it said long ago is grey", () => {
    const topicOf = (topic: Services["ingest"]["topic"]) =>
      words(stations({ ...services, status: null, ingest: { ...services.ingest, topic } }, browser))[3];
    expect(topicOf({ records: 128, at: iso(-500) })).toEqual(["Topic", "ok", "ready", "128 records"]);
    expect(topicOf({ records: 128, at: iso(-60_000) })).toEqual(
      ["Topic", "quiet", "last seen 1 min ago", "128 records"],
    );
  });

  test("while web is unreachable every station is grey and says since when", () => {
    const list = stations(services, { ...browser, connection: "lost", webSeenAt: iso(-13_000) });
    expect(list.map(({ tone }) => tone)).toEqual(["quiet", "quiet", "quiet", "quiet", "quiet"]);
    expect(list.map(({ number }) => number)).toEqual([
      "web last seen 13 s ago",
      ...Array(4).fill("last seen 13 s ago"),
    ]);
    expect(list.map(({ word }) => word)).toEqual(["offline", ...Array(4).fill("unknown")]);
  });

  test("a page that has heard nothing for a while is grey before it has asked, and has no word of web's state", () => {
    const at = (ms: number) => stations(services, { ...browser, heardAt: iso(ms) });
    expect(at(-7_000)[4]!.word).toBe("behind");
    expect(at(-600_000).map(({ word }) => word)).toEqual(["asking", ...Array(4).fill("unknown")]);
    expect(at(-600_000).map(({ number }) => number)).toEqual([
      "web last seen 10 min ago",
      ...Array(4).fill("last seen 10 min ago"),
    ]);
    expect(staleWords(services, { ...browser, heardAt: iso(-600_000) })).toBeNull();
  });

  test("a topic that takes nothing from ingest is not ready, whatever the processor has read of it", () => {
    const ingest = { ...services.ingest, state: "spooling", spooled: 3 } as const;
    const topicOf = (topic: Services["ingest"]["topic"]) =>
      words(stations({ ...services, ingest: { ...ingest, topic } }, browser))[3];
    expect(topicOf(null)).toEqual(["Topic", "quiet", "not known", "100 records"]);
    expect(topicOf({ records: 90, at: iso(-60_000) })).toEqual(
      ["Topic", "quiet", "last seen 1 min ago", "100 records"],
    );
  });

  test("every page says since when it is old, and passes over a service that is started again in a moment", () => {
    const away = (seen: string | null): Services => ({
      ...services,
      processor: { ...services.processor, state: "away" },
      seen: { ...services.seen, processor: seen },
    });
    expect([staleWords(services, browser), staleWords(null, browser), staleWords(away(iso(-900)), browser)])
      .toEqual([null, null, null]);
    expect(staleWords(away(iso(-13_000)), browser)).toBe(
      "The processor is away, last seen 13 s ago: nothing on this page that it told is newer.",
    );
    expect(staleWords(away(null), browser)).toBe(
      "The processor is away, not seen yet: it has told nothing of this page.",
    );
    expect(staleWords(services, { ...browser, webSeenAt: iso(-2_000) })).toBe(
      "Web does not answer, last seen 2 s ago: nothing on this page is newer.",
    );
  });

  test("a partition that stands is no lag that goes by itself", () => {
    const [writer, offers] = services.status!.groups;
    const standing = { offset: 90, reason: "the record batch cannot be read: its codec 9 is not known" };
    const groups = [writer!, offers!].map((one) => ({
      ...one,
      partitions: [{ ...one.partitions[0]!, standing }],
    }));
    const stands = { ...services, status: { ...services.status!, groups } };
    expect(words(stations(stands, browser)).at(-1)).toEqual(["Processor", "bad", "stands", "lag 10 · 8 s"]);
    expect(heldUp(stands.status)).toEqual([{
      tone: "bad",
      text:
        "Partition 0 stands at p0 @ 90 (dataset-writer, discount-offers): the record batch cannot be read: its codec " +
        "9 is not known. What lies behind it waits; other partitions go on. This sets it aside as a dead letter:",
      command: 'deno task skip 0:90 --reason "…"',
    }]);
  });

  test("an open transaction of another program shows as such", () => {
    const [writer] = services.status!.groups;
    const groups = [{ ...writer!, partitions: [{ ...writer!.partitions[0]!, openTransactionAt: 95 }] }];
    expect(heldUp({ ...services.status!, groups })).toEqual([{
      tone: "warn",
      text:
        "Partition 0: a transaction of another program is open at p0 @ 95. Records behind it are read once it " +
        "has ended.",
      command: null,
    }]);
    expect([heldUp(services.status), heldUp(null)]).toEqual([[], []]);
  });

  test("a dataset that nobody can read now is told of as it was known last", () => {
    const datasetProblem = "Cannot read the dataset in s3://bucket/prefix now: the bucket is away.";
    expect(heldUp({ ...services.status!, datasetProblem })).toEqual([{
      tone: "bad",
      text: `What is said of the dataset is as it was known last: ${datasetProblem}`,
      command: null,
    }]);
  });

  test("a partition without a leader shows as such, once for both groups", () => {
    const groups = services.status!.groups.map((one) => ({
      ...one,
      partitions: [{ ...one.partitions[0]!, noLeader: true as const }],
    }));
    expect(heldUp({ ...services.status!, groups })).toEqual([{
      tone: "bad",
      text:
        "Partition 0 has no leader: its records wait until the broker that holds it is back, and its lag is not " +
        "known. Other partitions go on.",
      command: null,
    }]);
  });

  test("is complete before anybody was asked", () => {
    expect(stations(null, { sent: 0, connection: "connecting", now: NOW }).map(({ word }) => word)).toEqual(
      ["not live", "not asked", "not asked", "not asked", "not asked"],
    );
  });
});

describe("offerWords()", () => {
  const offer: OfferView = {
    distinctId: "u1",
    state: "counting",
    reason: null,
    uses: 3,
    threshold: 5,
    addressKnown: true,
    earnedAt: null,
    dueAt: null,
    sentAt: null,
    code: null,
    messageId: null,
    timeline: [],
  };
  const said = (part: Partial<OfferView>) => offerText({ ...offer, ...part }, NOW).state;

  test("says where the offer stands", () => {
    expect(said({})).toBe("3 of 5 uses");
    expect(offerText(offer, NOW).next).toBe("2 more earn a discount offer.");
    expect(said({ state: "waiting", dueAt: iso(60_000) })).toBe("Offer earned, mail due in");
    expect(said({ state: "waiting", dueAt: iso(-1) })).toBe("The mail is due");
    expect(said({ state: "waiting", dueAt: iso(-1), addressKnown: false })).toBe(
      "No address known: waits for one",
    );
    expect(said({ state: "offered" })).toBe("The mail was sent");
    expect(offerText({ ...offer, state: "failed", reason: "delivery_unknown" }, NOW).next).toContain(
      "cannot be known",
    );
    expect(offerText({ ...offer, state: "closed", reason: "opted_out" }, NOW).next).toBe(
      "This person wants no mail.",
    );
  });
});
