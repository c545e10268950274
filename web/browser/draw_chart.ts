/** Draws a chart's plot with uPlot, in the page's own colours. Loaded by pages that have a chart, after they were painted. */
import uPlot from "uplot";
import { type ChartFigures, DASHES, drawnValues, lonelyPlaces, scaleEnd, valueText } from "../core/chart.ts";

export type DrawnChart = {
  /** Other figures of the same kind, with the same number of series. */
  show(figures: ChartFigures): void;
  /** Marks a place; null marks none. */
  mark(place: number | null): void;
  stop(): void;
};

/** Steps between two marks of a scale, for what comes in whole numbers and for what does not. */
const WHOLE = [1, 2, 5].flatMap((step) => Array.from({ length: 12 }, (_, i) => step * 10 ** i)).sort((a, b) =>
  a - b
);
const PARTS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, ...WHOLE];
const TICK_PX = 6;

/** Draws into `box`, which has a size; `pointed` hears which place the pointer is at, null where it has left. */
export function drawChart(
  box: HTMLElement,
  first: ChartFigures,
  { pointed }: { pointed: (place: number | null) => void },
): DrawnChart {
  let figures = first;
  const { kind } = first;
  const isRows = kind === "rows";
  let marking = false;
  // Colours as the browser has worked them out, whatever the stylesheet made them of; asked anew at each drawing.
  const ink = () => getComputedStyle(box).color;
  const line = () => getComputedStyle(box).borderTopColor;
  const colourOf = (i: number) => () => {
    const sign = box.closest("figure")?.querySelector(`.chart-sign-${i + 1}`);
    return sign ? getComputedStyle(sign).color : ink();
  };
  const fontPx = () => parseFloat(getComputedStyle(box).fontSize) || 13;
  // One of its own: the plot's canvas has another font while its first sizes are worked out, and the second drawing moved it.
  const ruler = document.createElement("canvas").getContext("2d")!;
  const font = () => `${fontPx()}px ${getComputedStyle(box).fontFamily}`;
  const unit = first.series[0]?.unit;
  const labelAt = (place: number) => Number.isInteger(place) ? figures.labels[place] ?? "" : "";
  const widthOf = (text: string) => {
    ruler.font = font();
    return ruler.measureText(text).width;
  };
  const shortLabel = (text: string) => {
    const pxMax = isRows ? box.clientWidth * 0.4 : Infinity;
    if (widthOf(text) <= pxMax) return text;
    let end = text.length;
    while (end > 1 && widthOf(`${text.slice(0, end)}…`) > pxMax) end--;
    return `${text.slice(0, end)}…`;
  };

  const places: uPlot.Axis = {
    side: isRows ? 3 : 2,
    incrs: isRows ? [1] : [1, 2, 5, 10, 15, 30, 60],
    space: isRows ? 1 : () => 20 + widthOf(figures.labels.reduce((a, b) => b.length > a.length ? b : a, "")),
    splits: (_, _axis, first, last, step) => {
      const from = figures.anchor ?? 0;
      const at = (i: number) => from + i * step;
      const [low, high] = [Math.ceil((first - from) / step), Math.floor((last - from) / step)];
      return Array.from({ length: Math.max(0, high - low + 1) }, (_, i) => at(low + i));
    },
    values: (_, splits) => splits.map((split) => shortLabel(labelAt(split))),
    grid: { show: false },
    ticks: { show: false },
  };
  const amounts: uPlot.Axis = {
    side: isRows ? 2 : 3,
    incrs: unit === undefined || unit === "count" ? WHOLE : PARTS,
    space: isRows ? 70 : 36,
    values: (_, splits) => splits.map((split) => valueText(split, unit)),
    grid: { stroke: line, width: 1 },
    ticks: { show: false },
  };
  const axis: uPlot.Axis = {
    stroke: ink,
    gap: TICK_PX,
    font: font(),
    size: (plot, values, index) => {
      if (plot.axes[index]!.side !== 3) return fontPx() + 2 * TICK_PX;
      return Math.ceil(Math.max(0, ...(values ?? []).map((text) => widthOf(text)))) + 2 * TICK_PX;
    },
  };
  const plot = new uPlot(
    {
      width: box.clientWidth,
      height: box.clientHeight,
      // The last label is centred below the last place.
      padding: [
        TICK_PX,
        () => isRows ? 28 : kind === "bars" ? TICK_PX : 4 + widthOf(figures.labels.at(-1) ?? "") / 2,
        0,
        0,
      ],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: kind === "lines", size: 7 } },
      scales: {
        x: {
          time: false,
          ...(isRows ? { ori: 1, dir: -1 } : {}),
          range: () => {
            const end = figures.labels.length - 1;
            return kind === "lines" && end > 0 ? [0, end] : [-0.5, end + 0.5];
          },
        },
        y: { ...(isRows ? { ori: 0 } : {}), range: () => [0, scaleEnd(figures.series)] },
      },
      axes: [{ ...axis, ...places }, { ...axis, ...amounts }],
      series: [
        {},
        ...first.series.map((_, i): uPlot.Series => ({
          stroke: colourOf(i),
          width: kind === "lines" ? 2 : 0,
          ...(kind === "lines"
            ? {
              dash: [...DASHES[i]!],
              points: {
                size: 6,
                fill: colourOf(i),
                filter: (plot, series, all) =>
                  all ? null : lonelyPlaces(plot.data[series] as (number | null)[]),
              },
            }
            : {
              fill: colourOf(i),
              points: { show: false },
              paths: uPlot.paths.bars!({ size: [0.66, isRows ? 16 : 48] }),
            }),
        })),
      ],
      hooks: {
        setCursor: [({ cursor: { idx, left } }) => {
          if (!marking) pointed((left ?? -1) < 0 ? null : idx ?? null);
        }],
      },
    },
    dataOf(first),
    box,
  );

  const redraw = () => plot.redraw();
  const resized = new ResizeObserver(() => {
    if (box.clientWidth > 0) plot.setSize({ width: box.clientWidth, height: box.clientHeight });
  });
  resized.observe(box);
  // Both may change while the page is open: what the system says, and what somebody has chosen on the page.
  const schemes = ["(prefers-color-scheme: dark)", "(forced-colors: active)"].map((query) =>
    matchMedia(query)
  );
  for (const scheme of schemes) scheme.addEventListener("change", redraw);
  const chosen = new MutationObserver(redraw);
  chosen.observe(document.documentElement, { attributes: true });
  // uPlot hears a mouse only.
  const touched = ({ pointerType, clientX, clientY }: PointerEvent) => {
    if (pointerType === "mouse") return;
    const { left, top } = plot.over.getBoundingClientRect();
    plot.setCursor({ left: clientX - left, top: clientY - top });
  };
  for (const type of ["pointerdown", "pointermove"] as const) plot.over.addEventListener(type, touched);

  return {
    show(next) {
      figures = next;
      plot.setData(dataOf(next));
    },
    mark(place) {
      marking = true;
      const at = place === null ? -10 : plot.valToPos(place, "x");
      plot.setCursor(
        isRows ? { left: place === null ? -10 : 0, top: at } : { left: at, top: place === null ? -10 : 0 },
      );
      marking = false;
    },
    stop() {
      resized.disconnect();
      chosen.disconnect();
      for (const scheme of schemes) scheme.removeEventListener("change", redraw);
      plot.destroy();
    },
  };
}

function dataOf(figures: ChartFigures): uPlot.AlignedData {
  return [figures.labels.map((_, place) => place), ...drawnValues(figures)];
}
