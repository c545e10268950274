import { describe, expect, test } from "vitest";
import {
  type ChartFigures,
  drawnValues,
  lonelyPlaces,
  placeAfter,
  placeAtRest,
  placeText,
  plotHeight,
  scaleEnd,
  SERIES_MAX,
  valueText,
} from "../../web/core/chart.ts";
import { datasetCharts, hourCharts, latencyChart } from "../../web/core/figures.ts";
import {
  oldWords,
  partitionRows,
  ROWS_MAX,
  rowsShown,
  shownAfter,
  spoolRows,
  type TopicAnswer,
} from "../../web/core/topic.ts";
import { fullFigures } from "./figures.ts";

const NOW = Date.UTC(2026, 0, 1, 12);

describe("a chart", () => {
  const figures: ChartFigures = {
    caption: "Events",
    kind: "lines",
    labelName: "Minute",
    labels: ["13:00", "13:01", "13:02"],
    series: [{ name: "Events", values: [0, null, 1_204] }, {
      name: "Lag",
      unit: "seconds",
      values: [0.25, 3, null],
    }],
    empty: "None.",
  };

  test("has its numbers in words, and what is not known is never 0", () => {
    expect([0, 1_204, null, undefined].map((value) => valueText(value))).toEqual([
      "0",
      "1,204",
      "not known",
      "not known",
    ]);
    expect([valueText(2.55, "seconds"), valueText(1_200, "ms")]).toEqual(["2.6 s", "1.2 s"]);
    expect(placeText(figures, 1)).toBe("13:01: Events not known, Lag 3 s");
    expect(placeText(figures, 2)).toBe("13:02: Events 1,204, Lag not known");
  });

  test("is walked through by keys, and never past its ends", () => {
    const go = (key: string, at: number) => placeAfter(key, { at, length: 30 });
    expect([go("ArrowRight", 3), go("ArrowLeft", 3), go("ArrowLeft", 0), go("ArrowDown", 29)]).toEqual([
      4,
      2,
      0,
      29,
    ]);
    expect([go("Home", 7), go("End", 7), go("PageDown", 25), go("PageUp", 25)]).toEqual([0, 29, 29, 15]);
    expect([go("a", 7), go("Tab", 7), go("toString", 7), placeAfter("End", { at: 0, length: 0 })])
      .toEqual([null, null, null, null]);
  });

  test("shows the newest of a time, the most of an order, the first of names while nobody points anywhere", () => {
    expect(placeAtRest(figures)).toBe(2);
    expect(placeAtRest({ ...figures, kind: "rows" })).toBe(0);
    expect(placeAtRest({ ...figures, kind: "bars", rest: "last" })).toBe(2);
    const bars = { ...figures, kind: "bars", series: [{ name: "", values: [3, 9, null] }] } as const;
    expect(placeAtRest(bars)).toBe(1);
    expect(placeAtRest({ ...figures, labels: [] })).toBe(0);
  });

  test("has a scale that holds every value, also where there is none", () => {
    const end = (...values: (number | null)[]) => scaleEnd([{ name: "", values }]);
    expect([end(), end(null), end(0, 0), end(1), end(7), end(1_204), end(0.5)]).toEqual([
      1,
      1,
      1,
      1,
      8,
      1_500,
      0.5,
    ]);
    for (const value of [3, 9.99, 10, 11, 99, 101, 6_001, 123_456_789]) {
      expect(end(value)).toBeGreaterThanOrEqual(value * 0.999);
    }
  });

  test("draws a bar for every amount, however small, and none for nothing", () => {
    const drawn = drawnValues({ kind: "bars", series: [{ name: "", values: [100_000, 1, 0, null] }] })[0]!;
    expect(drawn).toEqual([100_000, 1_200, 0, null]);
    expect(drawnValues({ ...figures })[0]).toEqual([0, null, 1_204]);
  });

  test("marks what no line leads to, so that it is seen", () => {
    expect(lonelyPlaces([1, null, 2, 3, null, 0])).toEqual([0, 5]);
    expect(lonelyPlaces([null, 4, null])).toEqual([1]);
    expect(lonelyPlaces([])).toEqual([]);
  });

  test("keeps as much room as it needs, within a bound", () => {
    const height = (length: number) => plotHeight({ kind: "rows", labels: Array(length).fill("x") });
    expect(height(10)).toBeGreaterThan(height(4));
    expect(height(1_000)).toBe(height(24));
    expect(plotHeight({ kind: "lines", labels: [] })).toBe(plotHeight(figures));
  });
});

