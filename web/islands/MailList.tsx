import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { MailListing } from "../../contract/processor_api.ts";
import { getJson } from "../browser/feed.ts";
import { onMail } from "../browser/changes.ts";
import { Empty } from "../components/Empty.tsx";
import { count, plural } from "../core/format.ts";
import Ago from "./Ago.tsx";

/** The mails that were written as files, newest first; one that is sent meanwhile comes in. */
export default function MailList({ initial }: { initial: MailListing }) {
  const listing = useSignal(initial);
  useEffect(() =>
    onMail(async () => {
      listing.value = await getJson<MailListing>("/api/mails") ?? listing.value;
    }), []);
  const { mailer, mails } = listing.value;
  if (mails.length === 0) return <NoMail mailer={mailer} />;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Mails">
      <table>
        <caption>{count(mails.length)} {plural(mails.length, "mail")}, newest first</caption>
        <thead>
          <tr>
            <th scope="col">Subject</th>
            <th scope="col">To</th>
            <th scope="col">Sent</th>
          </tr>
        </thead>
        <tbody>
          {mails.map((mail) => (
            <tr key={mail.messageId}>
              <th scope="row">
                <a href={`/mail/${encodeURIComponent(mail.messageId)}`}>{mail.subject}</a>
              </th>
              <td>{mail.to}</td>
              <td>
                <Ago at={mail.sentAt} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function NoMail({ mailer }: { mailer: MailListing["mailer"] }) {
  return (
    <Empty title="No mail yet.">
      {mailer === "smtp"
        ? "Mail goes out by SMTP here and no copy is kept; an offer's page says what the mail server answered."
        : "Give an e-mail address on the live page and use the feature five times: the offer's mail is written here."}
    </Empty>
  );
}
