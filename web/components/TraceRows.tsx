import Ago from "../islands/Ago.tsx";
import CopyButton from "../islands/CopyButton.tsx";
import { now } from "../browser/now.ts";
import { countdown, letterUrl, lineUrl, plural, positionText, shortId } from "../core/format.ts";
import { asCurl, backfillCommand, beganAt, type EventRow, type OfferRow } from "../core/trace.ts";
import { EventPath } from "./EventPath.tsx";
import { LongText } from "./LongText.tsx";

/** One event: what it is, its way, and for a prompt what sanitising made of it. */
export function EventRowView(
  { row, own, earned, slow, ingestUrl, withSecret }: {
    row: EventRow;
    own: boolean;
    earned: boolean;
    slow: boolean;
    ingestUrl: string;
    withSecret: boolean;
  },
) {
  const began = beganAt(row);
  return (
    <li class="row" data-id={row.id} data-key={row.key} tabIndex={-1}>
      <div class="row-head">
        <strong class="mono">
          <a href={`/events/${encodeURIComponent(row.id)}`} title={`all that is known of ${row.id}`}>
            {row.event ?? "event"}
          </a>
        </strong>
        <Person id={row.distinctId} own={own} />
        <span class="when">{began && <Ago at={began} />}</span>
      </div>
      <div class="way">
        <EventPath row={row} earned={earned} />
        <p class="actions">
          {row.ending?.kind === "written" && <a href={lineUrl(row.ending)}>line</a>}
          {row.event !== null && !row.event.startsWith("$") && (
            <CopyButton text={asCurl(row, { url: ingestUrl, withSecret })} label="copy as curl" />
          )}
        </p>
      </div>
      {row.before !== null && (
        <p class="prompt">
          <span class="label">before</span>
          <LongText text={row.before} />
        </p>
      )}
      {row.after !== null && (
        <p class="prompt">
          <span class="label">after</span>
          <LongText text={row.after} sanitised />
        </p>
      )}
      {row.ending?.kind === "dead_lettered" && (
        <p class="note bad">
          Set aside: {row.ending.reason}. Its bytes are kept as they came, none of them in the dataset:{" "}
          <a href={row.position === null ? "/dead-letters" : letterUrl(row.position)}>the dead letter</a>.
        </p>
      )}
      {row.repeats.length > 0 && (
        <p class="note">
          Delivered again at {row.repeats.map(positionText).join(", ")}: dropped, the event is already there.
        </p>
      )}
      <WhereItWaits row={row} />
      {slow && (
        <p class="note warn">
          Nothing heard of it yet; the strip above shows who is away. While PostHog is, posthog-js keeps it
          and tries again as long as this page is open.
        </p>
      )}
    </li>
  );
}

/** What ingest or PostHog's stand-in says, as long as the processor has not read it. */
function WhereItWaits({ row: { dropped, durable, polledAt, capturedAt } }: { row: EventRow }) {
  if (dropped) {
    return (
      <p class="note bad">
        PostHog gave it up after {dropped.attempts} {plural(dropped.attempts, "attempt")}{" "}
        ({dropped.words}). This brings it back: <code>{backfillCommand(capturedAt ?? dropped.at)}</code>{" "}
        <CopyButton text={backfillCommand(capturedAt ?? dropped.at)} />
      </p>
    );
  }
  if (polledAt !== null || durable === null) return null;
  return (
    <p class="note">
      {durable === "log"
        ? "Durable in the topic, says ingest; the processor has not read it yet."
        : "Durable in ingest’s spool; it goes into the topic when the log takes it."}
    </p>
  );
}

/** One offer: earned, due, and what came of its mail. */
export function OfferRowView({ row, own, email }: { row: OfferRow; own: boolean; email: string | null }) {
  const began = beganAt(row);
  return (
    <li class="row offer-row" data-key={row.key} tabIndex={-1}>
      <div class="row-head">
        <strong class="mono">discount offer</strong>
        <Person id={row.distinctId} own={own} />
        <span class="when">{began && <Ago at={began} />}</span>
      </div>
      <p class="offer-line">
        <OfferMailText row={row} to={own ? email : null} />
        {row.mail?.outcome === "accepted" && row.mail.messageId && (
          <a href={`/mail/${encodeURIComponent(row.mail.messageId)}`}>open</a>
        )}
      </p>
    </li>
  );
}

function OfferMailText({ row: { mail, dueAt, addressKnown }, to }: { row: OfferRow; to: string | null }) {
  switch (mail?.outcome) {
    case "accepted":
      return (
        <span class="ok">
          Mail sent{to ? ` to ${to}` : ""} <span class="quiet">{mail.words}</span>
        </span>
      );
    case "deferred":
      return (
        <span class="warn">
          Not taken yet: {mail.words}.{" "}
          {mail.nextAttemptAt && <>Tried again in {countdown(mail.nextAttemptAt, now())}.</>}
        </span>
      );
    case "refused":
      return <span class="bad">Refused: {mail.words}. It is not tried again.</span>;
    case "unknown":
      return (
        <span class="bad">
          It cannot be known whether the mail arrived: {mail.words}. It is not sent twice.
        </span>
      );
    case "closed":
      return <span>Closed without a mail: {mail.words}.</span>;
    case undefined:
      if (addressKnown === false) return <span class="warn">Earned. No address known: waits for one.</span>;
      return dueAt === null ? <span>Earned.</span> : (
        <span>
          Earned. Mail due in <time dateTime={dueAt} title={dueAt}>{countdown(dueAt, now())}</time>.
        </span>
      );
  }
}

function Person({ id, own }: { id: string | null; own: boolean }) {
  if (id === null) return null;
  return (
    <>
      <a class="id mono" href={`/offers/${encodeURIComponent(id)}`} title={id}>{shortId(id)}</a>
      {own && <span class="tag">you</span>}
    </>
  );
}
