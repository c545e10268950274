import { describe, expect, it } from "vitest";
import type { PipelineStatus } from "../contract/processor_api.ts";
import { begunWords, type Episode, episodeWords, type Reading, Tally, totalWords } from "./proof.ts";
import type { DeliveryStatus } from "./stand_in/deliveries.ts";

type Counts = {
  delivered?: number;
  dropped?: number;
  failed?: number;
  repeated?: number;
  waiting?: number;
  records?: number;
  spooled?: number;
  lines?: number;
  duplicates?: number;
  others?: number;
  letters?: number;
  decidedLines?: number;
  taken?: number;
  lag?: number;
};

/** Readings of services that say so; a pipeline in which all is done, but for what is given. */
function reading(
  given: Counts,
): Reading & { readonly standIn: DeliveryStatus; readonly processor: PipelineStatus } {
  const { delivered = 0, dropped = 0, failed = 0, repeated = 0, waiting = 0, spooled = 0 } = given;
  const { lines = 0, duplicates = 0, others = 0, letters = 0, lag = 0 } = given;
  const handled = lines + duplicates + others + letters;
  const { records = handled, decidedLines = lines } = given;
  return {
    standIn: {
      url: "",
      delivered,
      dropped,
      failed,
      repeated,
      waiting,
      retried: 0,
      inFlight: 0,
      lastErrors: [],
      switched: { duplicate: 0, reorder: 0, drop: 0, pausedUntil: null },
    },
    ingest: { spooled, topic: { at: "2026-01-01T00:00:00.000Z", partitions: [{ endOffset: records }] } },
    processor: {
      log: "embedded",
      groups: [{ group: "dataset-writer", topic: "t", lag, lagSeconds: 0, partitions: [] }],
      dataset: { records: lines, bytes: 0, files: 0 },
      offers: { counting: 0, waiting: 0, sending: 0, offered: 0, failed: 0, closed: 0 },
      deadLetters: { total: 0, byReason: {} },
      outcomes: {
        records: decidedLines + duplicates + others + letters,
        lines: decidedLines,
        duplicates,
        deadLetters: letters,
        others,
        uncounted: 0,
        letters,
        ...(given.taken ? { taken: given.taken } : {}),
      },
      mails: { accepted: 0, deferred: 0, refused: 0, unknown: 0 },
    },
  };
}

