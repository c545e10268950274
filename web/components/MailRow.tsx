import type { MailListing } from "../../contract/processor_api.ts";
import Ago from "../islands/Ago.tsx";

/** One mail of the list. `unread`: null where nobody can tell. */
export function MailRow(
  { mail: { messageId, subject, to, sentAt }, unread }: {
    mail: MailListing["mails"][number];
    unread: boolean | null;
  },
) {
  const path = `/mail/${encodeURIComponent(messageId)}`;
  return (
    <li class={unread ? "row unread" : "row"}>
      <div class="row-head">
        <a class="mail-subject" href={path} dir="auto">{subject === "" ? "(no subject)" : subject}</a>
        {unread && <span class="tag">unread</span>}
      </div>
      <div class="way">
        <span class="quiet break" dir="auto">{to}</span>
        <span class="when">
          <Ago at={sentAt} />
        </span>
        <a
          class="download"
          href={`${path}/eml`}
          download
          aria-label={`Download “${subject}” to ${to} as .eml`}
        >
          .eml
        </a>
      </div>
    </li>
  );
}
