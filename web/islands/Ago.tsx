import { useEffect } from "preact/hooks";
import { now, startClock } from "../browser/now.ts";
import { ago } from "../core/format.ts";

/** A relative time that stays true; the exact one is in its title. `at`: ISO 8601. */
export default function Ago({ at }: { at: string }) {
  useEffect(startClock, []);
  return <time dateTime={at} title={at}>{ago(at, now())}</time>;
}