describe("figures as charts", () => {
  test("the hour has a place for each minute, and a line for each group", () => {
    const { records, lag } = hourCharts(fullFigures());
    expect([records.labels.length, records.labels[0], records.labels.at(-1)]).toEqual([61, "13:00", "14:00"]);
    expect(records.series[0]!.values[20]).toBeNull();
    expect(lag.series.map(({ name }) => name)).toEqual(["dataset-writer", "discount-offers"]);
    expect(lag.series[0]!.values.slice(4, 7)).toEqual([null, 5, 6]);
  });

  test("the way from click to line has p50 and p99 in words, in no state a false one", () => {
    const { latency } = fullFigures();
    const note = (over: Partial<typeof latency>) =>
      latencyChart({ ...fullFigures(), latency: { ...latency, ...over } }).note;
    expect(note({})).toBe("p50 42 ms, p99 more than 1.0 s, of 100 lines in the last hour.");
    expect(note({ count: 1, p99Ms: 42 })).toBe("p50 42 ms, p99 42 ms, of 1 line in the last hour.");
    expect(note({ count: 0 })).toContain("there is no p50");
    expect(latencyChart({ ...fullFigures(), latency: { ...latency, count: 0 } }).labels).toEqual([]);
    expect(latencyChart(fullFigures()).labels).toEqual(["≤ 50 ms", "≤ 100 ms", "≤ 1.0 s", "> 1.0 s"]);
  });

  test("a day without lines between two others has none; many such days are left out, and it says so", () => {
    const [lines, placeholders] = datasetCharts(fullFigures());
    expect(lines!.labels).toEqual(["2025-12-29", "2025-12-30", "2025-12-31", "2026-01-01"]);
    expect(lines!.series[0]!.values).toEqual([4, 0, 1_200, 88]);
    expect(placeholders!.series.map(({ name, values }) => [name, ...values])).toEqual([
      ["EMAIL_ADDRESS", 3, 0, 900, 0],
      ["PHONE_NUMBER", 0, 0, 31, 0],
      ["PERSON", 0, 0, 0, 12],
    ]);
    const { days } = fullFigures();
    const sparse = datasetCharts({
      ...fullFigures(),
      days: [{ ...days[0]!, date: "2020-01-01" }, ...days.slice(1)],
    })[0]!;
    expect(sparse.labels).toEqual(["2020-01-01", "2025-12-31", "2026-01-01"]);
    expect(sparse.note).toContain("left out");
  });

  test("many kinds of placeholders are the most frequent and all others together", () => {
    const kinds = Array.from({ length: 9 }, (_, i) => [`KIND_${i}`, 9 - i] as const);
    const days = [
      { date: "2026-01-01", lines: 1, placeholders: Object.fromEntries(kinds) },
      { date: "2026-01-02", lines: 1, placeholders: {} },
    ];
    const { series } = datasetCharts({ ...fullFigures(), days })[1]!;
    expect(series).toHaveLength(SERIES_MAX);
    expect(series.at(-1)).toEqual({ name: "4 other kinds", values: [4 + 3 + 2 + 1, 0] });
    // Of one day alone they are bars.
    const alone = datasetCharts({ ...fullFigures(), days: days.slice(0, 1) })[1]!;
    expect([alone.kind, alone.labels.at(-1), alone.series[0]!.values]).toEqual(["rows", "4 other kinds", [
      9,
      8,
      7,
      6,
      5,
      10,
    ]]);
    expect(alone.note).toContain("all on 2026-01-01");
    expect(datasetCharts({ ...fullFigures(), days: [] })[1]!.labels).toEqual([]);
  });

  test("reasons and lengths are whole: what has no reason, what lies beyond the bound, what was not counted", () => {
    const [, , reasons, lengths] = datasetCharts(fullFigures());
    expect(reasons!.labels.slice(2)).toEqual(["none given", "all other reasons"]);
    expect(reasons!.series[0]!.values).toEqual([1_000, 200, 90, 2]);
    expect(reasons!.note).toContain("7 older lines are not among them");
    expect(lengths!.labels).toEqual(["≤ 64", "≤ 1,024", "> 1,024"]);
  });
});

