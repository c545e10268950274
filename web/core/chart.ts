/** What a chart shows, and its numbers in words. Pure. */
import { count, duration } from "./format.ts";

/** What a number of a series is; null is nothing known, never 0. */
export type Unit = "count" | "seconds" | "ms";

export type ChartSeries = {
  readonly name: string;
  readonly values: readonly (number | null)[];
  readonly unit?: Unit;
};

/** Figures side by side: each series has one value for each label. All of it is plain data, so that it may be an island's. */
export type ChartFigures = {
  readonly caption: string;
  /** What its figures are, or since when they are not known: one short sentence. */
  readonly note?: string;
  /** Since when the figures may have changed, in words: the chart turns grey and says so in place of its note. */
  readonly stale?: string | null;
  /** `lines` over time, `bars` in an order of their own, `rows` for names: bars from left to right. */
  readonly kind: "lines" | "bars" | "rows";
  /** Which place is shown while nobody points anywhere; default: the last of `lines`, the most of `bars`, the first of `rows`. */
  readonly rest?: "first" | "last" | "most";
  /** A place that has a label on the axis wherever there is room; default: the first. */
  readonly anchor?: number;
  /** What the labels are, as the table's first head: `Minute (UTC)`. */
  readonly labelName: string;
  readonly labels: readonly string[];
  readonly series: readonly ChartSeries[];
  /** What stands there while there are no labels. */
  readonly empty: string;
};

/** Series that can be told apart by their lines; more are no chart. */
export const SERIES_MAX = 6;

/** How each series' line is drawn, in px on and off: never by colour alone. */
export const DASHES: readonly (readonly number[])[] = [[], [6, 4], [2, 3], [10, 3, 2, 3], [12, 5], [
  4,
  2,
  1,
  2,
]];

const UNKNOWN = "not known";

/** A value as text and table have it. */
export function valueText(value: number | null | undefined, unit: Unit = "count"): string {
  if (value === null || value === undefined) return UNKNOWN;
  if (unit === "ms") return duration(value);
  if (unit === "seconds") return `${count(Math.round(value * 10) / 10)} s`;
  return count(value);
}

/** One place of the chart in words, as it is read out. */
export function placeText({ labels, series }: ChartFigures, at: number): string {
  const values = series.map(({ name, values, unit }) => `${name} ${valueText(values[at], unit)}`);
  return `${labels[at] ?? ""}: ${values.join(", ")}`;
}

/** Where a key leads from one of `length` places; null where it is no key of the chart. */
export function placeAfter(key: string, { at, length }: { at: number; length: number }): number | null {
  const steps: Record<string, number> = {
    ArrowRight: 1,
    ArrowDown: 1,
    ArrowLeft: -1,
    ArrowUp: -1,
    PageDown: 10,
    PageUp: -10,
    Home: -Infinity,
    End: Infinity,
  };
  const step = Object.hasOwn(steps, key) ? steps[key]! : null;
  return step === null || length === 0 ? null : Math.min(length - 1, Math.max(0, at + step));
}

/** Whose numbers are shown while nobody points anywhere. */
export function placeAtRest(
  { kind, labels, series, rest = REST[kind] }: Pick<ChartFigures, "kind" | "labels" | "series" | "rest">,
): number {
  if (rest === "last") return Math.max(0, labels.length - 1);
  const values = rest === "most" ? series[0]?.values.map((value) => value ?? 0) ?? [] : [];
  return Math.max(0, values.indexOf(Math.max(0, ...values)));
}

const REST = { lines: "last", bars: "most", rows: "first" } as const;

/** Places of a line whose neighbours are not known: no line leads there, so that only a point shows them. */
export function lonelyPlaces(values: readonly (number | null | undefined)[]): number[] {
  return values.flatMap((value, i) =>
    value != null && values[i - 1] == null && values[i + 1] == null ? [i] : []
  );
}

/** Height in px: fixed before anything is drawn, so that nothing moves. */
export function plotHeight({ kind, labels }: Pick<ChartFigures, "kind" | "labels">): number {
  return kind === "rows" ? Math.min(ROWS_PX_MAX, 44 + ROW_PX * Math.max(3, labels.length)) : PLOT_PX;
}

const PLOT_PX = 200;
const ROW_PX = 26;
const ROWS_PX_MAX = 44 + ROW_PX * 24;

/** What is drawn: a bar of something is seen, however small it is beside the others. Its numbers stay what they are. */
export function drawnValues({ kind, series }: Pick<ChartFigures, "kind" | "series">): (number | null)[][] {
  const least = kind === "lines" ? 0 : scaleEnd(series) * BAR_SEEN;
  return series.map(({ values }) => values.map((value) => value && Math.max(value, least)));
}

/** Share of the scale. */
const BAR_SEEN = 0.012;

/** Upper end of the scale: a round number that is not below any value; 1 where there is none above 0. */
export function scaleEnd(series: readonly ChartSeries[]): number {
  const most = Math.max(0, ...series.flatMap(({ values }) => values.filter((value) => value !== null)));
  if (most === 0) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((end) => end >= most * 0.999)!;
}

/** The same figures, grey, where they may have changed since. */
export function staleChart(figures: ChartFigures, stale: string | null): ChartFigures {
  return { ...figures, stale };
}
