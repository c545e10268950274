import { services, webSeenAt } from "../browser/feed.ts";
import { count } from "../core/format.ts";

/** How many dead letters wait, behind the link to them; nothing while nobody can tell. */
export default function DeadLetterCount({ initial }: { initial: number | null }) {
  const total = services.value === null ? initial : services.value.status?.deadLetters.total ?? null;
  if (total === null || webSeenAt.value !== undefined) return null;
  return <span class={total > 0 ? "tally warn" : "tally"}>{` ${count(total)}`}</span>;
}