describe("what the topic's page shows", () => {
  const partition = { partition: 3, nextOffset: 40, endOffset: 41, lag: 1, lagSeconds: 2.4 };
  const group = {
    group: "dataset-writer",
    topic: "posthog.webhooks",
    lag: 1,
    lagSeconds: 2.4,
    partitions: [partition],
  };
  const reader = { name: "dataset-writer", own: true, host: null, partitions: [3] };
  const rowOf = (over: object, consumers = [reader], complete = true) =>
    partitionRows({ ...group, partitions: [{ ...partition, ...over }] }, [{
      group: "dataset-writer",
      complete,
      consumers,
    }])[0]!;

  test("a partition has its offsets, its lag, and who reads it", () => {
    expect(rowOf({})).toMatchObject({
      next: "40",
      end: "41",
      lag: "1",
      seconds: "2 s",
      reader: "this processor (dataset-writer)",
      state: "records wait",
    });
    expect(rowOf({ nextOffset: null, lag: 0 })).toMatchObject({
      next: "none yet",
      state: "everything is read",
    });
    expect(
      rowOf({}, [{ ...reader, own: false, name: "pipeline-1", host: "/10.0.0.2" as string | null } as never]),
    )
      .toMatchObject({ reader: "another, at 10.0.0.2", detail: "pipeline-1 at /10.0.0.2" });
  });

  test("what nobody knows is not told: readers, and the end of a partition without a leader", () => {
    expect(rowOf({}, []).reader).toBe("nobody now");
    expect(rowOf({}, [], false).reader).toBe("not known");
    expect(partitionRows(group, null)[0]!.reader).toBe("not known");
    expect(rowOf({ noLeader: true, lag: 0 })).toMatchObject({
      end: "not known",
      lag: "not known",
      seconds: "not known",
      tone: "bad",
    });
    expect(rowOf({ standing: { offset: 40, reason: "unknown codec" } })).toMatchObject({
      tone: "bad",
      state: "stands at p3 @ 40: unknown codec",
    });
    expect(rowOf({ openTransactionAt: 40 }).tone).toBe("warn");
  });

  test("of a thousand partitions a hundred are shown, first those that do not flow", () => {
    const partitions = Array.from({ length: 1_000 }, (_, number) => ({
      ...partition,
      partition: number,
      lag: number === 998 ? 4 : 0,
      ...(number === 999 ? { standing: { offset: 1, reason: "unknown codec" } } : {}),
    }));
    const { shown, left } = rowsShown(partitionRows({ ...group, partitions }, null));
    expect([shown.length, left]).toEqual([ROWS_MAX, 900]);
    expect(shown.slice(0, 4).map((row) => row.partition)).toEqual([999, 998, 0, 1]);
  });

  test("what was said before stays, marked as old; web's own silence makes all of it old", () => {
    const seen = { ingest: "2026-01-01T11:59:00.000Z", processor: "2026-01-01T11:59:47.000Z" };
    const spool = { published: 7, spooled: 0, bytes: 0, refused: 0, ends: null };
    const all: TopicAnswer = { groups: [group], consumers: [], figures: fullFigures(), ingest: spool, seen };
    const first = shownAfter(null, all);
    expect(first.isNow).toEqual({ groups: true, consumers: true, figures: true, ingest: true });
    const away = shownAfter(first, { groups: null, consumers: null, figures: null, ingest: spool, seen });
    expect(away.answer.groups).toEqual([group]);
    expect(away.isNow).toEqual({ groups: false, consumers: false, figures: false, ingest: true });
    const noWeb = shownAfter(away, null);
    expect([noWeb.answer, noWeb.isNow.ingest]).toEqual([away.answer, false]);
    expect(shownAfter(null, null).answer.groups).toBeNull();
    const since = { name: "The processor", at: seen.processor, now: NOW };
    expect(oldWords(true, since)).toBeNull();
    expect(oldWords(false, since)).toBe("The processor does not answer this page, last seen 13 s ago.");
    expect(oldWords(false, { ...since, tellsMore: true })).toBe("The processor does not tell this now.");
    expect(oldWords(true, { ...since, webSeenAt: seen.ingest })).toBe(
      "Web does not answer, last seen 1 min ago.",
    );
  });

  test("the spool is what ingest says of it, and nothing else", () => {
    const texts = spoolRows({ published: null, spooled: 1, bytes: 512, refused: 2, ends: null });
    expect(texts.map(({ text }) => text)).toEqual(["1 record, 512 B of files", "2 records", "not known"]);
    expect(texts.map(({ warns }) => warns)).toEqual([true, true, false]);
  });
});
