import { zone } from "../browser/now.ts";
import { withExactTimes } from "../core/format.ts";
import { legOf, stopsOf } from "../core/event_path.ts";
import type { EventRow } from "../core/trace.ts";

/** Whether it is there is another thing: while the processor is away nobody can tell. */
const AWAITED = "not told of yet";

/**
 * The way of one event: a stop for each place it passes, with the measured time between them. `lit`: stations that its
 * journey has lit so far, see `web/browser/journey.ts`; null: no journey, everything is as bright as it is.
 */
export function EventPath({ row, lit }: { row: EventRow; lit: number | null }) {
  const stops = stopsOf(row);
  return (
    <ol class="path">
      {stops.map((stop, i) => (
        <li
          key={i}
          class={`stop ${stop.state}${lightOf(stop.station, lit)}`}
          title={withExactTimes(stop.title ?? stop.at ?? AWAITED, zone.value)}
        >
          {i > 0 && <span class="leg">{legOf(stops[i - 1]!, stop)}</span>}
          <span class="place">{stop.label}</span>
          {stop.state === "awaited" && <span class="hidden">{AWAITED}</span>}
        </li>
      ))}
    </ol>
  );
}

function lightOf(station: number, lit: number | null): string {
  if (lit === null) return "";
  return station < lit ? " lit" : " unlit";
}
