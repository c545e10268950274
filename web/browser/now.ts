import { signal } from "@preact/signals";
import { IS_BROWSER } from "fresh/runtime";

/** The browser's clock, once a second while the page is visible; every relative time on the page reads it. */
const ticks = signal(Date.now());

/** Milliseconds since 1970; on the server the moment itself. */
export function now(): number {
  return IS_BROWSER ? ticks.value : Date.now();
}

/** Reads the clock now, so that what just came in is not measured by the last second's time. */
export function tick(): void {
  ticks.value = Date.now();
}

let ticking = false;

/** Starts the clock of this page; later calls do nothing. */
export function startClock(): void {
  if (ticking) return;
  ticking = true;
  const tickIfSeen = () => {
    if (!document.hidden) tick();
  };
  setInterval(tickIfSeen, 1_000);
  document.addEventListener("visibilitychange", tickIfSeen);
}
