import type { Figures } from "../../contract/processor_api.ts";
import DatasetCharts from "../islands/DatasetCharts.tsx";

/** What the dataset's lines are like, as charts above the list of its files; nothing where nobody tells, or no line is there. */
export function DatasetFigures({ figures }: { figures: Figures | null }) {
  if (figures === null || figures.days.length === 0) return null;
  return (
    <section aria-labelledby="figures-title">
      <h2 id="figures-title">What its lines are like</h2>
      <DatasetCharts initial={figures} />
    </section>
  );
}
