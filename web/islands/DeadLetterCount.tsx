import { heardAt, services, webSeenAt } from "../browser/feed.ts";
import { now } from "../browser/now.ts";
import { count } from "../core/format.ts";
import { silentSince } from "../core/stations.ts";

/** How many dead letters wait, behind the link to them; nothing while nobody can tell. */
export default function DeadLetterCount({ initial }: { initial: number | null }) {
  const total = services.value === null ? initial : services.value.status?.deadLetters.total ?? null;
  const silent = silentSince({ heardAt: heardAt.value, webSeenAt: webSeenAt.value, now: now() });
  if (total === null || silent !== undefined) return null;
  return <span class={total > 0 ? "tally warn" : "tally"}>{` ${count(total)}`}</span>;
}
