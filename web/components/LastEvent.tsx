import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { trace } from "../browser/feed.ts";
import { journey } from "../browser/journey.ts";
import { isSlow } from "../browser/slow.ts";
import { EventBody } from "./TraceRows.tsx";

/** As in the style sheet: from here on the list stands beside the panel, and shows the same. */
const ONE_COLUMN = "(max-width: 860px)";

/**
 * On a phone the list is far below the button: what became of the click stands right under it, and grows. Shown where the
 * newest event of this browser is one of `of`.
 */
export function LastEvent({ of }: { of: readonly string[] }) {
  const isNarrow = useSignal(false);
  const box = useRef<HTMLElement>(null);
  useEffect(() => {
    const query = matchMedia(ONE_COLUMN);
    const look = () => isNarrow.value = query.matches;
    look();
    query.addEventListener("change", look);
    return () => query.removeEventListener("change", look);
  }, []);
  const row = isNarrow.value ? newestOwn() : null;
  const shown = row?.event && of.includes(row.event) ? row : null;
  useEffect(() => {
    // In sight while it grows, after a click just now: a page that was loaded again stays where it is.
    if (shown !== null && Date.now() - Date.parse(shown.capturedAt ?? "") < JUST_NOW_MS) {
      box.current?.scrollIntoView({ block: "nearest" });
    }
  }, [shown]);
  if (shown === null) return null;
  return (
    <section ref={box} class="last-event" aria-label="Your last event">
      <p class="label">Your last event</p>
      <EventBody
        row={shown}
        own={false}
        slow={isSlow(shown)}
        lit={journey.value?.id === shown.id ? journey.value.lit : null}
        ingest={null}
      />
    </section>
  );
}

const JUST_NOW_MS = 3_000;

function newestOwn() {
  const row = [...trace.value.values()].findLast((row) => row.kind === "event" && row.own);
  return row?.kind === "event" ? row : null;
}
