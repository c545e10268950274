import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { DrawnChart } from "../browser/draw_chart.ts";
import {
  type ChartFigures,
  DASHES,
  placeAfter,
  placeAtRest,
  placeText,
  plotHeight,
  valueText,
} from "../core/chart.ts";

/**
 * A figure with its caption, its numbers and a table of the same: whole without script. With it the plot is drawn into a
 * place that is kept for it, and its numbers follow pointer and keyboard.
 */
export default function Chart(figures: ChartFigures) {
  const { caption, note, stale = null, kind, labels, series } = figures;
  const box = useRef<HTMLDivElement>(null);
  const drawn = useRef<DrawnChart | null>(null);
  const newest = useRef(figures);
  newest.current = figures;
  const place = useSignal<number | null>(null);
  // Islands are roots of their own in the browser: an id that preact counts is not one on the page.
  const id = `chart-${caption.toLowerCase().replace(/[^a-z0-9]+/g, "-")}`;
  const isEmpty = labels.length === 0;
  const shape = `${kind} ${series.length}`;

  useEffect(() => {
    if (isEmpty) return;
    let isGone = false;
    import("../browser/draw_chart.ts").then(({ drawChart }) => {
      if (isGone || box.current === null) return;
      drawn.current = drawChart(box.current, newest.current, { pointed: (at) => place.value = at });
      box.current.dataset.drawn = "";
    }, reportError);
    return () => {
      isGone = true;
      drawn.current?.stop();
      drawn.current = null;
    };
  }, [isEmpty, shape]);
  useEffect(() => drawn.current?.show(figures), [JSON.stringify([labels, series])]);

  const at = Math.min(place.value ?? placeAtRest(figures), Math.max(0, labels.length - 1));
  const go = (to: number | null) => {
    place.value = to;
    drawn.current?.mark(to);
  };
  return (
    <figure
      class={stale === null ? "chart" : "chart stale"}
      aria-labelledby={`${id}-caption`}
      data-since={stale ?? undefined}
    >
      <figcaption>
        <strong id={`${id}-caption`}>{caption}</strong>
        <span class="note">{stale ?? note ?? ""}</span>
      </figcaption>
      {isEmpty
        ? (
          <div class="chart-plot empty-plot">
            <Space figures={figures} />
            <p class="quiet">{figures.empty}</p>
          </div>
        )
        : (
          <>
            <div
              class="chart-plot"
              role="slider"
              tabIndex={0}
              aria-label={`${caption}: one place at a time`}
              aria-orientation={kind === "rows" ? "vertical" : "horizontal"}
              aria-valuemin={0}
              aria-valuemax={labels.length - 1}
              aria-valuenow={at}
              aria-valuetext={placeText(figures, at)}
              onKeyDown={(event) => {
                const to = placeAfter(event.key, { at, length: labels.length });
                if (to === null) return;
                event.preventDefault();
                go(to);
              }}
              onBlur={() => go(null)}
            >
              <Space figures={figures} />
              <div ref={box} class="chart-box" />
            </div>
            <div class="chart-read" aria-hidden="true">
              <span class="chart-label" dir="auto" title={labels[at]}>{labels[at]}</span>
              <ul>
                {series.map(({ name, values, unit }, i) => (
                  <li key={name} title={name}>
                    <Sign {...{ kind, i }} />
                    <span class="chart-name">{name}</span>
                    <span class="mono">{valueText(values[at], unit)}</span>
                  </li>
                ))}
              </ul>
            </div>
            <Table {...figures} />
          </>
        )}
    </figure>
  );
}

/** Keeps the plot's height; an attribute of SVG needs no style, which the page's policy would refuse. */
function Space({ figures }: { figures: ChartFigures }) {
  return <svg class="chart-space" width="1" height={plotHeight(figures)} aria-hidden="true" />;
}

function Sign({ kind, i }: { kind: ChartFigures["kind"]; i: number }) {
  return (
    <svg
      class={`chart-sign chart-sign-${i + 1}`}
      width="28"
      height="10"
      viewBox="0 0 28 10"
      aria-hidden="true"
    >
      {kind === "lines"
        ? <path d="M0 5H28" stroke-width="2" stroke-dasharray={DASHES[i]?.join(" ") || undefined} />
        : <path d="M9 0H19V10H9Z" class="full" />}
    </svg>
  );
}

function Table({ caption, labelName, labels, series }: ChartFigures) {
  return (
    <details class="chart-table">
      <summary>The same as a table</summary>
      <div class="scroll" tabIndex={0} role="region" aria-label={`${caption}, as a table`}>
        <table>
          <caption>{caption}</caption>
          <thead>
            <tr>
              <th scope="col">{labelName}</th>
              {series.map(({ name }) => <th key={name} scope="col" class="right">{name}</th>)}
            </tr>
          </thead>
          <tbody>
            {labels.map((label, at) => (
              <tr key={label}>
                <th scope="row" dir="auto">{label}</th>
                {series.map(({ name, values, unit }) => (
                  <td key={name} class="mono right">{valueText(values[at], unit)}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
