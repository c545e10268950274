import { page } from "fresh";
import { Unavailable } from "../../../components/Empty.tsx";
import Ago from "../../../islands/Ago.tsx";
import MailRead from "../../../islands/MailRead.tsx";
import { type Mail, mailName, readMail } from "../../../server/mail.ts";
import { pathSegment } from "../../../server/path.ts";
import { framed } from "../../../server/services.ts";
import { define, settings } from "../../../utils.ts";

const VIEWS = ["rendered", "text", "headers", "source"] as const;
type View = typeof VIEWS[number];

export const handler = define.handlers({
  async GET(ctx) {
    const found = await framed(ctx.state, "Mail", readMail(pathSegment(ctx.url, 1), settings()));
    if (found.mail) ctx.state.title = found.mail.subject;
    const asked = ctx.url.searchParams.get("view");
    const view: View = VIEWS.find((name) => name === asked) ?? "rendered";
    const status = found.mail ? 200 : found.why === "missing" ? 404 : 503;
    return page({ ...found, view, path: ctx.url.pathname }, { status });
  },
});

export default define.page<typeof handler>(function MailView({ data, state }) {
  const { mail, view, path } = data;
  return (
    <div class="page">
      <p class="crumb">
        <a href="/mail" aria-current="false">Mail</a>
      </p>
      {mail
        ? (
          <article class="mail">
            <MailRead messageId={mailName(mail.messageId)} />
            <h1 dir="auto">{mail.subject}</h1>
            <dl class="facts">
              <dt>From</dt>
              <dd dir="auto">{mail.from}</dd>
              <dt>To</dt>
              <dd dir="auto">{mail.to}</dd>
              {mail.date && (
                <>
                  <dt>Sent</dt>
                  <dd>
                    <Ago at={mail.date} />
                  </dd>
                </>
              )}
            </dl>
            <p class="actions">
              <a href={`${path}/eml`} download>Download as .eml</a>
            </p>
            <nav aria-label="Views of this mail">
              <ul class="tabs">
                {VIEWS.map((name) => (
                  <li key={name}>
                    <a href={`${path}?view=${name}`} aria-current={name === view ? "true" : "false"}>
                      {name}
                    </a>
                  </li>
                ))}
              </ul>
            </nav>
            <MailBody mail={mail} view={view} path={path} />
          </article>
        )
        : data.why === "missing"
        ? (
          <p class="empty">
            There is no mail of this Message-ID here. Where mail goes out by SMTP no copy is kept.
          </p>
        )
        : <Unavailable what="The mail is on disk and safe" seenAt={state.services?.seen.processor} />}
    </div>
  );
});

function MailBody({ mail, view, path }: { mail: Mail; view: View; path: string }) {
  switch (view) {
    case "rendered":
      return mail.html === null ? <p class="empty">This mail has no HTML part; see its text.</p> : (
        <iframe
          class="sheet"
          src={`${path}/html`}
          title={`The mail “${mail.subject}”, as rendered`}
          sandbox="allow-popups allow-popups-to-escape-sandbox"
          referrerpolicy="no-referrer"
          loading="lazy"
        />
      );
    case "text":
      return mail.text === null
        ? <p class="empty">This mail has no text part.</p>
        : <pre class="sheet" tabIndex={0}>{mail.text}</pre>;
    case "headers":
      return (
        <div class="scroll" tabIndex={0} role="region" aria-label="Headers">
          <table class="headers">
            <caption class="hidden">Headers, in the order of the source</caption>
            <tbody>
              {mail.headers.map(({ name, value }, i) => (
                <tr key={i}>
                  <th scope="row" class="mono">{name}</th>
                  <td class="mono">{value}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      );
    case "source":
      return <pre class="sheet" tabIndex={0}>{mail.source}</pre>;
  }
}
