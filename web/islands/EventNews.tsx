import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { onStep } from "../browser/changes.ts";
import { trace } from "../browser/feed.ts";

/**
 * Says that more has become of an event than its page shows: another delivery, or the end of one that was still waited for.
 * The page itself stays as it is, because somebody reads it.
 */
export default function EventNews(
  { uuid, deliveries, waits }: { uuid: string; deliveries: number; waits: boolean },
) {
  const isNews = useSignal(false);
  useEffect(() =>
    onStep(() => {
      const row = trace.value.get(uuid);
      if (row?.kind !== "event") return;
      const seen = row.repeats.length + (row.durable === null ? 0 : 1);
      isNews.value ||= seen > deliveries || waits && row.ending !== null;
    }), []);
  return (
    <div role="status">
      {isNews.value && (
        <p class="banner ok">
          More has become of it since. <a href={`/events/${encodeURIComponent(uuid)}`}>Show it</a>
        </p>
      )}
    </div>
  );
}
