/** The processor's figures as charts. Pure. */
import type { Figures } from "../../contract/processor_api.ts";
import { type ChartFigures, SERIES_MAX } from "./chart.ts";
import { count, duration, plural } from "./format.ts";

type Days = Figures["days"];

/** Days of a chart; with more between the first and the last, those without lines are left out. */
const DAYS_MAX = 90;

/** Records and lag of the last hour. */
export function hourCharts({ minutes }: Figures): { records: ChartFigures; lag: ChartFigures } {
  const groups = [...new Set(minutes.flatMap(({ lagSeconds }) => Object.keys(lagSeconds)))].sort().slice(
    0,
    SERIES_MAX,
  );
  const hour = {
    kind: "lines",
    labelName: "Minute (UTC)",
    labels: minutes.map(({ at }) => at.slice(11, 16)),
    anchor: Math.max(0, minutes.findIndex(({ at }) => at.slice(14, 16) === "00")),
    empty: "Nothing is known of the last hour yet.",
  } as const;
  return {
    records: {
      ...hour,
      caption: "Events a minute",
      note: "By received time, UTC. The last minute is not over yet.",
      series: [{ name: "Events", values: minutes.map(({ records }) => records) }],
    },
    lag: {
      ...hour,
      caption: "Lag in seconds",
      note: "Age of the oldest record that waited: each minute’s most, UTC.",
      series: groups.map((group) => ({
        name: group,
        unit: "seconds",
        values: minutes.map(({ lagSeconds }) => lagSeconds[group] ?? null),
      })),
    },
  };
}

/** How long events of the last hour took from the click to their line. */
export function latencyChart({ latency }: Figures): ChartFigures {
  const { buckets } = latency;
  return {
    caption: "From click to line",
    note: latencyText(latency),
    kind: "bars",
    labelName: "Took",
    labels: latency.count === 0
      ? []
      : buckets.map(({ upToMs }, i) =>
        upToMs === null ? `> ${duration(buckets[i - 1]?.upToMs ?? 0)}` : `≤ ${duration(upToMs)}`
      ),
    series: [{ name: "Lines", values: buckets.map(({ count }) => count) }],
    empty: "No line was written in the last hour.",
  };
}

/** Half of the lines were there within p50, all but one in a hundred within p99. */
export function latencyText({ count: lines, p50Ms, p99Ms, buckets }: Figures["latency"]): string {
  if (lines === 0) return "No line was written in the last hour: there is no p50 and no p99.";
  const last = buckets.findLast(({ upToMs }) => upToMs !== null)?.upToMs ?? 0;
  const text = (ms: number | null) => ms === null ? `more than ${duration(last)}` : duration(ms);
  return `p50 ${text(p50Ms)}, p99 ${text(p99Ms)}, of ${count(lines)} ${
    plural(lines, "line")
  } in the last hour.`;
}

/** What the dataset's lines are like: by day, by reason, by length. */
export function datasetCharts(figures: Figures): ChartFigures[] {
  const { days: some, uncounted } = figures;
  const days = withEmptyDays(some);
  const left = days.length === some.length && some.length > 1 ? " Days without lines are left out." : "";
  const byDay = { labelName: "Day (UTC)", labels: days.map(({ date }) => date), empty: "No line yet." };
  const missing = uncounted === 0
    ? ""
    : ` ${count(uncounted)} older ${plural(uncounted, "line")} are not among them.`;
  return [
    {
      ...byDay,
      caption: "Lines by day",
      note: `By the events’ own time.${left}`,
      kind: "bars",
      rest: "last",
      series: [{ name: "Lines", values: days.map(({ lines }) => lines) }],
    },
    placeholderChart(days, { byDay, left }),
    {
      caption: "Lines by failure reason",
      note: `The most frequent first.${missing}`,
      kind: "rows",
      labelName: "Reason",
      empty: "No line yet.",
      ...reasonRows(figures),
    },
    {
      caption: "Prompt length",
      note: `In UTF-16 units, as the line has it.${missing}`,
      kind: "bars",
      labelName: "Length",
      ...lengthBars(figures),
      empty: "No line yet.",
    },
  ];
}

