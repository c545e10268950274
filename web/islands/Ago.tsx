import { useEffect } from "preact/hooks";
import { now, startClock, zone } from "../browser/now.ts";
import { ago, clockTime, exactTime } from "../core/format.ts";

/** A relative time that stays true; the exact one is in its title, `withClock` before it too. `at`: ISO 8601. */
export default function Ago({ at, withClock = false }: { at: string; withClock?: boolean }) {
  useEffect(startClock, []);
  return (
    <time dateTime={at} title={exactTime(at, zone.value)}>
      {withClock && (
        <>
          <span class="mono">{clockTime(at, zone.value)}</span>
          {" · "}
        </>
      )}
      {ago(at, now())}
    </time>
  );
}
