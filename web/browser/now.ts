import { signal } from "@preact/signals";
import { IS_BROWSER } from "fresh/runtime";

/** The browser's clock, once a second while the page is visible; every relative time on the page reads it. */
const ticks = signal(Date.now());

/** IANA name of the time zone that exact times are written in: UTC as the server writes them, then the browser's own. */
export const zone = signal("UTC");

/** Milliseconds since 1970; on the server the moment itself. */
export function now(): number {
  return IS_BROWSER ? ticks.value : Date.now();
}

/** Reads the clock now, so that what just came in is not measured by the last second's time. */
export function tick(): void {
  ticks.value = Date.now();
}

let ticking = false;

/** Starts the clock of this page, in the zone of whoever reads it; later calls do nothing. */
export function startClock(): void {
  if (ticking) return;
  ticking = true;
  zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  setInterval(() => {
    if (!document.hidden) tick();
  }, 1_000);
  onSeenAgain(tick);
}

/** Calls `look` when somebody sees the page again: its tab came to the front, or the way back led to it. Returns how to stop. */
export function onSeenAgain(look: () => void): () => void {
  const onVisible = () => {
    if (!document.hidden) look();
  };
  const onShow = ({ persisted }: PageTransitionEvent) => {
    if (persisted) look();
  };
  document.addEventListener("visibilitychange", onVisible);
  addEventListener("pageshow", onShow);
  return () => {
    document.removeEventListener("visibilitychange", onVisible);
    removeEventListener("pageshow", onShow);
  };
}
