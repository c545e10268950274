import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { Figures } from "../../contract/processor_api.ts";
import { onWritten } from "../browser/changes.ts";
import { getJson, services, webSeenAt } from "../browser/feed.ts";
import { now, startClock } from "../browser/now.ts";
import { staleChart } from "../core/chart.ts";
import { datasetCharts } from "../core/figures.ts";
import { staleWords } from "../core/stations.ts";
import Chart from "./Chart.tsx";

/** The dataset's charts; they look again after lines were written. */
export default function DatasetCharts({ initial }: { initial: Figures }) {
  const figures = useSignal(initial);
  useEffect(() => {
    startClock();
    return onWritten(async () => {
      figures.value = await getJson<Figures>("/api/figures") ?? figures.value;
    });
  }, []);
  const browser = { sent: 0, connection: "live", now: now(), webSeenAt: webSeenAt.value } as const;
  const old = staleWords(services.value, browser);
  return (
    <div class="charts">
      {datasetCharts(figures.value).map((chart) => <Chart key={chart.caption} {...staleChart(chart, old)} />)}
    </div>
  );
}