function reasonRows({ reasons, otherReasons }: Figures): Pick<ChartFigures, "labels" | "series"> {
  const rows = [
    ...reasons.map(({ reason, lines }) => ({ label: reason ?? "none given", lines })),
    ...(otherReasons > 0 ? [{ label: "all other reasons", lines: otherReasons }] : []),
  ];
  return {
    labels: rows.map(({ label }) => label),
    series: [{ name: "Lines", values: rows.map(({ lines }) => lines) }],
  };
}

function lengthBars({ promptLengths }: Figures): Pick<ChartFigures, "labels" | "series"> {
  const isEmpty = promptLengths.every(({ lines }) => lines === 0);
  return {
    labels: isEmpty
      ? []
      : promptLengths.map(({ upTo }, i) =>
        upTo === null ? `> ${count(promptLengths[i - 1]?.upTo ?? 0)}` : `≤ ${count(upTo)}`
      ),
    series: [{ name: "Lines", values: promptLengths.map(({ lines }) => lines) }],
  };
}

/** A day alone has no line to draw: its kinds then are bars beside each other. */
function placeholderChart(
  days: Days,
  { byDay, left }: { byDay: Pick<ChartFigures, "labelName" | "labels" | "empty">; left: string },
): ChartFigures {
  const caption = "Placeholders by day";
  const series = placeholderSeries(days);
  const note = "What the sanitiser put in place of personal data";
  if (days.length !== 1) return { ...byDay, caption, note: `${note}.${left}`, kind: "lines", series };
  return {
    caption,
    note: `${note}: all on ${days[0]!.date}.`,
    kind: "rows",
    labelName: "Kind",
    labels: series.map(({ name }) => name),
    series: [{ name: "Placeholders", values: series.map(({ values }) => values[0]!) }],
    empty: byDay.empty,
  };
}

/** The most frequent kinds, and all others together. */
function placeholderSeries(days: Days): ChartFigures["series"] {
  const totals = new Map<string, number>();
  for (const { placeholders } of days) {
    for (const [kind, times] of Object.entries(placeholders)) {
      totals.set(kind, (totals.get(kind) ?? 0) + times);
    }
  }
  const kinds = [...totals].filter(([, times]) => times > 0).sort(([a, x], [b, y]) =>
    y - x || (a < b ? -1 : 1)
  )
    .map(([kind]) => kind);
  if (kinds.length === 0) return [{ name: "Placeholders", values: days.map(() => 0) }];
  const own = kinds.length <= SERIES_MAX ? kinds : kinds.slice(0, SERIES_MAX - 1);
  const others = kinds.slice(own.length);
  const of = (some: readonly string[]) =>
    days.map(({ placeholders }) => some.reduce((sum, kind) => sum + (placeholders[kind] ?? 0), 0));
  return [
    ...own.map((kind) => ({ name: kind, values: of([kind]) })),
    ...(others.length > 0 ? [{ name: `${others.length} other kinds`, values: of(others) }] : []),
  ];
}

/** A day between two others that has no line has none of anything; too many of them would hide those that have. */
function withEmptyDays(days: Days): Days {
  const [first, last] = [days[0], days.at(-1)];
  if (!first || !last) return days;
  const dayMs = 86_400_000;
  const from = Date.parse(first.date);
  const length = Math.round((Date.parse(last.date) - from) / dayMs) + 1;
  if (!(length <= DAYS_MAX)) return days;
  const known = new Map(days.map((day) => [day.date, day]));
  return Array.from({ length }, (_, i) => new Date(from + i * dayMs).toISOString().slice(0, 10))
    .map((date) => known.get(date) ?? { date, lines: 0, placeholders: {} });
}
