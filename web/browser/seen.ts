/** When the page is seen again, and since when what it shows may be old. */
import { services, webSeenAt } from "./feed.ts";

/** Calls `look` when its tab comes to the front, and when the way back leads to the page; returns how to stop. */
export function onSeen(look: () => void): () => void {
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

/** When the processor was last heard, ISO 8601, where it is away or web is; null: not known. Undefined while it answers. */
export function processorGoneSince(): string | null | undefined {
  if (webSeenAt.value !== undefined) return webSeenAt.value;
  const known = services.value;
  return known?.processor.state === "away" ? known.seen?.processor ?? null : undefined;
}
