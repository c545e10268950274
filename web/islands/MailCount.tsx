import { useEffect } from "preact/hooks";
import { webSeenAt } from "../browser/feed.ts";
import { startMails, unread } from "../browser/mails.ts";

/** How many mails nobody has opened in this browser, behind the link to them; nothing where there is none, or nobody can tell. */
export default function MailCount() {
  useEffect(startMails, []);
  if (!unread.value || webSeenAt.value !== undefined) return null;
  return (
    <span class="tally warn">
      {` ${unread.value.toLocaleString("en-US")}`}
      <span class="hidden">unread</span>
    </span>
  );
}
