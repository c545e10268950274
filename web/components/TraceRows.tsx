import Ago from "../islands/Ago.tsx";
import CopyButton from "../islands/CopyButton.tsx";
import { knownAt } from "../browser/feed.ts";
import type { OfferView } from "../../contract/processor_api.ts";
import { notedText } from "../core/event_path.ts";
import { letterUrl, lineUrl, plural, positionText, shortId } from "../core/format.ts";
import {
  asCurl,
  backfillCommand,
  beganAt,
  type EventRow,
  isOnItsWay,
  type MailRow,
  type OfferRow,
} from "../core/trace.ts";
import { EventPath } from "./EventPath.tsx";
import { LongText } from "./LongText.tsx";
import { offerRowText } from "./offer_text.ts";
import { OfferWords } from "./OfferState.tsx";

type EventProps = {
  row: EventRow;
  own: boolean;
  slow: boolean;
  /** See {@link EventPath}. */
  lit: number | null;
  /** Where the curl command posts to; null: no such command here. */
  ingest: { url: string; withSecret: boolean } | null;
};

/** One event of the list. */
export function EventRowView(props: EventProps) {
  const { id, key } = props.row;
  return (
    <li class="row" data-id={id} data-key={key} tabIndex={-1}>
      <EventBody {...props} />
    </li>
  );
}

/** One event: what it is, its way, and for a prompt what sanitising made of it. */
export function EventBody({ row, own, slow, lit, ingest }: EventProps) {
  const began = beganAt(row);
  const { ending, noted } = row;
  return (
    <>
      <div class="row-head">
        <strong class="mono">
          <a
            href={`/events/${encodeURIComponent(row.id)}`}
            title={`all that is known of ${row.id}`}
            dir="auto"
          >
            {row.event ?? "event"}
          </a>
        </strong>
        <Person id={row.distinctId} own={own} />
        {row.fromLog && <FromLog title="times it did not see pass are not known" />}
        <span class="when">{began && <Ago at={began} />}</span>
      </div>
      <div class="way">
        <EventPath row={row} lit={lit} />
        <p class="actions">
          {ending?.kind === "written" && <a href={lineUrl(ending)}>line</a>}
          {ingest !== null && row.event !== null && !row.event.startsWith("$") && (
            <CopyButton text={asCurl(row, ingest)} label="copy as curl" />
          )}
        </p>
      </div>
      <Prompts before={row.before} after={row.after} />
      {ending?.kind === "dead_lettered" && (
        <p class="note bad">
          Set aside:{" "}
          <span dir="auto">{ending.reason}</span>. Its bytes are kept as they came, none of them in the
          dataset:{" "}
          <a href={row.position === null ? "/dead-letters" : letterUrl(row.position)}>the dead letter</a>.
        </p>
      )}
      {ending && noted && noted.what.length > 0 && !noted.what.includes("not_counted") && (
        <p class="note">The offers noted: {notedText(noted.what)}.</p>
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
    </>
  );
}

/** Steps carry no more of a prompt: of a longer one it is not known here whether the rest is the same. */
const COMPARED_MAX = 20_000;

function Prompts({ before, after }: { before: string | null; after: string | null }) {
  if (before !== null && before === after && before.length <= COMPARED_MAX) {
    return (
      <p class="prompt">
        <span class="label">prompt</span>
        <span>
          <LongText text={before} /> <span class="quiet">unchanged by the sanitiser</span>
        </span>
      </p>
    );
  }
  return (
    <>
      {before !== null && (
        <p class="prompt">
          <span class="label">before</span>
          <LongText text={before} />
        </p>
      )}
      {after !== null && (
        <p class="prompt">
          <span class="label">after</span>
          <LongText text={after} sanitised />
        </p>
      )}
    </>
  );
}

/** What ingest or PostHog's stand-in says, as long as the processor has not told of it. */
function WhereItWaits({ row }: { row: EventRow }) {
  const { dropped, durable, capturedAt } = row;
  if (dropped) {
    return (
      <p class="note bad">
        PostHog gave it up after {dropped.attempts} {plural(dropped.attempts, "attempt")}{" "}
        (<span dir="auto">{dropped.words}</span>). This brings it back:{" "}
        <code>{backfillCommand(capturedAt ?? dropped.at)}</code>{" "}
        <CopyButton text={backfillCommand(capturedAt ?? dropped.at)} />
      </p>
    );
  }
  if (!isOnItsWay(row) || durable === null) return null;
  return (
    <p class="note">
      {durable === "log"
        ? "Durable in the topic, says ingest; the processor has not told of it yet."
        : "Durable in ingest’s spool; it goes into the topic when the log takes it."}
    </p>
  );
}

/** One offer, as the processor has it now: the same words as the panel and the offer's page. */
export function OfferRowView({ row, own, offer }: { row: OfferRow; own: boolean; offer: OfferView | null }) {
  const began = beganAt(row);
  return (
    <li class="row offer-row" data-key={row.key} tabIndex={-1}>
      <div class="row-head">
        <strong class="mono">discount offer</strong>
        <Person id={row.distinctId} own={own} />
        {row.fromLog && <FromLog title={FACTS_SAY} />}
        <span class="when">{began && <Ago at={began} />}</span>
      </div>
      <OfferWords text={offerRowText(row, offer, knownAt())} />
    </li>
  );
}

/** A mail that went out, under the moment when it did. */
export function MailRowView({ row, own, to }: { row: MailRow; own: boolean; to: string | null }) {
  return (
    <li class="row mail-row" data-key={row.key} tabIndex={-1}>
      <div class="row-head">
        <strong class="mono">mail</strong>
        {to !== null && <span class="break" dir="auto">{to}</span>}
        <Person id={row.distinctId} own={own} />
        {row.fromLog && <FromLog title={FACTS_SAY} />}
        <span class="when">
          sent <Ago at={row.at} />
        </span>
      </div>
      <p class="actions">
        {row.messageId !== null && <a href={`/mail/${encodeURIComponent(row.messageId)}`}>open</a>}
        <span class="quiet" dir="auto">{row.words}</span>
      </p>
    </li>
  );
}

const FACTS_SAY = "it stands in the topic of facts, with its time";

function FromLog({ title }: { title: string }) {
  return (
    <span class="quiet small" title={`Told by a processor that has started since: ${title}.`}>
      read from the log
    </span>
  );
}

function Person({ id, own }: { id: string | null; own: boolean }) {
  if (id === null) return null;
  return (
    <>
      <a class="id mono" href={`/offers/${encodeURIComponent(id)}`} title={id} dir="auto">
        {shortId(id)}
      </a>
      {own && <span class="tag">you</span>}
    </>
  );
}
