import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { MailListing } from "../../contract/processor_api.ts";
import { getJson, oldSince } from "../browser/feed.ts";
import { onMail } from "../browser/changes.ts";
import { onKeys } from "../browser/keys.ts";
import { followRead, markRead, readMails } from "../browser/read_mails.ts";
import { AsItWas } from "../components/AsItWas.tsx";
import { Empty } from "../components/Empty.tsx";
import { MailRow } from "../components/MailRow.tsx";
import { count } from "../core/format.ts";
import { foundText, isUnread, type MailQuery, mailQuestion, READ_MAX } from "../core/mails.ts";

/** Somebody who types is asked for after so many ms without a key. */
const TYPING_MS = 200;

/** The mails that were written as files, newest first, page by page; on the newest page one that is sent meanwhile comes in. */
export default function MailList({ initial, query }: { initial: MailListing; query: MailQuery }) {
  /** What was answered, and to which question: what is typed meanwhile is another one. */
  const answer = useSignal({ listing: initial, query });
  const search = useSignal(query.search);
  const before = useSignal(query.before);
  const field = useRef<HTMLInputElement>(null);
  const rows = useRef<HTMLOListElement>(null);
  const asked = useRef(0);
  const typing = useRef<ReturnType<typeof setTimeout>>();

  const look = async () => {
    const mine = ++asked.current;
    const query = { search: search.peek(), before: before.peek() };
    const { path, order } = mailQuestion(query);
    const listing = await getJson<MailListing>(path, { order });
    // A newer question says more; and while the processor is away, what was known stays.
    if (listing !== null && mine === asked.current) answer.value = { listing, query };
  };
  const searchFor = (text: string) => {
    search.value = text;
    before.value = null;
    clearTimeout(typing.current);
    typing.current = setTimeout(look, TYPING_MS);
  };
  useEffect(() => {
    const stops = [
      followRead(),
      onMail(() => {
        if (before.peek() === null) look();
      }),
      onKeys({
        "/": () => field.current?.focus(),
        j: () => step(rows.current, 1),
        k: () => step(rows.current, -1),
      }),
    ];
    return () => stops.forEach((stop) => stop());
  }, []);

  const { listing, query: answered } = answer.value;
  const { mailer, mails, total, older } = listing;
  const read = readMails.value;
  const unread = mails.filter((mail) => isUnread(mail, read)).length;
  const markAll = async () => markRead((await newestIds() ?? mails.map(idOf)).toReversed());
  if (total === 0) return <NoMail mailer={mailer} />;
  return (
    <AsItWas since={oldSince()}>
      <form
        class="explore"
        role="search"
        aria-label="Mails"
        method="post"
        action="/mail"
        onSubmit={(event) => {
          event.preventDefault();
          clearTimeout(typing.current);
          look();
        }}
      >
        <div class="field grow">
          <label for="search-mails">Search mails</label>
          <input
            ref={field}
            id="search-mails"
            name="search"
            type="search"
            autocomplete="off"
            maxLength={200}
            placeholder="recipient, subject, text or code"
            value={search.value}
            onInput={(event) => searchFor(event.currentTarget.value)}
          />
        </div>
        <div class="buttons">
          <button type="submit" class="quiet-button">Search</button>
          <button type="button" class="quiet-button scripted" disabled={unread === 0} onClick={markAll}>
            Mark all as read
          </button>
        </div>
      </form>
      <section aria-label="Mails">
        <p class="note" role="status">
          {foundText(listing, answered)}
          {unread > 0 && `; ${count(unread)} of these unread`}
        </p>
        {mails.length > 0 && (
          <ol class="rows mails" ref={rows}>
            {mails.map((mail) => <MailRow key={mail.messageId} mail={mail} unread={isUnread(mail, read)} />)}
          </ol>
        )}
        <Pages {...answered} older={older} />
      </section>
    </AsItWas>
  );
}

/** Links where the address may say all, forms where a search belongs into no address. */
function Pages({ search, before, older }: MailQuery & { older: string | null }) {
  if (before === null && older === null) return null;
  const isSearch = search.trim() !== "";
  return (
    <nav class="pages" aria-label="Pages of mails">
      {before !== null && (isSearch
        ? <PageForm search={search} before={null} label="newest" />
        : <a href="/mail" aria-current="false">newest</a>)}
      {older !== null && (isSearch
        ? <PageForm search={search} before={older} label="older" />
        : <a href={`/mail?${new URLSearchParams({ before: older })}`} aria-current="false">older</a>)}
    </nav>
  );
}

function PageForm({ search, before, label }: MailQuery & { label: string }) {
  return (
    <form method="post" action="/mail">
      <input type="hidden" name="search" value={search} />
      {before !== null && <input type="hidden" name="before" value={before} />}
      <button type="submit" class="link">{label}</button>
    </form>
  );
}

function step(rows: HTMLOListElement | null, by: 1 | -1): boolean {
  const links = [...rows?.querySelectorAll<HTMLAnchorElement>(".mail-subject") ?? []];
  const at = links.findIndex((link) => link.closest("li")!.contains(document.activeElement));
  const next = links[at < 0 ? (by > 0 ? 0 : -1) : at + by];
  next?.focus();
  return next !== undefined;
}

/** Of the mails that can be remembered as read; null where the processor does not answer. */
async function newestIds(): Promise<readonly string[] | null> {
  const ids: string[] = [];
  let before: string | null = null;
  do {
    const query: string = new URLSearchParams(before === null ? {} : { before }).toString();
    const page: MailListing | null = await getJson<MailListing>(`/api/mails?${query}`);
    if (page === null) return null;
    ids.push(...page.mails.map(idOf));
    before = page.older;
  } while (before !== null && ids.length < READ_MAX);
  return ids.slice(0, READ_MAX);
}

function idOf({ messageId }: MailListing["mails"][number]): string {
  return messageId;
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
