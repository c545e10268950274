import { useEffect } from "preact/hooks";
import { heardAt, services, webSeenAt } from "../browser/feed.ts";
import { startMails, unread } from "../browser/mails.ts";
import { now } from "../browser/now.ts";
import { count } from "../core/format.ts";
import { silentSince } from "../core/stations.ts";

/**
 * How many there are behind a link of the menu: mails that nobody has opened in this browser, or dead letters that wait
 * (`waiting`: when the page was made); nothing while nobody can tell.
 */
export default function MenuCount(props: { of: "mails" } | { of: "dead letters"; waiting: number | null }) {
  useEffect(() => {
    if (props.of === "mails") startMails();
  }, []);
  const silent = silentSince({ heardAt: heardAt.value, webSeenAt: webSeenAt.value, now: now() });
  if (props.of === "mails") {
    if (!unread.value || silent !== undefined) return null;
    return (
      <span class="tally warn">
        {` ${count(unread.value)}`}
        <span class="hidden">unread</span>
      </span>
    );
  }
  const total = services.value === null ? props.waiting : services.value.status?.deadLetters.total ?? null;
  if (total === null || silent !== undefined) return null;
  return <span class={total > 0 ? "tally warn" : "tally"}>{` ${count(total)}`}</span>;
}