describe("the proof's figures", () => {
  it("agree where everything durable is a line, a letter, a repeat or counted", () => {
    const whole = reading({
      delivered: 9,
      dropped: 1,
      failed: 1,
      repeated: 2,
      lines: 4,
      duplicates: 2,
      others: 2,
      letters: 1,
    });
    const standing = new Tally().add(whole);
    expect(standing).toMatchObject({ isQuiet: true, differs: [], lost: 0, doubled: 0 });
    expect(standing.figures).toMatchObject({
      sent: 11,
      delivered: 9,
      dropped: 2,
      durable: 9,
      records: 9,
      lines: 4,
    });
    expect(totalWords(standing)).toBe(
      "11 sent: 4 lines, 2 counted, 1 dead letter, 2 repeats dropped as such, 2 dropped by PostHog, 0 lost, 0 doubled",
    );
  });

  it.each<[Counts, string]>([
    [{ waiting: 3 }, "3 on their way from PostHog"],
    [{ waiting: 1 }, "1 on its way from PostHog"],
    [{ spooled: 1 }, "1 waits in ingest's spool"],
    [{ lag: 1 }, "1 waits for the processor"],
    [{ spooled: 2 }, "2 wait in ingest's spool"],
    [{ records: 7, delivered: 7, lines: 5 }, "2 wait for the processor"],
    [{ lag: 4 }, "4 wait for the processor"],
  ])("while %j they say what is still on its way", (counts, words) => {
    expect(new Tally().add(reading(counts))).toMatchObject({ isQuiet: false, differs: [words], lost: 0 });
  });

  it("count lines that were written behind an erasure, which is no reason for a figure to stand still", () => {
    const tally = new Tally();
    const from = tally.add(reading({ delivered: 8, lines: 8 })).figures;
    const erased = tally.add(reading({ delivered: 8, lines: 5, others: 4, taken: 3 }));
    expect(erased).toMatchObject({ isQuiet: true, lost: 0, figures: { lines: 8, counted: 1, records: 9 } });
    const later = reading({ delivered: 10, lines: 7, others: 4, taken: 3 });
    const episode: Episode = { what: "out-of-order", from, until: null };
    expect(episodeWords(episode, tally.add(later))).toMatch(/^2 sent .*: 2 lines, 1 counted, 0 lost/);
    // A replay makes nothing of the erased, and a second erasure goes on from there.
    tally.add(reading({ delivered: 10, lines: 7, others: 4 }));
    const again = tally.add(reading({ delivered: 11, lines: 7, others: 6, taken: 1 }));
    expect(again.figures).toMatchObject({ lines: 11, counted: 2, records: 13 });
  });

  it("call no repeat of somebody erased doubled when a replay makes nothing of it", () => {
    const tally = new Tally();
    tally.add(reading({ delivered: 8, repeated: 4, lines: 4, duplicates: 4 }));
    tally.add(reading({ delivered: 8, repeated: 4, lines: 3, duplicates: 4, others: 2, taken: 1 }));
    const replayed = tally.add(reading({ delivered: 8, repeated: 4, lines: 3, duplicates: 3, others: 3 }));
    expect(replayed).toMatchObject({ isQuiet: true, differs: [], doubled: 0 });
    expect(replayed.figures).toMatchObject({ lines: 4, duplicates: 4, counted: 1, records: 9 });
    const later = tally.add(
      reading({ delivered: 11, repeated: 6, lines: 5, duplicates: 4, others: 3 }),
    );
    expect(later).toMatchObject({ doubled: 1, figures: { duplicates: 5 } });
  });

  it.each<[string, Counts, string]>([
    ["delivered and not in the log", { delivered: 6, lines: 5 }, "1 lost"],
    ["decided as a line that no file has", { delivered: 5, lines: 4, decidedLines: 5 }, "1 lost"],
    ["a repeat that was not dropped", { delivered: 6, lines: 6, repeated: 1 }, "1 doubled"],
  ])("a loss is said: %s", (_, counts, words) => {
    const tally = new Tally();
    tally.add(reading({ delivered: 4, lines: 4 }));
    const standing = tally.add(
      reading({ records: 5, ...counts, ...(counts.repeated ? { records: 6 } : {}) }),
    );
    expect(standing).toMatchObject({ isQuiet: true, differs: [words] });
  });

  it("what another log or an earlier version has left is no loss", () => {
    const tally = new Tally();
    const old = { delivered: 10, repeated: 3, lines: 2 };
    expect(tally.add(reading(old)).differs).toEqual([]);
    expect(tally.add(reading({ ...old, delivered: 11, lines: 3 })).differs).toEqual([]);
    expect(tally.add(reading({ ...old, delivered: 13, lines: 4 })).differs).toEqual(["1 lost"]);
  });

  it("add up after a replay too, for which a letter's record is one of the others", () => {
    const { processor, ...whole } = reading({ delivered: 5, lines: 2, others: 2, letters: 1 });
    const outcomes = { ...processor.outcomes!, others: 3, deadLetters: 0 };
    const standing = new Tally().add({ ...whole, processor: { ...processor, outcomes } });
    expect(standing).toMatchObject({ isQuiet: true, differs: [] });
    expect(standing.figures).toMatchObject({ records: 5, lines: 2, deadLetters: 1, counted: 2 });
  });

  it("never go back, whoever is away and whatever a redrive or an erasure takes out", () => {
    const tally = new Tally();
    const before =
      tally.add(reading({ delivered: 8, lines: 5, duplicates: 1, others: 1, letters: 1 })).figures;
    const away = { standIn: null, ingest: null, processor: null };
    expect(tally.add(away)).toMatchObject({ figures: before, isQuiet: false });
    expect(tally.add(reading({ delivered: 8, lines: 4, duplicates: 1, others: 2, letters: 1 })).figures)
      .toEqual({
        ...before,
        counted: 2,
      });
  });
});

describe("the proof's words", () => {
  const tally = new Tally();
  const from = tally.add(reading({ delivered: 10, lines: 10 })).figures;
  const dead: Episode = { what: "kill-processor", from, until: null };

  it("say what came of what was sent while something was broken", () => {
    const standing = tally.add(reading({ delivered: 17, lines: 17 }));
    expect(episodeWords(dead, standing)).toBe(
      "7 sent while the processor was dead: 7 lines, 0 lost, 0 doubled",
    );
  });

  it("say what was done and when, while not all agrees again", () => {
    expect(begunWords(dead, tally.add(reading({ delivered: 17, lines: 17 })), 3)).toBe(
      "The processor was killed 3 s ago, 7 sent since",
    );
  });

  it("tell what was sent since apart, and every kind of end", () => {
    const later = new Tally();
    const begun = later.add(reading({ delivered: 10, lines: 10 })).figures;
    const until = later.add(reading({ delivered: 12, lines: 12 })).figures;
    const standing = later.add(
      reading({ delivered: 18, dropped: 2, repeated: 3, lines: 13, duplicates: 3, others: 1, letters: 1 }),
    );
    expect(episodeWords({ what: "deliver-twice", from: begun, until }, standing)).toBe(
      "2 sent while everything was delivered twice, and 8 since: 3 lines, 1 counted, 1 dead letter, " +
        "3 repeats dropped as such, 2 dropped by PostHog, 0 lost, 0 doubled",
    );
  });
});
