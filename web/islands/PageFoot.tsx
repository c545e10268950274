import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { now, startClock, zone } from "../browser/now.ts";
import { utcOffset } from "../core/format.ts";

/** As static/scheme.js reads it before a page is painted. */
const KEY = "colours";
const COLOURS = ["system", "light", "dark"] as const;
type Colours = (typeof COLOURS)[number];

/** The foot of every page: which time zone its exact times are in, and a switch of colours, which needs script. */
export default function PageFoot() {
  const colours = useSignal<Colours | null>(null);
  useEffect(() => {
    startClock();
    colours.value = kept();
    // Somebody has switched in another tab.
    const follow = ({ key }: StorageEvent) => {
      if (key === KEY || key === null) show(colours.value = kept());
    };
    addEventListener("storage", follow);
    return () => removeEventListener("storage", follow);
  }, []);
  const choose = (chosen: Colours) => {
    colours.value = chosen;
    show(chosen);
    keep(chosen);
  };
  const offset = utcOffset(new Date(now()).toISOString(), zone.value);
  return (
    <>
      <p>Times in {zone.value === offset ? offset : `${zone.value} (${offset})`}</p>
      {colours.value !== null && (
        <p class="colours">
          <label for="colours">Colours</label>
          <select
            id="colours"
            value={colours.value}
            onChange={(event) => choose(event.currentTarget.value as Colours)}
          >
            {COLOURS.map((name) => <option key={name} value={name}>{name}</option>)}
          </select>
        </p>
      )}
    </>
  );
}

function kept(): Colours {
  try {
    return COLOURS.find((name) => name === localStorage.getItem(KEY)) ?? "system";
  } catch {
    return "system";
  }
}

function keep(chosen: Colours): void {
  try {
    if (chosen === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, chosen);
  } catch {
    // No storage: chosen for this page alone.
  }
}

function show(chosen: Colours): void {
  const { dataset } = document.documentElement;
  if (chosen === "system") delete dataset.theme;
  else dataset.theme = chosen;
}
